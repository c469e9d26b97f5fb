"""Les recettes d'ARCHITECTURE.md tiennent encore : chacune jouée, et les fichiers qu'elle touche comptés."""

from collections.abc import Callable

import pytest

from tests.maison.copie import Copie, jouer
from tests.maison.recettes import RECETTES, un_evenement, un_evenement_de_paiement, une_vue

_QUI_CHANGENT = (un_evenement, un_evenement_de_paiement, une_vue)
"""Celles que chaque lecteur nouveau peut fausser ; les autres sont plus longues, et changent moins."""


@pytest.mark.lent
@pytest.mark.parametrize(
    "recette",
    [
        pytest.param(recette, marks=() if recette in _QUI_CHANGENT else pytest.mark.tres_lent, id=recette.__name__)
        for recette in RECETTES
    ],
)
def test_une_recette_touche_les_fichiers_annonces(recette: Callable[[Copie], None]) -> None:
    jouer(recette, RECETTES[recette])
