"""Les pages des anomalies : les voir, proposer un règlement, l'approuver ou le décliner ; interroger la banque.

Plus de 300 lignes : chaque geste, ce qu'il demande, et le champ où son refus se montre.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.assure.saisie import MontantIllisible, lire_montant
from api.socle.problemes import Probleme, RefusDeSaisie, statut_de
from api.socle.visite import champs_de
from api.support.anomalies import transmettre
from api.support.reglements import lire_genre, lister, montrer, noter_question
from api.support.visite import RECHERCHE, Agent, AgentConnecte
from domain.anomalie import LIBELLES, Anomalie
from domain.geste import A_DEUX, Geste, Proposition, Voie
from domain.imputation import Imputation
from domain.monnaie import Centimes, Somme
from domain.references import TRANSACTION, ReferenceTransaction, lire_reference
from domain.refus import GesteImpossible, MontantSuperieurAOuvert, PieceManquante, Refus, TexteIrrecevable
from guichet.acces import MotifIrrecevable, MotifRequis
from guichet.notes import Note, NoteIrrecevable, notes_de
from guichet.reglement.acte import lire_texte
from guichet.reglement.approuver import approuver, decliner
from guichet.reglement.demander import Comparaison, demander
from guichet.reglement.proposer import Reglement, proposer
from guichet.reglement.rejouer import rejouer
from guichet.reglement.signaler import signaler
from projections.lectures.anomalies import Voulue

CHAMPS: Final[Mapping[Geste, tuple[str, ...]]] = {
    Geste.RATTACHER: ("creances", "preuve"),
    Geste.CONCLURE: ("montant", "preuve"),
    Geste.RENDRE: ("voie", "montant", "transaction", "preuve"),
    Geste.CONSTATER_REPRISE: ("montant", "preuve"),
    Geste.REMBOURSER: ("voie", "montant", "transaction", "preuve"),
    Geste.CONTREPASSER: ("transaction", "preuve"),
    Geste.APPLIQUER: ("creances",),
    Geste.ECARTER: (),
    Geste.RENVOYER: (),
    Geste.FAUSSE_ALERTE: ("preuve",),
    Geste.LIBERER: (),
    Geste.REJOUER: (),
    Geste.REPRENDRE: (),
}
"""Ce que chaque geste précise, outre son motif."""

ACTES: Final[Mapping[str, str]] = {
    Anomalie.AnomalieSignalée.__name__: "Signalé",
    Anomalie.RèglementProposé.__name__: "Règlement proposé",
    Anomalie.RèglementApprouvé.__name__: "Règlement approuvé",
    Anomalie.RèglementDécliné.__name__: "Règlement décliné",
    Anomalie.RèglementAbandonné.__name__: "Règlement abandonné, rien n'a bougé",
    Anomalie.AnomalieRéglée.__name__: "Réglé",
}
"""Ce qu'une personne lit de chaque fait d'une anomalie."""

CONFIRMATIONS: Final[Mapping[str, str]] = {
    Anomalie.RèglementProposé.__name__: "Proposé : une seconde personne doit maintenant l'approuver.",
    Anomalie.RèglementApprouvé.__name__: "Approuvé : la banque n'a pas encore répondu.",
    Anomalie.RèglementDécliné.__name__: "Décliné : rien n'a bougé.",
    Anomalie.RèglementAbandonné.__name__: "Abandonné : rien n'a bougé ; un virement peut le régler.",
    Anomalie.AnomalieRéglée.__name__: "Réglé.",
}
"""Ce que la page dit en tête de ce qui vient d'être fait : l'histoire en décide, jamais l'adresse."""

VENU_A_L_INSTANT: Final = timedelta(minutes=2)
"""Au-delà, ce qui a été fait ne se lit plus que dans l'histoire."""

routes = APIRouter(include_in_schema=False, prefix=RECHERCHE)


class SaisieDeReglement(RefusDeSaisie):
    """Une référence, une transaction ou un montant du formulaire ne se lit pas."""

    code = "reglement_illisible"
    enonce = (
        "Une ligne par créance : sa référence, puis sa part si l'argent se partage (3811701200010075F 12,50). Une"
        " transaction est celle du paiement."
    )


class MontantDeReglement(RefusDeSaisie):
    """Un montant à régler ne se lit pas ; zéro n'en est pas un : il passerait pour « tout »."""

    code = "montant_de_reglement_illisible"
    enonce = "Un montant s'écrit en euros, par exemple 20,00 ; vide, il vaut tout ce qui reste à régler."


@routes.get("/anomalies")
async def voir_la_liste(agent: AgentConnecte, etat: str = "ouverte", genre: str = "", apres: str = "") -> Response:
    """Tout ce qui est ouvert, le plus ancien d'abord ; ou ce qui vient d'être réglé. `apres` : la page suivante."""
    dependances = agent.moyens.dependances
    voulue, reglees = Voulue(lire_genre(genre), apres or None), etat == "reglee"
    try:
        page = await anyio.to_thread.run_sync(
            partial(
                lister, dependances.guichet, agent.lecteur, agent.motif, dependances.horloge(), voulue, reglees=reglees
            )
        )
    except (MotifRequis, MotifIrrecevable) as refus:
        return _demander_le_motif(agent, refus, f"{RECHERCHE}/anomalies")
    except Refus as inconnue:
        return agent.refuser(inconnue, statut_de(type(inconnue)))
    valeurs = {"page": page, "genre": genre, "etat": etat, "apres": apres, "maintenant": dependances.horloge()}
    return agent.rendre("support-anomalies.html", valeurs)


@routes.get("/anomalies/{ident}")
async def voir_une(ident: str, agent: AgentConnecte) -> Response:
    """Une anomalie, ce qui peut en être fait, et ce que des personnes en ont fait."""
    return await montrer_une(agent, ident)


@routes.post("/anomalies/{ident}/reglement")
async def regler(ident: str, requete: Request, agent: AgentConnecte) -> Response:
    """Propose un règlement, ou le fait s'il ne fait bouger aucun argent."""
    champs = dict(await champs_de(requete, agent.visite))
    dependances = agent.moyens.dependances
    guichet, maintenant, par = dependances.guichet, dependances.horloge(), agent.lecteur.qui

    def faire() -> Reglement:
        voulue = _proposition(champs)
        if voulue.geste is not Geste.REJOUER:
            return proposer(guichet, ident, voulue, par, maintenant)
        if dependances.boite is None:
            raise Probleme(503, "rejeu_indisponible", "Le rejeu n'est pas possible d'ici.")
        return rejouer(guichet, ident, voulue.motif, par, boite=dependances.boite, maintenant=maintenant)

    return await _agir(agent, ident, faire, champs)


@routes.post("/anomalies/{ident}/approbation")
async def decider(ident: str, requete: Request, agent: AgentConnecte) -> Response:
    """Approuve ou décline la proposition qui a été lue ; jamais la personne qui l'a faite."""
    champs = dict(await champs_de(requete, agent.visite))
    guichet, maintenant = agent.moyens.dependances.guichet, agent.moyens.dependances.horloge()
    version = champs.get("version", "")
    lue = int(version) if version.isascii() and version.isdigit() and len(version) < len("1000000") else None

    def faire() -> Reglement:
        if champs.get("decision") == "approuver":
            return approuver(guichet, ident, agent.lecteur.qui, maintenant, version=lue)
        return decliner(guichet, ident, agent.lecteur.qui, champs.get("raison", ""), maintenant, version=lue)

    return await _agir(agent, ident, faire, champs)


@routes.post("/paiements/{transaction}/question")
async def interroger(transaction: str, requete: Request, agent: AgentConnecte) -> Response:
    """Demande à la banque ce qu'elle sait du paiement ; sa réponse à côté de la nôtre."""
    await champs_de(requete, agent.visite)
    guichet, maintenant = agent.moyens.dependances.guichet, agent.moyens.dependances.horloge()

    def faire() -> Comparaison:
        noter_question(guichet, agent.lecteur, transaction, agent.motif)
        return demander(guichet, transaction, agent.lecteur.qui, partial(transmettre, agent.moyens), maintenant)

    try:
        comparaison = await anyio.to_thread.run_sync(faire)
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=transaction)
    return agent.rendre("support-question.html", {"dite": comparaison, "transaction": transaction})


@routes.post("/paiements/{transaction}/signalement")
async def signaler_un_paiement(transaction: str, requete: Request, agent: AgentConnecte) -> Response:
    """Le paiement devient une anomalie, que l'on peut contre-passer."""
    champs = dict(await champs_de(requete, agent.visite))
    guichet, maintenant = agent.moyens.dependances.guichet, agent.moyens.dependances.horloge()
    try:
        ident = await anyio.to_thread.run_sync(
            partial(signaler, guichet, transaction, champs.get("raison", ""), agent.lecteur.qui, maintenant)
        )
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=transaction)
    return agent.visite.mener(agent.lien(f"{RECHERCHE}/anomalies/{ident}"))


async def _agir(agent: Agent, ident: str, faire: Callable[[], Reglement], champs: dict[str, str]) -> Response:
    """Fait le geste, et mène à ce qu'il a donné ; refusé, la page revient avec la raison et ce qui était saisi."""
    try:
        await anyio.to_thread.run_sync(faire)
    except Refus as refus:
        return await montrer_une(agent, ident, refus=refus, saisie=champs)
    return agent.visite.mener(agent.lien(f"{RECHERCHE}/anomalies/{ident}"))


async def montrer_une(
    agent: Agent, ident: str, *, refus: Refus | None = None, saisie: dict[str, str] | None = None
) -> Response:
    """La page d'une anomalie, avec ce qui a été refusé d'elle, et ce qui était saisi."""
    dependances = agent.moyens.dependances
    adresse = f"{RECHERCHE}/anomalies/{ident}"
    try:
        montree = await anyio.to_thread.run_sync(
            partial(montrer, dependances.guichet, agent.lecteur, agent.motif, ident, dependances.horloge())
        )
    except (MotifRequis, MotifIrrecevable) as requis:
        return _demander_le_motif(agent, requis, adresse)
    except Refus as inconnue:
        return agent.refuser(inconnue, statut_de(type(inconnue)), q=ident)

    def notes() -> list[Note]:
        with dependances.guichet.base.transaction() as conn:
            return notes_de(conn, f"anomalie-{ident}")

    valeurs: dict[str, Any] = {
        "anomalie": montree.ligne,
        "detail": montree.ligne.en_detail(),
        "histoire": [acte | {"le": datetime.fromisoformat(acte["le"])} for acte in montree.histoire],
        "actes": ACTES,
        "notes": await anyio.to_thread.run_sync(notes),
        "gestes": [(geste, LIBELLES[geste], CHAMPS[geste], geste in A_DEUX) for geste in montree.ligne.gestes],
        "libelles": {geste.value: libelle for geste, libelle in LIBELLES.items()},
        "voies": list(Voie),
        "fait": _confirmation(montree.histoire, dependances.horloge()),
        "refus": refus,
        "fautif": _fautif(refus, saisie or {}, montree.ligne.etat) if refus else "",
        "saisie": saisie or {},
        "page": adresse,
    }
    return agent.rendre("support-anomalie.html", valeurs, statut=statut_de(type(refus)) if refus else 200)


def _confirmation(histoire: Sequence[Mapping[str, Any]], maintenant: datetime) -> str:
    """Ce qui vient d'être fait, si c'est à l'instant ; vide sinon."""
    if not histoire or maintenant - datetime.fromisoformat(histoire[-1]["le"]) > VENU_A_L_INSTANT:
        return ""
    phrase, cause = CONFIRMATIONS.get(histoire[-1]["type"], ""), histoire[-1].get("cause")
    return f"{phrase} Cause : {cause}." if phrase and cause else phrase


def _fautif(refus: Refus, saisie: Mapping[str, str], etat: str) -> str:
    """Où est, sur la page, ce qui est refusé : le champ quand c'est lui, sinon ce qui dit où en est l'anomalie."""
    if isinstance(refus, NoteIrrecevable):
        return "texte"
    geste = saisie.get("geste", "")
    formulaire = {"ouverte": geste, "proposee": "refus", "en_execution": "abandon"}.get(etat, "")
    champ = ""
    if isinstance(refus, TexteIrrecevable):
        champ = "raison" if not geste or _illisible(saisie.get("raison", "")) else "preuve"
    elif isinstance(refus, GesteImpossible) and geste in {Geste.RATTACHER, Geste.APPLIQUER}:
        champ = "creances"
    elif isinstance(refus, PieceManquante):
        champ = "preuve"
    elif isinstance(refus, (SaisieDeReglement, MontantDeReglement, MontantSuperieurAOuvert)):
        transaction = saisie.get("transaction", "").strip()
        fautive = isinstance(refus, SaisieDeReglement) and transaction and not TRANSACTION.fullmatch(transaction)
        champ = "transaction" if fautive else "montant" if saisie.get("montant", "").strip() else "creances"
    if champ and formulaire:
        return f"{champ}-{formulaire}"
    return "gestes" if formulaire else "titre-quoi"


def _illisible(texte: str) -> bool:
    try:
        lire_texte(texte)
    except TexteIrrecevable:
        return True
    return False


def _demander_le_motif(agent: Agent, refus: Refus, page: str) -> Response:
    valeurs = {"refus": refus, "page": page, "demandes": {}}
    return agent.rendre("support-motif.html", valeurs, statut=statut_de(type(refus)))


def _proposition(champs: dict[str, str]) -> Proposition:
    """Le règlement que dit le formulaire, dont le guichet relit chaque texte ; lève un RefusDeSaisie."""
    montant, transaction, voie = (champs.get(nom, "").strip() for nom in ("montant", "transaction", "voie"))
    if transaction and not TRANSACTION.fullmatch(transaction):
        raise SaisieDeReglement
    try:
        geste, par = Geste(champs.get("geste", "")), Voie(voie) if voie else None
    except ValueError:
        raise SaisieDeReglement from None
    return Proposition.model_construct(
        geste=geste,
        montant=Somme(_montant(montant) if montant else 0),
        imputations=tuple(_part(ligne) for ligne in champs.get("creances", "").splitlines() if ligne.strip()),
        voie=par,
        transaction=ReferenceTransaction(transaction) if transaction else None,
        motif=champs.get("raison", ""),
        preuve=champs.get("preuve", ""),
    )


def _part(ligne: str) -> Imputation:
    tete, _, reste = ligne.strip().partition(" ")
    reference = lire_reference(tete)
    if reference is None:
        reference, reste = lire_reference(ligne), ""
    if reference is None:
        raise SaisieDeReglement
    return Imputation(reference=reference, part=_montant(reste.strip("=: ")) if reste.strip() else Centimes(0))


def _montant(texte: str) -> Centimes:
    try:
        lu = lire_montant(texte)
    except MontantIllisible:
        raise MontantDeReglement from None
    if not lu:
        raise MontantDeReglement
    return lu
