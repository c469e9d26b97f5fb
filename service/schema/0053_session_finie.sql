-- Une session finie l'est pour toujours : nul ne la rouvre, ni celui qui peut la finir.

CREATE FUNCTION acces.rester_finie() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'une session finie ne se rouvre pas' USING ERRCODE = 'insufficient_privilege';
END $$;
COMMENT ON FUNCTION acces.rester_finie() IS 'Refuse de changer la fin d''une session.';

-- Seulement quand la fin change : un signe de vie n''y passe pas.
CREATE TRIGGER rester_finie BEFORE UPDATE OF finie_le, fin ON acces.sessions
    FOR EACH ROW WHEN (OLD.finie_le IS NOT NULL AND (NEW.finie_le, NEW.fin) IS DISTINCT FROM (OLD.finie_le, OLD.fin))
    EXECUTE FUNCTION acces.rester_finie();
ALTER TABLE acces.sessions ENABLE ALWAYS TRIGGER rester_finie;
