"""Les mesures de l'API, pour Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

SEAUX_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
MÉTHODES: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Mesures:
    """Ce que l'API compte, dans le registre de l'appelant."""

    def __init__(self, registre: CollectorRegistry) -> None:
        """Lève ValueError si ce registre porte déjà ces mesures."""
        self.requêtes = Counter(
            "creances_http_requetes", "Requêtes HTTP servies", ["methode", "route", "statut"], registry=registre
        )
        self.durées = Histogram(
            "creances_http_duree_secondes",
            "Durée d'une requête HTTP",
            ["methode", "route"],
            registry=registre,
            buckets=SEAUX_S,
        )
        self._trouvées: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.formulaires_refusés = Counter(
            "creances_formulaires_refuses",
            "Formulaires de la banque refusés ; garde=non : le débit des rebuts était atteint",
            ["code", "garde"],
            registry=registre,
        )

    def compter(self, méthode: str, route: str, statut: int, durée_s: float) -> None:
        """Compte une requête servie."""
        compteur, histogramme = self._séries(méthode if méthode in MÉTHODES else "autre", route, statut)
        compteur.inc()
        histogramme.observe(durée_s)

    def _séries(self, méthode: str, route: str, statut: int) -> tuple[Counter, Histogram]:
        """Les deux séries d'une sorte de requête, cherchées une fois : il y en a peu, et `labels` est lent."""
        clé = (méthode, route, statut)
        if (séries := self._trouvées.get(clé)) is None:
            séries = self.requêtes.labels(méthode, route, str(statut)), self.durées.labels(méthode, route)
            self._trouvées[clé] = séries
        return séries
