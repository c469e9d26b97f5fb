-- Ce que la comparaison continue a déjà trouvé d'accord : un flux dont rien n'a bougé ne se rejoue pas à chaque tour.

SET LOCAL ROLE creances_service;
CREATE TABLE vues.accords (
    vue        text NOT NULL,
    nom_table  text NOT NULL,
    apres      text COLLATE "C" NOT NULL,
    jusqu_a    text COLLATE "C" NOT NULL,
    marques    int8[] NOT NULL,
    refaire_le timestamptz NOT NULL,
    PRIMARY KEY (vue, nom_table, apres)
);
ALTER TABLE vues.accords ALTER COLUMN marques SET STORAGE EXTERNAL; -- Des empreintes ne se compriment pas.
COMMENT ON TABLE vues.accords IS 'Les flux qu''une vue disait comme le journal, et de quoi voir que rien n''en a bougé.';
COMMENT ON COLUMN vues.accords.vue IS 'La vue.';
COMMENT ON COLUMN vues.accords.nom_table IS 'La première des tables qui se comparent ensemble.';
COMMENT ON COLUMN vues.accords.apres IS 'Le flux après lequel le bloc commence.';
COMMENT ON COLUMN vues.accords.jusqu_a IS 'Son dernier flux, compris.';
COMMENT ON COLUMN vues.accords.marques IS 'Par flux d''accord, une empreinte de son nom, de ses faits et de ses lignes.';
COMMENT ON COLUMN vues.accords.refaire_le IS 'Quand le bloc entier sera rejoué, quoi qu''en disent ses marques.';
RESET ROLE;
