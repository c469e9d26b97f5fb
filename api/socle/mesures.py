"""Les mesures de l'API, pour Prometheus."""

from collections.abc import Iterable
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

SEAUX_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
METHODES: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

STATUTS_DE_PANNE: Final = (500, 503)


class Mesures:
    """Ce que l'API compte, dans le registre de l'appelant."""

    def __init__(self, registre: CollectorRegistry) -> None:
        """Lève ValueError si ce registre porte déjà ces mesures."""
        self.requetes = Counter(
            "creances_http_requetes", "Requêtes HTTP servies", ["methode", "route", "statut"], registry=registre
        )
        self.durees = Histogram(
            "creances_http_duree_secondes",
            "Durée d'une requête HTTP",
            ["methode", "route"],
            registry=registre,
            buckets=SEAUX_S,
        )
        self._trouvees: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.formulaires_refuses = Counter(
            "creances_formulaires_refuses",
            "Formulaires de la banque refusés ; garde=non : plus de place aux rebuts, garde=copie : déjà gardé",
            ["code", "garde"],
            registry=registre,
        )
        self.copies = Counter("creances_notifications_copies", "Notifications que Kafka tenait déjà", registry=registre)

    def annoncer(self, routes: Iterable[tuple[str, str]], codes: Iterable[str], gardes: Iterable[str]) -> None:
        """Fait exister, à zéro, ce qui se compte quand cela va mal : `increase()` en voit la première fois.

        `routes` : (méthode, route) de ce que l'API sert ; `codes` : les refus des formulaires de la banque.
        """
        for methode, route in routes:
            for statut in STATUTS_DE_PANNE:
                self.requetes.labels(methode, route, str(statut))
        for code, garde in product(codes, gardes):
            self.formulaires_refuses.labels(code, garde)

    def compter(self, methode: str, route: str, statut: int, duree_s: float) -> None:
        """Compte une requête servie."""
        compteur, histogramme = self._series(methode if methode in METHODES else "autre", route, statut)
        compteur.inc()
        histogramme.observe(duree_s)

    def _series(self, methode: str, route: str, statut: int) -> tuple[Counter, Histogram]:
        """Les deux séries d'une sorte de requête, cherchées une fois : il y en a peu, et `labels` est lent."""
        cle = (methode, route, statut)
        if (series := self._trouvees.get(cle)) is None:
            series = self.requetes.labels(methode, route, str(statut)), self.durees.labels(methode, route)
            self._trouvees[cle] = series
        return series
