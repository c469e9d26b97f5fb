-- Qui mène chaque suiveur tient un bail qu'il renouvelle : un meneur figé, ou dont la machine est perdue, est remplacé.
SET LOCAL ROLE creances_service;
ALTER TABLE vues.suiveurs
    ADD COLUMN bail uuid,
    ADD COLUMN bail_expire_le timestamptz,
    ADD COLUMN bail_session integer,
    ADD CONSTRAINT suiveurs_bail CHECK ((bail IS NULL) = (bail_expire_le IS NULL));
COMMENT ON COLUMN vues.suiveurs.bail IS 'Le bail de son meneur, un numéro neuf à chaque prise ; vide si personne ne le mène.';
COMMENT ON COLUMN vues.suiveurs.bail_expire_le IS
    'Passé cet instant, ou s''il est plus loin qu''aucun bail ne dure, un autre peut le mener.';
COMMENT ON COLUMN vues.suiveurs.bail_session IS
    'Le processus de PostgreSQL qui sert son meneur : s''il n''est plus, le bail est fini sans attendre.';
RESET ROLE;
