"""Les consommateurs : une seule boucle, et un module mince par topic."""

from enum import StrEnum


class NomDeConsommateur(StrEnum):
    """Les consommateurs que le service sait faire tourner."""

    AVIS = "avis"
    KIOSQUE = "kiosque"

    @property
    def role(self) -> str:
        """Le nom sous lequel il dit son état."""
        return f"consommateur_{self}"
