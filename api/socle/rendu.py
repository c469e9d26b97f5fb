"""Le rendu des pages : gabarits échappés d'office, et une politique de contenu stricte."""

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from api.socle.en_tetes import POLITIQUE_DE_CONTENU
from domain.caisses import nom_de_caisse
from domain.delai import PARIS
from domain.monnaie import euros

_INSECABLE: Final = "\N{NO-BREAK SPACE}"
_HORS_DU_TEXTE: Final = re.compile(r"(\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<[^>]*>)", re.DOTALL)
_AVANT: Final = re.compile(r" (?=[:;?!»€])")


def typographie(texte: str) -> str:
    """Le même texte, où rien n'est séparé de ses deux-points, de ses guillemets ni de son €."""
    return _AVANT.sub(_INSECABLE, texte).replace("« ", f"«{_INSECABLE}")


class Gabarits(FileSystemLoader):
    """Des gabarits écrits avec des espaces ordinaires : leur typographie est posée à la lecture, une fois."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Le texte du gabarit, hors de ses balises et de ses expressions."""
        texte, fichier, a_jour = super().get_source(environment, template)
        morceaux = _HORS_DU_TEXTE.split(texte)
        return "".join(typographie(un) if rang % 2 == 0 else un for rang, un in enumerate(morceaux)), fichier, a_jour


_API: Final = Path(__file__).parents[1]
_GABARITS: Final = Environment(
    # Ceux du socle d'abord, puis ceux de chaque dossier de l'API : un nom n'y est donné qu'une fois.
    loader=Gabarits([Path(__file__).parent / "gabarits", *sorted(_API.glob("*/gabarits"))]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,  # Un gabarit ne change pas sous un service qui tourne : rien n'est relu du disque à chaque page.
    cache_size=-1,
)
_CADRE: Final = {
    "assure": None,
    "nom": None,
    "personne": "",
    "derniere_connexion": None,
    "reste_s": None,
    "accueil": "/",
    "jeton": "",
    "canal": "web",
    "inactivite_s": None,
    "repos_s": None,
    "preuves": False,
    "demo": False,
    "rubrique": "",
}
"""Ce que le gabarit de base attend, pour une page qui n'en dit rien."""


def jour(instant: date) -> str:
    """Le jour comme un courrier l'écrit ; d'un instant, celui de Paris."""
    local = instant.astimezone(PARIS) if isinstance(instant, datetime) else instant
    return f"{local.day:02d}/{local.month:02d}/{local.year:04d}"


def heure(instant: datetime) -> str:
    """L'heure de Paris, à la minute : `15 h 54`."""
    return f"{instant.astimezone(PARIS):%H{_INSECABLE}h{_INSECABLE}%M}"


def instant(moment: datetime) -> str:
    """L'instant à la seconde, à Paris : `25/11/2026 à 14:30:05`."""
    return f"{moment.astimezone(PARIS):%d/%m/%Y à %H:%M:%S}"


def compte(nombre: int, un: str, plusieurs: str) -> str:
    """Un nombre et son nom, accordé : `0 référence`, `2 références`."""
    return f"{nombre}{_INSECABLE}{un if abs(nombre) <= 1 else plusieurs}"


def euros_ronds(centimes: int) -> str:
    """Un montant comme `euros`, sans centimes s'il n'en a pas : `16 €`."""
    return euros(centimes).replace(",00", "")


def signe(centimes: int) -> str:
    """Un mouvement : le montant, précédé d'un vrai signe moins s'il fait baisser la dette."""
    return euros(centimes).replace("-", "\N{MINUS SIGN}")


MINUTE_S: Final = 60
HEURE_S: Final = 3_600


def mesure(valeur: float, unite: str = "") -> str:
    """Une mesure : `12 345`, ou une durée si l'unité est la seconde : `40 s`, `12 min`, `3 h 05`, `4 j 2 h`."""
    if unite != "s":
        return f"{valeur:,.0f}".replace(",", _INSECABLE)
    signe, secondes = ("\N{MINUS SIGN}" if valeur < 0 else ""), abs(valeur)
    if secondes < MINUTE_S:
        return f"{signe}{secondes:.0f}{_INSECABLE}s"
    if secondes < HEURE_S:
        return f"{signe}{secondes // MINUTE_S:.0f}{_INSECABLE}min"
    heures, minutes = divmod(int(secondes // MINUTE_S), 60)
    if heures < 2 * 24:
        return f"{signe}{heures}{_INSECABLE}h{_INSECABLE}{minutes:02d}"
    return f"{signe}{heures // 24}{_INSECABLE}j{_INSECABLE}{heures % 24}{_INSECABLE}h"


_GABARITS.filters.update(
    mesure=mesure,
    euros=lru_cache(maxsize=4096)(euros),  # Une page redit les mêmes montants, les mêmes bornes, les mêmes jours.
    signe=signe,
    euros_ronds=lru_cache(maxsize=256)(euros_ronds),
    jour=lru_cache(maxsize=1024)(jour),
    heure=heure,
    instant=instant,
    caisse=lru_cache(maxsize=256)(nom_de_caisse),
    compte=lru_cache(maxsize=256)(compte),
    typo=typographie,
)


def preparer() -> None:
    """Compile tous les gabarits : la première page demandée n'attend pas après eux."""
    for nom in _GABARITS.list_templates(extensions=("html",)):
        _GABARITS.get_template(nom)


def texte_de(gabarit: str, valeurs: dict[str, Any]) -> str:
    """Un gabarit rendu seul, hors de toute page."""
    return _GABARITS.get_template(gabarit).render(valeurs)


def page(gabarit: str, valeurs: dict[str, Any], *, statut: int = 200, vers: str | None = None) -> HTMLResponse:
    """La page rendue ; `vers` : l'URL étrangère où un formulaire de la page peut partir."""
    texte = _GABARITS.get_template(gabarit).render(_CADRE | valeurs)
    return HTMLResponse(texte, status_code=statut, headers=_en_tetes(vers))


def fragment(gabarit: str, valeurs: dict[str, Any]) -> HTMLResponse:
    """Un morceau de page, pour le script qui suit un paiement."""
    return page(gabarit, valeurs)


def message(
    titre: str,
    phrase: str,
    statut: int,
    cadre: dict[str, Any] | None = None,
    *,
    recommencer: str | None = None,
    connexion: str | None = None,
) -> HTMLResponse:
    """Une page qui ne dit qu'une chose, et offre la suite ; `cadre` : celui de la personne, pour garder son menu.

    `recommencer` : l'adresse à demander de nouveau, si attendre peut suffire. `connexion` : où se connecter (401).
    """
    valeurs = {
        "titre": titre,
        "phrase": phrase,
        "statut": statut,
        "recommencer": recommencer,
        "connexion": connexion,
    }
    return page("message.html", valeurs | (cadre or {}), statut=statut)


def _en_tetes(vers: str | None) -> dict[str, str]:
    """Ce qu'une page précise aux en-têtes que toute réponse porte (`api.socle.en_tetes`)."""
    if vers is None:
        return {}
    origine = "{0.scheme}://{0.netloc}".format(urlsplit(vers))
    politique = POLITIQUE_DE_CONTENU.decode()
    return {"Content-Security-Policy": politique.replace("form-action 'self'", f"form-action 'self' {origine}")}
