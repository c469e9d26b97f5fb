"""Faire rendre de l'argent par la banque : approuvé, demandé, puis enregistré selon ce qu'elle répond.

La demande est enregistrée avant d'être envoyée, avec ce que la banque gardait, et chaque envoi l'est avant de partir :
reposée après un silence ou une coupure, elle ne se fait jamais deux fois, et jamais envoyée, rien n'est pris pour elle
(voir `kiosque.operation`). Sans réponse, elle attend ; la relance regarde encore, et ne la renvoie que bien plus tard :
la banque peut écrire en retard ce qu'elle a fait.
"""

from datetime import datetime
from typing import Any, assert_never

import structlog
from psycopg import Connection

from domain.geste import TEXTE_MAX
from domain.paiement import Paiement
from domain.refus import AnomalieDejaReglee, AucunePropositionEnAttente
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.reglement.acte import Acte
from guichet.reglement.dossiers import charger_anomalie, charger_dossier
from guichet.reglement.proposer import Reglement, Suite, cause_de, decider, regler
from kiosque.operation import AutreReste, Faite, Indeterminee, NonOfferte, Operation, OperationRefusee, Reportee


def executer(guichet: Guichet, ident: str, maintenant: datetime) -> Reglement:
    """Demande à la banque le remboursement approuvé, et enregistre ce qu'elle en fait.

    Lève AucunePropositionEnAttente s'il n'y en a pas, AnomalieDejaReglee s'il vient d'être enregistré.
    """
    with guichet.base.transaction() as conn:
        paiement, demande = _demande(guichet, conn, ident, maintenant)
    reponse = _rendre(guichet, paiement, demande, maintenant)
    match reponse:
        case Faite():
            return _conclure(guichet, ident, None, maintenant)
        case OperationRefusee(cause=cause) | AutreReste(cause=cause) | NonOfferte(cause=cause):
            return _conclure(guichet, ident, cause[:TEXTE_MAX], maintenant)
        case Reportee(cause=cause) | Indeterminee(cause=cause):
            structlog.get_logger().warning("remboursement_en_attente", anomalie=ident, cause=cause)
            with guichet.base.transaction() as conn:
                proposee = charger_anomalie(guichet, conn, ident, maintenant).proposee
            if proposee is None:
                raise AnomalieDejaReglee
            return Reglement(Suite.EN_EXECUTION, proposee.proposition, proposee.originator_version, cause=cause)
        case _:
            assert_never(reponse)


def _demande(
    guichet: Guichet, conn: Connection[Any], ident: str, maintenant: datetime
) -> tuple[Paiement, Paiement.RemboursementDemandé]:
    anomalie = charger_anomalie(guichet, conn, ident, maintenant)
    proposee = anomalie.proposee
    if proposee is None or anomalie.approuvee_par is None or proposee.proposition.transaction is None:
        raise AucunePropositionEnAttente
    paiement = guichet.charger_paiement(conn, proposee.proposition.transaction)
    if paiement is None or paiement.remboursement is None or paiement.remboursement.anomalie != ident:
        raise AnomalieDejaReglee
    return paiement, paiement.remboursement


def _rendre(
    guichet: Guichet, paiement: Paiement, demande: Paiement.RemboursementDemandé, maintenant: datetime
) -> Operation:
    transaction, marchand, kiosque = paiement.transaction, paiement.marchand, guichet.kiosque
    montant, reste_avant = demande.montant, demande.reste_avant
    envois = EnvoisNotes(guichet, paiement, demande, maintenant)
    reponse = kiosque.rembourser(transaction, marchand, montant, reste_avant=reste_avant, envois=envois)
    if isinstance(reponse, OperationRefusee) and reponse.annulable:
        return kiosque.annuler(transaction, marchand, montant, reste_avant=reste_avant, envois=envois)
    return reponse


class EnvoisNotes:
    """Les envois d'un remboursement, dans le journal : le mot d'un processus mort y reste."""

    def __init__(
        self, guichet: Guichet, paiement: Paiement, demande: Paiement.RemboursementDemandé, maintenant: datetime
    ) -> None:
        """Part de ce que le journal en disait quand le paiement a été lu."""
        self._guichet = guichet
        self._transaction = paiement.transaction
        self._demande = demande
        self._maintenant = maintenant
        self._envois = paiement.envois
        self._peut_etre = paiement.peut_etre_envoye
        self._sans_reponse_depuis = paiement.sans_reponse_depuis

    @property
    def peut_etre(self) -> bool:
        """Vrai si le remboursement a pu partir."""
        return self._peut_etre

    @property
    def sans_reponse_depuis(self) -> datetime | None:
        """L'instant du dernier envoi dont aucune réponse n'est connue."""
        return self._sans_reponse_depuis

    def noter(self) -> bool:
        """Enregistre l'envoi avant qu'il parte ; faux si un autre l'a envoyé depuis, ou s'il n'est plus demandé."""

        def decision(conn: Connection[Any]) -> bool:
            paiement = self._guichet.charger_paiement(conn, self._transaction)
            numero, cause = self._demande.originator_version, cause_de(self._demande.anomalie)
            if paiement is None or not paiement.noter_envoi(numero, self._envois, maintenant=self._maintenant):
                return False
            self._guichet.recorder.record(conn, Batch(entries=collect([paiement], cause)))
            return True

        if not decider(self._guichet, decision):
            return False
        self._envois += 1
        self._peut_etre = True
        self._sans_reponse_depuis = self._maintenant
        return True

    def repondu(self) -> None:
        """La banque a refusé le dernier envoi."""
        self._sans_reponse_depuis = None


def _conclure(guichet: Guichet, ident: str, refus: str | None, maintenant: datetime) -> Reglement:
    """Enregistre ce que la banque a fait, avec tout ce qui en suit, d'un bloc."""

    def decision(conn: Connection[Any]) -> Reglement:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        proposee, seconde = anomalie.proposee, anomalie.approuvee_par
        if proposee is None or seconde is None or proposee.proposition.transaction is None:
            raise AnomalieDejaReglee
        voulue = proposee.proposition
        dossier = charger_dossier(guichet, conn, ident, anomalie)
        acte = Acte(guichet, conn, dossier, voulue, proposee.par, seconde, maintenant)
        if refus is not None:
            paiement = acte.paiement(voulue.transaction)
            paiement.conclure_remboursement(dossier.ident, refus, maintenant=maintenant)
            anomalie.abandonner(refus, maintenant=maintenant)
            guichet.recorder.record(conn, Batch(entries=collect([paiement, anomalie], cause_de(ident))))
            return Reglement(Suite.ABANDONNE, voulue, proposee.originator_version, cause=refus)
        return regler(acte, anomalie, deja_rendu=True)

    return decider(guichet, decision)
