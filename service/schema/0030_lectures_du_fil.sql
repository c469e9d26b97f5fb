-- Le fil des partenaires : où en est chacun, à ce qu'il dit lui-même en demandant la suite.

CREATE TABLE vues.lectures_du_fil (
    partenaire text   COLLATE "C" PRIMARY KEY,
    caisses    text[] NOT NULL,
    epoque     text   NOT NULL,
    position   bigint NOT NULL,
    lu_le      timestamptz NOT NULL
) WITH (fillfactor = 70);

COMMENT ON TABLE vues.lectures_du_fil IS
    'Ce que chaque partenaire a lu du fil HTTP ; vidée, elle se remplit à leur prochaine lecture.';
COMMENT ON COLUMN vues.lectures_du_fil.partenaire IS 'Le partenaire, tel que son jeton le nomme.';
COMMENT ON COLUMN vues.lectures_du_fil.caisses IS 'Les caisses dont il demandait les événements.';
COMMENT ON COLUMN vues.lectures_du_fil.epoque IS 'L''époque de son curseur.';
COMMENT ON COLUMN vues.lectures_du_fil.position IS 'La position de son curseur : ce qu''il dit avoir lu.';
COMMENT ON COLUMN vues.lectures_du_fil.lu_le IS 'Sa dernière demande, à quelques secondes près.';

ALTER TABLE vues.lectures_du_fil OWNER TO creances_service;
