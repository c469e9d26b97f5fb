"""Les vues : un module par vue, seul à écrire le SQL de sa table ; leur liste est ici, et nulle part ailleurs."""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.follower import View
from engine.recorder import Recorder
from projections.vues.anomalies import Anomalies
from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.messagerie import MessagerieDesAssures
from projections.vues.paiements import Paiements
from projections.vues.restant_du import RestantDu


class VueSuivie(NamedTuple):
    """Une vue, et comment un suiveur la mène."""

    nom: str
    construire: Callable[[Recorder], View]
    derriere: str | None = None
    """Le suiveur dont elle ne dépasse jamais la position validée."""


VUES: Final = {
    vue.nom: vue
    for vue in (
        VueSuivie(RestantDu.nom, lambda _: RestantDu()),
        VueSuivie(Paiements.nom, lambda _: Paiements()),
        VueSuivie(DelaiAffichage.nom, DelaiAffichage, derriere=RestantDu.nom),
        VueSuivie(MessagerieDesAssures.nom, lambda _: MessagerieDesAssures()),
        VueSuivie(Anomalies.nom, lambda _: Anomalies()),
    )
}
"""Toutes, par nom, dans l'ordre où elles sont menées."""
