-- Ce que chaque rôle peut, en entier : appliqué à la fin de chaque migration, et sans effet s'il n'y a rien à changer.
-- Une table nouvelle du journal y prend sa ligne ; tests/securite/test_droits.py le réclame.
--
-- Du journal, un rôle n'ajoute que des colonnes qui sont à lui : jamais une position, un rang, une heure, ni le nom de
-- celui qui écrit. Les déclencheurs valent aussi pour une session qui se dit réplique (ENABLE ALWAYS).

DO $$
DECLARE
    une record;
    colonnes text;
    un record;
    -- Tous les rôles d'ici, et eux seuls : ce qui est repris l'est à chacun, sans qu'une liste en oublie un.
    connus CONSTANT text[] := ARRAY['creances_service', 'creances_api', 'creances_consommateur', 'creances_suiveur',
                                    'creances_publication', 'creances_relance', 'creances_exploitation',
                                    'creances_lecture', 'creances_sceau'];
    tous text;
BEGIN
    IF to_regclass('journal.horloge') IS NULL THEN
        RETURN;  -- Une base arrêtée avant 0020_droits.sql.
    END IF;
    -- Et PUBLIC : ce qui est donné à tous l'est à chacun.
    SELECT 'PUBLIC, ' || string_agg(quote_ident(rolname), ', ' ORDER BY rolname) INTO tous FROM pg_roles
    WHERE rolname = ANY (connus);
    EXECUTE 'REVOKE ALL ON SCHEMA journal, acces FROM ' || tous;
    EXECUTE 'REVOKE ALL ON ALL SEQUENCES IN SCHEMA journal FROM ' || tous;
    EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON public.creances_migrations FROM ' || tous;
    -- Le journal : ce que personne ne choisit, et des déclencheurs que rien n'endort.
    FOR une IN SELECT c.oid, c.relname FROM pg_class c
               WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind IN ('r', 'p') LOOP
        FOR un IN SELECT tgname FROM pg_trigger
                  WHERE tgrelid = une.oid AND NOT tgisinternal AND tgenabled <> 'A' LOOP
            EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER %I', une.relname, un.tgname);
        END LOOP;
        EXECUTE format('REVOKE ALL ON journal.%I FROM ', une.relname) || tous;
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO colonnes FROM pg_attribute a
        WHERE a.attrelid = une.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = ''
          AND a.attname NOT IN ('enregistre_le', 'lu_par', 'ouverte_par', 'ecrit_par');
        EXECUTE format('GRANT INSERT (%s) ON journal.%I TO creances_service', colonnes, une.relname);
        EXECUTE format('GRANT SELECT ON journal.%I TO creances_service, creances_api, creances_exploitation',
                       une.relname);
        IF une.relname <> 'cles_idempotence' THEN
            EXECUTE format('GRANT SELECT ON journal.%I TO creances_lecture, creances_consommateur', une.relname);
        END IF;
        FOR un IN
            SELECT r.nom FROM (VALUES
                ('creances_api',          ARRAY['evenements', 'cles_idempotence', 'securite', 'acces', 'notes', 'reculs',
                                                'attentes_reglees', 'ecarts_de_rapport', 'reprises']),
                ('creances_consommateur', ARRAY['evenements', 'positions', 'sorts', 'attentes', 'attentes_reglees',
                                                'topics', 'pertes', 'arrets', 'reculs']),
                ('creances_suiveur',      ARRAY['evenements', 'reculs']),
                ('creances_publication',  ARRAY['topics', 'reculs']),
                ('creances_relance',      ARRAY['evenements', 'reculs', 'arretes', 'jetons_d_arrete',
                                                'jetons_de_point']),
                ('creances_sceau',        ARRAY['sceaux', 'noeuds', 'points', 'cosignatures', 'refus_de_temoins', 'reculs']),
                ('creances_exploitation', ARRAY['arretes', 'jetons_d_arrete', 'epoques', 'reprises', 'rapports', 'lignes_de_rapport',
                                                'ecarts_de_rapport', 'securite', 'acces', 'notes', 'reculs',
                                                'evenements', 'attentes_reglees'])
            ) AS r (nom, tables) WHERE une.relname = ANY (r.tables)
        LOOP
            EXECUTE format('GRANT INSERT (%s) ON journal.%I TO %I', colonnes, une.relname, un.nom);
        END LOOP;
    END LOOP;

    GRANT USAGE ON SCHEMA journal TO creances_service, creances_api, creances_consommateur, creances_suiveur, creances_publication,
        creances_relance, creances_exploitation, creances_lecture;
    GRANT SELECT ON journal.evenements TO creances_suiveur, creances_publication, creances_relance;
    -- Ce que chacun regarde en démarrant : le journal est-il en retard sur ce que Kafka a vu (service/rewind.py).
    GRANT SELECT ON journal.epoques, journal.topics, journal.positions, journal.reprises, journal.reculs
        TO creances_suiveur, creances_publication, creances_relance;
    -- Qui arrête les journées lit aussi ce que la banque en a dit.
    IF to_regclass('journal.jetons_d_arrete') IS NOT NULL THEN
        GRANT SELECT ON journal.arretes, journal.jetons_d_arrete, journal.rapports, journal.lignes_de_rapport,
            journal.ecarts_de_rapport TO creances_relance;
    END IF;
    GRANT USAGE ON SEQUENCE journal.numeros_de_transaction TO creances_service, creances_api;
    -- Lire l'heure du lot n'est pas la fixer.
    GRANT SELECT ON SEQUENCE journal.horloge TO creances_service, creances_api, creances_consommateur, creances_suiveur,
        creances_relance;

    -- Le sceau lit tout ce qu'il scelle.
    IF to_regclass('journal.sceaux') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA journal TO creances_sceau;
        GRANT SELECT ON ALL TABLES IN SCHEMA journal TO creances_sceau;
        -- Une clôture se tient sous le point signé qui couvre ce qu'elle compte.
        GRANT SELECT ON journal.points, journal.sceaux TO creances_relance;
    END IF;
    -- Qui demande l'heure des clôtures demande aussi celle des points, de ceux qu'un témoin a vus d'abord.
    IF to_regclass('journal.jetons_de_point') IS NOT NULL THEN
        GRANT SELECT ON journal.jetons_de_point, journal.cosignatures TO creances_relance;
    END IF;

    -- Les sessions des pages : l'API les ouvre, les suit et les finit ; un administrateur les voit et les finit. Qui s'y
    -- est connecté, quand, et par quel numéro ne change jamais.
    GRANT USAGE ON SCHEMA acces TO creances_service, creances_api, creances_exploitation;
    EXECUTE 'REVOKE ALL ON acces.sessions FROM ' || tous;
    GRANT SELECT, INSERT, DELETE ON acces.sessions TO creances_service, creances_api;
    GRANT UPDATE (canal, vue_le, finie_le, fin) ON acces.sessions TO creances_service, creances_api;
    GRANT SELECT (empreinte, role, assure, canal, ouverte_le, vue_le, finie_le, fin),
          UPDATE (finie_le, fin) ON acces.sessions TO creances_exploitation;

    -- Qui écrit prend l'ordre, qui rapproche prend le sien ; personne d'autre ne peut les tenir, et arrêter tous les
    -- autres. Ces fonctions sont à PostgreSQL : seul un superutilisateur les reprend à tous (docs/production.md).
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOR un IN SELECT p.oid::regprocedure AS fonction FROM pg_proc p
                  WHERE p.pronamespace = 'pg_catalog'::regnamespace
                    AND p.proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$' LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM ', un.fonction) || tous;
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO creances_service, creances_api, creances_consommateur,
                            creances_suiveur, creances_relance, creances_exploitation, %I', un.fonction,
                           (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()));
        END LOOP;
        -- Personne n'écrit de grands objets, ni dans les WAL à côté des tables : qui ne fait que lire remplirait le disque.
        FOR un IN SELECT p.oid::regprocedure AS fonction FROM pg_proc p
                  WHERE p.pronamespace = 'pg_catalog'::regnamespace
                    AND p.proname IN ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_put', 'lowrite', 'pg_logical_emit_message')
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM ', un.fonction) || tous;
        END LOOP;
    END IF;
    -- Des tables à soi, de même : à qui compare les vues au journal, et à personne d'autre.
    IF pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM ', current_database()) || tous;
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO creances_service, creances_relance', current_database());
    END IF;

    -- Les vues : à creances_service, qui les reconstruit ; un suiveur les tient, les autres les lisent. Chacun dit son état.
    SET LOCAL ROLE creances_service;
    SELECT 'PUBLIC, ' || string_agg(quote_ident(rolname), ', ' ORDER BY rolname) INTO tous FROM pg_roles
    WHERE rolname = ANY (connus) AND rolname <> 'creances_service';
    EXECUTE 'REVOKE ALL ON SCHEMA vues FROM ' || tous;
    GRANT USAGE ON SCHEMA vues TO creances_api, creances_consommateur, creances_suiveur, creances_publication,
        creances_relance, creances_exploitation, creances_lecture;
    FOR un IN SELECT relname FROM pg_class
              WHERE relnamespace = 'vues'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
                AND pg_get_userbyid(relowner) = 'creances_service' LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON vues.%I FROM ', un.relname) || tous;
        EXECUTE format('GRANT SELECT ON vues.%I TO creances_api, creances_consommateur, creances_suiveur,
                        creances_publication, creances_relance, creances_exploitation, creances_lecture', un.relname);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON vues.%I TO creances_suiveur', un.relname);
    END LOOP;
    -- L'état qu'un rôle dit de lui-même n'est pas la position, ni le bail, de qui suit le journal.
    FOR un IN SELECT rolname FROM pg_roles
              WHERE rolname = ANY (connus)
                AND rolname NOT IN ('creances_service', 'creances_suiveur', 'creances_lecture') LOOP
        EXECUTE format('GRANT INSERT (nom, etat, meneur, battement_le, interruptions, derniere_erreur, erreur_le),
                        UPDATE (etat, meneur, battement_le, interruptions, derniere_erreur, erreur_le)
                        ON vues.suiveurs TO %I', un.rolname);
    END LOOP;
    -- La publication suit le journal : elle mène, et avance.
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO colonnes FROM pg_attribute
    WHERE attrelid = 'vues.suiveurs'::regclass
      AND attname IN ('position', 'tenue', 'bail', 'bail_expire_le', 'bail_session');
    EXECUTE format('GRANT UPDATE (%s) ON vues.suiveurs TO creances_publication', colonnes);
    GRANT INSERT, UPDATE ON vues.sorts TO creances_consommateur;
    GRANT INSERT, UPDATE ON vues.publications TO creances_publication;
    GRANT INSERT, UPDATE, DELETE ON vues.soldes_publies TO creances_publication;
    GRANT INSERT, UPDATE, DELETE ON vues.ecartes TO creances_publication, creances_exploitation;
    -- Un règlement libère ce qui était écarté, et relève les formulaires refusés.
    GRANT UPDATE (libere_le) ON vues.ecartes TO creances_api;
    GRANT INSERT, UPDATE ON vues.rebuts, vues.lectures_de_rebuts TO creances_api, creances_relance,
        creances_exploitation;
    -- Un partenaire qui lit le fil dit, en demandant la suite, où il en est.
    GRANT INSERT, UPDATE ON vues.lectures_du_fil TO creances_api;
    GRANT DELETE ON vues.messagerie TO creances_relance;
    IF to_regclass('journal.sceaux') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA vues TO creances_sceau;
        GRANT SELECT ON vues.suiveurs TO creances_sceau;
    END IF;
    -- La veille, qui tourne avec la relance ; une reconstruction est à creances_service.
    IF to_regclass('vues.releves_de_retard') IS NOT NULL THEN
        GRANT INSERT, UPDATE, DELETE ON vues.baux, vues.parite, vues.differences, vues.releves_de_retard,
            vues.releves_de_l_horloge TO creances_relance;
    END IF;
    IF to_regclass('vues.accords') IS NOT NULL THEN
        GRANT INSERT, UPDATE, DELETE ON vues.accords TO creances_relance;
    END IF;
    IF to_regclass('vues.traces') IS NOT NULL THEN
        GRANT INSERT ON vues.traces TO creances_api, creances_consommateur, creances_suiveur, creances_relance,
            creances_exploitation;
        GRANT DELETE ON vues.traces TO creances_relance;
    END IF;
    -- Ce qu'une reconstruction met à la place d'une vue a les mêmes droits qu'elle.
    ALTER DEFAULT PRIVILEGES IN SCHEMA vues GRANT SELECT ON TABLES TO creances_api, creances_consommateur,
        creances_suiveur, creances_publication, creances_relance, creances_exploitation, creances_lecture;
    ALTER DEFAULT PRIVILEGES IN SCHEMA vues GRANT INSERT, UPDATE, DELETE ON TABLES TO creances_suiveur;
    RESET ROLE;
END $$;
