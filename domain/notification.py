"""Recevoir une réponse de la banque : son sort, et ce qu'elle change au paiement et à ses créances.

Une acceptation est un fait : elle est enregistrée quel que soit l'état. Les soldes finals ne dépendent ni de l'ordre ni
du nombre des notifications, parce qu'une acceptation domine toute autre fin et ne compte qu'une fois.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from domain.creance import Créance
from domain.delai import départ_du_délai
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.reponse import Issue, RéponseBancaire
from domain.sort import Sort, Verdict


def appliquer_réponse(
    paiement: Paiement | None,
    créances: Mapping[str, Créance],
    réponse: RéponseBancaire,
    *,
    reçue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> tuple[Verdict, Paiement | None]:
    """Décide du sort d'une réponse scellée et fait évoluer le paiement et ses créances.

    `paiement` : None s'il n'a aucun événement. `créances` : au moins celles de ses imputations, par référence.
    Rend le verdict et le paiement (né ici si la banque a pris l'argent d'un paiement inconnu).
    """
    if paiement is None or not paiement.connu:
        return _recevoir_inconnue(paiement, réponse, reçue_le, politique, maintenant)
    if réponse.marchand != paiement.marchand:
        return Verdict(Sort.REJETÉE, "la réponse porte un autre marchand que celui du paiement"), paiement
    match réponse.issue:
        case Issue.EN_ATTENTE:
            return Verdict(Sort.EN_ATTENTE, f"le kiosque n'a pas conclu (code {réponse.code})"), paiement
        case Issue.REFUSÉE:
            return _recevoir_refus(paiement, créances, réponse, maintenant), paiement
        case Issue.ACCEPTÉE:
            return _recevoir_acceptation(paiement, créances, réponse, reçue_le, politique, maintenant), paiement
        case _:
            assert_never(réponse.issue)


def expirer(paiement: Paiement, créances: Mapping[str, Créance], *, maintenant: datetime) -> bool:
    """Clôt un paiement sans réponse, inconnu du kiosque ; rend Faux s'il est déjà conclu ou n'est pas le nôtre."""
    if not paiement.connu or paiement.fin is not None:
        return False
    paiement.conclure(Fin.EXPIRÉ, "inconnu du kiosque passé le délai", maintenant=maintenant)
    for imputation in paiement.imputations:
        créances[imputation.référence].constater_échec(paiement.transaction, "expiré", maintenant=maintenant)
    return True


def _recevoir_refus(
    paiement: Paiement, créances: Mapping[str, Créance], réponse: RéponseBancaire, maintenant: datetime
) -> Verdict:
    match paiement.fin:
        case Fin.ACCEPTÉ:
            return Verdict(Sort.CONTRADICTOIRE, f"refus (code {réponse.code}) après une acceptation, qui reste")
        case Fin.ÉCHOUÉ | Fin.EXPIRÉ:
            return Verdict(Sort.DOUBLON, "le paiement avait déjà échoué ou expiré")
        case None:
            cause = f"refusé par la banque (code {réponse.code})"
            paiement.conclure(
                Fin.ÉCHOUÉ,
                cause,
                code=réponse.code,
                carte_masquée=réponse.carte_masquée,
                maintenant=maintenant,
            )
            for imputation in paiement.imputations:
                créances[imputation.référence].constater_échec(paiement.transaction, cause, maintenant=maintenant)
            return Verdict(Sort.APPLIQUÉE, cause)
        case _:
            assert_never(paiement.fin)


def _recevoir_acceptation(  # noqa: PLR0917 (ce que la décision demande)
    paiement: Paiement,
    créances: Mapping[str, Créance],
    réponse: RéponseBancaire,
    reçue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> Verdict:
    """La même acceptation est un doublon ; un autre montant ou une autre autorisation est de l'argent à part."""
    if (réponse.montant, réponse.autorisation) in paiement.non_imputés:
        return Verdict(Sort.DOUBLON, "encaissement déjà enregistré, en attente de règlement")
    départ = départ_du_délai(réponse.transaction_le, reçue_le, politique)
    déjà_acceptée = paiement.fin is Fin.ACCEPTÉ
    if déjà_acceptée and (réponse.montant, réponse.autorisation) == (paiement.montant, paiement.autorisation):
        return Verdict(Sort.DOUBLON, "acceptation déjà enregistrée")
    if déjà_acceptée or réponse.montant != paiement.montant:
        paiement.encaisser_sans_imputer(
            montant=réponse.montant,
            raison=Sort.MONTANT_INCOHÉRENT,
            marchand=réponse.marchand,
            autorisation=réponse.autorisation,
            accepté_le=départ.instant,
            départ_présumé=départ.présumé,
            timestamp=maintenant,
        )
        if réponse.montant != paiement.montant:
            cause = f"{réponse.montant} centimes acceptés pour un paiement de {paiement.montant}"
        else:
            cause = "acceptée de nouveau sous une autre autorisation"
        return Verdict(Sort.MONTANT_INCOHÉRENT, cause)
    tardive = "" if paiement.fin is None else f", après une fin « {paiement.fin} »"
    paiement.conclure(
        Fin.ACCEPTÉ,
        "accepté par la banque",
        code=réponse.code,
        autorisation=réponse.autorisation,
        carte_masquée=réponse.carte_masquée,
        accepté_le=départ.instant,
        départ_présumé=départ.présumé,
        maintenant=maintenant,
    )
    for imputation in paiement.imputations:
        créances[imputation.référence].accepter_paiement(
            paiement.transaction, imputation.part, départ.instant, maintenant=maintenant
        )
    return Verdict(Sort.APPLIQUÉE, f"acceptée par la banque{tardive}")


def _recevoir_inconnue(
    paiement: Paiement | None,
    réponse: RéponseBancaire,
    reçue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> tuple[Verdict, Paiement | None]:
    """Un paiement que nous n'avons jamais ouvert : si la banque a pris l'argent, c'est quand même un fait."""
    if réponse.issue is not Issue.ACCEPTÉE:
        return Verdict(Sort.NON_RAPPROCHÉE, f"paiement inconnu (code {réponse.code})"), paiement
    if paiement is not None and (réponse.montant, réponse.autorisation) in paiement.non_imputés:
        return Verdict(Sort.DOUBLON, "encaissement déjà enregistré, en attente de règlement"), paiement
    départ = départ_du_délai(réponse.transaction_le, reçue_le, politique)
    champs = {
        "montant": réponse.montant,
        "raison": Sort.NON_RAPPROCHÉE,
        "marchand": réponse.marchand,
        "autorisation": réponse.autorisation,
        "accepté_le": départ.instant,
        "départ_présumé": départ.présumé,
        "timestamp": maintenant,
    }
    if paiement is None:
        paiement = Paiement.encaisser_inconnu(réponse.transaction, **champs)
    else:
        paiement.encaisser_sans_imputer(**champs)
    return Verdict(Sort.NON_RAPPROCHÉE, "paiement inconnu : l'encaissement attend d'être rattaché"), paiement
