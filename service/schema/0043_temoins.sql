-- Les témoins : ce qu'ils ont cosigné de chaque état du journal, et ce qu'ils en ont refusé.

CREATE TABLE journal.cosignatures (
    epoque        text COLLATE "C" NOT NULL,
    taille        bigint      NOT NULL,
    temoin        text        NOT NULL CHECK (temoin <> ''),
    ligne         text        NOT NULL CHECK (ligne <> ''),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cosignatures_temoin UNIQUE (epoque, temoin, taille),
    CONSTRAINT cosignatures_point FOREIGN KEY (epoque, taille) REFERENCES journal.points (epoque, taille)
);
-- Pour rendre un point avec toutes ses lignes.
CREATE INDEX cosignatures_taille ON journal.cosignatures (epoque, taille);

-- Un refus est un fait : il se scelle, et l'arbre de l'époque suivante nomme ainsi l'état abandonné.
CREATE TABLE journal.refus_de_temoins (
    rang          bigint      GENERATED ALWAYS AS IDENTITY,
    epoque        text COLLATE "C" NOT NULL,
    temoin        text        NOT NULL CHECK (temoin <> ''),
    taille        bigint      NOT NULL,
    connue        bigint,
    montre        text        NOT NULL,
    vu            text,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT refus_de_temoins_pkey PRIMARY KEY (rang)
);
CREATE INDEX refus_de_temoins_epoque ON journal.refus_de_temoins (epoque, temoin);

DO $$
DECLARE
    une        text;
    generation bigint := (SELECT count(*) FROM journal.epoques);
BEGIN
    FOREACH une IN ARRAY ARRAY['cosignatures', 'refus_de_temoins'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une);
    END LOOP;
    ALTER TABLE journal.refus_de_temoins ADD COLUMN ecrit_par bigint;
    EXECUTE format('ALTER TABLE journal.refus_de_temoins ALTER COLUMN ecrit_par
                    SET DEFAULT (pg_current_xact_id()::text::int8 + %s)', generation << 48);
    CREATE INDEX refus_de_temoins_ecrit_par ON journal.refus_de_temoins USING brin (ecrit_par) WITH (pages_per_range = 8);
END $$;

COMMENT ON TABLE journal.cosignatures IS 'Ce que chaque témoin a cosigné des points (C2SP tlog-cosignature), vérifié avant d''être gardé.';
COMMENT ON COLUMN journal.cosignatures.epoque IS 'L''époque du point.';
COMMENT ON COLUMN journal.cosignatures.taille IS 'Combien de feuilles il a.';
COMMENT ON COLUMN journal.cosignatures.temoin IS 'Le nom du témoin.';
COMMENT ON COLUMN journal.cosignatures.ligne IS 'Sa ligne de signature, à mettre sous celle du journal.';
COMMENT ON COLUMN journal.cosignatures.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.refus_de_temoins IS 'Ce qu''un témoin a refusé de cosigner : le journal a été récrit, ou une copie plus ancienne en a été restaurée.';
COMMENT ON COLUMN journal.refus_de_temoins.rang IS 'L''ordre des refus.';
COMMENT ON COLUMN journal.refus_de_temoins.epoque IS 'L''époque du point refusé.';
COMMENT ON COLUMN journal.refus_de_temoins.temoin IS 'Le nom du témoin.';
COMMENT ON COLUMN journal.refus_de_temoins.taille IS 'Combien de feuilles a le point refusé.';
COMMENT ON COLUMN journal.refus_de_temoins.connue IS 'Combien le témoin en connaît, s''il l''a dit.';
COMMENT ON COLUMN journal.refus_de_temoins.montre IS 'Le point refusé, signé.';
COMMENT ON COLUMN journal.refus_de_temoins.vu IS 'L''état abandonné, signé de notre clé et cosigné, s''il a été retrouvé sur le topic des points.';
COMMENT ON COLUMN journal.refus_de_temoins.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON COLUMN journal.refus_de_temoins.ecrit_par IS 'La transaction qui a écrit la ligne, sous la génération de l''époque (48 bits de poids faible).';
