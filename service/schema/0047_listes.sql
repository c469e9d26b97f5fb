-- Ce que des vues tiennent à côté de leurs lignes : de petites listes, pour que la ligne qui change n'entraîne pas ses index.
--
-- Une colonne qui change et qui est dans la condition d'un index partiel fait ajouter, à chaque changement, une entrée à
-- tous les index de la table. Ces listes sont tenues par le suiveur, dans la transaction même de la vue.

SET LOCAL ROLE creances_service;

-- Une version d'avant mène la vue sans tenir ses listes : la suivante les refait en prenant la main.
ALTER TABLE vues.suiveurs ADD COLUMN tenue bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN vues.suiveurs.tenue IS 'La position jusqu''où sont tenues les listes de la vue ; ailleurs qu''à `position`, elles sont à refaire, et qui prend la main les refait.';

DROP INDEX vues.restant_du_trop_percu;
DROP INDEX vues.paiements_en_cours;
DROP INDEX vues.paiements_finis_sans_accord;

CREATE TABLE vues.trop_percus (
    reference text COLLATE "C" PRIMARY KEY
);
COMMENT ON TABLE vues.trop_percus IS 'Les créances payées de trop : la liste que les anomalies montrent, tenue par `restant_du` à côté de ses lignes.';
COMMENT ON COLUMN vues.trop_percus.reference IS 'La référence de la créance, dont le solde est négatif.';

-- Une ligne entre à chaque paiement ouvert et sort à sa fin : il en reste peu, et beaucoup de mortes. Le nombre des
-- vivantes ne dit rien de celui des mortes, d'où un seuil qui ne dépend pas de lui.
CREATE TABLE vues.paiements_en_cours (
    transaction text COLLATE "C" PRIMARY KEY,
    ouvert_le   timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX paiements_en_cours_ouvert_le ON vues.paiements_en_cours (ouvert_le);
COMMENT ON TABLE vues.paiements_en_cours IS 'Les paiements sans fin : ce que la relance demande à la banque, tenu par `paiements` à côté de ses lignes.';
COMMENT ON COLUMN vues.paiements_en_cours.transaction IS 'La référence de la transaction.';
COMMENT ON COLUMN vues.paiements_en_cours.ouvert_le IS 'Quand il a été ouvert.';

CREATE TABLE vues.paiements_sans_accord (
    transaction text COLLATE "C" PRIMARY KEY,
    conclu_le   timestamptz NOT NULL
);
CREATE INDEX paiements_sans_accord_conclu_le ON vues.paiements_sans_accord (conclu_le, transaction);
COMMENT ON TABLE vues.paiements_sans_accord IS 'Les paiements refusés ou expirés, dans l''ordre où la relance les demande de nouveau, tenus par `paiements` à côté de ses lignes.';
COMMENT ON COLUMN vues.paiements_sans_accord.transaction IS 'La référence de la transaction.';
COMMENT ON COLUMN vues.paiements_sans_accord.conclu_le IS 'Quand il a été conclu.';

-- Un paiement s'écrit deux fois, à son ouverture et à sa fin, et ses voisins de page finissent en même temps que lui : la
-- page garde la place de toutes les secondes versions. Au-delà, elles iraient ailleurs, et la table serait aussi grande.
ALTER TABLE vues.paiements SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

RESET ROLE;
