"""Chaque commande dit ce qu'elle a trouvé en JSON, ou est nommée ici avec sa raison."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from service.cli.entry import command
from service.cli.listing import COMMANDS

SANS: Final = {
    **dict.fromkeys(
        ("demo", "up", "api", "consume", "project", "relance", "sceller", "kiosque"),
        "court jusqu'à ce qu'on l'arrête : son journal est en JSON (CREANCES_LOG_FORMAT)",
    ),
    "openapi": "n'écrit que du JSON",
    "proof": "n'écrit que du JSON",
}
"""Celles qui n'ont pas `--json`, et pourquoi."""


def _feuilles(nom: str, une: Any) -> Iterator[tuple[str, Any]]:
    """Une commande, ou celles d'un groupe."""
    if not hasattr(une, "commands"):
        yield nom, une
        return
    for sous, feuille in une.commands.items():
        yield from _feuilles(f"{nom} {sous}", feuille)


TOUTES: Final = dict(feuille for nom in COMMANDS for feuille in _feuilles(nom, command(nom)))


@pytest.mark.parametrize("nom", TOUTES)
def test_chaque_commande_a_json_ou_une_raison(nom: str) -> None:
    options = {option for parametre in TOUTES[nom].params for option in parametre.opts}
    assert ("--json" in options) != (nom in SANS), "--json, ou une raison, et jamais les deux"


def test_les_raisons_sont_de_commandes_qui_existent() -> None:
    assert SANS.keys() <= TOUTES.keys()
