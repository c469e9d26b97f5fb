-- Les audits qu'une personne a demandés depuis sa page : où ils en sont, et ce qu'ils ont donné. Rien n'y est une vérité :
-- un audit se refait.

SET LOCAL ROLE creances_service;

CREATE TABLE vues.audits (
    rang        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    demande_par text        NOT NULL CHECK (demande_par <> ''),
    demande_le  timestamptz NOT NULL DEFAULT clock_timestamp(),
    depuis      date,
    vu_le       timestamptz NOT NULL DEFAULT clock_timestamp(),
    etape       text        NOT NULL DEFAULT '',
    lus         bigint      NOT NULL DEFAULT 0,
    sur         bigint      NOT NULL DEFAULT 0,
    fini_le     timestamptz,
    echec       text,
    rapport     jsonb,
    totaux      text
);
CREATE UNIQUE INDEX audits_un_seul ON vues.audits ((true)) WHERE fini_le IS NULL;

COMMENT ON TABLE vues.audits IS 'Les audits demandés depuis la page de l''auditeur, les cent derniers ; un seul à la fois.';
COMMENT ON COLUMN vues.audits.rang IS 'L''ordre des demandes.';
COMMENT ON COLUMN vues.audits.demande_par IS 'L''auditeur qui l''a demandé.';
COMMENT ON COLUMN vues.audits.demande_le IS 'Quand il l''a demandé.';
COMMENT ON COLUMN vues.audits.depuis IS 'Les totaux d''avant ce jour de Paris vont à l''ouverture ; absent : tout est dans la période.';
COMMENT ON COLUMN vues.audits.vu_le IS 'La dernière fois que le processus qui le fait a donné signe de vie.';
COMMENT ON COLUMN vues.audits.etape IS 'Ce qui est en train d''être lu.';
COMMENT ON COLUMN vues.audits.lus IS 'Événements lus.';
COMMENT ON COLUMN vues.audits.sur IS 'Événements à lire.';
COMMENT ON COLUMN vues.audits.fini_le IS 'Quand il a fini ; absent : il est en cours.';
COMMENT ON COLUMN vues.audits.echec IS 'Pourquoi il n''a pas abouti.';
COMMENT ON COLUMN vues.audits.rapport IS 'Le rapport, tel que la commande le donne en JSON.';
COMMENT ON COLUMN vues.audits.totaux IS 'Ses totaux, tels que la commande les donne en CSV.';

RESET ROLE;
