-- Ce que Kafka fait sous nos pieds (topics recréés, messages perdus, partitions raccourcies), et les arrêts des rôles.

-- Les topics rencontrés : un nom revenu sous un autre identifiant a été recréé.
CREATE TABLE journal.topics (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    topic         text        NOT NULL,
    topic_id      uuid        NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT topics_topic UNIQUE (topic, topic_id)
);
INSERT INTO journal.topics (topic, topic_id, enregistre_le )
SELECT topic, topic_id, min(enregistre_le) FROM journal.positions GROUP BY topic, topic_id ORDER BY min(enregistre_le);

-- Les messages que la rétention a effacés avant que nous les lisions ; écrit avec la position qui les saute.
CREATE TABLE journal.pertes (
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    depuis        bigint      NOT NULL,
    jusqu_a       bigint      NOT NULL CHECK (jusqu_a > depuis),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pertes_depuis UNIQUE (topic_id, partition, depuis)
);

-- Les partitions arrêtées : leur fin est revenue en deçà de notre position, et personne ne sait ce qu'elles portent.
CREATE TABLE journal.arrets (
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    position      bigint      NOT NULL,
    fin           bigint      NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT arrets_partition UNIQUE (topic_id, partition)
);

-- Leur reprise, décidée par une personne : la partition continue sous un identifiant à elle, depuis cette position.
CREATE TABLE journal.reprises (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    identifiant   uuid        NOT NULL,
    depuis        bigint      NOT NULL CHECK (depuis >= 0),
    motif         text        NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT reprises_identifiant UNIQUE (identifiant, partition)
);
CREATE INDEX reprises_partition ON journal.reprises (topic_id, partition, rang);

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['topics', 'pertes', 'arrets', 'reprises'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

-- Combien de fois chaque rôle s'est interrompu.
SET LOCAL ROLE creances_service;
ALTER TABLE vues.suiveurs ADD COLUMN interruptions bigint NOT NULL DEFAULT 0;
RESET ROLE;
