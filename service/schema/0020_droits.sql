-- Le journal tient son ordre et son heure lui-même : personne ne les choisit, pas même en se trompant. Et chaque métier
-- a son rôle ; ce que chacun peut est écrit dans rights.sql, appliqué après chaque migration.

DO $$
DECLARE un_role text;
BEGIN
    FOREACH un_role IN ARRAY ARRAY['api', 'consommateur', 'suiveur', 'publication', 'relance', 'exploitation', 'lecture'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'creances_' || un_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- le rôle est commun à toutes les bases du serveur
        END;
        -- Un déploiement à un seul rôle les est tous.
        IF NOT pg_has_role('creances_service', 'creances_' || un_role, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO creances_service', 'creances_' || un_role);
        END IF;
    END LOOP;
END $$;

-- L'heure du dernier lot d'événements, en microsecondes : hors transaction, si bien qu'elle ne recule pas non plus quand
-- une écriture est défaite. Une séquence et non une requête : chaque ligne la lit sans rien chercher.
CREATE SEQUENCE journal.horloge AS bigint MINVALUE 0;
SELECT setval('journal.horloge', coalesce((SELECT (extract(epoch FROM max(enregistre_le)) * 1000000)::int8
                                           FROM journal.evenements), 0));

-- Avant chaque écriture d'événements : l'ordre est pris (le recorder l'a déjà, et c'est alors sans effet), puis l'heure
-- du lot est fixée : celle de PostgreSQL, jamais avant celle du lot précédent, ni après la borne que le recorder tire de
-- son horloge à lui (creances.au_plus_tard) : un saut de l'horloge de PostgreSQL ne date pas du lendemain tout ce qui suit.
CREATE FUNCTION journal.mettre_a_l_heure() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'6F72646572'::int8);
    PERFORM setval('journal.horloge', greatest((extract(epoch FROM least(clock_timestamp(),
                                   nullif(current_setting('creances.au_plus_tard', true), '')::timestamptz)) * 1000000)::int8,
                                               (SELECT last_value FROM journal.horloge)));
    RETURN NULL;
END $$;

-- À chaque ligne : l'heure du lot. Les noms sont entiers, car le search_path est celui de qui écrit.
CREATE FUNCTION journal.dater() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.enregistre_le := 'epoch'::pg_catalog.timestamptz OPERATOR(pg_catalog.+)
        (pg_catalog.currval('journal.horloge') OPERATOR(pg_catalog.*) '1 microsecond'::pg_catalog.interval);
    RETURN NEW;
END $$;

CREATE TRIGGER a_l_heure BEFORE INSERT ON journal.evenements
    FOR EACH STATEMENT EXECUTE FUNCTION journal.mettre_a_l_heure();
CREATE TRIGGER date BEFORE INSERT ON journal.evenements
    FOR EACH ROW EXECUTE FUNCTION journal.dater();
