"""Le consommateur des avis : `creances.avis`."""

from typing import Any

from consumers.boucle import Boucle
from guichet.prendre_avis import prendre_avis


def consommateur_des_avis(topic: str, **reglages: Any) -> Boucle:
    """La boucle qui prend les messages des caisses ; `reglages` : ceux de `Boucle`."""
    return Boucle(nom="consommateur_avis", topic=topic, prendre=prendre_avis, groupe=topic, **reglages)
