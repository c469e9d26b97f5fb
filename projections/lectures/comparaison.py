"""Ce qui a changé dans une créance entre deux de ses versions, ou entre deux instants."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from projections.lectures.historique import Etape
from projections.lectures.suite import Dossier, Ligne

MONTANTS: Final = ("restant_du", "en_cours", "trop_percu", "solde")


class Changement(NamedTuple):
    """Un montant avant et après, en centimes."""

    nom: str
    avant: int
    apres: int

    @property
    def ecart(self) -> int:
        """Ce qui s'y est ajouté ; négatif s'il a baissé."""
        return self.apres - self.avant


class Comparaison(NamedTuple):
    """Deux états, et les faits qui mènent de l'un à l'autre."""

    avant: int
    """La version de départ ; 0 : avant l'avis."""
    apres: int
    montants: list[Changement]
    lignes: list[Ligne]

    def en_json(self) -> dict[str, Any]:
        """Prêt pour JSON."""
        return {
            "avant_version": self.avant,
            "apres_version": self.apres,
            "montants": {
                f"{change.nom}_centimes": {"avant": change.avant, "apres": change.apres, "ecart": change.ecart}
                for change in self.montants
            },
            "evenements": [ligne.en_json() for ligne in self.lignes],
        }


def version_a(dossier: Dossier, au: datetime) -> int:
    """La version d'une créance telle que connue à cet instant ; 0 si elle ne l'était pas encore."""
    return max((ligne.fait.version for ligne in dossier.lignes if ligne.fait.enregistre_le <= au), default=0)


def comparer(dossier: Dossier, une: int, autre: int) -> Comparaison:
    """Ce qui sépare deux versions d'une créance, données dans un ordre ou dans l'autre."""
    avant, apres = sorted((une, autre))
    entre = [ligne for ligne in dossier.lignes if avant < ligne.fait.version <= apres]
    depart, arrivee = _etat(dossier, avant), _etat(dossier, apres)
    changements = [Changement(nom, depart[nom], arrivee[nom]) for nom in MONTANTS]
    return Comparaison(avant, apres, changements, entre)


def _etat(dossier: Dossier, version: int) -> dict[str, int]:
    lues = [ligne.fait for ligne in dossier.lignes if ligne.fait.version <= version and isinstance(ligne.fait, Etape)]
    return {nom: getattr(lues[-1], nom) or 0 if lues else 0 for nom in MONTANTS}
