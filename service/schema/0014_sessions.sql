-- Les sessions des pages : le navigateur en tient le numéro, la base dit si elle dure encore.

CREATE SCHEMA acces;
COMMENT ON SCHEMA acces IS 'Qui est connecté aux pages : rien du journal, rien qui se reconstruise.';

CREATE TABLE acces.sessions (
    empreinte  bytea       PRIMARY KEY CHECK (octet_length(empreinte) = 32),
    role       text        NOT NULL,
    assure     text COLLATE "C",
    canal      text        NOT NULL,
    ouverte_le timestamptz NOT NULL,
    vue_le     timestamptz NOT NULL,
    finie_le   timestamptz,
    fin        text CHECK (fin IN ('deconnexion', 'inactivite', 'canal', 'administrateur')),
    CHECK ((finie_le IS NULL) = (fin IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX sessions_assure ON acces.sessions (assure);
CREATE INDEX sessions_ouverte_le ON acces.sessions (ouverte_le);

COMMENT ON TABLE acces.sessions IS 'Une ligne par connexion aux pages, gardée trente jours.';
COMMENT ON COLUMN acces.sessions.empreinte IS
    'SHA-256 du numéro que tient le navigateur : lire cette table n''ouvre aucune session.';
COMMENT ON COLUMN acces.sessions.role IS 'Le rôle de la personne connectée.';
COMMENT ON COLUMN acces.sessions.assure IS 'Le pseudonyme de l''assuré ; absent pour un autre rôle.';
COMMENT ON COLUMN acces.sessions.canal IS 'D''où elle est venue : une session de borne ne devient jamais celle du site.';
COMMENT ON COLUMN acces.sessions.ouverte_le IS 'L''instant de la connexion ; la session est bornée depuis lui.';
COMMENT ON COLUMN acces.sessions.vue_le IS 'Le dernier signe de vie, à quelques secondes près.';
COMMENT ON COLUMN acces.sessions.finie_le IS 'L''instant où elle a été finie ; absent : elle dure, ou le temps l''a finie.';
COMMENT ON COLUMN acces.sessions.fin IS 'Ce qui l''a finie ; absent avec finie_le.';

GRANT USAGE ON SCHEMA acces TO creances_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON acces.sessions TO creances_service;
