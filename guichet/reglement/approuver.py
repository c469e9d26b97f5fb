"""Approuver ou décliner un règlement proposé : une autre personne, une seule fois, avant l'échéance."""

from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from domain.anomalie import Anomalie
from domain.delai import PARIS
from domain.geste import meme_personne
from domain.paiement import Paiement
from domain.refus import AnomalieDejaReglee, GesteImpossible, SecondePersonneRequise
from engine.batch import Batch
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.reglement import banque, gestes
from guichet.reglement.acte import Acte, lire_agent, lire_texte
from guichet.reglement.consigner import consigner, consigner_refus
from guichet.reglement.dossiers import charger_anomalie
from guichet.reglement.proposer import Reglement, Suite, cause_de, decider, exiger_non_reglee, exiger_ouvert, regler

ENVOI_EN_ROUTE: Final = timedelta(minutes=15)
"""Après l'envoi d'un remboursement, le temps où sa réponse peut encore nous venir, si lent que soit qui l'attend."""


def approuver(guichet: Guichet, ident: str, par: str, maintenant: datetime, *, version: int | None = None) -> Reglement:
    """Approuve et fait le règlement. `version` : la proposition que la personne a lue (None : la dernière).

    De deux personnes qui approuvent ensemble, une seule y parvient. Un remboursement par carte est d'abord demandé à la
    banque, hors de toute transaction. Lève Refus : rien n'est alors changé.
    """
    seconde = lire_agent(par)

    def decision(conn: Connection[Any]) -> Reglement:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        _exiger_inacheve(anomalie)
        exiger_non_reglee(guichet, conn, ident, anomalie)
        proposee = anomalie.approuver(par=seconde, version=version, maintenant=maintenant)
        voulue = proposee.proposition
        consigner(conn, seconde, ident, f"approuvé, sur proposition de {proposee.par}", voulue)
        dossier = exiger_ouvert(guichet, conn, ident, anomalie, voulue.geste)
        acte = Acte(guichet, conn, dossier, voulue, proposee.par, seconde, maintenant)
        if not gestes.passe_par_la_banque(voulue):
            return regler(acte, anomalie)
        gestes.calculer(acte, proposee.originator_version)  # Rien n'est demandé à la banque qui ne serait plus permis.
        paiement = acte.paiement(voulue.transaction)
        paiement.demander_remboursement(dossier.ident, voulue.montant, maintenant=maintenant)
        guichet.recorder.record(conn, Batch(entries=collect([paiement, anomalie], cause_de(ident))))
        return Reglement(Suite.EN_EXECUTION, voulue, proposee.originator_version)

    try:
        fait = decider(guichet, decision)
    except SecondePersonneRequise:
        with guichet.base.transaction() as conn:
            consigner_refus(conn, seconde, ident)
        raise
    if fait.suite is Suite.EN_EXECUTION:
        return banque.executer(guichet, ident, maintenant)
    return fait


def decliner(
    guichet: Guichet, ident: str, par: str, motif: str, maintenant: datetime, *, version: int | None = None
) -> Reglement:
    """Décline la proposition ; qui l'a faite peut la retirer. Lève Refus : rien n'est alors changé.

    Un remboursement que la banque n'exécute pas s'abandonne de même, mais par une autre personne que celle qui l'a
    proposé, et qui a vu avec la banque qu'il n'est pas fait : s'il l'était, le rapport de la banque le dirait. Tant que
    l'envoi est en route, il ne s'abandonne pas : qui décline à l'instant où un autre approuve n'a rien vu avec elle.
    """
    personne, dit = lire_agent(par), lire_texte(motif)

    def decision(conn: Connection[Any]) -> Reglement:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        proposee = anomalie.proposee
        if proposee is not None and anomalie.approuvee_par is not None:
            return _abandonner(guichet, conn, anomalie, personne, dit, maintenant)
        exiger_non_reglee(guichet, conn, ident, anomalie)
        anomalie.decliner(dit, par=personne, version=version, maintenant=maintenant)
        guichet.recorder.record(conn, Batch(entries=collect([anomalie], cause_de(ident))))
        if proposee is None:
            raise AnomalieDejaReglee
        consigner(conn, personne, ident, "décliné", proposee.proposition)
        return Reglement(Suite.DECLINE, proposee.proposition, proposee.originator_version, cause=dit)

    return decider(guichet, decision)


def _abandonner(  # noqa: PLR0917 (la décision, et ce dont elle a besoin)
    guichet: Guichet, conn: Connection[Any], anomalie: Anomalie, par: str, motif: str, maintenant: datetime
) -> Reglement:
    proposee = anomalie.proposee
    if proposee is None or proposee.proposition.transaction is None:
        raise AnomalieDejaReglee
    if meme_personne(proposee.par, par):
        raise SecondePersonneRequise
    paiement = guichet.charger_paiement(conn, proposee.proposition.transaction)
    if paiement is not None:
        _exiger_que_rien_ne_soit_en_route(paiement, maintenant)
    if paiement is None or not paiement.conclure_remboursement(anomalie.ident, motif, maintenant=maintenant):
        raise AnomalieDejaReglee
    anomalie.abandonner(motif, maintenant=maintenant)
    guichet.recorder.record(conn, Batch(entries=collect([paiement, anomalie], cause_de(anomalie.ident))))
    consigner(conn, par, anomalie.ident, "abandonné", proposee.proposition)
    return Reglement(Suite.ABANDONNE, proposee.proposition, proposee.originator_version, cause=motif)


def _exiger_que_rien_ne_soit_en_route(paiement: Paiement, maintenant: datetime) -> None:
    """Vérifie que la banque n'est pas en train de rendre ce que l'on abandonne ; lève GesteImpossible."""
    depuis = paiement.sans_reponse_depuis
    if depuis is not None and maintenant < depuis + ENVOI_EN_ROUTE:
        limite = (depuis + ENVOI_EN_ROUTE).astimezone(PARIS)
        raise GesteImpossible(
            "La demande est partie vers la banque, qui peut encore répondre :"
            f" elle ne s'abandonne pas avant {limite:%H:%M} (heure de Paris)."
        )


def _exiger_inacheve(anomalie: Anomalie) -> None:
    """Un règlement que la banque exécute n'est plus à approuver."""
    if anomalie.approuvee_par is not None:
        raise AnomalieDejaReglee
