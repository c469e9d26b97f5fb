-- Ce qui ne peut pas être appliqué encore attend avec son contenu : un message avant son avis, ou devant un flux que l'on
-- ne sait pas lire. Il est appliqué une fois, dans l'ordre de son flux, dès que c'est possible.

CREATE TABLE journal.attentes (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    decalage      bigint      NOT NULL,
    cle           bytea,
    valeur        bytea       NOT NULL,
    recu_le       timestamptz NOT NULL,
    flux          text COLLATE "C" NOT NULL,
    raison        text        NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT attentes_pkey PRIMARY KEY (rang),
    CONSTRAINT attentes_message UNIQUE (topic_id, partition, decalage)
);
CREATE INDEX attentes_flux ON journal.attentes (flux);

CREATE TABLE journal.attentes_reglees (
    topic_id      uuid        NOT NULL,
    partition     integer     NOT NULL,
    decalage      bigint      NOT NULL,
    sort          text        NOT NULL,
    cause         text        NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT attentes_reglees_message UNIQUE (topic_id, partition, decalage)
);

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['attentes', 'attentes_reglees'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

-- NOT VALID : ce qui est écrit satisfait déjà l'ancienne liste, plus courte ; le relire tout retiendrait les écritures.
ALTER TABLE journal.sorts DROP CONSTRAINT sorts_sort_check;
ALTER TABLE journal.sorts ADD CONSTRAINT sorts_sort_check CHECK (
    sort IN ('appliquee', 'doublon', 'contradictoire', 'en_attente', 'non_rapprochee', 'montant_incoherent', 'rejetee',
             'en_souffrance')
) NOT VALID;

COMMENT ON TABLE journal.attentes IS 'Les messages mis en attente avec leur contenu, dans l''ordre où ils ont été lus.';
COMMENT ON COLUMN journal.attentes.rang IS 'L''ordre de lecture : ceux d''un même flux sont appliqués dans cet ordre.';
COMMENT ON COLUMN journal.attentes.topic_id IS 'L''identifiant du topic d''origine.';
COMMENT ON COLUMN journal.attentes.topic IS 'Le nom du topic d''origine.';
COMMENT ON COLUMN journal.attentes.partition IS 'La partition d''origine.';
COMMENT ON COLUMN journal.attentes.decalage IS 'Le décalage d''origine.';
COMMENT ON COLUMN journal.attentes.cle IS 'La clé du message, telle que reçue.';
COMMENT ON COLUMN journal.attentes.valeur IS 'Le message, tel que reçu.';
COMMENT ON COLUMN journal.attentes.recu_le IS 'L''heure que Kafka lui donne, ou celle de la lecture si elle n''est pas croyable.';
COMMENT ON COLUMN journal.attentes.flux IS 'Le flux qu''il attend.';
COMMENT ON COLUMN journal.attentes.raison IS 'Pourquoi il attend.';
COMMENT ON COLUMN journal.attentes.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.attentes_reglees IS 'Ce que chaque message mis en attente est devenu ; sans ligne ici, il attend encore.';
COMMENT ON COLUMN journal.attentes_reglees.topic_id IS 'L''identifiant du topic d''origine.';
COMMENT ON COLUMN journal.attentes_reglees.partition IS 'La partition d''origine.';
COMMENT ON COLUMN journal.attentes_reglees.decalage IS 'Le décalage d''origine.';
COMMENT ON COLUMN journal.attentes_reglees.sort IS 'Le sort qu''il a eu quand il a pu être appliqué.';
COMMENT ON COLUMN journal.attentes_reglees.cause IS 'La phrase qui dit pourquoi.';
COMMENT ON COLUMN journal.attentes_reglees.enregistre_le IS 'L''horloge de PostgreSQL.';
