"""L'histoire d'un dossier en CSV : une ligne par fait ou par message, dans l'ordre où le journal l'a su."""

import csv
import io
import re
from datetime import datetime
from typing import Final

from domain.delai import PARIS
from projections.lectures.historique import Etape
from projections.lectures.suite import Dossier

COLONNES: Final = (
    "enregistre_le",
    "survenu_le",
    "quoi",
    "objet",
    "version",
    "phrase",
    "restant_du_centimes",
    "en_cours_centimes",
    "trop_percu_centimes",
    "sort",
    "autorisation",
    "carte_masquee",
    "code",
    "cause",
    "correlation",
)
_SIGNES: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULES: Final = re.compile(rf"\s*[{_SIGNES}]")
"""Comment commence une cellule qu'un tableur calculerait, quelque blanc qui soit devant, et en pleine chasse aussi."""
_COUPEE: Final = re.compile(rf"(;\s*)(?=[{_SIGNES}])")
"""Là où un tableur réglé en français, qui sépare par « ; », commencerait une autre cellule, qu'il calculerait."""


def en_csv(dossier: Dossier) -> str:
    """Le CSV, en-têtes compris ; heures de Paris ; aucune cellule ne se calcule ni ne commande un terminal."""
    lignes: list[tuple[datetime, int, dict[str, object]]] = []
    for ligne in dossier.lignes:
        fait = ligne.fait
        dit: dict[str, object] = {
            "quoi": fait.type if isinstance(fait, Etape) else fait.topic,
            "objet": ligne.flux,
            "version": fait.version,
            "cause": fait.cause,
            "correlation": ligne.correlation,
        }
        if isinstance(fait, Etape):
            dit |= {"survenu_le": fait.survenu_le.astimezone(PARIS).isoformat(), "phrase": fait.phrase}
            dit |= {f"{nom}_centimes": getattr(fait, nom) for nom in ("restant_du", "en_cours", "trop_percu")}
        lignes.append((fait.enregistre_le, 1, dit))
    for recu in dossier.messages:
        dit = {"quoi": "message reçu", "objet": recu.objet, "phrase": recu.phrase, "sort": recu.sort.value}
        dit |= {nom: recu.champs.get(nom) for nom in ("autorisation", "carte_masquee", "code", "correlation")}
        lignes.append((recu.enregistre_le, 0, dit | {"cause": f"{recu.origine} : {recu.cause}"}))
    sortie = io.StringIO()
    ecrivain = csv.DictWriter(sortie, COLONNES, restval="", lineterminator="\n")
    ecrivain.writeheader()
    for instant, _, dit in sorted(lignes, key=lambda ligne: ligne[:2]):
        heure = instant.astimezone(PARIS).isoformat()
        ecrivain.writerow({"enregistre_le": heure} | {nom: _cellule(valeur) for nom, valeur in dit.items()})
    return sortie.getvalue()


def _cellule(valeur: object) -> str:
    texte = "" if valeur is None else str(valeur)
    texte = "".join(signe if signe.isprintable() else " " for signe in texte)
    texte = _COUPEE.sub(r"\1'", texte)
    return f"'{texte}" if _FORMULES.match(texte) and not isinstance(valeur, int) else texte
