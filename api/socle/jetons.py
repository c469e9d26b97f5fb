"""Les jetons déjà vérifiés, gardés une minute : un navigateur envoie le même à chaque appel."""

import hashlib
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import jwt

from api.socle.identite import Identite, Verificateur

GARDE_S: Final = 60.0
"""Temps pendant lequel un jeton n'est pas vérifié de nouveau (secondes) : une clé retirée vaut encore autant."""

JETONS_MAX: Final = 10_000
"""Jetons gardés, au plus ; au-delà, tous sont oubliés et vérifiés de nouveau."""


class _Garde(NamedTuple):
    identite: Identite
    jusqu_a: float


class JetonsGardes:
    """Un vérificateur qui se souvient de ce qu'un autre a reconnu, jamais au-delà de l'échéance du jeton.

    Seule l'empreinte du jeton est gardée. Un jeton refusé ne l'est pas : il est vérifié à chaque fois.
    """

    def __init__(self, verificateur: Verificateur, horloge: Callable[[], float] = time.time) -> None:
        """`horloge` : l'heure, en secondes depuis 1970."""
        self._verificateur = verificateur
        self._horloge = horloge
        self._gardes: dict[bytes, _Garde] = {}

    async def verifier(self, jeton: str) -> Identite:
        """L'appelant de ce jeton ; lève JetonInvalide ou EmetteurInjoignable."""
        empreinte = hashlib.sha256(jeton.encode()).digest()
        maintenant = self._horloge()
        garde = self._gardes.get(empreinte)
        if garde is not None and maintenant < garde.jusqu_a:
            return garde.identite
        identite = await self._verificateur.verifier(jeton)
        # Sa signature vient d'être vérifiée : son échéance peut être lue.
        echeance = float(jwt.decode(jeton, options={"verify_signature": False})["exp"])
        if len(self._gardes) >= JETONS_MAX:
            self._gardes.clear()
        self._gardes[empreinte] = _Garde(identite, min(maintenant + GARDE_S, echeance))
        return identite
