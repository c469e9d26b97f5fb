"""Les schémas JSON des événements publiés, tirés des classes ; un changement qui romprait un consommateur est refusé.

Ce qui est sur le topic y reste : un schéma doit accepter tout ce qui a été publié sous son nom, et un consommateur
écrit d'après l'ancien doit lire le nouveau. On peut donc ajouter un champ facultatif ou une valeur d'énumération (un
consommateur doit les tolérer), corriger une description, desserrer une borne. Le reste se publie sous un autre type.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from publication.contenu import faits_publiés, modèle
from publication.message import schéma_publié, type_publié

DIALECTE: Final = "https://json-schema.org/draft/2020-12/schema"

DOSSIER: Final = Path("docs/schemas")
"""Où les schémas publiés sont rangés, depuis la racine du dépôt."""

_DITS: Final = frozenset({"description", "title", "$schema", "$id", "$defs", "default", "const"})
"""Ce qui ne change rien à ce qui est accepté, ou se compare ailleurs."""

_BORNES: Final = frozenset({"minimum", "maximum", "minLength", "maxLength", "pattern"})
"""Ce que l'on peut retirer (desserrer), jamais ajouter ni changer."""


class SchémaIncompatible(Exception):
    """Un schéma publié serait rompu : publier le nouveau contenu sous un autre type (`.v2`), à côté de l'ancien."""

    def __init__(self, ruptures: Mapping[str, list[str]]) -> None:
        """`ruptures` : les raisons, par fichier."""
        self.ruptures = ruptures
        super().__init__("; ".join(f"{nom} : {raison}" for nom, raisons in ruptures.items() for raison in raisons))


def schémas() -> dict[str, dict[str, Any]]:
    """Le schéma de chaque événement publié, par nom de fichier."""
    return {
        f"{type_publié(classe)}.json": {
            "$schema": DIALECTE,
            "$id": schéma_publié(classe),
            **_sans_titres_de_champs(modèle(classe).model_json_schema()),
        }
        for classe in faits_publiés()
    }


def lire(dossier: Path) -> dict[str, dict[str, Any]]:
    """Les schémas d'un dossier, par nom de fichier."""
    return {fichier.name: json.loads(fichier.read_text("utf-8")) for fichier in sorted(dossier.glob("*.json"))}


def écrire(dossier: Path) -> list[str]:
    """Met à jour un dossier de schémas ; rend les fichiers changés. Lève SchémaIncompatible, et n'écrit alors rien."""
    publiés, nouveaux = lire(dossier), schémas()
    if trouvées := ruptures(publiés, nouveaux):
        raise SchémaIncompatible(trouvées)
    changés = [nom for nom, schéma in nouveaux.items() if publiés.get(nom) != schéma]
    dossier.mkdir(parents=True, exist_ok=True)
    for nom in changés:
        (dossier / nom).write_text(json.dumps(nouveaux[nom], ensure_ascii=False, indent=2) + "\n", "utf-8")
    return changés


def ruptures(publiés: Mapping[str, Any], nouveaux: Mapping[str, Any]) -> dict[str, list[str]]:
    """Pourquoi chaque fichier publié serait rompu par le nouveau ; vide s'il n'y a aucune rupture."""
    trouvées = {}
    for nom, ancien in publiés.items():
        if nom not in nouveaux:
            trouvées[nom] = ["l'événement n'est plus publié, mais le topic en porte"]
        elif raisons := list(_comparer(ancien, nouveaux[nom], ancien, nouveaux[nom], "")):
            trouvées[nom] = raisons
    return trouvées


def _comparer(  # noqa: C901 (un cas par mot-clé : la table des ruptures)
    ancien: Any, nouveau: Any, racine: Any, nouvelle_racine: Any, où: str
) -> Iterator[str]:
    """Les ruptures entre deux (sous-)schémas ; `où` : le chemin du champ."""
    ancien, nouveau = _suivre(ancien, racine), _suivre(nouveau, nouvelle_racine)
    ici = où.removesuffix(".") or "le schéma"
    for clé in sorted((ancien.keys() | nouveau.keys()) - _DITS):
        avant, après = ancien.get(clé), nouveau.get(clé)
        if clé == "properties":
            for champ in avant or {}:
                if champ not in (après or {}):
                    yield f"{où}{champ} a disparu"
                else:
                    yield from _comparer(avant[champ], après[champ], racine, nouvelle_racine, f"{où}{champ}.")
        elif clé == "required":
            yield from (f"{où}{champ} devient obligatoire" for champ in sorted(set(après or ()) - set(avant or ())))
            yield from (f"{où}{champ} n'est plus toujours là" for champ in sorted(set(avant or ()) - set(après or ())))
        elif clé == "enum" and avant is not None and après is not None:
            yield from (f"{ici} : la valeur {valeur!r} a disparu" for valeur in avant if valeur not in après)
        elif clé == "items" and avant is not None and après is not None:
            yield from _comparer(avant, après, racine, nouvelle_racine, f"{où}[].")
        elif clé == "anyOf" and avant is not None and après is not None and len(avant) == len(après):
            for un, autre in zip(avant, après, strict=True):
                yield from _comparer(un, autre, racine, nouvelle_racine, où)
        elif avant != après and not (clé in _BORNES and après is None):
            yield f"{ici} : {clé} passe de {avant!r} à {après!r}"


def _suivre(schéma: Any, racine: Any) -> Any:
    """Le schéma que désigne une référence ; une constante se lit comme une énumération d'une valeur."""
    référence = schéma.get("$ref")
    suivi = schéma if référence is None else racine["$defs"][référence.rpartition("/")[2]]
    return {**suivi, "enum": [suivi["const"]]} if "const" in suivi else suivi


def _sans_titres_de_champs(schéma: dict[str, Any]) -> dict[str, Any]:
    """Retire les titres que pydantic tire des clés : ils n'apprennent rien."""
    for objet in (schéma, *schéma.get("$defs", {}).values()):
        for champ in objet.get("properties", {}).values():
            champ.pop("title", None)
    return schéma
