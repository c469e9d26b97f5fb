"""Tous les agrégats et tous leurs faits, en un seul lieu : ce que le moteur lit, et sur quoi chaque lecteur décide."""

from typing import Final, TypeAlias

from domain.anomalie import FAITS_D_ANOMALIE, Anomalie, FaitDAnomalie
from domain.creance import FAITS_DE_CREANCE, Créance, FaitDeCreance
from domain.faits import Fait
from domain.messagerie import FAITS_DE_MESSAGERIE, FaitDeMessagerie, Messagerie
from domain.paiement import FAITS_DE_PAIEMENT, FaitDePaiement, Paiement

AGREGATS: Final = (Créance, Paiement, Messagerie, Anomalie)

FaitConnu: TypeAlias = FaitDeCreance | FaitDePaiement | FaitDeMessagerie | FaitDAnomalie
"""Tout ce que le journal peut contenir."""

FAITS: Final[tuple[type[Fait], ...]] = (
    *FAITS_DE_CREANCE,
    *FAITS_DE_PAIEMENT,
    *FAITS_DE_MESSAGERIE,
    *FAITS_D_ANOMALIE,
)
