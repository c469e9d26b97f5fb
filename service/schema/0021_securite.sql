-- Ce qui touche à la sûreté, dans un seul journal en ajout seul : qui s'est connecté, ce qui a été refusé, quels réglages
-- ont servi, quelle époque a été ouverte, qui a approuvé, qui a regardé. `creances security-log` l'exporte.

CREATE TABLE journal.securite (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    genre         text        NOT NULL CHECK (genre IN ('connexion', 'deconnexion', 'refus', 'reglages', 'epoque',
                                                        'approbation', 'acces', 'administration')),
    acteur        text        NOT NULL CHECK (acteur <> ''),
    reseau        text,
    objet         text,
    detail        text        NOT NULL CHECK (detail <> '' AND length(detail) <= 2000),
    fois          bigint      NOT NULL DEFAULT 1 CHECK (fois > 0),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT securite_pkey PRIMARY KEY (rang)
);
CREATE INDEX securite_enregistre_le ON journal.securite (enregistre_le);
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.securite
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();

COMMENT ON TABLE journal.securite IS 'Ce qui touche à la sûreté, dans l''ordre où c''est arrivé.';
COMMENT ON COLUMN journal.securite.rang IS 'L''ordre d''écriture.';
COMMENT ON COLUMN journal.securite.genre IS
    'connexion, deconnexion, refus, reglages, epoque, approbation, acces ou administration.';
COMMENT ON COLUMN journal.securite.acteur IS
    'Le pseudonyme de l''assuré, le rôle d''un agent, le rôle PostgreSQL d''une commande, ou « inconnu ».';
COMMENT ON COLUMN journal.securite.reseau IS 'D''où, au réseau près (/24 ou /48) ; absent : pas du réseau.';
COMMENT ON COLUMN journal.securite.objet IS 'Ce que cela touche : une session, une époque, une créance, un réglage.';
COMMENT ON COLUMN journal.securite.detail IS 'La phrase qui dit ce qui est arrivé ; jamais un secret.';
COMMENT ON COLUMN journal.securite.fois IS 'Combien de fois de suite : des refus semblables tiennent en une ligne.';
COMMENT ON COLUMN journal.securite.enregistre_le IS 'L''horloge de PostgreSQL.';

-- Une époque ouverte s'y dit d'elle-même, par quelque voie qu'elle le soit.
CREATE FUNCTION journal.consigner_epoque() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO journal.securite (genre, acteur, objet, detail)
    VALUES ('epoque', NEW.ouverte_par, NEW.nom, left('époque ouverte : ' || NEW.raison, 2000));
    RETURN NULL;
END $$;
CREATE TRIGGER consignee AFTER INSERT ON journal.epoques
    FOR EACH ROW EXECUTE FUNCTION journal.consigner_epoque();

-- De quoi finir une session quand l'émetteur le demande (OpenID Connect Back-Channel Logout).
ALTER TABLE acces.sessions ADD COLUMN sujet bytea, ADD COLUMN sid bytea;
COMMENT ON COLUMN acces.sessions.sujet IS 'L''empreinte, à clé, du sujet chez l''émetteur ; absent : pas de lui.';
COMMENT ON COLUMN acces.sessions.sid IS 'L''empreinte, à clé, de la session chez l''émetteur, s''il l''a nommée.';
CREATE INDEX sessions_sujet ON acces.sessions (sujet) WHERE sujet IS NOT NULL;
CREATE INDEX sessions_sid ON acces.sessions (sid) WHERE sid IS NOT NULL;
ALTER TABLE acces.sessions DROP CONSTRAINT sessions_fin_check;
ALTER TABLE acces.sessions ADD CONSTRAINT sessions_fin_check
    CHECK (fin IN ('deconnexion', 'inactivite', 'canal', 'administrateur', 'emetteur'));
