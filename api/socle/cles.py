"""Les clés publiques de l'émetteur : lues à part, gardées tant qu'il est absent, et jamais relues sans borne.

Qui attend une clé n'occupe pas de fil : une seule lecture est en cours, dans le sien. Un jeton peut nommer n'importe
quelle clé : une clé absente de ce que l'émetteur vient de donner est refusée sans le redemander.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import jwt
import structlog

from api.socle.annonce import DELAI_D_EMETTEUR_S, EmetteurInjoignable, JetonInvalide, lire_json
from api.socle.rate_limiter import RateLimiter

AGE_S: Final = 300.0
"""Âge à partir duquel les clés sont relues, sans que personne n'attende (secondes)."""

REFUS_S: Final = 30.0
"""Temps pendant lequel une clé que l'émetteur ne connaît pas est refusée sans relire (secondes)."""

LECTURES_PAR_SECONDE: Final = 0.2
LECTURES_EN_RAFALE: Final = 10
"""Lectures dues à des clés inconnues : au-delà, elles attendent, et les clés connues servent encore."""

INCONNUES_MAX: Final = 10_000


class _Lues(NamedTuple):
    cles: Mapping[str, Any]
    a_s: float


class Cles:
    """Les clés d'un émetteur, par leur identifiant (`kid`)."""

    def __init__(self, adresse: Callable[[], str], horloge_s: Callable[[], float] = time.monotonic) -> None:
        """`adresse` : où les lire ; elle peut attendre le réseau, et lever EmetteurInjoignable."""
        self._adresse = adresse
        self._horloge_s = horloge_s
        self._lues = _Lues({}, float("-inf"))
        self._inconnues: dict[str, float] = {}
        self._seau = RateLimiter(LECTURES_PAR_SECONDE, LECTURES_EN_RAFALE, horloge_s)
        self._verrou = threading.RLock()  # Jamais tenu pendant une lecture ; celle qui échoue aussitôt finit sous lui.
        self._en_cours: Future[None] | None = None
        self._fil = ThreadPoolExecutor(1, "cles-de-l-emetteur")

    async def trouver(self, kid: str) -> Any:
        """La clé ; lève JetonInvalide si l'émetteur ne la connaît pas, EmetteurInjoignable s'il ne répond pas."""
        if (attendue := self._demander(kid)) is not None:
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(attendue)), DELAI_D_EMETTEUR_S)
            except TimeoutError as trop:
                raise EmetteurInjoignable from trop
        return self._connue(kid)

    def trouver_ici(self, kid: str) -> Any:
        """La même recherche, bloquante."""
        if (attendue := self._demander(kid)) is not None:
            try:
                attendue.result(DELAI_D_EMETTEUR_S)
            except TimeoutError as trop:
                raise EmetteurInjoignable from trop
        return self._connue(kid)

    def _demander(self, kid: str) -> Future[None] | None:
        """La lecture qu'il faut attendre, ou None ; lève JetonInvalide ou EmetteurInjoignable."""
        maintenant = self._horloge_s()
        with self._verrou:
            if kid in self._lues.cles:
                if maintenant - self._lues.a_s >= AGE_S and self._en_cours is None and self._seau.prendre():
                    self._lancer()
                return None
            if maintenant < self._inconnues.get(kid, 0.0):
                raise JetonInvalide
            if self._en_cours is None:
                if not self._seau.prendre():
                    raise EmetteurInjoignable("trop de clés inconnues sont demandées")
                return self._lancer()
            return self._en_cours

    def _connue(self, kid: str) -> Any:
        with self._verrou:
            if (cle := self._lues.cles.get(kid)) is not None:
                return cle
            if len(self._inconnues) >= INCONNUES_MAX:
                self._inconnues.clear()
            self._inconnues[kid] = self._horloge_s() + REFUS_S
            raise JetonInvalide

    def _lancer(self) -> Future[None]:
        self._en_cours = lecture = self._fil.submit(self._lire)
        lecture.add_done_callback(self._finir)
        return lecture

    def _finir(self, lecture: Future[None]) -> None:
        with self._verrou:
            self._en_cours = None
        if (panne := lecture.exception()) is not None:
            structlog.get_logger().warning("cles_de_l_emetteur_non_lues", cause=repr(panne.__cause__ or panne))

    def _lire(self) -> None:
        dites = lire_json(self._adresse())
        try:
            jeu = jwt.PyJWKSet.from_dict(dites)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as erreur:
            raise EmetteurInjoignable("clés illisibles") from erreur
        cles = {cle.key_id: cle.key for cle in jeu.keys if cle.key_id and cle.public_key_use in {"sig", None}}
        with self._verrou:
            self._lues = _Lues(cles, self._horloge_s())
            self._inconnues.clear()
