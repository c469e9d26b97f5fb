"""Le dessin d'un solde dans le temps : une ligne en marches ; le tableau de la page dit la même chose."""

from datetime import datetime
from typing import Final, NamedTuple

from projections.lectures.historique import Etape
from projections.lectures.suite import Dossier

LARGEUR: Final = 720
HAUTEUR: Final = 160
MARGE: Final = 8
"""En unités du dessin."""


class Solde(NamedTuple):
    """Ce qui reste dû depuis un instant, en centimes."""

    depuis: datetime
    restant: int
    nom: str
    """Le fait d'où il vient (`flux:version`)."""


class Courbe(NamedTuple):
    """Un dessin, et ce qu'il montre."""

    soldes: list[Solde]
    chemin: str
    """L'attribut `d` d'un tracé SVG."""
    maximum: int


def soldes_successifs(dossier: Dossier) -> list[Solde]:
    """Chaque changement de ce qui reste dû ; pour un assuré, le total de ses créances."""
    soldes: list[Solde] = []
    for ligne in dossier.lignes:
        if not isinstance(ligne.fait, Etape):
            continue
        restant = ligne.fait.restant_du if ligne.total is None else ligne.total
        if restant is not None and (not soldes or soldes[-1].restant != restant):
            soldes.append(Solde(ligne.fait.enregistre_le, restant, ligne.nom))
    return soldes


def courbe_de(dossier: Dossier, maintenant: datetime) -> Courbe | None:
    """Le dessin, jusqu'à l'instant demandé ; None s'il n'y a rien à dessiner."""
    soldes = soldes_successifs(dossier)
    if not soldes:
        return None
    debut, fin = soldes[0].depuis, dossier.instant.au if dossier.instant else maintenant
    duree_s = max((fin - debut).total_seconds(), 1e-6)
    maximum = max(solde.restant for solde in soldes) or 1

    def x(instant: datetime) -> float:
        part = min(max((instant - debut).total_seconds() / duree_s, 0.0), 1.0)
        return round(MARGE + part * (LARGEUR - 2 * MARGE), 1)

    def y(restant: int) -> float:
        return round(HAUTEUR - MARGE - restant / maximum * (HAUTEUR - 2 * MARGE), 1)

    chemin = f"M{x(debut)} {y(soldes[0].restant)}"
    for solde in soldes[1:]:
        chemin += f"H{x(solde.depuis)}V{y(solde.restant)}"
    return Courbe(soldes, f"{chemin}H{x(fin)}", maximum)
