-- Ce que le support cherche, trouvé par un index : une autorisation, une carte masquée, un montant et un jour, un appel.
-- Chaque expression est, au signe près, celle de `projections/lectures/recherche.py`.

CREATE INDEX sorts_autorisation ON journal.sorts (ltrim(champs->>'autorisation', '0'), enregistre_le DESC)
    WHERE champs->>'autorisation' IS NOT NULL;
CREATE INDEX sorts_carte ON journal.sorts (right(champs->>'carte_masquee', 2), (left(champs->>'carte_masquee', 4) COLLATE "C"), enregistre_le DESC)
    WHERE champs->>'carte_masquee' IS NOT NULL;
CREATE INDEX sorts_fin_de_carte ON journal.sorts (right(champs->>'carte_masquee', 2), enregistre_le DESC)
    WHERE champs->>'carte_masquee' IS NOT NULL;
CREATE INDEX sorts_correlation ON journal.sorts ((champs->>'correlation')) WHERE champs->>'correlation' IS NOT NULL;
CREATE INDEX sorts_message_id ON journal.sorts ((champs->>'message_id')) WHERE champs->>'message_id' IS NOT NULL;
-- Les montants que la vue des paiements ne dit pas : ceux des anomalies, et ce que la caisse a reçu.
CREATE INDEX sorts_montant ON journal.sorts ((champs->'montant_centimes'), enregistre_le DESC)
    WHERE champs->>'message_id' IS NOT NULL OR sort NOT IN ('appliquee', 'doublon', 'en_attente');
CREATE INDEX cles_idempotence_correlation ON journal.cles_idempotence (correlation) WHERE correlation IS NOT NULL;
CREATE INDEX lignes_de_rapport_autorisation ON journal.lignes_de_rapport (ltrim(autorisation, '0'), survenu_le DESC)
    WHERE autorisation IS NOT NULL;

SET LOCAL ROLE creances_service;
CREATE INDEX paiements_montant ON vues.paiements (montant, ouvert_le DESC);
CREATE INDEX restant_du_montant ON vues.restant_du (montant_initial, date_emission DESC);
RESET ROLE;
