"""Les jetons déjà vérifiés, gardés une minute : un navigateur envoie le même à chaque appel."""

import hashlib
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import jwt

from api.identite import Identité, Vérificateur

GARDÉ_S: Final = 60.0
"""Temps pendant lequel un jeton n'est pas vérifié de nouveau (secondes) : une clé retirée vaut encore autant."""

JETONS_MAX: Final = 10_000
"""Jetons gardés, au plus ; au-delà, tous sont oubliés et vérifiés de nouveau."""


class _Gardé(NamedTuple):
    identité: Identité
    jusqu_à: float


class JetonsGardés:
    """Un vérificateur qui se souvient de ce qu'un autre a reconnu, jamais au-delà de l'échéance du jeton.

    Seule l'empreinte du jeton est gardée. Un jeton refusé ne l'est pas : il est vérifié à chaque fois.
    """

    def __init__(self, vérificateur: Vérificateur, horloge: Callable[[], float] = time.time) -> None:
        """`horloge` : l'heure, en secondes depuis 1970."""
        self._vérificateur = vérificateur
        self._horloge = horloge
        self._gardés: dict[bytes, _Gardé] = {}

    async def vérifier(self, jeton: str) -> Identité:
        """L'appelant de ce jeton ; lève JetonInvalide ou ÉmetteurInjoignable."""
        empreinte = hashlib.sha256(jeton.encode()).digest()
        maintenant = self._horloge()
        gardé = self._gardés.get(empreinte)
        if gardé is not None and maintenant < gardé.jusqu_à:
            return gardé.identité
        identité = await self._vérificateur.vérifier(jeton)
        # Sa signature vient d'être vérifiée : son échéance peut être lue.
        échéance = float(jwt.decode(jeton, options={"verify_signature": False})["exp"])
        if len(self._gardés) >= JETONS_MAX:
            self._gardés.clear()
        self._gardés[empreinte] = _Gardé(identité, min(maintenant + GARDÉ_S, échéance))
        return identité
