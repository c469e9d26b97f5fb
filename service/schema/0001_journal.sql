-- Le journal : la vérité, en ajout seul. Événements, positions Kafka, sorts des messages, clés d'idempotence.

DO $$
BEGIN
    CREATE ROLE creances_service NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- le rôle est commun à toutes les bases du serveur
END $$;

CREATE SCHEMA journal;

-- Refuse toute modification de ce qui est écrit ; un niveau d'instruction suffit, même quand aucune ligne n'est visée.
CREATE FUNCTION journal.refuser_modification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'journal.% est en ajout seul : % refusé', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- Un événement : sa position dans l'ordre de validation, son flux et sa version, sa cause, l'heure de PostgreSQL.
CREATE TABLE journal.evenements (
    position      bigint GENERATED ALWAYS AS IDENTITY,
    flux          text COLLATE "C" NOT NULL,
    version       bigint      NOT NULL CHECK (version > 0),
    topic         text COLLATE "C" NOT NULL,
    etat          bytea       NOT NULL,
    cause         text        NOT NULL,
    enregistre_le timestamptz NOT NULL,
    CONSTRAINT evenements_pkey PRIMARY KEY (position),
    CONSTRAINT evenements_flux_version UNIQUE (flux, version)
);

-- Une ligne par lot et partition : `depuis` est la position chargée, si bien qu'un consommateur périmé se heurte.
CREATE TABLE journal.positions (
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    depuis        bigint      NOT NULL CHECK (depuis >= 0),
    jusqu_a       bigint      NOT NULL CHECK (jusqu_a > depuis),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT positions_depuis UNIQUE (topic_id, partition, depuis)
);

-- Le sort de chaque message lu : exactement un.
CREATE TABLE journal.sorts (
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    decalage      bigint      NOT NULL,
    sort          text        NOT NULL CHECK (sort IN ('appliquee', 'doublon', 'contradictoire', 'en_attente',
                                                       'non_rapprochee', 'montant_incoherent', 'rejetee')),
    cause         text        NOT NULL,
    objet         text,
    empreinte     bytea       NOT NULL,
    champs        jsonb       NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sorts_message UNIQUE (topic_id, partition, decalage)
);
CREATE INDEX sorts_objet ON journal.sorts (objet) WHERE objet IS NOT NULL;

-- La réponse donnée à une requête, pour rendre la même à la même clé.
CREATE TABLE journal.cles_idempotence (
    auteur        text        NOT NULL,
    cle           text        NOT NULL,
    empreinte     bytea       NOT NULL,
    reponse       jsonb       NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cles_idempotence_cle UNIQUE (auteur, cle)
);

-- Les numéros de transaction : six chiffres par jour ; le tour complet en un jour se heurterait à l'unicité du flux.
CREATE SEQUENCE journal.numeros_de_transaction MINVALUE 1 MAXVALUE 999999 CYCLE;

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['evenements', 'positions', 'sorts', 'cles_idempotence'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA journal TO creances_service;
GRANT USAGE ON SEQUENCE journal.numeros_de_transaction TO creances_service;
