"""Le consommateur des avis : `creances.avis`."""

from typing import Any

from engine.consumer import Consumer
from guichet.prendre_avis import prendre_avis


def consommateur_des_avis(topic: str, **reglages: Any) -> Consumer:
    """La boucle qui prend les messages des caisses ; `reglages` : ceux de `Consumer`."""
    return Consumer(nom="consommateur_avis", topic=topic, prendre=prendre_avis, groupe=topic, **reglages)
