-- L'heure que dit un tiers (RFC 3161) de chaque clôture : elle vient après elle, et peut se faire attendre.

CREATE TABLE journal.jetons_d_arrete (
    jour          date        NOT NULL,
    empreinte     bytea       NOT NULL CHECK (octet_length(empreinte) = 32),
    autorite      text        NOT NULL CHECK (autorite <> ''),
    horodate_le   timestamptz NOT NULL,
    jeton         bytea       NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT jetons_d_arrete_pkey PRIMARY KEY (jour)
);
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.jetons_d_arrete
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();

COMMENT ON TABLE journal.jetons_d_arrete IS 'Le jeton d''horodatage (RFC 3161) de chaque clôture.';
COMMENT ON COLUMN journal.jetons_d_arrete.jour IS 'Le jour de la clôture.';
COMMENT ON COLUMN journal.jetons_d_arrete.empreinte IS 'L''empreinte horodatée : celle de la clôture.';
COMMENT ON COLUMN journal.jetons_d_arrete.autorite IS 'L''adresse de l''autorité d''horodatage.';
COMMENT ON COLUMN journal.jetons_d_arrete.horodate_le IS 'L''heure que dit le jeton.';
COMMENT ON COLUMN journal.jetons_d_arrete.jeton IS 'La réponse de l''autorité, en DER (TimeStampResp), telle que reçue.';
COMMENT ON COLUMN journal.jetons_d_arrete.enregistre_le IS 'L''horloge de PostgreSQL.';

-- Ces deux tables se scellent comme les autres (0035).
DO $$
DECLARE
    une        text;
    generation bigint := (SELECT count(*) FROM journal.epoques);
BEGIN
    FOREACH une IN ARRAY ARRAY['arretes', 'jetons_d_arrete'] LOOP
        EXECUTE format('ALTER TABLE journal.%I ADD COLUMN ecrit_par bigint
                        DEFAULT (pg_current_xact_id()::text::int8 + %s)', une, generation << 48);
        EXECUTE format('CREATE INDEX %I ON journal.%I USING brin (ecrit_par) WITH (pages_per_range = 8)',
                       une || '_ecrit_par', une);
        EXECUTE format('COMMENT ON COLUMN journal.%I.ecrit_par IS %L', une,
                       'La transaction qui a écrit la ligne, sous la génération de l''époque (48 bits de poids faible).');
    END LOOP;
END $$;
