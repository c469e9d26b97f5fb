"""La version d'après du service : `python -m tests.deploiement.version_dapres COMMANDE…`.

Elle ne diffère que par un fait, dont la version monte : ce qu'elle écrit de lui, celle d'avant ne sait pas le lire.
"""

from typing import Any

from domain.creance import Créance


def monter() -> None:
    """Fait de ce processus la version d'après."""

    def upcast_v2_v3(_etat: dict[str, Any]) -> None:
        """Rien n'a changé de nom."""

    Créance.EncaissementReçu.class_version = 3
    Créance.EncaissementReçu.upcast_v2_v3 = staticmethod(upcast_v2_v3)  # type: ignore[attr-defined]


if __name__ == "__main__":
    monter()
    from service.cli import main

    main()
