"""Les pages du support : chercher, lire une histoire, noter, emporter. Sans script, et tout au clavier."""

import json
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.socle.problemes import statut_de
from api.socle.visite import champs_de
from api.support.acces import Critere
from api.support.consultation import (
    Consultee,
    GenreDeConsultation,
    Objet,
    ObjetInconnu,
    a_dire,
    annoter,
    chercher,
    consulter,
    lire_demande,
    lire_objet,
)
from api.support.courbe import HAUTEUR, LARGEUR, courbe_de
from api.support.export import en_csv
from api.support.pages_anomalies import montrer_une
from api.support.reglements import ouvertes_de
from api.support.visite import PAGES, RECHERCHE, Agent, AgentConnecte, AuditeurConnecte, page_de
from domain.geste import lire_id
from domain.refus import Refus
from guichet.acces import (
    ACCES_LUS_MAX,
    CONTROLE,
    RANG_MAX,
    Acces,
    MotifIrrecevable,
    MotifRequis,
    compter_acces,
    lister_acces,
    noter_acces,
)
from guichet.notes import NoteIrrecevable
from projections.lectures.comparaison import Comparaison, comparer, version_a
from projections.lectures.historique import Etape
from projections.lectures.instant import VersionInconnue, lire_instant
from projections.lectures.ligne_d_anomalie import LigneDAnomalie
from projections.lectures.suite import Demande, Dossier

VERSION_CHIFFRES: Final = 7
"""Au-delà, un nombre n'est pas une version."""

_DEMANDES: Final = ("au", "version", "entre", "et")
"""Ce que l'adresse d'une histoire peut demander."""

_GENRES: Final = {pluriel: genre for genre, pluriel in PAGES.items()}

routes = APIRouter(include_in_schema=False)


@routes.get(RECHERCHE)
async def rechercher(agent: AgentConnecte, q: str = "") -> Response:
    """Le seul champ de recherche, et ce qui répond ; un seul résultat mène droit à sa page."""
    if not q.strip():
        return agent.rendre("support-recherche.html", {"refus": None, "resultats": None})
    try:
        maintenant = agent.moyens.dependances.horloge()
        resultats = await anyio.to_thread.run_sync(
            partial(chercher, agent.sources, agent.lecteur, q, agent.motif, maintenant=maintenant)
        )
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=q)
    if len(resultats.trouves) == 1:
        seul = resultats.trouves[0]
        return agent.visite.mener(agent.lien(f"{RECHERCHE}/{seul.genre}s/{seul.nom}"))
    pages = [(trouve, f"{RECHERCHE}/{trouve.genre}s/{trouve.nom}") for trouve in resultats.trouves]
    return agent.rendre("support-recherche.html", {"refus": None, "resultats": resultats, "pages": pages, "q": q})


@routes.post(RECHERCHE + "/notes")
async def noter(requete: Request, agent: AgentConnecte) -> Response:
    """Ajoute une note à ce que la page montre."""
    champs = dict(await champs_de(requete, agent.visite))
    genre, _, nom = champs.get("objet", "").partition("-")
    if genre == "anomalie" and lire_id(nom) is not None:
        return await _noter_une_anomalie(agent, nom, champs.get("texte", ""))
    try:
        objet = lire_objet(GenreDeConsultation(genre), nom)
    except (ValueError, Refus):
        return agent.refuser(ObjetInconnu(), statut_de(ObjetInconnu))
    texte = champs.get("texte", "")
    try:
        await anyio.to_thread.run_sync(partial(annoter, agent.sources, agent.lecteur, str(objet), texte))
    except Refus as refus:
        return await _montrer(agent, objet, {}, note=texte, refus_de_note=refus)
    return agent.visite.mener(agent.lien(page_de(objet)) + "#notes")


async def _noter_une_anomalie(agent: Agent, ident: str, texte: str) -> Response:
    adresse = f"{RECHERCHE}/anomalies/{ident}"
    try:
        await anyio.to_thread.run_sync(partial(annoter, agent.sources, agent.lecteur, f"anomalie-{ident}", texte))
    except NoteIrrecevable as refus:
        return await montrer_une(agent, ident, refus=refus, saisie={"texte": texte})
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=ident)
    return agent.visite.mener(agent.lien(adresse) + "#notes")


@routes.get("/support/acces")
async def voir_les_acces(
    agent: AuditeurConnecte,
    assure: Critere = "",
    qui: Critere = "",
    avant: Annotated[int | None, Query(ge=0, le=RANG_MAX)] = None,
) -> Response:
    """Qui a lu les données de qui, et pourquoi : la page de l'auditeur. `avant` : la page suivante."""

    def lire() -> tuple[list[Acces], int]:
        with agent.sources[0].transaction() as conn:
            lus = lister_acces(conn, assure=assure or None, qui=qui or None, avant=avant)
            total = compter_acces(conn, assure=assure or None, qui=qui or None)
            objet = f"assure-{assure}" if assure else qui or "tous"
            noter_acces(conn, agent.lecteur, quoi="acces", objet=objet, assures=(), motif=CONTROLE)
        return lus, total

    acces, total = await anyio.to_thread.run_sync(lire)
    valeurs = {"acces": acces, "total": total, "assure_lu": assure, "qui": qui, "avant": avant}
    valeurs["suite"] = acces[-1].rang if len(acces) == ACCES_LUS_MAX else None
    return agent.rendre("support-acces.html", valeurs)


@routes.get("/support/{pluriel}/{nom}")
async def montrer(requete: Request, pluriel: str, nom: str, agent: AgentConnecte) -> Response:
    """L'histoire d'une créance, d'un paiement ou d'un assuré, maintenant ou telle que connue."""
    try:
        objet = _objet(pluriel, nom)
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=nom)
    return await _montrer(agent, objet, dict(requete.query_params))


@routes.get("/support/{pluriel}/{nom}/export.{forme}")
async def emporter(requete: Request, pluriel: str, nom: str, forme: str, agent: AgentConnecte) -> Response:
    """La même histoire, en CSV ou en JSON ; aucune autre extension n'existe."""
    if forme not in {"csv", "json"}:
        return agent.refuser(ObjetInconnu(), statut_de(ObjetInconnu), q=nom)
    try:
        objet = _objet(pluriel, nom)
        consultee = await _consulter(agent, objet, dict(requete.query_params))
    except Refus as refus:
        return agent.refuser(refus, statut_de(type(refus)), q=nom)
    if forme == "csv":
        corps, genre = "\ufeff" + en_csv(consultee.dossier), "text/csv; charset=utf-8"
    else:
        corps, genre = json.dumps(consultee.dossier.en_json(), indent=2), "application/json"
    fichier = f"{objet.genre.value}-{objet.nom}.{forme}"
    en_tetes = {"Content-Disposition": f'attachment; filename="{fichier}"', "Cache-Control": "no-store"}
    return agent.visite.prolonger(Response(corps, media_type=genre, headers=en_tetes))


def _objet(pluriel: str, nom: str) -> Objet:
    if pluriel not in _GENRES:
        raise ObjetInconnu
    return lire_objet(_GENRES[pluriel], nom)


async def _consulter(agent: Agent, objet: Objet, demandes: dict[str, str]) -> Consultee:
    """L'histoire que l'adresse demande ; lève le refus du motif, de l'instant, de la version ou du nom."""
    motif, maintenant = agent.motif, agent.moyens.dependances.horloge()

    def demande() -> Demande:
        version = demandes.get("version", "").strip()
        if version and not (version.isascii() and version.isdigit() and len(version) <= VERSION_CHIFFRES):
            raise VersionInconnue(0)
        return lire_demande(demandes.get("au"), int(version) if version else None, maintenant)

    return await anyio.to_thread.run_sync(partial(consulter, agent.sources, agent.lecteur, objet, motif, demande))


async def _montrer(
    agent: Agent, objet: Objet, demandes: dict[str, str], *, note: str = "", refus_de_note: Refus | None = None
) -> Response:
    statut, refus = 200, None
    try:
        consultee = await _consulter(agent, objet, demandes)
    except (MotifRequis, MotifIrrecevable) as requis:
        valeurs = {"refus": requis, "page": page_de(objet), "demandes": _sans_motif(demandes), "objet": objet}
        return agent.rendre("support-motif.html", valeurs, statut=statut_de(type(requis)))
    except ObjetInconnu as inconnu:
        return agent.refuser(inconnu, statut_de(ObjetInconnu), q=objet.nom)
    except Refus as dit:  # L'instant ou la version : l'histoire d'aujourd'hui est là, avec ce qui ne va pas.
        statut, refus = statut_de(type(dit)), dit
        consultee = await _consulter(agent, objet, {})
    comparaison, comparaison_refusee = None, False
    if refus is None:
        try:
            comparaison = _comparaison(agent, consultee.dossier, demandes)
        except Refus as dit:
            statut, refus, comparaison_refusee = statut_de(type(dit)), dit, True
    valeurs = _valeurs(agent, consultee) | {
        "a_regler": await anyio.to_thread.run_sync(partial(_a_regler, agent, consultee)),
        "refus": refus,
        "fautif": _fautif(demandes, ailleurs=comparaison_refusee),
        "demandes": dict.fromkeys(_DEMANDES, "") | demandes,
        "comparaison": comparaison,
        "note": note,
        "refus_de_note": refus_de_note,
    }
    return agent.rendre("support-histoire.html", valeurs, statut=statut if refus_de_note is None else 422)


def _fautif(demandes: dict[str, str], *, ailleurs: bool) -> str:
    """Le champ dont vient un refus ; `ailleurs` : c'est une borne de la comparaison."""
    if ailleurs:
        return "entre"
    return "au" if demandes.get("au", "").strip() else "version"


def _sans_motif(demandes: dict[str, str]) -> dict[str, str]:
    return {nom: valeur for nom, valeur in demandes.items() if nom in _DEMANDES and valeur}


def _valeurs(agent: Agent, consultee: Consultee) -> dict[str, Any]:
    dossier = consultee.dossier
    faits = [ligne.fait for ligne in dossier.lignes if isinstance(ligne.fait, Etape)]
    soldes = [fait for fait in faits if fait.restant_du is not None]
    return {
        "objet": consultee.objet,
        "page": page_de(consultee.objet),
        "dossier": dossier,
        "ici": {ligne.nom for ligne in dossier.lignes},
        "notes": consultee.notes,
        "etat": soldes[-1] if soldes else None,
        "total": next((ligne.total for ligne in reversed(dossier.lignes) if ligne.total is not None), None),
        "a_dire": a_dire(dossier),
        "courbe": courbe_de(dossier, agent.moyens.dependances.horloge()),
        "dessin": (LARGEUR, HAUTEUR),
        "voisins": _voisins(consultee),
    }


def _voisins(consultee: Consultee) -> list[Objet]:
    """Ce que cette histoire touche aussi : l'assuré, ses autres créances et paiements."""
    trouves = [Objet(GenreDeConsultation.ASSURE, nom) for nom in sorted(consultee.dossier.assures)]
    for ligne in consultee.dossier.lignes:
        genre, _, nom = ligne.flux.partition("-")
        trouves.append(Objet(GenreDeConsultation(genre), nom))
        if isinstance(ligne.fait, Etape) and (transaction := ligne.fait.donnees.get("transaction")):
            trouves.append(Objet(GenreDeConsultation.PAIEMENT, str(transaction)))
    return [objet for objet in dict.fromkeys(trouves) if objet != consultee.objet]


def _a_regler(agent: Agent, consultee: Consultee) -> list[LigneDAnomalie]:
    """Les anomalies ouvertes de ce que la page montre : de l'appel au règlement, il n'y a qu'un lien.

    Celles de l'assuré tout entier sont sur sa page.
    """
    voisins = {objet.nom for objet in _voisins(consultee) if objet.genre is not GenreDeConsultation.ASSURE}
    dependances = agent.moyens.dependances
    return ouvertes_de(dependances.guichet, voisins | {consultee.objet.nom}, dependances.horloge())


def _comparaison(agent: Agent, dossier: Dossier, demandes: dict[str, str]) -> Comparaison | None:
    """Ce qui a changé entre deux versions ou deux instants, s'ils sont demandés ; lève leur refus."""
    bornes = [demandes.get(nom, "").strip() for nom in ("entre", "et")]
    if not any(bornes) or not dossier.derniere_version:
        return None
    maintenant = agent.moyens.dependances.horloge()
    avant, apres = (version_de(dossier, borne, maintenant) for borne in bornes)
    return comparer(dossier, avant, apres)


def version_de(dossier: Dossier, borne: str, maintenant: datetime) -> int:
    """La version que dit cette borne : un numéro, ou un instant ; vide, la dernière. Lève VersionInconnue, ou le sien.

    Un nombre est une version si l'histoire va jusque-là ; sinon « 2026 » est une année, à qui il manque un jour.
    """
    if not borne:
        return dossier.derniere_version
    if borne.isascii() and borne.isdigit():
        if len(borne) <= VERSION_CHIFFRES and (lue := int(borne)) <= dossier.derniere_version:
            return lue
        if len(borne) != len("2026"):
            raise VersionInconnue(dossier.derniere_version)
    return version_a(dossier, lire_instant(borne, maintenant).au)
