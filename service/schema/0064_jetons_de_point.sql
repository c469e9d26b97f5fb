-- L'heure que dit un tiers (RFC 3161) d'un point signé : une preuve de solde la porte. Comme une cosignature, hors de
-- l'arbre : sceller ce qui vient d'un sceau ne finirait pas.

CREATE TABLE journal.jetons_de_point (
    epoque        text COLLATE "C" NOT NULL,
    taille        bigint      NOT NULL,
    autorite      text        NOT NULL CHECK (autorite <> ''),
    horodate_le   timestamptz NOT NULL,
    jeton         bytea       NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT journal.heure(),
    CONSTRAINT jetons_de_point_pkey PRIMARY KEY (epoque, taille),
    CONSTRAINT jetons_de_point_point FOREIGN KEY (epoque, taille) REFERENCES journal.points (epoque, taille)
);
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.jetons_de_point
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();

COMMENT ON TABLE journal.jetons_de_point IS 'Le jeton d''horodatage (RFC 3161) d''un point signé, vérifié avant d''être gardé.';
COMMENT ON COLUMN journal.jetons_de_point.epoque IS 'L''époque du point.';
COMMENT ON COLUMN journal.jetons_de_point.taille IS 'Combien de feuilles il a.';
COMMENT ON COLUMN journal.jetons_de_point.autorite IS 'L''adresse de l''autorité d''horodatage.';
COMMENT ON COLUMN journal.jetons_de_point.horodate_le IS 'L''heure que dit le jeton.';
COMMENT ON COLUMN journal.jetons_de_point.jeton IS 'La réponse de l''autorité, en DER (TimeStampResp), telle que reçue ; elle porte sur le texte signé du point.';
COMMENT ON COLUMN journal.jetons_de_point.enregistre_le IS 'L''horloge de PostgreSQL, entre le dernier événement et ce qu''admet celle de qui écrit.';
