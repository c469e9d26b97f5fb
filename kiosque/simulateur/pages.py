"""Le rendu des pages : gabarits échappés d'office, et une politique de contenu qui n'admet que nos scripts."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from domain.delai import PARIS
from domain.monnaie import euros
from kiosque.sips.codes import sens_de

ICI = Path(__file__).parent
STATIQUE = ICI / "statique"
MOIS = ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.")


def jour(instant: datetime) -> str:
    """Le jour à Paris comme le reçu l'écrit : « 11 sept. 2017 »."""
    local = instant.astimezone(PARIS)
    return f"{local.day} {MOIS[local.month - 1]} {local.year}"


def heure(instant: datetime) -> str:
    """Le jour et l'heure à Paris, à la seconde : « 2017-09-11 15:54:02 »."""
    return instant.astimezone(PARIS).isoformat(sep=" ", timespec="seconds")[:19]


_GABARITS = Environment(
    loader=FileSystemLoader(ICI / "gabarits"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_GABARITS.filters.update(euros=euros, jour=jour, heure=heure, sens=sens_de)


def page(
    gabarit: str,
    *,
    statut: HTTPStatus = HTTPStatus.OK,
    retour: str | None = None,
    valeurs: Mapping[str, Any],
) -> HTMLResponse:
    """La page rendue. `retour` : l'URL du marchand vers laquelle un formulaire de la page peut partir."""
    return HTMLResponse(
        _GABARITS.get_template(gabarit).render(valeurs), status_code=statut, headers=_entetes(origine_de(retour))
    )


def origine_de(url: str | None) -> str:
    """L'origine (schéma, hôte, port) d'une URL déjà contrôlée par `url_permise`."""
    if url is None:
        return ""
    parties = urlsplit(url)
    return f" {parties.scheme}://{parties.netloc}"


def _entetes(origine: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'self'; form-action 'self'{origine}; script-src 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
