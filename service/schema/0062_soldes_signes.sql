-- L'empreinte de chaque solde gardé : une ligne changée à la main se voit, et son solde est refait du journal.
-- Vide : la ligne est d'une version d'avant.

ALTER TABLE vues.soldes_publies ADD COLUMN empreinte bigint;
COMMENT ON COLUMN vues.soldes_publies.empreinte IS
    'Une empreinte du reste de la ligne ; si elle ne s''accorde pas, le solde est refait du journal.';
