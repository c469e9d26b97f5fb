"""Où aller ensuite : une adresse de nos pages, jamais d'ailleurs."""

from typing import Final
from urllib.parse import quote

SUITE_MAX: Final = 1800
"""Longueur d'une adresse de suite, en signes : cinquante références cochées y tiennent."""


def suite_locale(suite: str) -> str:
    """Cette adresse si elle est chez nous, sinon l'accueil : se connecter ne mène jamais ailleurs."""
    lisible = len(suite) <= SUITE_MAX and suite.isascii() and suite.isprintable() and "\\" not in suite
    return suite if lisible and suite.startswith("/") and not suite.startswith("//") else "/"


def connexion_puis(suite: str) -> str:
    """L'adresse qui mène à la connexion, puis à cette page."""
    return f"/connexion?next={quote(suite, safe='')}"
