"""Tous les agrégats et tous leurs faits, en un seul lieu : ce que le moteur lit, et sur quoi chaque lecteur décide."""

from typing import Final

from domain.anomalie import FAITS_D_ANOMALIE, Anomalie
from domain.creance import FAITS_DE_CREANCE, Créance
from domain.faits import Fait
from domain.messagerie import FAITS_DE_MESSAGERIE, Messagerie
from domain.paiement import FAITS_DE_PAIEMENT, Paiement

AGREGATS: Final = (Créance, Paiement, Messagerie, Anomalie)

FAITS: Final[tuple[type[Fait], ...]] = (
    *FAITS_DE_CREANCE,
    *FAITS_DE_PAIEMENT,
    *FAITS_DE_MESSAGERIE,
    *FAITS_D_ANOMALIE,
)
"""Tout ce que le journal peut contenir."""
