"""L'envoi des webhooks : porte les réponses automatiques au marchand, ou les égare comme la consigne le demande."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import httpx

from kiosque.simulateur.reglages import Consigne, ReglagesSimulateur

ENVOIS_GARDES_MAX = 1_000
"""Envois que la page d'état peut montrer ; les plus anciens sont oubliés."""

EN_ROUTE_MAX = 10_000
"""Envois en attente à la fois ; au-delà un envoi est abandonné, et l'interrogation reste possible."""

CONNEXIONS_MAX = 16
"""Envois HTTP simultanés."""

Dormir = Callable[[float], Awaitable[None]]
SortDEnvoi = Literal["à envoyer", "retenue", "livrée", "perdue", "refusée", "abandonnée"]
"""Ce qu'un envoi est devenu, comme la page d'état le dit."""


@dataclass(slots=True)
class Envoi:
    """Une réponse automatique et ce qu'elle est devenue ; `essais` compte les requêtes, `copies` les livraisons."""

    transaction: str
    code: str
    url: str
    champs: Mapping[str, str]
    consigne: Consigne
    sort: SortDEnvoi = "à envoyer"
    essais: int = 0
    copies: int = 0


class WebhookSender:
    """Envoie en arrière-plan ; chaque tâche est tenue, bornée, et annulée à l'arrêt."""

    def __init__(self, reglages: ReglagesSimulateur, dormir: Dormir) -> None:
        """Prépare sans rien ouvrir : le client HTTP naît avec le premier envoi, dans sa boucle d'événements."""
        self._reglages = reglages
        self._dormir = dormir
        self._client: httpx.AsyncClient | None = None
        self._connexions = asyncio.Semaphore(CONNEXIONS_MAX)
        self._taches: set[asyncio.Task[None]] = set()
        self._retenus: deque[Envoi] = deque(maxlen=EN_ROUTE_MAX)
        self.envois: deque[Envoi] = deque(maxlen=ENVOIS_GARDES_MAX)

    def expedier(self, envoi: Envoi) -> None:
        """Prend l'envoi en charge et rend la main aussitôt.

        Un envoi `inversee` est retenu jusqu'à ce que le suivant soit arrivé à son sort ; deux envois retenus de suite
        partent ensemble, dans leur ordre, après le premier qui ne l'est pas.
        """
        self.envois.append(envoi)
        if envoi.consigne.perdue:
            envoi.sort = "perdue"
        elif envoi.consigne.inversee:
            envoi.sort = "retenue"
            self._retenus.append(envoi)
            return
        retenus = list(self._retenus)
        self._retenus.clear()
        if len(self._taches) >= EN_ROUTE_MAX:
            for abandonne in (envoi, *retenus):
                abandonne.sort = "abandonnée"
            return
        tache = asyncio.get_running_loop().create_task(self._porter([envoi, *retenus]))
        self._taches.add(tache)
        tache.add_done_callback(self._taches.discard)

    async def fermer(self) -> None:
        """Abandonne ce qui est en route et ferme les connexions."""
        for tache in list(self._taches):
            tache.cancel()
        await asyncio.gather(*self._taches, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _porter(self, envois: list[Envoi]) -> None:
        for envoi in envois:
            if envoi.sort != "perdue":
                await self._livrer(envoi)

    async def _livrer(self, envoi: Envoi) -> None:
        if envoi.consigne.retard_s:
            await self._dormir(envoi.consigne.retard_s)
        for _ in range(1 + envoi.consigne.doublons):
            envoi.sort = await self._essayer(envoi)
            if envoi.sort != "livrée":
                return
            envoi.copies += 1

    async def _essayer(self, envoi: Envoi) -> SortDEnvoi:
        """Poste jusqu'à réussir : un 5xx ou un absent se retente, tout autre refus est définitif."""
        attente = self._reglages.attente_initiale_s
        for essai in range(self._reglages.essais_max):
            if essai:
                await self._dormir(attente)
                attente = min(attente * 2, self._reglages.attente_s_max)
            envoi.essais += 1
            statut = await self._poster(envoi)
            if statut is not None and statut < HTTPStatus.INTERNAL_SERVER_ERROR:
                return "livrée" if HTTPStatus.OK <= statut < HTTPStatus.MULTIPLE_CHOICES else "refusée"
        return "abandonnée"

    async def _poster(self, envoi: Envoi) -> int | None:
        """Le statut HTTP, ou None si le marchand n'a pas répondu."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._reglages.delai_s, trust_env=False, follow_redirects=False)
        async with self._connexions:
            try:
                async with self._client.stream("POST", envoi.url, data=dict(envoi.champs)) as reponse:
                    return reponse.status_code
            except httpx.HTTPError:
                return None
