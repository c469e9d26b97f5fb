-- Ce que chaque fait publié dit du solde de sa créance : le publieur garde le dernier de chacune.

CREATE TABLE vues.soldes_publies (
    flux     text   COLLATE "C" PRIMARY KEY,
    caisse   text   NOT NULL,
    solde    bigint NOT NULL,
    en_cours bigint NOT NULL,
    version  bigint NOT NULL
) WITH (fillfactor = 80);

COMMENT ON TABLE vues.soldes_publies IS
    'Le dernier solde publié de chaque créance, auquel le publieur ajoute le fait suivant ; refait du journal s''il manque.';
COMMENT ON COLUMN vues.soldes_publies.flux IS 'Le flux de la créance.';
COMMENT ON COLUMN vues.soldes_publies.caisse IS 'La caisse de l''avis.';
COMMENT ON COLUMN vues.soldes_publies.solde IS 'Ce qui est dû, en centimes signés : négatif, un trop-perçu.';
COMMENT ON COLUMN vues.soldes_publies.en_cours IS 'La somme des parts réservées, en centimes.';
COMMENT ON COLUMN vues.soldes_publies.version IS 'La version du flux après laquelle c''est vrai.';

ALTER TABLE vues.soldes_publies OWNER TO creances_service;
