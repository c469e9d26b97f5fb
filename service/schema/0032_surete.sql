-- Ce que le support lit s'inscrit aussi au journal de la sûreté, de soi-même : par quelque voie que ce soit, rien ne se
-- lit sans y paraître. (Les approbations y sont inscrites par le règlement qu'elles font, dans la même transaction.)

CREATE FUNCTION journal.consigner_acces() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO journal.securite (genre, acteur, objet, detail)
    VALUES ('acces', NEW.qui, NEW.objet,
            left(format('%s (%s, rôle %s), %s personne(s) ; motif : %s',
                        NEW.quoi, NEW.voie, NEW.role, cardinality(NEW.assures), NEW.motif), 2000));
    RETURN NULL;
END $$;
CREATE TRIGGER consigne AFTER INSERT ON journal.acces
    FOR EACH ROW EXECUTE FUNCTION journal.consigner_acces();

COMMENT ON COLUMN journal.securite.acteur IS
    'Le pseudonyme de l''assuré, le nom d''un agent, le rôle PostgreSQL d''une commande, ou « inconnu ».';
