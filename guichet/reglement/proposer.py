"""Proposer un règlement : là où de l'argent bouge, une seconde personne l'approuvera ; sinon il est fait aussitôt."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, assert_never

from psycopg import Connection

from domain.anomalie import Anomalie
from domain.geste import A_DEUX, COMPTE_SYSTEME, Geste, Proposition
from domain.refus import AnomalieDejaReglee, GesteImpossible
from engine.batch import Batch
from engine.conflicts import PositionConflict
from engine.recorder import collect
from guichet.guichet import Guichet
from guichet.reglement import gestes
from guichet.reglement.acte import Acte, lire_agent, lire_texte
from guichet.reglement.consigner import consigner
from guichet.reglement.dossiers import Dossier, charger_anomalie, charger_dossier

_T = TypeVar("_T")


class Suite(StrEnum):
    """Ce qu'un règlement est devenu."""

    PROPOSE = "propose"
    """Il attend une seconde personne."""
    REGLE = "regle"
    EN_EXECUTION = "en_execution"
    """Approuvé, il attend la réponse de la banque."""
    ABANDONNE = "abandonne"
    """La banque l'a refusé, ou une personne y a renoncé ; rien n'a bougé."""
    DECLINE = "decline"


class Reglement(NamedTuple):
    """Ce qu'un règlement est devenu, et la proposition telle qu'elle est enregistrée."""

    suite: Suite
    proposition: Proposition
    version: int
    """Celle de la proposition : ce que la seconde personne dit avoir lu."""
    expire_le: datetime | None = None
    cause: str = ""

    @property
    def phrase(self) -> str:
        """Ce qu'une personne lit de ce qui vient d'être fait."""
        match self.suite:
            case Suite.PROPOSE:
                return "Proposé : une seconde personne doit maintenant l'approuver."
            case Suite.REGLE:
                return "Réglé."
            case Suite.EN_EXECUTION:
                return f"Approuvé : la banque n'a pas encore répondu ({self.cause}) ; la demande lui sera reposée."
            case Suite.ABANDONNE:
                return (
                    f"Abandonné ({self.cause}) : rien n'a bougé, l'anomalie reste ouverte ; un virement peut la régler."
                )
            case Suite.DECLINE:
                return "Décliné : rien n'a bougé."
            case jamais:
                assert_never(jamais)

    def en_json(self, ident: str) -> dict[str, Any]:
        """La forme du contrat."""
        return {
            "id": ident,
            "suite": self.suite.value,
            "phrase": self.phrase,
            "proposition": self.proposition.model_dump(mode="json"),
            "version": self.version,
            "expire_le": self.expire_le and self.expire_le.isoformat(),
        }


def proposer(guichet: Guichet, ident: str, voulue: Proposition, par: str, maintenant: datetime) -> Reglement:
    """Propose un règlement, ou le fait s'il ne demande qu'une personne ; la même proposition redite ne change rien.

    Lève Refus : rien n'est alors changé. Un message se rejoue par `rejouer`.
    """
    saisi_par = lire_agent(par)
    propre = voulue.model_copy(
        update={"motif": lire_texte(voulue.motif), "preuve": lire_texte(voulue.preuve, requis=False)}
    )
    propre = Proposition.model_validate(propre.model_dump())  # Ce qui est enregistré se relira.
    if propre.geste is Geste.REJOUER:
        raise GesteImpossible("Un message se rejoue par sa propre commande.")

    def decision(conn: Connection[Any]) -> Reglement:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        dossier = exiger_ouvert(guichet, conn, ident, anomalie, propre.geste)
        acte = Acte(guichet, conn, dossier, propre, saisi_par, _une_autre_que(saisi_par), maintenant)
        acte = acte._replace(proposition=gestes.preciser(acte))
        if propre.geste not in A_DEUX:
            anomalie.exiger_libre(maintenant)
            return regler(acte._replace(approuve_par=saisi_par), anomalie, seul=True)
        expire_le = maintenant + guichet.approbation_delai
        if anomalie.proposer(acte.proposition, par=saisi_par, expire_le=expire_le, maintenant=maintenant):
            _eprouver(acte)
            guichet.recorder.record(conn, Batch(entries=collect([anomalie], cause_de(ident))))
            consigner(conn, saisi_par, ident, "proposé", acte.proposition)
        proposee = anomalie.proposee
        version, expire_le = (proposee.originator_version, proposee.expire_le) if proposee else (0, expire_le)
        return Reglement(Suite.PROPOSE, acte.proposition, version, expire_le)

    return decider(guichet, decision)


def exiger_ouvert(guichet: Guichet, conn: Connection[Any], ident: str, anomalie: Anomalie, geste: Geste) -> Dossier:
    """Le dossier d'une anomalie encore ouverte que ce geste peut régler ; lève Refus."""
    dossier = exiger_non_reglee(guichet, conn, ident, anomalie)
    if geste not in dossier.gestes:
        permis = ", ".join(sorted(dossier.gestes)) or "aucun : elle se lèvera d'elle-même"
        raise GesteImpossible(f"Gestes possibles : {permis}.")
    return dossier


def exiger_non_reglee(guichet: Guichet, conn: Connection[Any], ident: str, anomalie: Anomalie) -> Dossier:
    """Le dossier d'une anomalie encore ouverte, fût-elle réglée en partie ; lève AnomalieDejaReglee."""
    dossier = charger_dossier(guichet, conn, ident, anomalie)
    if not dossier.ouverte:
        raise AnomalieDejaReglee
    return dossier


def regler(acte: Acte, anomalie: Anomalie, *, seul: bool = False, deja_rendu: bool = False) -> Reglement:
    """Fait le geste et l'enregistre avec le règlement, d'un bloc. Lève Refus."""
    numero = anomalie.proposee.originator_version if anomalie.proposee else anomalie.version + 1
    effets = gestes.calculer(acte, numero, deja_rendu=deja_rendu)
    gestes.fermer(acte)
    approuve_par = None if seul else acte.approuve_par
    anomalie.regler(acte.proposition, saisi_par=acte.saisi_par, approuve_par=approuve_par, maintenant=acte.maintenant)
    entries = collect([*effets.agregats, anomalie], cause_de(acte.dossier.ident))
    acte.guichet.recorder.record(acte.conn, Batch(entries=entries, settled=effets.settled))
    if seul:
        consigner(acte.conn, acte.saisi_par, acte.dossier.ident, "réglé par une seule personne", acte.proposition)
    return Reglement(Suite.REGLE, acte.proposition, numero)


def decider(guichet: Guichet, decision: Callable[[Connection[Any]], _T]) -> _T:
    """Décide en une transaction ; ce qu'un rôle a réglé entre-temps est déjà réglé.

    L'ordre d'écriture est pris d'abord : ce que la décision lit ne bouge plus sous elle, et de deux personnes la
    seconde lit ce que la première a fait, plutôt qu'un montant à moitié changé. Ces décisions sont rares et brèves.
    """

    def ordonnee(conn: Connection[Any]) -> _T:
        guichet.recorder.take_order(conn)
        return decision(conn)

    try:
        return guichet.decider(ordonnee)
    except PositionConflict as conflit:
        raise AnomalieDejaReglee from conflit


def cause_de(ident: str) -> str:
    """La cause que portent les faits d'un règlement."""
    return f"reglement:{ident}"


def _une_autre_que(personne: str) -> str:
    """Tient la place de la seconde personne quand on vérifie, sans rien enregistrer, qu'un geste est possible."""
    return (COMPTE_SYSTEME if personne.casefold().startswith(COMPTE_SYSTEME) else "") + "\x00seconde"


def _eprouver(acte: Acte) -> None:
    """Vérifie que le geste est possible à présent : rien de ce qu'il ferait n'est enregistré."""
    gestes.calculer(acte, 0)
    if gestes.passe_par_la_banque(acte.proposition):
        paiement = acte.paiement(acte.proposition.transaction)
        paiement.demander_remboursement(acte.dossier.ident, acte.proposition.montant, maintenant=acte.maintenant)
