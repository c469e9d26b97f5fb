"""Ce que chaque fait d'un paiement, et chaque sort, veut dire : une phrase que le support lit telle quelle.

Aucun mot propre à la banque : ni code, ni nom de champ. Ces détails se lisent à côté.
"""

from typing import Final, assert_never

from domain.monnaie import euros
from domain.paiement import FaitDePaiement, Fin, Paiement
from domain.sort import Sort
from projections.effets import quand

VERIFICATION: Final = "Nous vérifions votre paiement auprès de la banque ; ne payez pas une seconde fois."
"""À dire tant que le paiement est en vérification, et plus ensuite."""


def mis_en_verification(libere: int) -> str:
    """Ce que veut dire, sur une créance, la réservation levée d'un paiement dont la banque a pris autre chose."""
    return f"La banque a pris un autre montant que celui du paiement : {euros(libere)} ne sont plus réservés."


def phrase_de_paiement(fait: FaitDePaiement) -> str:  # noqa: C901, PLR0911, PLR0912 (un cas par fait : la table des matières)
    """Ce qu'un fait d'un paiement veut dire."""
    match fait:
        case Paiement.PaiementOuvert():
            return f"Un paiement en ligne de {euros(fait.montant)} a commencé le {quand(fait.timestamp)}."
        case Paiement.PaiementConclu():
            return _fin(fait)
        case Paiement.EncaissementNonImputé():
            return (
                f"La banque a pris {euros(fait.montant)} le {quand(fait.accepte_le)} ; cette somme n'est encore sur"
                " aucune créance."
            )
        case Paiement.AcceptationPrécisée():
            return "La banque a précisé le numéro d'autorisation du paiement déjà accepté."
        case Paiement.EncaissementImputé():
            references = ", ".join(imputation.reference for imputation in fait.imputations)
            return f"{euros(fait.montant)} que la banque avait pris ont été mis sur {references}."
        case Paiement.EncaissementRendu():
            qui = "La banque a repris d'elle-même" if fait.voie is None else "Nous avons rendu"
            return f"{qui} {euros(fait.montant)}."
        case Paiement.PaiementRéglé():
            if fait.accepte_le is None:
                return f"La vérification est finie le {quand(fait.timestamp)} : l'argent a été rendu."
            return (
                f"La vérification est finie : {euros(fait.montant)} pris le {quand(fait.accepte_le)} ont été comptés."
            )
        case Paiement.RemboursementDemandé():
            return f"Nous avons demandé à la banque de rendre {euros(fait.montant)} sur la carte."
        case Paiement.RemboursementEnvoyé():
            return "La demande est partie vers la banque."
        case Paiement.RemboursementFait():
            return f"La banque a rendu {euros(fait.montant)} sur la carte, le {quand(fait.timestamp)}."
        case Paiement.RemboursementRefusé():
            return "La banque ne peut pas rendre cette somme sur la carte : rien n'a bougé."
        case _:
            assert_never(fait)


def _fin(fait: Paiement.PaiementConclu) -> str:
    match fait.issue:
        case Fin.ACCEPTE:
            presume = " (heure de réception : la banque n'en a pas donné)" if fait.depart_presume else ""
            return f"La banque a accepté le paiement le {quand(fait.accepte_le or fait.timestamp)}{presume}."
        case Fin.ECHOUE:
            return f"La banque n'a pas accepté le paiement, le {quand(fait.timestamp)}."
        case Fin.EXPIRE:
            return f"Le paiement n'a pas été terminé à temps : il a été clos le {quand(fait.timestamp)}."
        case Fin.EN_VERIFICATION:
            return VERIFICATION
        case _:
            assert_never(fait.issue)


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
