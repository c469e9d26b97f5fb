"""`/api/v1/evenements` : le fil des événements, pour un partenaire qui n'a pas Kafka ; les seuls de ses caisses."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from api.partenaires.compression import repondre
from api.socle.acces import Partenaire
from api.socle.debits import GenreDeDebit
from api.socle.dependances import DeLApplication, Moyens
from api.socle.identite import Identite
from api.socle.schema import problemes
from domain.references import lire_reference
from publication.curseur import (
    LONGUEUR_MAX,
    CaisseEtrangere,
    CreanceEtrangere,
    DepartsMultiples,
    lire_curseur,
    lire_depart,
)
from publication.fil import Demande, Page, lire_page
from publication.lectures import lectures, noter_lecture

routes = APIRouter(prefix="/api/v1/evenements", tags=["Partenaires"])

LIMITE: Final = 500
LIMITE_MAX: Final = 2_000
"""Événements d'une page : environ 1 Mo de JSON."""

ATTENTE_MAX_S: Final = 8
"""L'attente la plus longue : moins que le service n'en laisse pour répondre (`CREANCES_HTTP_WAIT_TIMEOUT`)."""

ATTENTES_MAX: Final = 10
"""Attentes d'un même partenaire à la fois, au plus : chacune tient une connexion, et la banque en veut une."""

SONDAGE_S: Final = 0.5
"""Entre deux regards sur la fin du journal, pendant une attente (secondes)."""

_FIN: Final = "SELECT coalesce(max(position), 0) FROM journal.evenements"


class Evenement(BaseModel):
    """Un CloudEvent 1.0, sous sa forme JSON ; `type` dit le schéma de `data` (`docs/schemas/`)."""

    model_config = ConfigDict(extra="allow")

    specversion: str
    id: str = Field(description="`<flux>:<version>`")
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    dataschema: str
    partitionkey: str
    sequence: str | None = Field(None, description="La position dans le journal, sur 19 chiffres.")
    traceparent: str
    data: dict[str, Any]


class Marque(BaseModel):
    """Ce que le fil dit de lui-même."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="`NouvelleEpoque` : ce que vous tenez est remplacé par ce qui suit, cette page comprise, qui repart"
        " du début. `FinDeRenvoi` : vous avez tout, rien ne suit pour l'instant."
    )
    epoque: str
    epoque_precedente: str | None = None


class Retenu(BaseModel):
    """Une créance ou un paiement dont la suite attend une réparation chez nous."""

    model_config = ConfigDict(extra="allow")

    evenement: str | None = Field(
        description="L'`id` du premier événement retenu ; absent : on ne sait pas encore s'il est de vos caisses."
    )
    depuis: datetime = Field(description="Quand il a été enregistré.")


class PageDuFil(BaseModel):
    """Une page du fil."""

    model_config = ConfigDict(extra="allow")

    epoque: str
    evenements: list[Evenement] = Field(description="Dans l'ordre du journal ; vide n'est pas la fin.")
    marques: list[Marque]
    retenus: list[Retenu] = Field(
        default=[],
        description="Ce qui ne se lit pas, et que le curseur retient : rendu, dans l'ordre de son flux, par la page qui"
        " suivra la réparation. Vide le plus souvent.",
    )
    suite: str = Field(description="Le curseur à rendre (`apres`) une fois cette page prise, d'un bloc.")


class LectureDuFil(BaseModel):
    """Où vous en êtes."""

    partenaire: str
    caisses: list[str]
    curseur: str | None = Field(description="Le dernier que vous avez rendu ; absent : aucun encore.")
    lu_le: datetime | None
    retard_evenements: int | None = Field(description="Ce qui suit, 10 000 au plus.")
    premier_en_attente_le: datetime | None


Caisse = Annotated[list[str] | None, Query(max_length=200, description="Celles-là seulement ; absent : les vôtres.")]


@routes.get(
    "",
    summary="Lire le fil",
    responses=problemes(401, 403, 404, 409, 422, 429) | {304: {"description": "La page que vous tenez (ETag)."}},
    response_model=PageDuFil,
)
async def lire_le_fil(  # noqa: PLR0917 (chaque paramètre de l'adresse)
    requete: Request,
    identite: Partenaire,
    moyens: DeLApplication,
    apres: Annotated[
        str | None, Query(max_length=LONGUEUR_MAX, description="Le curseur `suite` de la page précédente.")
    ] = None,
    depuis: Annotated[str | None, Query(max_length=64, description="Partir d'un instant, à la place.")] = None,
    reference: Annotated[str | None, Query(max_length=64, description="Une créance et ses paiements.")] = None,
    caisse: Caisse = None,
    limite: Annotated[int, Query(ge=1, le=LIMITE_MAX, description="Événements d'une page, au plus.")] = LIMITE,
    attente: Annotated[
        int, Query(ge=0, le=ATTENTE_MAX_S, description="Secondes à attendre un événement, s'il n'y en a pas.")
    ] = 0,
) -> Response:
    """Les événements publiés de vos caisses après un curseur, dans l'ordre ; sans curseur, depuis le début.

    Au moins une fois : rendre un curseur déjà rendu redit la même page. Un curseur ne périme pas.
    """
    demande = _demande(moyens, identite, apres=apres, depuis=depuis, reference=reference, caisses=caisse, limite=limite)
    page = await anyio.to_thread.run_sync(partial(_lire, moyens, identite, demande))
    limite_s = time.monotonic() + attente
    if attente and _rien_ne_suit(page):
        with _une_attente(moyens, identite.personne):
            while _rien_ne_suit(page) and time.monotonic() < limite_s:
                await _attendre_la_suite(moyens, page.suite.position, limite_s)
                page = await anyio.to_thread.run_sync(partial(_lire, moyens, identite, demande))
    return await anyio.to_thread.run_sync(partial(repondre, requete, to_json(_en_json(page))))


@routes.get("/lecture", summary="Voir où l'on en est du fil", responses=problemes(401, 403, 429))
async def voir_ma_lecture(identite: Partenaire, moyens: DeLApplication) -> LectureDuFil:
    """Le dernier curseur que vous avez rendu, et ce qui le suit : ce que l'exploitation voit de vous."""

    def lire() -> LectureDuFil:
        guichet = moyens.dependances.guichet
        with guichet.base.transaction() as conn:
            trouvees = lectures(conn, guichet.recorder.mapper, identite.personne)
        if not trouvees:
            vide = dict.fromkeys(("curseur", "lu_le", "retard_evenements", "premier_en_attente_le"))
            return LectureDuFil(partenaire=identite.personne, caisses=sorted(identite.caisses), **vide)
        return LectureDuFil.model_validate(trouvees[0].en_json())

    return await anyio.to_thread.run_sync(lire)


def _demande(
    moyens: Moyens,
    identite: Identite,
    *,
    apres: str | None,
    depuis: str | None,
    reference: str | None,
    caisses: list[str] | None,
    limite: int,
) -> Demande:
    """Ce qui est demandé, une fois lu. Lève un refus."""
    if apres is not None and depuis is not None:
        raise DepartsMultiples
    if not set(caisses or ()) <= identite.caisses:
        raise CaisseEtrangere
    lue = lire_reference(reference) if reference is not None else None
    if reference is not None and lue is None:
        raise CreanceEtrangere
    return Demande(
        frozenset(caisses) if caisses else identite.caisses,
        limite,
        apres=lire_curseur(apres) if apres is not None else None,
        depuis=lire_depart(depuis, moyens.dependances.horloge()) if depuis is not None else None,
        reference=lue,
    )


def _lire(moyens: Moyens, identite: Identite, demande: Demande) -> Page:
    guichet = moyens.dependances.guichet
    with guichet.base.transaction() as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        page = lire_page(conn, guichet.recorder.mapper, guichet.fragment, demande)
    if demande.apres is not None and demande.reference is None:
        with guichet.base.transaction() as conn:
            noter_lecture(conn, identite.personne, demande.caisses, demande.apres)
    return page


def _rien_ne_suit(page: Page) -> bool:
    return page.est_vide and page.a_jour


@contextmanager
def _une_attente(moyens: Moyens, partenaire: str) -> Iterator[None]:
    """Compte une attente de plus ; lève Probleme 429 au-delà de `ATTENTES_MAX`."""
    if moyens.attentes[partenaire] >= ATTENTES_MAX:
        raise moyens.debits.trop(GenreDeDebit.LECTURE)
    moyens.attentes[partenaire] += 1
    try:
        yield
    finally:
        moyens.attentes[partenaire] -= 1
        if not moyens.attentes[partenaire]:
            del moyens.attentes[partenaire]


async def _attendre_la_suite(moyens: Moyens, position: int, limite_s: float) -> None:
    """Attend que le journal avance, sans rien tenir entre deux regards."""
    while (reste_s := limite_s - time.monotonic()) > 0:
        await asyncio.sleep(min(SONDAGE_S, reste_s))
        async with moyens.pool.connection() as conn:
            (fin,) = await (await conn.execute(_FIN)).fetchone() or (0,)
        if fin > position:
            return


def _en_json(page: Page) -> dict[str, Any]:
    marques = []
    if page.precedente is not None:
        marques.append({"type": "NouvelleEpoque", "epoque": page.epoque, "epoque_precedente": page.precedente})
    if page.a_jour:
        marques.append({"type": "FinDeRenvoi", "epoque": page.epoque})
    return {
        "epoque": page.epoque,
        "evenements": page.evenements,
        "marques": marques,
        "retenus": [{"evenement": un.evenement, "depuis": un.depuis} for un in page.retenus],
        "suite": str(page.suite),
    }
