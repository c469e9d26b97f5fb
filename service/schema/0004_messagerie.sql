-- La messagerie : une ligne par accusé de réception, jusqu'à son échéance.

SET LOCAL ROLE creances_service;

-- `accepte_le` manque tant que seul le geste de l'assuré (lu, supprimé) est connu de la vue, et le message ne se
-- montre pas : deux flux peuvent arriver dans l'ordre inverse quand l'un d'eux a été écarté, puis libéré.
CREATE TABLE vues.messagerie (
    transaction text COLLATE "C" PRIMARY KEY,
    assure      text COLLATE "C" NOT NULL,
    accepte_le  timestamptz,
    echeance    date        NOT NULL,
    lu_le       timestamptz,
    supprime_le timestamptz
) WITH (fillfactor = 80);
CREATE INDEX messagerie_assure ON vues.messagerie (assure, accepte_le);
CREATE INDEX messagerie_echeance ON vues.messagerie (echeance);

RESET ROLE;
