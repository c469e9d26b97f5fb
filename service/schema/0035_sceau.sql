-- Le sceau : chaque ligne du journal devient une feuille d'un arbre de Merkle, dans l'ordre où les transactions ont fini.

-- Qui scelle a son rôle : il lit tout le journal, et n'y ajoute que des sceaux (rights.sql).
DO $$
BEGIN
    BEGIN
        CREATE ROLE creances_sceau NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- le rôle est commun à toutes les bases du serveur
    END;
    IF NOT pg_has_role('creances_service', 'creances_sceau', 'MEMBER') THEN
        GRANT creances_sceau TO creances_service;
    END IF;
END $$;

-- Qui a écrit une ligne : sa transaction, sous la génération de l'époque. Ce qui est plus petit que la plus ancienne
-- transaction en cours est donc complet, et rien ne s'y ajoutera : un suiveur ne manque rien, sans verrou à prendre.
-- Absent : avant cette colonne. Aucun rôle ne la choisit (rights.sql).
DO $$
DECLARE
    une record;
    generation bigint := (SELECT count(*) FROM journal.epoques);
BEGIN
    FOR une IN SELECT relname FROM pg_class
               WHERE relnamespace = 'journal'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname LOOP
        -- Sans valeur par défaut à l'ajout : les lignes déjà là ne sont pas récrites.
        EXECUTE format('ALTER TABLE journal.%I ADD COLUMN ecrit_par bigint', une.relname);
        EXECUTE format('ALTER TABLE journal.%I ALTER COLUMN ecrit_par
                        SET DEFAULT (pg_current_xact_id()::text::int8 + %s)', une.relname, generation << 48);
        EXECUTE format('CREATE INDEX %I ON journal.%I USING brin (ecrit_par) WITH (pages_per_range = 8)',
                       une.relname || '_ecrit_par', une.relname);
        EXECUTE format('COMMENT ON COLUMN journal.%I.ecrit_par IS %L', une.relname,
                       'La transaction qui a écrit la ligne, sous la génération de l''époque (48 bits de poids faible).');
    END LOOP;
END $$;

-- Une époque ouverte commence une génération : les numéros de transaction d'un autre serveur ne se mêlent pas aux siens.
CREATE FUNCTION journal.commencer_une_generation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    une record;
    generation bigint := (SELECT count(*) FROM journal.epoques);
BEGIN
    FOR une IN SELECT c.relname FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'ecrit_par' AND NOT a.attisdropped
               WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind IN ('r', 'p')
                 AND c.relname <> 'epoques'  -- Celle où l'on écrit : sa ligne est d'avant, quelle qu'en soit la génération.
               -- Dans l'ordre où un lot les verrouille en écrivant : ni lui ni nous n'attendons en rond.
               ORDER BY coalesce(array_position(ARRAY['positions', 'sorts', 'cles_idempotence', 'attentes',
                                                      'attentes_reglees', 'evenements'], c.relname::text), 0), c.relname
    LOOP
        EXECUTE format('ALTER TABLE journal.%I ALTER COLUMN ecrit_par
                        SET DEFAULT (pg_current_xact_id()::text::int8 + %s)', une.relname, generation << 48);
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION journal.commencer_une_generation() IS
    'À l''ouverture d''une époque : ce qui est écrit ensuite se range après tout ce qui l''a été avant.';
REVOKE EXECUTE ON FUNCTION journal.commencer_une_generation() FROM PUBLIC;
CREATE TRIGGER generation AFTER INSERT ON journal.epoques
    FOR EACH ROW EXECUTE FUNCTION journal.commencer_une_generation();

-- Un lot scellé : les feuilles de `avant` à `taille`, et de quoi faire grandir l'arbre sans le relire.
CREATE TABLE journal.sceaux (
    epoque        text COLLATE "C" NOT NULL,
    taille        bigint      NOT NULL,
    avant         bigint      NOT NULL CHECK (avant >= 0 AND avant < taille),
    empreintes    bytea       NOT NULL CHECK (octet_length(empreintes) = 32 * (taille - avant)),
    pics          bytea       NOT NULL,
    depuis        bigint      NOT NULL,
    jusqu_a       bigint      NOT NULL CHECK (jusqu_a > depuis),
    position      bigint      NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sceaux_taille UNIQUE (epoque, taille),
    CONSTRAINT sceaux_avant UNIQUE (epoque, avant)
);
-- Pour prouver une ligne : le lot qui l'a scellée se trouve par sa transaction.
CREATE INDEX sceaux_jusqu_a ON journal.sceaux (epoque, jusqu_a);
-- L'empreinte d'un sous-arbre entier de 256 feuilles, de 256 de ceux-là, et ainsi de suite : une preuve n'en lit que peu.
CREATE TABLE journal.noeuds (
    epoque        text COLLATE "C" NOT NULL,
    niveau        smallint    NOT NULL CHECK (niveau > 0),
    numero        bigint      NOT NULL,
    empreinte     bytea       NOT NULL CHECK (octet_length(empreinte) = 32),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT noeuds_numero UNIQUE (epoque, niveau, numero)
);
-- L'état de l'arbre, signé une fois le lot validé.
CREATE TABLE journal.points (
    epoque        text COLLATE "C" NOT NULL,
    taille        bigint      NOT NULL,
    note          text        NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT points_taille UNIQUE (epoque, taille)
);

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['sceaux', 'noeuds', 'points'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

COMMENT ON TABLE journal.sceaux IS 'Les lots de feuilles de l''arbre de Merkle, dans l''ordre ; ils ne se refont pas : sceller de nouveau couvrirait une altération.';
COMMENT ON COLUMN journal.sceaux.epoque IS 'L''époque dont c''est l''arbre.';
COMMENT ON COLUMN journal.sceaux.taille IS 'Combien de feuilles a l''arbre avec ce lot.';
COMMENT ON COLUMN journal.sceaux.avant IS 'Combien il en avait avant : deux qui scelleraient à la fois s''y heurtent.';
COMMENT ON COLUMN journal.sceaux.empreintes IS 'L''empreinte de chaque feuille du lot, 32 octets chacune.';
COMMENT ON COLUMN journal.sceaux.pics IS 'Les empreintes des sous-arbres entiers dont l''arbre est fait, du plus grand au plus petit.';
COMMENT ON COLUMN journal.sceaux.depuis IS 'Les lignes scellées ont un ecrit_par plus grand que celui-ci.';
COMMENT ON COLUMN journal.sceaux.jusqu_a IS 'Et au plus celui-là.';
COMMENT ON COLUMN journal.sceaux.position IS 'La position du dernier événement scellé.';
COMMENT ON COLUMN journal.sceaux.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.noeuds IS 'Les nœuds de l''arbre qui couvrent 256 feuilles, 65 536, et ainsi de suite.';
COMMENT ON COLUMN journal.noeuds.epoque IS 'L''époque dont c''est l''arbre.';
COMMENT ON COLUMN journal.noeuds.niveau IS '1 : 256 feuilles ; 2 : 65 536 ; et ainsi de suite.';
COMMENT ON COLUMN journal.noeuds.numero IS 'Son numéro parmi ceux de son niveau.';
COMMENT ON COLUMN journal.noeuds.empreinte IS 'Son empreinte.';
COMMENT ON COLUMN journal.noeuds.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.points IS 'L''état signé de l''arbre après chaque lot (C2SP tlog-checkpoint).';
COMMENT ON COLUMN journal.points.epoque IS 'L''époque dont c''est l''arbre.';
COMMENT ON COLUMN journal.points.taille IS 'Combien de feuilles il a.';
COMMENT ON COLUMN journal.points.note IS 'Le point signé.';
COMMENT ON COLUMN journal.points.enregistre_le IS 'L''horloge de PostgreSQL.';
