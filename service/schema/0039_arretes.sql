-- Les arrêtés journaliers : une clôture par jour de Paris, scellée à la précédente, en ajout seul.

CREATE TABLE journal.arretes (
    numero        bigint      NOT NULL CHECK (numero > 0),
    jour          date        NOT NULL,
    -- Le journal arrêté : de la position qui suit `depuis` à `jusqu_a`, comprise. Un fait tardif est au jour d'après.
    depuis        bigint      NOT NULL CHECK (depuis >= 0),
    jusqu_a       bigint      NOT NULL CHECK (jusqu_a >= depuis),
    -- Les octets scellés, tels quels : rien n'en est jamais rendu de nouveau.
    contenu       bytea       NOT NULL,
    empreinte     bytea       NOT NULL CHECK (octet_length(empreinte) = 32),
    precedent     bytea       NOT NULL CHECK (octet_length(precedent) = 32),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT arretes_pkey PRIMARY KEY (numero),
    CONSTRAINT arretes_jour UNIQUE (jour),
    CONSTRAINT arretes_empreinte UNIQUE (empreinte),
    CONSTRAINT arretes_precedent UNIQUE (precedent)
);

-- Une clôture suit la précédente, jour après jour et position après position, et son jour est fini ; quiconque l'écrit.
CREATE FUNCTION journal.suivre_l_arrete() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dernier record;
BEGIN
    PERFORM pg_advisory_xact_lock(x'61727265746573'::int8);  -- « arretes »
    NEW.enregistre_le := clock_timestamp();
    SELECT numero, jour, jusqu_a, empreinte INTO dernier FROM journal.arretes ORDER BY numero DESC LIMIT 1;
    IF FOUND AND NEW.jour <= dernier.jour THEN
        RAISE EXCEPTION 'le % est déjà arrêté', NEW.jour USING ERRCODE = 'unique_violation';
    END IF;
    IF FOUND AND (NEW.numero, NEW.jour, NEW.depuis, NEW.precedent)
       IS DISTINCT FROM (dernier.numero + 1, dernier.jour + 1, dernier.jusqu_a, dernier.empreinte)
       OR NOT FOUND AND (NEW.numero, NEW.depuis, NEW.precedent) IS DISTINCT FROM (1, 0, decode(repeat('00', 32), 'hex'))
       OR NEW.empreinte IS DISTINCT FROM sha256(NEW.contenu)
       OR NEW.jusqu_a > (SELECT coalesce(max(position), 0) FROM journal.evenements)
       OR NEW.jour >= (clock_timestamp() AT TIME ZONE 'Europe/Paris')::date THEN
        RAISE EXCEPTION 'cet arrêté du % ne suit pas le précédent', NEW.jour USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER suite BEFORE INSERT ON journal.arretes
    FOR EACH ROW EXECUTE FUNCTION journal.suivre_l_arrete();
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.arretes
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();

COMMENT ON TABLE journal.arretes IS 'Les arrêtés journaliers : une clôture par jour de Paris, chacune scellée à la précédente.';
COMMENT ON COLUMN journal.arretes.numero IS 'Rang de la clôture, à partir de 1, sans trou.';
COMMENT ON COLUMN journal.arretes.jour IS 'Le jour de Paris.';
COMMENT ON COLUMN journal.arretes.depuis IS 'La dernière position de la clôture précédente ; 0 pour la première.';
COMMENT ON COLUMN journal.arretes.jusqu_a IS 'La dernière position comprise.';
COMMENT ON COLUMN journal.arretes.contenu IS 'Les octets scellés : JSON en ASCII, clés triées, montants en centimes.';
COMMENT ON COLUMN journal.arretes.empreinte IS 'SHA-256 du contenu ; c''est elle qui est horodatée.';
COMMENT ON COLUMN journal.arretes.precedent IS 'L''empreinte de la clôture précédente ; des zéros pour la première.';
COMMENT ON COLUMN journal.arretes.enregistre_le IS 'L''horloge de PostgreSQL.';
