-- La publication : les époques du journal, et le topic où l'on a publié en dernier.

-- Une époque du journal. Après la restauration d'une sauvegarde plus ancienne, `flux:version` peut désigner un autre
-- fait qu'avant : une nouvelle époque le dit à ceux qui lisent les événements publiés. Nommée par son heure d'ouverture,
-- jamais par un compteur : un compteur restauré redonnerait le même nom.
CREATE TABLE journal.epoques (
    nom           text COLLATE "C" NOT NULL CHECK (nom ~ '^[0-9]{8}T[0-9]{6}Z$'),
    raison        text        NOT NULL CHECK (raison <> ''),
    ouverte_par   text        NOT NULL DEFAULT session_user,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT epoques_pkey PRIMARY KEY (nom)
);
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.epoques
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();
GRANT SELECT, INSERT ON journal.epoques TO creances_service;

INSERT INTO journal.epoques (nom, raison)
VALUES (to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'), 'ouverture du journal');

SET LOCAL ROLE creances_service;

-- Où un suiveur a publié en dernier : un autre identifiant de topic, ou une autre époque, et tout est publié de nouveau.
CREATE TABLE vues.publications (
    suiveur    text PRIMARY KEY,
    topic      text        NOT NULL,
    topic_id   uuid        NOT NULL,
    epoque     text        NOT NULL,
    publie_le  timestamptz NOT NULL DEFAULT clock_timestamp()
);

RESET ROLE;
