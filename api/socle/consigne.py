"""Ce que l'API inscrit au journal de la sûreté : connexions, fins, refus. Un flot de refus y tient en peu de lignes."""

import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.requests import Request

from api.socle.rate_limiter import RateLimiter
from api.socle.redites import Redites
from engine.outages import describe
from engine.security_log import UNKNOWN, Kind, SecurityEvent, network_of, note_async

LIGNES_PAR_SECONDE: Final = 1.0
LIGNES_EN_RAFALE: Final = 60


class Consigne:
    """Les refus déjà écrits, et combien de fois depuis ; pour un seul fil d'exécution."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], horloge_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Rien n'a été refusé encore."""
        self._pool = pool
        seau = RateLimiter(LIGNES_PAR_SECONDE, LIGNES_EN_RAFALE, horloge_s)
        self._redites: Redites[tuple[str | None, str]] = Redites(seau.prendre, horloge_s)
        self._pannes: Redites[str] = Redites(horloge_s=horloge_s)

    async def noter(self, genre: Kind, acteur: str, detail: str, *, requete: Request, objet: str | None = None) -> None:
        """Écrit un événement ; une base absente n'empêche rien de ce qu'il raconte."""
        await self._ecrire(SecurityEvent(genre, acteur, detail, objet, reseau_de(requete)))

    async def refuser(self, detail: str, *, requete: Request, acteur: str = UNKNOWN) -> None:
        """Écrit un refus, ou le compte s'il ressemble à un autre de la dernière minute."""
        reseau = reseau_de(requete)
        if (fois := self._redites.fois((reseau, detail))) is not None:
            await self._ecrire(SecurityEvent(Kind.REFUSAL, acteur, detail, None, reseau, fois))

    async def _ecrire(self, evenement: SecurityEvent) -> None:
        try:
            async with self._pool.connection() as conn:
                await note_async(conn, evenement)
        except (psycopg.Error, PoolTimeout) as panne:
            if (fois := self._pannes.fois(evenement.kind)) is not None:
                cause = describe(panne)
                structlog.get_logger().warning("surete_non_consignee", genre=evenement.kind, cause=cause, fois=fois)


def reseau_de(requete: Request) -> str | None:
    """Le réseau d'où vient la requête."""
    return network_of(requete.client.host) if requete.client else None
