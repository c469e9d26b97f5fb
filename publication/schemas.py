"""Les schémas JSON des événements publiés, tirés des classes ; un changement qui romprait un consommateur est refusé.

Ce qui est sur le topic y reste : un schéma doit accepter tout ce qui a été publié sous son nom, et un consommateur
écrit d'après l'ancien doit lire le nouveau. On peut donc ajouter un champ facultatif ou une valeur d'énumération (un
consommateur doit les tolérer), corriger une description, desserrer une borne. Le reste se publie sous un autre type.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from publication.cloudevent import schema_publie, type_publie
from publication.contenu import faits_publies, modele
from publication.etat import SoldeDeCreance
from publication.marques import MARQUES
from publication.versions import versions

DIALECTE: Final = "https://json-schema.org/draft/2020-12/schema"

DOSSIER: Final = Path("docs/schemas")
"""Où les schémas publiés sont rangés, depuis la racine du dépôt."""

_DITS: Final = frozenset({"description", "title", "$schema", "$id", "$defs", "default", "const", "deprecated"})
"""Ce qui ne change rien à ce qui est accepté, ou se compare ailleurs."""

_BORNES: Final = frozenset({"minimum", "maximum", "minLength", "maxLength", "pattern"})
"""Ce que l'on peut retirer ou desserrer, jamais ajouter ni resserrer."""

_PLAFONDS: Final = frozenset({"maximum", "maxLength"})


class SchemaIncompatible(Exception):
    """Un schéma publié serait rompu."""

    remede: ClassVar[str] = (
        "Un schéma publié serait rompu : publier le nouveau contenu sous un autre type (`.v2`), à côté de l'ancien."
    )
    """Ce qu'une personne en lit."""

    def __init__(self, ruptures: Mapping[str, list[str]]) -> None:
        """`ruptures` : les raisons, par fichier."""
        self.ruptures = ruptures
        super().__init__("; ".join(f"{nom} : {raison}" for nom, raisons in ruptures.items() for raison in raisons))


def schemas() -> dict[str, dict[str, Any]]:
    """Le schéma de chaque événement publié, du solde d'une créance et de chaque marque, par nom de fichier."""
    publies: list[tuple[type[BaseModel], str, type[BaseModel]]] = [
        (classe, version, modele(classe, version)) for classe in faits_publies() for version in versions(classe)
    ]
    publies += [(classe, versions(classe)[0], classe) for classe in (SoldeDeCreance, *MARQUES)]
    return {
        f"{type_publie(classe, version)}.json": {
            "$schema": DIALECTE,
            "$id": schema_publie(classe, version),
            **_sans_titres_de_champs(decrit.model_json_schema()),
            **({"deprecated": True} if version != versions(classe)[-1] else {}),
        }
        for classe, version, decrit in publies
    }


def schemas_du_dossier(dossier: Path) -> dict[str, dict[str, Any]]:
    """Les schémas d'un dossier, par nom de fichier."""
    return {fichier.name: json.loads(fichier.read_text("utf-8")) for fichier in sorted(dossier.glob("*.json"))}


def ecrire(dossier: Path) -> list[str]:
    """Met à jour un dossier de schémas ; rend les fichiers changés. Lève SchemaIncompatible, et n'écrit alors rien."""
    publies, nouveaux = schemas_du_dossier(dossier), schemas()
    if trouvees := ruptures(publies, nouveaux):
        raise SchemaIncompatible(trouvees)
    dossier.mkdir(parents=True, exist_ok=True)
    textes = {nom: json.dumps(schema, ensure_ascii=False, indent=2) + "\n" for nom, schema in nouveaux.items()}
    changes = [nom for nom in textes if nom not in publies or (dossier / nom).read_text("utf-8") != textes[nom]]
    for nom in changes:
        (dossier / nom).write_text(textes[nom], "utf-8")
    return changes


def ruptures(publies: Mapping[str, Any], nouveaux: Mapping[str, Any]) -> dict[str, list[str]]:
    """Pourquoi chaque fichier publié serait rompu par le nouveau ; vide s'il n'y a aucune rupture."""
    trouvees = {}
    for nom, ancien in publies.items():
        if nom not in nouveaux:
            trouvees[nom] = ["l'événement n'est plus publié, mais le topic en porte"]
        elif raisons := list(_comparer(ancien, nouveaux[nom], ancien, nouveaux[nom], "")):
            trouvees[nom] = raisons
    return trouvees


def _comparer(  # noqa: C901 (un cas par mot-clé : la table des ruptures)
    ancien: Any, nouveau: Any, racine: Any, nouvelle_racine: Any, ou: str
) -> Iterator[str]:
    """Les ruptures entre deux (sous-)schémas ; `ou` : le chemin du champ."""
    ancien, nouveau = _suivre(ancien, racine), _suivre(nouveau, nouvelle_racine)
    ici = ou.removesuffix(".") or "le schéma"
    for cle in sorted((ancien.keys() | nouveau.keys()) - _DITS):
        avant, apres = ancien.get(cle), nouveau.get(cle)
        if cle == "properties":
            for champ in avant or {}:
                if champ not in (apres or {}):
                    yield f"{ou}{champ} a disparu"
                else:
                    yield from _comparer(avant[champ], apres[champ], racine, nouvelle_racine, f"{ou}{champ}.")
        elif cle == "required":
            yield from (f"{ou}{champ} devient obligatoire" for champ in sorted(set(apres or ()) - set(avant or ())))
            yield from (f"{ou}{champ} n'est plus toujours là" for champ in sorted(set(avant or ()) - set(apres or ())))
        elif cle == "enum" and avant is not None and apres is not None:
            yield from (f"{ici} : la valeur {valeur!r} a disparu" for valeur in avant if valeur not in apres)
        elif cle == "items" and avant is not None and apres is not None:
            yield from _comparer(avant, apres, racine, nouvelle_racine, f"{ou}[].")
        elif cle == "anyOf" and avant is not None and apres is not None and len(avant) == len(apres):
            for un, autre in zip(avant, apres, strict=True):
                yield from _comparer(un, autre, racine, nouvelle_racine, ou)
        elif avant != apres and not _desserre(cle, avant, apres):
            yield f"{ici} : {cle} passe de {avant!r} à {apres!r}"


def _desserre(cle: str, avant: Any, apres: Any) -> bool:
    """Dit si la borne admet encore tout ce qu'elle admettait : retirée, ou un plafond relevé."""
    if cle not in _BORNES or apres is None:
        return cle in _BORNES
    return cle in _PLAFONDS and avant is not None and apres > avant


def _suivre(schema: Any, racine: Any) -> Any:
    """Le schéma que désigne une référence ; une constante se lit comme une énumération d'une valeur."""
    reference = schema.get("$ref")
    suivi = schema if reference is None else racine["$defs"][reference.rpartition("/")[2]]
    return {**suivi, "enum": [suivi["const"]]} if "const" in suivi else suivi


def _sans_titres_de_champs(schema: dict[str, Any]) -> dict[str, Any]:
    """Retire les titres que pydantic tire des clés : ils n'apprennent rien."""
    for objet in (schema, *schema.get("$defs", {}).values()):
        for champ in objet.get("properties", {}).values():
            champ.pop("title", None)
    return schema
