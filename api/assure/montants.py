"""Les montants qu'un toucher propose à l'étape 2, et l'avis quand un montant laisserait un reste impayable en ligne.

`partage.js` suit les mêmes règles dans la page ; les montants sont en centimes.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from domain.politique import Politique
from projections.vues.restant_du import LigneCreance


class Touche(StrEnum):
    """Ce qu'une touche propose de payer."""

    TOUT = "tout"
    MAXIMUM = "maximum"
    SANS_BLOQUER = "sans_bloquer"
    ENSEMBLE = "ensemble"
    """Cocher les autres références de la caisse, et payer."""


LIBELLES: Final[Mapping[Touche, str]] = {
    Touche.TOUT: "Tout régler",
    Touche.MAXIMUM: "Le maximum",
    Touche.SANS_BLOQUER: "Le plus, en gardant un reste payable",
    Touche.ENSEMBLE: "Cocher les autres et payer",
}


class Proposition(NamedTuple):
    """Un montant, d'un toucher."""

    touche: Touche
    montant: int

    @property
    def libelle(self) -> str:
        """Ce que la touche dit, sans le montant."""
        return LIBELLES[self.touche]

    @property
    def action(self) -> str:
        """La valeur de son bouton, dans le formulaire."""
        return "ensemble" if self.touche is Touche.ENSEMBLE else f"montant:{self.montant}"


class Blocage(NamedTuple):
    """Ce qu'un montant laisserait sans moyen d'être payé en ligne, et comment l'éviter."""

    reste: int
    remede: int
    """Le montant à payer plutôt."""
    tout: bool
    """Vrai si le remède est de cocher toutes les références de la caisse et de les régler."""


def propositions(
    cochees: Collection[LigneCreance],
    ouvertes: Collection[LigneCreance],
    cochables: Collection[LigneCreance],
    politique: Politique,
) -> list[Proposition]:
    """Tout régler ou le maximum, puis ce qui ne laisse rien de bloqué ; vide si rien ne se paie.

    `ouvertes` : toutes celles de l'assuré qui se paient en ligne, cochées ou non ; `cochables` : celles que rien
    n'empêche de cocher, que l'on propose de cocher toutes si les lignes cochées ne suffisent pas.
    """
    caisses = {ligne.caisse for ligne in cochees}
    disponible = sum(ligne.disponible for ligne in cochees)
    if len(caisses) != 1:
        return []
    if disponible < politique.minimum_par_paiement:
        toutes = ensemble(caisses.pop(), cochables, politique, gardees={ligne.reference for ligne in cochees})
        if sum(ligne.disponible for ligne in toutes) < politique.minimum_par_paiement:
            return []
        return [Proposition(Touche.ENSEMBLE, propositions(toutes, ouvertes, cochables, politique)[-1].montant)]
    plafond = min(disponible, politique.maximum_par_paiement)
    touche = Touche.TOUT if plafond == disponible else Touche.MAXIMUM
    proposees = [Proposition(touche, plafond)]
    bloque = blocage(plafond, cochees, ouvertes, politique)
    if bloque and not bloque.tout:
        proposees.append(Proposition(Touche.SANS_BLOQUER, bloque.remede))
    return proposees


def ensemble(
    caisse: str, cochables: Iterable[LigneCreance], politique: Politique, *, gardees: Collection[str]
) -> list[LigneCreance]:
    """Celles d'une caisse que l'on peut cocher ensemble, les `gardees` puis les plus anciennes."""
    siennes = (ligne for ligne in cochables if ligne.caisse == caisse)
    ordre = sorted(siennes, key=lambda ligne: (ligne.reference not in gardees, ligne.date_emission, ligne.reference))
    return ordre[: politique.references_max]


def blocage(
    montant: int, cochees: Collection[LigneCreance], ouvertes: Iterable[LigneCreance], politique: Politique
) -> Blocage | None:
    """Ce que ce montant, s'il est permis, bloquerait auprès de la caisse des lignes cochées, ou None."""
    caisses = {ligne.caisse for ligne in cochees}
    total = sum(ligne.disponible for ligne in ouvertes if ligne.caisse in caisses)
    if len(caisses) != 1 or not politique.ferme_au_paiement(total - montant):
        return None
    if total <= politique.maximum_par_paiement:
        return Blocage(total - montant, total, tout=True)
    return Blocage(total - montant, total - politique.minimum_par_paiement, tout=False)
