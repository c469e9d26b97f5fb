"""Le tableau de l'étape 2, par pages : ce que l'on a coché ailleurs reste sous les yeux, et part avec le formulaire."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from api.assure.rangees import LigneACocher
from projections.vues.restant_du import LigneCreance

PAR_PAGE: Final = 50
"""Autant qu'un paiement règle de références : au-delà, une page ne se lit plus, et pèse."""


class Feuillet(NamedTuple):
    """Une page du tableau."""

    numero: int
    nombre: int
    """De pages."""
    lignes: Sequence[LigneACocher]
    cochees_ailleurs: Sequence[LigneACocher]
    """Celles des autres pages que la personne a cochées."""

    @property
    def premiere(self) -> int:
        """Le rang de sa première ligne, à partir de 1."""
        return (self.numero - 1) * PAR_PAGE + 1

    @property
    def derniere(self) -> int:
        """Le rang de sa dernière ligne."""
        return self.premiere + len(self.lignes) - 1


def feuillet(lignes: Sequence[LigneACocher], numero: int) -> Feuillet:
    """La page de ce numéro, ou la plus proche qui existe."""
    nombre = max(1, -(-len(lignes) // PAR_PAGE))
    numero = min(max(numero, 1), nombre)
    debut = (numero - 1) * PAR_PAGE
    fin = debut + PAR_PAGE
    ailleurs = [ligne for rang, ligne in enumerate(lignes) if ligne.cochee and not debut <= rang < fin]
    return Feuillet(numero, nombre, lignes[debut:fin], ailleurs)


def disponible_hors_page(lignes: Iterable[LigneCreance], montrees: Iterable[str]) -> str:
    """Ce qui peut être payé hors de ce que montre la page, par caisse, pour le script : `381:1250 011:700`."""
    vues = frozenset(montrees)
    sommes: dict[str, int] = {}
    for ligne in lignes:
        if ligne.reference not in vues:
            sommes[ligne.caisse] = sommes.get(ligne.caisse, 0) + ligne.disponible
    return " ".join(f"{caisse}:{centimes}" for caisse, centimes in sommes.items())
