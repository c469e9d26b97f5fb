-- L'horloge des 24 h : ce que le compte ne montrait pas quand l'acceptation a été lue est affiché plus tard.

SET LOCAL ROLE creances_service;

-- La version de la créance à l'acceptation ; 0 pour ce qui précède cette colonne.
ALTER TABLE vues.delai_affichage ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- Faux tant que la créance n'est pas montrée avec cette part : l'affichage est alors essayé de nouveau.
ALTER TABLE vues.delai_affichage ADD COLUMN montree boolean NOT NULL DEFAULT true;
CREATE INDEX delai_affichage_a_montrer ON vues.delai_affichage (accepte_le) WHERE NOT montree;

COMMENT ON COLUMN vues.delai_affichage.version IS 'La version de la créance à l''acceptation ; 0 pour ce qui précède cette colonne.';
COMMENT ON COLUMN vues.delai_affichage.montree IS 'Faux tant que le compte ne montre pas cette part : son affichage sera essayé de nouveau.';

RESET ROLE;

-- Ce que l'horloge regarde au journal au-delà de sa vue, si son suiveur est en retard ou arrêté.
CREATE INDEX evenements_horloge ON journal.evenements (position)
    WHERE topic IN ('creance.PaiementAccepte', 'creance.PaiementAffiche');
