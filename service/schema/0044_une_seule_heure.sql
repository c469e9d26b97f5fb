-- Ce qui est écrit d'un même geste porte la même heure : les événements étaient bornés par l'horloge de qui écrit (0020),
-- leurs messages et leurs clés ne l'étaient pas. Un saut de l'horloge de PostgreSQL les séparait pour toujours.

-- Celle de PostgreSQL, jamais avant le dernier événement, ni après la borne que donne qui écrit (creances.au_plus_tard).
-- D'une seule expression, lue à la création : le planificateur la met à la place de l'appel, et nul search_path n'y change
-- rien. La suite se lit sans requête, si bien que chaque ligne d'un lot peut la lire ; qui n'écrit pas d'événements n'a
-- aucun droit sur elle, et en apprend ce nombre d'une fonction.
CREATE FUNCTION journal.dernier_instant() RETURNS bigint LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN pg_sequence_last_value('journal.horloge'::regclass);
COMMENT ON FUNCTION journal.dernier_instant() IS 'L''heure du dernier événement, en microsecondes.';

CREATE FUNCTION journal.heure() RETURNS timestamptz LANGUAGE sql VOLATILE
RETURN greatest(
    least(clock_timestamp(), nullif(current_setting('creances.au_plus_tard', true), '')::timestamptz),
    'epoch'::timestamptz + interval '1 microsecond' * CASE
        WHEN has_sequence_privilege('journal.horloge'::regclass, 'SELECT')
        THEN pg_sequence_last_value('journal.horloge'::regclass) ELSE journal.dernier_instant() END);
COMMENT ON FUNCTION journal.heure() IS
    'L''heure de ce qui s''écrit : celle de PostgreSQL, entre le dernier événement et la borne de qui écrit.';

DO $$
DECLARE
    une record;
BEGIN
    FOR une IN SELECT c.oid, c.relname FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'enregistre_le' AND a.atthasdef
               WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind IN ('r', 'p')
               -- Dans l'ordre où un lot les verrouille en écrivant : ni lui ni nous n'attendons en rond.
               ORDER BY coalesce(array_position(ARRAY['positions', 'sorts', 'cles_idempotence', 'attentes',
                                                      'attentes_reglees'], c.relname::text), 0), c.relname
    LOOP
        EXECUTE format('ALTER TABLE journal.%I ALTER COLUMN enregistre_le SET DEFAULT journal.heure()', une.relname);
        EXECUTE format('COMMENT ON COLUMN journal.%I.enregistre_le IS %L', une.relname,
                       'L''horloge de PostgreSQL, entre le dernier événement et ce qu''admet celle de qui écrit.');
    END LOOP;
END $$;

-- Une époque n'est jamais écrite avant celles dont le nom précède le sien, même si l'horloge a reculé entre elles.
CREATE FUNCTION journal.dater_l_epoque() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    NEW.enregistre_le := greatest(journal.heure(), (SELECT to_timestamp(max(nom), 'YYYYMMDD"T"HH24MISS"Z"')
                                                    FROM journal.epoques WHERE nom < NEW.nom));
    RETURN NEW;
END $$;
COMMENT ON FUNCTION journal.dater_l_epoque() IS 'Une époque est écrite après celles qui la précèdent.';
REVOKE EXECUTE ON FUNCTION journal.dater_l_epoque() FROM PUBLIC;
CREATE TRIGGER date BEFORE INSERT ON journal.epoques
    FOR EACH ROW EXECUTE FUNCTION journal.dater_l_epoque();

-- Un jeton vient après sa clôture.
CREATE FUNCTION journal.dater_le_jeton() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.enregistre_le := greatest(journal.heure(), (SELECT enregistre_le FROM journal.arretes WHERE jour = NEW.jour));
    RETURN NEW;
END $$;
COMMENT ON FUNCTION journal.dater_le_jeton() IS 'Un jeton d''horodatage est écrit après sa clôture.';
REVOKE EXECUTE ON FUNCTION journal.dater_le_jeton() FROM PUBLIC;
CREATE TRIGGER date BEFORE INSERT ON journal.jetons_d_arrete
    FOR EACH ROW EXECUTE FUNCTION journal.dater_le_jeton();

-- La même règle pour une clôture : ni avant ses événements, ni avant la précédente ; et un jour n'est fini que si
-- l'horloge de qui écrit le dit aussi.
CREATE OR REPLACE FUNCTION journal.suivre_l_arrete() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dernier record;
BEGIN
    PERFORM pg_advisory_xact_lock(x'61727265746573'::int8);  -- « arretes »
    SELECT numero, jour, jusqu_a, empreinte, enregistre_le INTO dernier
    FROM journal.arretes ORDER BY numero DESC LIMIT 1;
    NEW.enregistre_le := greatest(journal.heure(), dernier.enregistre_le);
    IF FOUND AND NEW.jour <= dernier.jour THEN
        RAISE EXCEPTION 'le % est déjà arrêté', NEW.jour USING ERRCODE = 'unique_violation';
    END IF;
    IF FOUND AND (NEW.numero, NEW.jour, NEW.depuis, NEW.precedent)
       IS DISTINCT FROM (dernier.numero + 1, dernier.jour + 1, dernier.jusqu_a, dernier.empreinte)
       OR NOT FOUND AND (NEW.numero, NEW.depuis, NEW.precedent) IS DISTINCT FROM (1, 0, decode(repeat('00', 32), 'hex'))
       OR NEW.empreinte IS DISTINCT FROM sha256(NEW.contenu)
       OR NEW.jusqu_a > (SELECT coalesce(max(position), 0) FROM journal.evenements)
       OR NEW.jour >= (journal.heure() AT TIME ZONE 'Europe/Paris')::date THEN
        RAISE EXCEPTION 'cet arrêté du % ne suit pas le précédent', NEW.jour USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
