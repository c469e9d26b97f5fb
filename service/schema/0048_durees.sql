-- L'horloge des 24 h se lit d'un nombre de lignes qui ne grandit pas avec les paiements : ceux qui attendent, et les
-- durées de tous les autres comptées par tranche.

SET LOCAL ROLE creances_service;

DROP INDEX vues.delai_affichage_en_attente;

CREATE TABLE vues.affichages_en_attente (
    transaction text COLLATE "C" NOT NULL,
    reference   text COLLATE "C" NOT NULL,
    accepte_le  timestamptz NOT NULL,
    PRIMARY KEY (transaction, reference)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE vues.affichages_en_attente IS 'Les parts acceptées que le compte ne montre pas encore, tenues par `delai_affichage` à côté de ses lignes.';
COMMENT ON COLUMN vues.affichages_en_attente.transaction IS 'La référence de la transaction.';
COMMENT ON COLUMN vues.affichages_en_attente.reference IS 'La créance que la part éteint.';
COMMENT ON COLUMN vues.affichages_en_attente.accepte_le IS 'Quand la banque a accepté : le délai court depuis.';

-- Une ligne change à chaque lot : la page garde la place de plusieurs versions.
CREATE TABLE vues.durees_d_affichage (
    tranche_ms bigint PRIMARY KEY,
    paiements  bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE vues.durees_d_affichage IS 'Combien de paiements affichés, par durée de l''acceptation à l''affichage de leur dernière part ; tenu par `delai_affichage` à côté de ses lignes.';
COMMENT ON COLUMN vues.durees_d_affichage.tranche_ms IS 'La plus longue durée de la tranche, en millisecondes : de 10 en 10 jusqu''à dix secondes, de 100 en 100 jusqu''à une minute, de seconde en seconde jusqu''à une heure, de minute en minute au-delà.';
COMMENT ON COLUMN vues.durees_d_affichage.paiements IS 'Combien de paiements ont duré autant, plus que la tranche d''avant.';

-- Une part s'écrit deux fois, à son acceptation et à son affichage, comme un paiement (0047_listes.sql).
ALTER TABLE vues.delai_affichage SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

RESET ROLE;
