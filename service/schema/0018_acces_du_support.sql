-- Qui du support a lu les données de qui, et pourquoi ; et ce qu'il en a noté. En ajout seul, comme tout le journal.

CREATE TABLE journal.acces (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    qui           text        NOT NULL CHECK (qui <> ''),
    role          text        NOT NULL,
    voie          text        NOT NULL CHECK (voie IN ('page', 'api', 'commande')),
    quoi          text        NOT NULL,
    objet         text COLLATE "C" NOT NULL,
    assures       text[] COLLATE "C" NOT NULL,
    motif         text        NOT NULL CHECK (motif <> ''),
    correlation   text,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT acces_pkey PRIMARY KEY (rang)
);
CREATE INDEX acces_assures ON journal.acces USING gin (assures);
CREATE INDEX acces_objet ON journal.acces (objet, rang);
CREATE INDEX acces_qui ON journal.acces (qui, rang);

CREATE TABLE journal.notes (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    objet         text COLLATE "C" NOT NULL,
    texte         text        NOT NULL CHECK (texte <> ''),
    auteur        text        NOT NULL CHECK (auteur <> ''),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT notes_pkey PRIMARY KEY (rang)
);
CREATE INDEX notes_objet ON journal.notes (objet, rang);

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['acces', 'notes'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

-- L'appel qui a ouvert un paiement : le numéro que sa réponse HTTP porte (X-Correlation-Id).
ALTER TABLE journal.cles_idempotence ADD COLUMN correlation text;

COMMENT ON TABLE journal.acces IS 'Chaque lecture des données d''une personne par le support, écrite avant que rien ne soit montré.';
COMMENT ON COLUMN journal.acces.rang IS 'L''ordre des lectures.';
COMMENT ON COLUMN journal.acces.qui IS 'L''agent que son jeton ou sa session nomme ; à la ligne de commande, l''utilisateur du système.';
COMMENT ON COLUMN journal.acces.role IS 'Le rôle sous lequel il a lu : support, audit, ou systeme à la ligne de commande.';
COMMENT ON COLUMN journal.acces.voie IS 'Par où : page, api ou commande.';
COMMENT ON COLUMN journal.acces.quoi IS 'Ce qui a été fait : recherche, historique, anomalie, acces…';
COMMENT ON COLUMN journal.acces.objet IS 'Ce qui a été lu : creance-<référence>, paiement-<transaction>, assure-<pseudonyme>, ou ce qui a été cherché.';
COMMENT ON COLUMN journal.acces.assures IS 'Les pseudonymes des personnes dont quelque chose a été montré ; vide si rien ne l''a été.';
COMMENT ON COLUMN journal.acces.motif IS 'Pourquoi, tel que l''agent l''a dit.';
COMMENT ON COLUMN journal.acces.correlation IS 'Le numéro de l''appel HTTP (X-Correlation-Id) ; absent à la ligne de commande.';
COMMENT ON COLUMN journal.acces.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.notes IS 'Ce que le support a noté d''une créance, d''un paiement, d''un assuré ou d''une anomalie.';
COMMENT ON COLUMN journal.notes.rang IS 'L''ordre des notes.';
COMMENT ON COLUMN journal.notes.objet IS 'Ce dont elle parle : creance-<référence>, paiement-<transaction>, assure-<pseudonyme>, anomalie-<identifiant>.';
COMMENT ON COLUMN journal.notes.texte IS 'La note, sans donnée d''identité.';
COMMENT ON COLUMN journal.notes.auteur IS 'L''agent qui l''a écrite.';
COMMENT ON COLUMN journal.notes.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON COLUMN journal.cles_idempotence.correlation IS 'Le numéro de l''appel HTTP (X-Correlation-Id) qui a reçu cette réponse.';
