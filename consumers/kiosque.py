"""Le consommateur des notifications de la banque : `creances.kiosque.notifications`."""

from typing import Any

from engine.consumer import Consumer
from guichet.prendre_notification import prendre_notifications


def consommateur_du_kiosque(topic: str, **reglages: Any) -> Consumer:
    """La boucle qui prend les notifications ; `reglages` : ceux de `Consumer`."""
    return Consumer(nom="consommateur_kiosque", topic=topic, prendre=prendre_notifications, groupe=topic, **reglages)
