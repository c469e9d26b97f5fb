"""Le rendu des pages : gabarits échappés d'office, et une politique de contenu sans script."""

from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from domain.caisses import nom_de_caisse
from domain.delai import PARIS
from domain.monnaie import euros

_GABARITS: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "gabarits"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def jour(instant: date) -> str:
    """Le jour comme un courrier l'écrit ; d'un instant, celui de Paris."""
    local = instant.astimezone(PARIS) if isinstance(instant, datetime) else instant
    return f"{local:%d/%m/%Y}"


def heure(instant: datetime) -> str:
    """L'heure de Paris, à la minute."""
    return f"{instant.astimezone(PARIS):%H:%M}"


_GABARITS.filters.update(euros=euros, jour=jour, heure=heure, caisse=nom_de_caisse)


def page(gabarit: str, valeurs: dict[str, Any], *, statut: int = 200, vers: str | None = None) -> HTMLResponse:
    """La page rendue ; `vers` : l'URL étrangère où un formulaire de la page peut partir."""
    texte = _GABARITS.get_template(gabarit).render(valeurs)
    return HTMLResponse(texte, status_code=statut, headers=_en_têtes(vers))


def message(titre: str, phrase: str, statut: int) -> HTMLResponse:
    """Une page qui ne dit qu'une chose."""
    return page("message.html", {"titre": titre, "phrase": phrase, "assuré": None, "jeton": ""}, statut=statut)


def _en_têtes(vers: str | None) -> dict[str, str]:
    origine = " {0.scheme}://{0.netloc}".format(urlsplit(vers)) if vers else ""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{origine}; base-uri 'none';"
            " frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
