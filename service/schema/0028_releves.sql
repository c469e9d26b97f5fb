-- Un relevé par minute des retards et de l'horloge des 24 h, gardé un mois : les pages et la prévision s'en contentent.

SET LOCAL ROLE creances_service;

CREATE TABLE vues.releves_de_retard (
    role       text        NOT NULL,
    releve_le  timestamptz NOT NULL,
    evenements bigint      NOT NULL,
    secondes   double precision NOT NULL,
    PRIMARY KEY (role, releve_le)
);
CREATE INDEX releves_de_retard_le ON vues.releves_de_retard (releve_le);
COMMENT ON TABLE vues.releves_de_retard IS 'Le retard de chaque rôle, une ligne par minute, gardée un mois.';
COMMENT ON COLUMN vues.releves_de_retard.role IS 'Le rôle, sous le nom dont il signe.';
COMMENT ON COLUMN vues.releves_de_retard.releve_le IS 'La minute du relevé.';
COMMENT ON COLUMN vues.releves_de_retard.evenements IS 'Ce qu''il avait devant lui.';
COMMENT ON COLUMN vues.releves_de_retard.secondes IS 'L''âge du plus ancien, en secondes.';

CREATE TABLE vues.releves_de_l_horloge (
    releve_le  timestamptz PRIMARY KEY,
    affiches   bigint      NOT NULL,
    en_attente bigint      NOT NULL,
    plus_ancien_secondes double precision NOT NULL,
    depasses   bigint      NOT NULL,
    depasses_affiches bigint NOT NULL,
    presumes   bigint      NOT NULL,
    par_caisse jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE vues.releves_de_l_horloge IS 'L''état de l''horloge des 24 h, une ligne par minute, gardée un mois.';
COMMENT ON COLUMN vues.releves_de_l_horloge.releve_le IS 'La minute du relevé.';
COMMENT ON COLUMN vues.releves_de_l_horloge.affiches IS 'Paiements acceptés et affichés, depuis toujours.';
COMMENT ON COLUMN vues.releves_de_l_horloge.en_attente IS 'Paiements acceptés que le compte ne montrait pas encore.';
COMMENT ON COLUMN vues.releves_de_l_horloge.plus_ancien_secondes IS 'Depuis combien de temps le plus ancien attendait ; 0 si rien n''attendait.';
COMMENT ON COLUMN vues.releves_de_l_horloge.depasses IS 'Paiements en attente qui avaient passé le délai.';
COMMENT ON COLUMN vues.releves_de_l_horloge.depasses_affiches IS 'Paiements affichés après le délai, depuis toujours ; recompté toutes les dix minutes, comme les affichés.';
COMMENT ON COLUMN vues.releves_de_l_horloge.par_caisse IS 'Par caisse : combien attendent, et l''âge du plus ancien en secondes.';
COMMENT ON COLUMN vues.releves_de_l_horloge.presumes IS 'Paiements en attente dont le départ est celui de la réception.';

RESET ROLE;
