-- Un paiement accepté pour un autre montant finit « en_verification » : il ne se paie pas de nouveau.

SET LOCAL ROLE creances_service;

ALTER TABLE vues.paiements DROP CONSTRAINT paiements_statut_check;
ALTER TABLE vues.paiements ADD CONSTRAINT paiements_statut_check
    CHECK (statut IN ('en_cours', 'accepte', 'echoue', 'expire', 'en_verification'));

RESET ROLE;
