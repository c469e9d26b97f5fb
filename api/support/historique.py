"""`/api/v1/support/…/historique` : tout ce qui est arrivé à une créance, à un paiement, à un assuré."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from api.socle.acces import Auditeur, Support
from api.socle.corps import lire_json
from api.socle.dependances import DeLApplication, Moyens
from api.socle.identite import Identite
from api.socle.schema import problemes, schema_de
from api.support.acces import Critere, MotifDit, lecteur_de, sources
from api.support.consultation import Consultee, GenreDeConsultation, annoter, consulter, lire_demande, lire_objet
from guichet.acces import (
    ACCES_LUS_MAX,
    CONTROLE,
    RANG_MAX,
    Acces,
    compter_acces,
    lire_motif,
    lister_acces,
    noter_acces,
)
from projections.lectures.comparaison import comparer
from projections.lectures.instant import VersionInconnue
from projections.lectures.suite import Demande

routes = APIRouter(prefix="/api/v1/support", tags=["Support"])
routes_d_audit = APIRouter(prefix="/api/v1/audit", tags=["Audit"])

AsOf = Annotated[
    str | None,
    Query(alias="as_of", description="Telle que connue à cet instant ; un jour seul vaut jusqu'à sa fin, à Paris."),
]
Version = Annotated[int | None, Query(alias="version", description="Telle qu'à cette version de son flux.")]
Compare = Annotated[
    int | None, Query(ge=0, description="Une version : dit aussi ce qui a changé entre elle et la dernière rendue.")
]


class Historique(BaseModel):
    """Les événements et les messages, liés dans les deux sens ; montants en centimes."""

    model_config = ConfigDict(extra="allow")

    objet: str
    telle_que: dict[str, Any] = Field(description="L'instant ou la version, et comment il est compris.")
    derniere_version: int
    evenements: list[dict[str, Any]] = Field(description="Chaque fait, sa cause, ses heures, et le solde après lui.")
    notifications: list[dict[str, Any]] = Field(description="Chaque message, son sort, les faits qu'il a causés.")
    notes: list[dict[str, Any]]
    changements: dict[str, Any] | None = Field(None, description="Avec `depuis_version` : ce qui a changé.")


class DemandeDeNote(BaseModel):
    """Ce que le support veut noter."""

    objet: str = Field(description="creance-…, paiement-…, assure-… ou anomalie-…")
    texte: str


class UneNote(BaseModel):
    """Une note du support."""

    rang: int
    objet: str
    texte: str
    auteur: str
    enregistre_le: datetime


class UnAcces(BaseModel):
    """Une lecture des données d'une personne."""

    rang: int
    qui: str
    role: str
    voie: str
    quoi: str
    objet: str
    assures: list[str]
    motif: str
    correlation: str | None
    enregistre_le: datetime


ERREURS = problemes(401, 403, 404, 409, 422)


@routes.get("/creances/{reference}/historique", summary="Lire l'histoire d'une créance", responses=ERREURS)
async def de_la_creance(  # noqa: PLR0917 (chaque paramètre de l'adresse)
    reference: str,
    identite: Support,
    moyens: DeLApplication,
    motif: MotifDit = None,
    as_of: AsOf = None,
    version: Version = None,
    depuis_version: Compare = None,
) -> Historique:
    """Chaque événement et chaque notification, avec le solde après chacun ; la lecture est elle-même écrite."""
    consultee = await _consulter(
        moyens, identite, GenreDeConsultation.CREANCE, reference, motif, as_of=as_of, version=version
    )
    return _rendre(consultee, depuis_version)


@routes.get("/paiements/{transaction}/historique", summary="Lire l'histoire d'un paiement", responses=ERREURS)
async def du_paiement(  # noqa: PLR0917 (chaque paramètre de l'adresse)
    transaction: str,
    identite: Support,
    moyens: DeLApplication,
    motif: MotifDit = None,
    as_of: AsOf = None,
    version: Version = None,
) -> Historique:
    """Chaque événement du paiement, ses parts sur chaque créance, et tout ce que la banque en a dit."""
    return _rendre(
        await _consulter(
            moyens, identite, GenreDeConsultation.PAIEMENT, transaction, motif, as_of=as_of, version=version
        )
    )


@routes.get("/assures/{assure}/historique", summary="Lire l'histoire d'un assuré", responses=ERREURS)
async def de_l_assure(
    assure: str, identite: Support, moyens: DeLApplication, motif: MotifDit = None, as_of: AsOf = None
) -> Historique:
    """Toutes ses créances et tous ses paiements, en une seule suite."""
    return _rendre(await _consulter(moyens, identite, GenreDeConsultation.ASSURE, assure, motif, as_of=as_of))


@routes.post(
    "/notes",
    status_code=201,
    summary="Noter",
    responses=problemes(400, 401, 403, 404, 413, 415, 422),
    openapi_extra=schema_de(DemandeDeNote),
)
async def noter(requete: Request, identite: Support, moyens: DeLApplication) -> UneNote:
    """Ajoute une note ; elle ne se corrige ni ne s'efface."""
    dite = await lire_json(requete, DemandeDeNote)
    note = await anyio.to_thread.run_sync(
        partial(annoter, sources(moyens), lecteur_de(identite), dite.objet, dite.texte)
    )
    return UneNote(**note._asdict())


@routes_d_audit.get("/acces", summary="Lire les accès du support", responses=problemes(401, 403, 422))
async def acces(  # noqa: PLR0917 (chaque paramètre de l'adresse)
    requete: Request,
    reponse: Response,
    identite: Auditeur,
    moyens: DeLApplication,
    assure: Critere = None,
    qui: Critere = None,
    objet: Critere = None,
    avant: Annotated[
        int | None, Query(ge=0, le=RANG_MAX, description="Le rang du dernier lu : la page suivante.")
    ] = None,
) -> list[UnAcces]:
    """Qui a lu les données de qui, et pourquoi, le plus récent d'abord ; cette lecture aussi est écrite."""

    def lire() -> tuple[list[Acces], int]:
        with sources(moyens)[0].transaction() as conn:
            lus = lister_acces(conn, assure=assure, qui=qui, objet=objet, avant=avant)
            total = compter_acces(conn, assure=assure, qui=qui, objet=objet)
            cible = f"assure-{assure}" if assure else objet or qui or "tous"
            lecteur = lecteur_de(identite)
            noter_acces(conn, lecteur, quoi="acces", objet=cible, assures=(), motif=CONTROLE)
        return lus, total

    lus, total = await anyio.to_thread.run_sync(lire)
    reponse.headers["X-Total-Count"] = str(total)
    if len(lus) == ACCES_LUS_MAX:
        suite = requete.url.include_query_params(avant=lus[-1].rang)
        reponse.headers["Link"] = f'<{suite.path}?{suite.query}>; rel="next"'
    return [UnAcces(**un._asdict()) for un in lus]


async def _consulter(
    moyens: Moyens,
    identite: Identite,
    genre: GenreDeConsultation,
    nom: str,
    motif: str | None,
    *,
    as_of: str | None = None,
    version: int | None = None,
) -> Consultee:
    dit = lire_motif(motif)
    objet, maintenant = lire_objet(genre, nom), moyens.dependances.horloge()

    def demande() -> Demande:
        return lire_demande(as_of, version, maintenant)

    return await anyio.to_thread.run_sync(
        partial(consulter, sources(moyens), lecteur_de(identite), objet, dit, demande)
    )


def _rendre(consultee: Consultee, depuis: int | None = None) -> Historique:
    dossier = consultee.dossier
    changements = None
    if depuis is not None:
        derniere = dossier.lignes[-1].fait.version if dossier.lignes else 0
        if depuis > dossier.derniere_version:
            raise VersionInconnue(dossier.derniere_version)
        changements = comparer(dossier, depuis, derniere).en_json()
    notes = [note._asdict() for note in consultee.notes]
    return Historique(**dossier.en_json(), notes=notes, changements=changements)
