"""Le marchand de simulation de Sips, ses clés publiques, et de quoi sceller comme la banque."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from pydantic import SecretStr

from kiosque.sips.donnees import encoder
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand, sceller

MARCHAND = "002001000000001"
SECRET = "002001000000001_KEY1"
SECRET_2 = "002001000000001_KEY2"

Sceller = Callable[..., dict[str, str]]

# Une machine occupée retient un essai plus longtemps que les 200 ms d'Hypothesis : ce n'est pas ce qui s'éprouve ici.
settings.register_profile("sans_delai", deadline=None)
settings.load_profile("sans_delai")


def sips(algorithme: Algorithme = Algorithme.SHA_256, **autres: object) -> Sips:
    marchand = Marchand(id=MARCHAND, cles={1: SecretStr(SECRET), 2: SecretStr(SECRET_2)}, version_courante=1)
    valeurs = {
        "url": "http://kiosque.test/paypage",
        "office": "http://kiosque.test",
        "algorithme": algorithme,
        "marchands": {"": marchand},
    }
    return Sips(ReglagesSips.model_validate(valeurs | autres))


@pytest.fixture
def kiosque() -> Iterator[Sips]:
    with sips() as kiosque:
        yield kiosque


@pytest.fixture
def sceau_de_la_banque() -> Sceller:
    """Scelle un `Data` comme la banque : n'importe quel texte, sous n'importe quelle clé."""

    def faire(
        texte: str, *, secret: str = SECRET, algorithme: Algorithme = Algorithme.SHA_256, encodage: str = ""
    ) -> dict[str, str]:
        data = encoder(texte, encodage)  # type: ignore[arg-type]
        return {"Data": data, "Seal": sceller(data.encode(), secret.encode(), algorithme), "Encode": encodage}

    return faire


@pytest.fixture
def autre_kiosque() -> Callable[..., Sips]:
    return sips
