"""Recevoir une réponse de la banque : son sort, et ce qu'elle change au paiement et à ses créances.

Une acceptation est un fait : elle est enregistrée quel que soit l'état. Les soldes finals ne dépendent ni de l'ordre ni
du nombre des notifications, parce qu'une acceptation domine toute autre fin et ne compte qu'une fois.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from domain.creance import Créance
from domain.delai import depart_du_delai
from domain.paiement import Fin, Paiement
from domain.politique import Politique
from domain.reponse import Issue, ReponseBancaire
from domain.sort import Sort, Verdict


def appliquer_reponse(
    paiement: Paiement | None,
    creances: Mapping[str, Créance],
    reponse: ReponseBancaire,
    *,
    recue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> tuple[Verdict, Paiement | None]:
    """Décide du sort d'une réponse scellée et fait évoluer le paiement et ses créances.

    `paiement` : None s'il n'a aucun événement. `creances` : au moins celles de ses imputations, par référence.
    Rend le verdict et le paiement (né ici si la banque a pris l'argent d'un paiement inconnu).
    """
    if paiement is None or not paiement.connu:
        return _recevoir_inconnue(paiement, reponse, recue_le, politique, maintenant)
    if reponse.marchand != paiement.marchand:
        return Verdict(Sort.REJETEE, "la réponse porte un autre marchand que celui du paiement"), paiement
    match reponse.issue:
        case Issue.EN_ATTENTE:
            return Verdict(Sort.EN_ATTENTE, f"le kiosque n'a pas conclu (code {reponse.code})"), paiement
        case Issue.REFUSEE:
            return _recevoir_refus(paiement, creances, reponse, maintenant), paiement
        case Issue.ACCEPTEE:
            return _recevoir_acceptation(paiement, creances, reponse, recue_le, politique, maintenant), paiement
        case _:
            assert_never(reponse.issue)


def expirer(paiement: Paiement, creances: Mapping[str, Créance], *, maintenant: datetime) -> bool:
    """Clôt un paiement sans réponse, inconnu du kiosque ; rend Faux s'il est déjà conclu ou n'est pas le nôtre."""
    if not paiement.connu or paiement.fin is not None:
        return False
    paiement.conclure(Fin.EXPIRE, "inconnu du kiosque passé le délai", maintenant=maintenant)
    for imputation in paiement.imputations:
        creances[imputation.reference].constater_echec(paiement.transaction, "expiré", maintenant=maintenant)
    return True


def _recevoir_refus(
    paiement: Paiement, creances: Mapping[str, Créance], reponse: ReponseBancaire, maintenant: datetime
) -> Verdict:
    match paiement.fin:
        case Fin.ACCEPTE:
            return Verdict(Sort.CONTRADICTOIRE, f"refus (code {reponse.code}) après une acceptation, qui reste")
        case Fin.ECHOUE | Fin.EXPIRE:
            return Verdict(Sort.DOUBLON, "le paiement avait déjà échoué ou expiré")
        case None:
            cause = f"refusé par la banque (code {reponse.code})"
            paiement.conclure(
                Fin.ECHOUE,
                cause,
                code=reponse.code,
                carte_masquee=reponse.carte_masquee,
                maintenant=maintenant,
            )
            for imputation in paiement.imputations:
                creances[imputation.reference].constater_echec(paiement.transaction, cause, maintenant=maintenant)
            return Verdict(Sort.APPLIQUEE, cause)
        case _:
            assert_never(paiement.fin)


def _recevoir_acceptation(  # noqa: PLR0917 (ce que la décision demande)
    paiement: Paiement,
    creances: Mapping[str, Créance],
    reponse: ReponseBancaire,
    recue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> Verdict:
    """La même acceptation est un doublon ; un autre montant ou une autre autorisation est de l'argent à part."""
    if (reponse.montant, reponse.autorisation) in paiement.non_imputes:
        return Verdict(Sort.DOUBLON, "encaissement déjà enregistré, en attente de règlement")
    depart = depart_du_delai(reponse.transaction_le, recue_le, politique)
    deja_acceptee = paiement.fin is Fin.ACCEPTE
    if deja_acceptee and (reponse.montant, reponse.autorisation) == (paiement.montant, paiement.autorisation):
        return Verdict(Sort.DOUBLON, "acceptation déjà enregistrée")
    if deja_acceptee or reponse.montant != paiement.montant:
        paiement.encaisser_sans_imputer(
            montant=reponse.montant,
            raison=Sort.MONTANT_INCOHERENT,
            marchand=reponse.marchand,
            autorisation=reponse.autorisation,
            accepte_le=depart.instant,
            depart_presume=depart.presume,
            timestamp=maintenant,
        )
        if reponse.montant != paiement.montant:
            cause = f"{reponse.montant} centimes acceptés pour un paiement de {paiement.montant}"
        else:
            cause = "acceptée de nouveau sous une autre autorisation"
        return Verdict(Sort.MONTANT_INCOHERENT, cause)
    tardive = "" if paiement.fin is None else f", après une fin « {paiement.fin} »"
    paiement.conclure(
        Fin.ACCEPTE,
        "accepté par la banque",
        code=reponse.code,
        autorisation=reponse.autorisation,
        carte_masquee=reponse.carte_masquee,
        accepte_le=depart.instant,
        depart_presume=depart.presume,
        maintenant=maintenant,
    )
    for imputation in paiement.imputations:
        creances[imputation.reference].accepter_paiement(
            paiement.transaction, imputation.part, depart.instant, maintenant=maintenant
        )
    return Verdict(Sort.APPLIQUEE, f"acceptée par la banque{tardive}")


def _recevoir_inconnue(
    paiement: Paiement | None,
    reponse: ReponseBancaire,
    recue_le: datetime,
    politique: Politique,
    maintenant: datetime,
) -> tuple[Verdict, Paiement | None]:
    """Un paiement que nous n'avons jamais ouvert : si la banque a pris l'argent, c'est quand même un fait."""
    if reponse.issue is not Issue.ACCEPTEE:
        return Verdict(Sort.NON_RAPPROCHEE, f"paiement inconnu (code {reponse.code})"), paiement
    if paiement is not None and (reponse.montant, reponse.autorisation) in paiement.non_imputes:
        return Verdict(Sort.DOUBLON, "encaissement déjà enregistré, en attente de règlement"), paiement
    depart = depart_du_delai(reponse.transaction_le, recue_le, politique)
    champs = {
        "montant": reponse.montant,
        "raison": Sort.NON_RAPPROCHEE,
        "marchand": reponse.marchand,
        "autorisation": reponse.autorisation,
        "accepte_le": depart.instant,
        "depart_presume": depart.presume,
        "timestamp": maintenant,
    }
    if paiement is None:
        paiement = Paiement.encaisser_inconnu(reponse.transaction, **champs)
    else:
        paiement.encaisser_sans_imputer(**champs)
    return Verdict(Sort.NON_RAPPROCHEE, "paiement inconnu : l'encaissement attend d'être rattaché"), paiement
