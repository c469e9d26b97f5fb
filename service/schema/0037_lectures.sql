-- Des lectures qui ne grandissent pas avec la base, et chaque table vidée de ses versions mortes à son rythme.

SET LOCAL ROLE creances_service;

-- Ceux que la relance demande de nouveau, dans l'ordre de leur fin : sans lui, toute la table à chaque tournée. Les
-- paiements acceptés, presque tous, n'y sont pas.
CREATE INDEX paiements_finis_sans_accord ON vues.paiements (conclu_le, transaction)
    WHERE statut IN ('echoue', 'expire');

-- Une créance change à chaque paiement, dans la place que sa page garde (fillfactor 80, aucune colonne indexée ne bouge) :
-- la lecture suivante y fait le ménage, et un passage rare suffit. Au cinquième de la table que PostgreSQL attend
-- d'ordinaire, ce serait tout de même des millions de versions mortes chez celui qui en a dix millions.
ALTER TABLE vues.restant_du SET (autovacuum_vacuum_scale_factor = 0.05);

-- Un paiement et une horloge changent une fois, et la colonne qui change est dans la condition d'un index : chaque
-- changement ajoute une entrée à tous leurs index, que seul un passage ôte. Il vient donc plus souvent.
ALTER TABLE vues.paiements SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE vues.delai_affichage SET (autovacuum_vacuum_scale_factor = 0.02);

RESET ROLE;

-- Ce qui ne fait que s'ajouter n'a pas de versions mortes : un passage n'y sert qu'à ce que les index répondent seuls et
-- à figer les lignes peu à peu, au lieu de tout relire un jour. Le cinquième de la table serait trop tard.
ALTER TABLE journal.evenements SET (autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE journal.sorts SET (autovacuum_vacuum_insert_scale_factor = 0.05);
