"""Ce que l'API inscrit au journal de la sûreté : connexions, fins, refus. Un flot de refus y tient en peu de lignes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.requests import Request

from api.socle.rate_limiter import RateLimiter
from engine.outages import describe
from engine.security_log import UNKNOWN, Kind, SecurityEvent, network_of, note_async

MEME_REFUS_S: Final = 60.0
"""Un refus semblable, du même réseau, est compté pendant ce temps avant d'être écrit de nouveau (secondes)."""

REFUS_SUIVIS_MAX: Final = 5_000
LIGNES_PAR_SECONDE: Final = 1.0
LIGNES_EN_RAFALE: Final = 60


class Consigne:
    """Les refus déjà écrits, et combien de fois depuis ; pour un seul fil d'exécution."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], horloge_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Rien n'a été refusé encore."""
        self._pool = pool
        self._horloge_s = horloge_s
        self._vus: OrderedDict[tuple[str | None, str], tuple[float, int]] = OrderedDict()
        self._seau = RateLimiter(LIGNES_PAR_SECONDE, LIGNES_EN_RAFALE, horloge_s)

    async def noter(self, genre: Kind, acteur: str, detail: str, *, requete: Request, objet: str | None = None) -> None:
        """Écrit un événement ; une base absente n'empêche rien de ce qu'il raconte."""
        await self._ecrire(SecurityEvent(genre, acteur, detail, objet, reseau_de(requete)))

    async def refuser(self, detail: str, *, requete: Request, acteur: str = UNKNOWN) -> None:
        """Écrit un refus, ou le compte s'il ressemble à un autre de la dernière minute."""
        cle, maintenant = (reseau_de(requete), detail), self._horloge_s()
        depuis, fois = self._vus.get(cle, (float("-inf"), 0))
        if maintenant - depuis < MEME_REFUS_S or not self._seau.prendre():
            self._retenir(cle, depuis, fois + 1)
            return
        self._retenir(cle, maintenant, 0)
        await self._ecrire(SecurityEvent(Kind.REFUSAL, acteur, detail, None, cle[0], fois + 1))

    def _retenir(self, cle: tuple[str | None, str], depuis: float, fois: int) -> None:
        self._vus[cle] = (depuis, fois)
        self._vus.move_to_end(cle)
        if len(self._vus) > REFUS_SUIVIS_MAX:
            self._vus.popitem(last=False)

    async def _ecrire(self, evenement: SecurityEvent) -> None:
        try:
            async with self._pool.connection() as conn:
                await note_async(conn, evenement)
        except (psycopg.Error, PoolTimeout) as panne:
            structlog.get_logger().warning("surete_non_consignee", genre=evenement.kind, cause=describe(panne))


def reseau_de(requete: Request) -> str | None:
    """Le réseau d'où vient la requête."""
    return network_of(requete.client.host) if requete.client else None
