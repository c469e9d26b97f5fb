"""Le consommateur des notifications de la banque : `creances.kiosque.notifications`."""

from functools import partial
from typing import Any

from consumers import NomDeConsommateur
from engine.consumer import Consumer
from guichet.guichet import Guichet
from guichet.prendre_notification import prendre_notifications


def consommateur_du_kiosque(topic: str, guichet: Guichet, **reglages: Any) -> Consumer:
    """La boucle qui prend les notifications ; `reglages` : ceux de `Consumer`."""
    return Consumer(
        nom=NomDeConsommateur.KIOSQUE.role,
        topic=topic,
        base=guichet.base,
        recorder=guichet.recorder,
        prendre=partial(prendre_notifications, guichet),
        groupe=topic,
        **reglages,
    )
