"""Ce que chaque sort veut dire : une phrase que le support lit telle quelle (celles des faits : `projections.effets`).

Aucun mot propre à la banque : ni code, ni nom de champ. Ces détails se lisent à côté.
"""

from typing import Final

from domain.monnaie import euros
from domain.sort import Sort


def mis_en_verification(libere: int) -> str:
    """Ce que veut dire, sur une créance, la réservation levée d'un paiement dont la banque a pris autre chose."""
    return f"La banque a pris un autre montant que celui du paiement : {euros(libere)} ne sont plus réservés."


def phrase_du_sort(sort: Sort) -> str:
    """Ce qu'un sort veut dire d'une réponse de la banque, ou d'un message de la caisse."""
    return _SORTS[sort]


_SORTS: Final[dict[Sort, str]] = {
    Sort.APPLIQUEE: "Reçue et prise en compte.",
    Sort.DOUBLON: "Reçue une fois de plus, à l'identique : elle n'a rien changé.",
    Sort.CONTRADICTOIRE: "Elle contredit ce qui est enregistré, qui reste : à examiner.",
    Sort.EN_ATTENTE: "La banque n'a pas encore conclu.",
    Sort.NON_RAPPROCHEE: "Elle ne correspond à aucun paiement connu : à examiner.",
    Sort.MONTANT_INCOHERENT: "La banque a pris un autre montant, ou une seconde fois : à examiner.",
    Sort.EN_SOUFFRANCE: "Elle attend de pouvoir être appliquée.",
    Sort.REJETEE: "Elle n'a pas été crue : rien n'a changé.",
}
