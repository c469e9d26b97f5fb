"""Les noms des consommateurs sont un ensemble fermé."""

import pytest

from consumers import NomDeConsommateur


def test_un_nom_mal_ecrit_n_est_le_consommateur_de_personne() -> None:
    with pytest.raises(ValueError, match="avsi"):
        NomDeConsommateur("avsi")
