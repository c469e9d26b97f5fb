-- Deux versions tournent ensemble pendant une mise à niveau : ce que l'ancienne ne sait pas lire attend la nouvelle.
SET LOCAL ROLE creances_service;
ALTER TABLE vues.ecartes ADD COLUMN type_inconnu text;
COMMENT ON COLUMN vues.ecartes.type_inconnu IS
    'Le type, et sa version, que le suiveur qui l''a écarté ne connaissait pas ; la version qui le connaît le reprend d''elle-même.';
ALTER TABLE vues_neuves.ecartes ADD COLUMN type_inconnu text;
COMMENT ON COLUMN vues_neuves.ecartes.type_inconnu IS 'Comme dans vues.ecartes.';
RESET ROLE;
