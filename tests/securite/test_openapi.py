"""Le document OpenAPI entier, éprouvé par schemathesis : chaque opération est atteinte, et aucune ne répond par un 5xx.

`SCHEMATHESIS=200` : autant d'essais par opération (défaut : peu, pour que la suite reste courte).
"""

import itertools
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation.modes import GenerationMode

from api.application import description
from api.socle.identite import RoleUtilisateur
from tests.api.conftest import Service, jeton, porteur, reglages_api, service  # noqa: F401

ESSAIS: Final = int(os.environ.get("SCHEMATHESIS", "12"))
DOCUMENT: Final = description()
SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: Final = {
    f"{methode.upper()} {chemin}": (chemin, methode) for chemin, m in DOCUMENT["paths"].items() for methode in m
}


def references(noeud: Any) -> list[str]:
    """Chaque `$ref` du document."""
    if isinstance(noeud, Mapping):
        ici = [noeud["$ref"]] if isinstance(noeud.get("$ref"), str) else []
        return ici + [ref for valeur in noeud.values() for ref in references(valeur)]
    return [ref for element in noeud for ref in references(element)] if isinstance(noeud, list) else []


def test_chaque_ref_du_document_mene_quelque_part() -> None:
    trouvees = references(DOCUMENT)
    assert trouvees
    for ref in trouvees:
        assert ref.startswith("#/"), ref
        noeud = DOCUMENT
        for partie in ref[2:].split("/"):
            noeud = noeud[partie.replace("~1", "/").replace("~0", "~")]


def test_le_document_contient_l_ouverture_d_un_paiement() -> None:
    assert "POST /api/v1/paiements" in OPERATIONS


def empreinte(url: str) -> list[Any]:
    """Ce qui ne doit changer que par un paiement valable."""
    with psycopg.connect(url) as conn:
        return conn.execute("SELECT topic, count(*) FROM journal.evenements GROUP BY topic ORDER BY topic").fetchall()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_aucune_operation_ne_tombe(service: Service, operation: str) -> None:  # noqa: F811
    chemin, methode = OPERATIONS[operation]
    service.avis("3811701200010075F")
    statuts: Counter[int] = Counter()
    roles = {
        "assure": porteur(),
        "exploitation": {"Authorization": f"Bearer {jeton(RoleUtilisateur.EXPLOITATION)}"},
        "support": {"Authorization": f"Bearer {jeton(RoleUtilisateur.SUPPORT)}"},
        "audit": {"Authorization": f"Bearer {jeton(RoleUtilisateur.AUDIT)}"},
        "partenaire": {"Authorization": f"Bearer {jeton(RoleUtilisateur.PARTENAIRE)}"},
    }
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        try:
            cas = SCHEMA[chemin][methode].as_strategy(generation_mode=mode)
            _eprouver(service, cas, roles, statuts)
        except Exception as rien:
            # Une opération sans paramètre n'a rien de mauvais à engendrer.
            if mode is not GenerationMode.NEGATIVE or "Unsatisfiable" not in type(rien).__name__ + str(rien):
                raise
    assert sum(statuts.values()) >= 1
    assert set(statuts) - {401, 403, 405}, statuts  # Elle est atteinte, au-delà de la porte.
    assert not {statut for statut in statuts if statut >= 500}, statuts
    if methode == "get":
        assert empreinte(service.url_base) == [("creance.AvisEmis", 1)]


def _eprouver(service: Service, cas: Any, roles: Mapping[str, dict[str, str]], statuts: Counter[int]) -> None:  # noqa: F811
    tour = itertools.cycle(sorted(roles))

    @settings(
        max_examples=ESSAIS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(cas=cas)
    def essai(cas: Any) -> None:
        role = next(tour)  # Chacun son tour : tous y passent, quel que soit le tirage.
        cas.headers.pop("Authorization", None)
        reponse = cas.call(base_url=str(service.client.base_url), headers=roles[role], allow_redirects=False)
        statuts[reponse.status_code] += 1
        assert reponse.status_code < 500, (cas.as_curl_command(), reponse.text)
        if reponse.status_code >= 400:
            assert reponse.headers["content-type"][0].startswith("application/problem+json")

    essai()
