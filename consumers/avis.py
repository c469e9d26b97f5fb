"""Le consommateur des avis : `creances.avis`."""

from functools import partial
from typing import Any

from consumers import NomDeConsommateur
from engine.consumer import Consumer
from guichet.guichet import Guichet
from guichet.prendre_avis import prendre_avis


def consommateur_des_avis(topic: str, guichet: Guichet, **reglages: Any) -> Consumer:
    """La boucle qui prend les messages des caisses ; `reglages` : ceux de `Consumer`."""
    return Consumer(
        nom=NomDeConsommateur.AVIS.role,
        topic=topic,
        base=guichet.base,
        recorder=guichet.recorder,
        prendre=partial(prendre_avis, guichet),
        groupe=topic,
        **reglages,
    )
