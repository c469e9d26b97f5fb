"""Recevoir une réponse de la banque : son sort, et ce qu'elle change au paiement et à ses créances.

Une acceptation est un fait : elle est enregistrée quel que soit l'état. Les soldes finals ne dépendent ni de l'ordre ni
du nombre des notifications, parce qu'une acceptation domine toute autre fin et ne compte qu'une fois.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never

from domain.autorisation import meme_forme
from domain.creance import Créance
from domain.delai import depart_du_delai, precede
from domain.monnaie import euros
from domain.paiement import Acceptation, Encaissement, Fin, Paiement
from domain.references import ReferenceCreance
from domain.reponse import Issue, ReponseBancaire
from domain.sort import Sort, Verdict

_DEJA_ENCAISSE: Final = "encaissement déjà enregistré, en attente de règlement"


def appliquer_reponse(
    paiement: Paiement | None,
    creances: Mapping[ReferenceCreance, Créance],
    reponse: ReponseBancaire,
    *,
    recue_le: datetime,
    maintenant: datetime,
) -> tuple[Verdict, Paiement | None]:
    """Décide du sort d'une réponse scellée et fait évoluer le paiement et ses créances.

    `paiement` : None s'il n'a aucun événement. `creances` : au moins celles de ses imputations, par référence.
    Rend le verdict et le paiement (né ici si la banque a pris l'argent d'un paiement inconnu).
    """
    if paiement is None or not paiement.connu:
        return _recevoir_inconnue(paiement, reponse, recue_le, maintenant)
    if (pourquoi := etrangere(paiement, reponse)) is not None:
        return _recevoir_etrangere(paiement, reponse, pourquoi, recue_le, maintenant), paiement
    match reponse.issue:
        case Issue.EN_ATTENTE:
            pris = "" if reponse.montant else ", rien de pris"
            return Verdict(Sort.EN_ATTENTE, f"le kiosque n'a pas conclu (code {reponse.code}{pris})"), paiement
        case Issue.REFUSEE:
            return _recevoir_refus(paiement, creances, reponse, maintenant), paiement
        case Issue.ACCEPTEE:
            return _recevoir_acceptation(paiement, creances, reponse, recue_le, maintenant), paiement
        case _:
            assert_never(reponse.issue)


def etrangere(paiement: Paiement, reponse: ReponseBancaire) -> str | None:
    """Pourquoi cette réponse authentique n'est pas celle de ce paiement, ou None.

    Un jeton absent n'est pas un autre jeton : toutes les réponses de la banque ne le rendent pas. Sans lui, ce que nous
    avons demandé n'est cru que si la banque ne le date pas d'avant le paiement : sa référence a pu servir deux fois.
    """
    if reponse.marchand != paiement.marchand:
        return "la réponse porte un autre de nos marchands que celui du paiement"
    if None not in {paiement.jeton_retour, reponse.jeton_retour}:
        if reponse.jeton_retour == paiement.jeton_retour:
            return None
        return "la réponse porte un autre jeton que celui du paiement : sa référence a servi deux fois"
    return _etrangere_par_son_argent(paiement, reponse) if reponse.demandee else None


def _etrangere_par_son_argent(paiement: Paiement, reponse: ReponseBancaire) -> str | None:
    """Pour une réponse demandée, sans jeton : son heure, et l'argent d'un autre que nous connaissons déjà."""
    if precede(reponse.transaction_le, paiement.created_on):
        return "la banque la date d'avant l'ouverture du paiement : sa référence a servi deux fois"
    if reponse.autorisation and _encaissement_etranger(reponse) in paiement.non_imputes:
        return "la réponse parle de l'argent d'un autre paiement, déjà enregistré"
    return None


def _encaissement_etranger(reponse: ReponseBancaire) -> Encaissement:
    autorisation = meme_forme(reponse.autorisation)
    return Encaissement(Sort.NON_RAPPROCHEE, reponse.marchand, reponse.montant, autorisation)


def expirer(paiement: Paiement, creances: Mapping[ReferenceCreance, Créance], *, maintenant: datetime) -> bool:
    """Clôt un paiement sans réponse, inconnu du kiosque ; rend Faux s'il est déjà conclu ou n'est pas le nôtre."""
    if not paiement.connu or paiement.fin is not None:
        return False
    paiement.conclure(Fin.EXPIRE, "inconnu du kiosque passé le délai", maintenant=maintenant)
    for imputation in paiement.imputations:
        creances[imputation.reference].constater_echec(paiement.transaction, "expiré", maintenant=maintenant)
    return True


def _recevoir_refus(
    paiement: Paiement, creances: Mapping[ReferenceCreance, Créance], reponse: ReponseBancaire, maintenant: datetime
) -> Verdict:
    match paiement.fin:
        case Fin.ACCEPTE:
            return Verdict(Sort.CONTRADICTOIRE, f"refus (code {reponse.code}) après une acceptation, qui reste")
        case Fin.ECHOUE | Fin.EXPIRE:
            return Verdict(Sort.DOUBLON, "le paiement avait déjà échoué ou expiré")
        case Fin.EN_VERIFICATION:
            return Verdict(Sort.DOUBLON, "le paiement est en vérification : la banque a pris un autre montant")
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


def _recevoir_acceptation(
    paiement: Paiement,
    creances: Mapping[ReferenceCreance, Créance],
    reponse: ReponseBancaire,
    recue_le: datetime,
    maintenant: datetime,
) -> Verdict:
    """La même acceptation est un doublon ; un autre montant ou une autre autorisation est de l'argent à part."""
    acceptation = _acceptation(reponse, recue_le)
    if paiement.reconnaitre(acceptation, maintenant=maintenant):
        return Verdict(Sort.DOUBLON, "acceptation déjà enregistrée")
    if reponse.montant != paiement.montant:
        return _recevoir_autre_montant(paiement, creances, acceptation, maintenant)
    if paiement.fin is Fin.ACCEPTE:
        if paiement.encaisser_sans_imputer(acceptation, Sort.MONTANT_INCOHERENT, maintenant=maintenant):
            return Verdict(Sort.MONTANT_INCOHERENT, "acceptée de nouveau sous une autre autorisation")
        return Verdict(Sort.DOUBLON, _DEJA_ENCAISSE)
    tardive = "" if paiement.fin is None else f", après une fin « {paiement.fin.dite} »"
    paiement.conclure(
        Fin.ACCEPTE,
        "accepté par la banque",
        code=reponse.code,
        autorisation=reponse.autorisation,
        carte_masquee=reponse.carte_masquee,
        accepte_le=acceptation.accepte_le,
        depart_presume=acceptation.depart_presume,
        maintenant=maintenant,
    )
    for imputation in paiement.imputations:
        creances[imputation.reference].accepter_paiement(
            paiement.transaction, imputation.part, acceptation.accepte_le, maintenant=maintenant
        )
    return Verdict(Sort.APPLIQUEE, f"acceptée par la banque{tardive}")


def _recevoir_autre_montant(
    paiement: Paiement,
    creances: Mapping[ReferenceCreance, Créance],
    acceptation: Acceptation,
    maintenant: datetime,
) -> Verdict:
    """La banque a pris un autre montant : le paiement finit en vérification et sa réservation est levée.

    Ce qui a été pris n'est sur aucune créance ; l'acceptation du bon montant, si elle vient, domine encore.
    """
    nouveau = paiement.encaisser_sans_imputer(acceptation, Sort.MONTANT_INCOHERENT, maintenant=maintenant)
    if paiement.fin not in {Fin.ACCEPTE, Fin.EN_VERIFICATION}:
        cause = "la banque a pris un autre montant que celui du paiement"
        paiement.conclure(Fin.EN_VERIFICATION, cause, maintenant=maintenant)
        for imputation in paiement.imputations:
            creances[imputation.reference].constater_echec(paiement.transaction, cause, maintenant=maintenant)
    if not nouveau:
        return Verdict(Sort.DOUBLON, _DEJA_ENCAISSE)
    cause = f"{euros(acceptation.montant)} acceptés pour un paiement de {euros(paiement.montant)}"
    return Verdict(Sort.MONTANT_INCOHERENT, cause)


def _recevoir_etrangere(
    paiement: Paiement, reponse: ReponseBancaire, pourquoi: str, recue_le: datetime, maintenant: datetime
) -> Verdict:
    """Elle ne décide rien de ce paiement ; l'argent qu'elle dit pris est un fait, à rattacher."""
    if reponse.issue is Issue.ACCEPTEE:
        acceptation = _acceptation(reponse, recue_le)
        if not paiement.encaisser_sans_imputer(acceptation, Sort.NON_RAPPROCHEE, maintenant=maintenant):
            return Verdict(Sort.DOUBLON, _DEJA_ENCAISSE)
    return Verdict(Sort.NON_RAPPROCHEE, pourquoi)


def _recevoir_inconnue(
    paiement: Paiement | None, reponse: ReponseBancaire, recue_le: datetime, maintenant: datetime
) -> tuple[Verdict, Paiement | None]:
    """Un paiement que nous n'avons jamais ouvert : si la banque a pris l'argent, c'est quand même un fait."""
    if reponse.issue is not Issue.ACCEPTEE:
        return Verdict(Sort.NON_RAPPROCHEE, f"paiement inconnu (code {reponse.code})"), paiement
    acceptation = _acceptation(reponse, recue_le)
    if paiement is None:
        paiement = Paiement.encaisser_inconnu(reponse.transaction, acceptation, maintenant=maintenant)
    elif not paiement.encaisser_sans_imputer(acceptation, Sort.NON_RAPPROCHEE, maintenant=maintenant):
        return Verdict(Sort.DOUBLON, _DEJA_ENCAISSE), paiement
    return Verdict(Sort.NON_RAPPROCHEE, "paiement inconnu : l'encaissement attend d'être rattaché"), paiement


def _acceptation(reponse: ReponseBancaire, recue_le: datetime) -> Acceptation:
    depart = depart_du_delai(reponse.transaction_le, recue_le)
    return Acceptation(reponse.marchand, reponse.montant, reponse.autorisation, depart.instant, depart.presume)
