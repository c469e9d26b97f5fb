"""L'API réelle, et de quoi l'appeler comme le système d'un partenaire."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.socle.identite import RoleUtilisateur, emettre_jeton
from tests.api.conftest import AUDIENCE, SECRET, Service, reglages_api, service

__all__ = ["Appel", "appel", "reglages_api", "service"]

Appel = Callable[..., httpx.Response]


def jeton_de(service: Service, nom: str, *caisses: str) -> dict[str, str]:
    jeton = emettre_jeton(
        SECRET,
        RoleUtilisateur.PARTENAIRE,
        None,
        audience=AUDIENCE,
        maintenant=service.heure(),
        personne=nom,
        caisses=caisses,
    )
    return {"Authorization": f"Bearer {jeton}"}


@pytest.fixture
def appel(service: Service) -> Appel:
    """`appel(apres=…)` lit le fil comme la CPAM 381 ; `de` et `caisses` disent un autre partenaire."""

    def appeler(
        chemin: str = "", *, de: str = "cpam-381", caisses: tuple[str, ...] = ("381",), **parametres: Any
    ) -> httpx.Response:
        en_tetes = jeton_de(service, de, *caisses) | parametres.pop("en_tetes", {})
        return service.client.get(f"/api/v1/evenements{chemin}", params=parametres, headers=en_tetes)

    return appeler
