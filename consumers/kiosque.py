"""Le consommateur des notifications de la banque : `creances.kiosque.notifications`."""

from typing import Any

from consumers.boucle import Boucle
from guichet.prendre_notification import prendre_notifications


def consommateur_du_kiosque(topic: str, **reglages: Any) -> Boucle:
    """La boucle qui prend les notifications ; `reglages` : ceux de `Boucle`."""
    return Boucle(nom="consommateur_kiosque", topic=topic, prendre=prendre_notifications, groupe=topic, **reglages)
