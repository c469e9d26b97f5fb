"""Le document OpenAPI entier, éprouvé par schemathesis : chaque opération est atteinte, et aucune ne répond par un 5xx.

`SCHEMATHESIS=200` : autant d'essais par opération (défaut : peu, pour que la suite reste courte).
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from api.socle.identite import RoleUtilisateur
from engine.follower import Follower
from projections.vues.anomalies import Anomalies
from tests.api.conftest import Service, jeton, notification, porteur, reglages_api, service  # noqa: F401
from tests.mapper import MAPPER
from tests.outils import RACINE

SANS_KAFKA: Final = '"code":"rejeu_indisponible"'
"""Ce que répond cette API à qui veut rejouer un message refusé : celle du test n'a pas de topic où le reprendre."""
ESSAIS: Final = int(os.environ.get("SCHEMATHESIS", "12"))
DOCUMENT: Final[dict[str, Any]] = json.loads((RACINE / "docs" / "openapi.json").read_text("utf-8"))
"""Ce que l'API en sert : tests/api/test_exploitation.py."""
OPERATIONS: Final = {
    f"{methode.upper()} {chemin}": (chemin, methode) for chemin, m in DOCUMENT["paths"].items() for methode in m
}


@cache
def schema() -> Any:
    """Le document, pour schemathesis : importé ici, il ne coûte qu'à qui joue ces tests."""
    import schemathesis

    return schemathesis.openapi.from_dict(DOCUMENT)


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


REF: Final = "3811701200010075F"

# De quoi passer la porte : des noms qui existent, à la place de la moitié de ce qui est tiré au hasard.
CONNUS: Final[dict[str, Any]] = {"reference": REF, "assure": "a-1", "motif": "Appel de l'assuré", "q": REF}
SANS: Final = {"as_of": None, "version": None, "depuis_version": None, "genre": None, "avant": None}
CORPS: Final[dict[str, dict[str, Any]]] = {
    "POST /api/v1/paiements": {"references": [REF], "montant_centimes": 20_00, "canal": "web"},
    "POST /api/v1/support/notes": {"objet": f"creance-{REF}", "texte": "une note"},
    "POST /api/v1/support/paiements/{transaction}/signalement": {"motif": "un doute"},
    "POST /api/v1/support/anomalies/{ident}/reglement": {"geste": "fausse_alerte", "motif": "rien à signaler"},
    "POST /api/v1/support/anomalies/{ident}/approbation": {"decision": "approuver"},
}
AU_BOUT: Final = {
    # Ce qu'un jeu de valeurs connues n'a pas : une proposition d'un autre agent, une banque qui répond.
    # Rien n'y est scellé ; voir tests/preuve/test_api.py et test_preuve_payeur.py.
    "GET /api/v1/creances/{reference}/preuve": {503},
    "GET /api/v1/support/creances/{reference}/preuve": {503},
    "POST /api/v1/support/anomalies/{ident}/approbation": {409},
    "POST /api/v1/support/paiements/{transaction}/question": {200, 409, 503},
}
"""Là où l'opération mène quand tout ce qu'on lui donne existe, si ce n'est à une réussite."""


def empreinte(url: str) -> list[Any]:
    """Ce qui ne doit changer que par un paiement valable."""
    with psycopg.connect(url) as conn:
        return conn.execute("SELECT topic, count(*) FROM journal.evenements GROUP BY topic ORDER BY topic").fetchall()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_aucune_operation_ne_tombe(service: Service, operation: str) -> None:  # noqa: F811
    from schemathesis.generation.modes import GenerationMode

    chemin, methode = OPERATIONS[operation]
    service.avis(REF)
    connus = CONNUS | _mettre_en_place(service) if methode != "get" or "{" in chemin else CONNUS
    avant = empreinte(service.url_base)
    statuts: Counter[int] = Counter()
    atteints: set[int] = set()
    roles = {
        "assure": porteur(),
        "exploitation": {"Authorization": f"Bearer {jeton(RoleUtilisateur.EXPLOITATION)}"},
        "support": {"Authorization": f"Bearer {jeton(RoleUtilisateur.SUPPORT)}"},
        "audit": {"Authorization": f"Bearer {jeton(RoleUtilisateur.AUDIT)}"},
        "partenaire": {"Authorization": f"Bearer {jeton(RoleUtilisateur.PARTENAIRE)}"},
    }
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        try:
            cas = schema()[chemin][methode].as_strategy(generation_mode=mode)
            _eprouver(service, cas, roles, statuts)
            if mode is GenerationMode.POSITIVE:
                atteints = _aller_au_bout(service, cas, roles, connus, operation)
        except Exception as rien:
            # Une opération sans paramètre n'a rien de mauvais à engendrer.
            if mode is not GenerationMode.NEGATIVE or "Unsatisfiable" not in type(rien).__name__ + str(rien):
                raise
    assert sum(statuts.values()) >= 1
    assert set(statuts) - {401, 403, 405}, statuts  # Elle est atteinte, au-delà de la porte.
    assert not {statut for statut in statuts if statut >= 500}, statuts
    assert atteints & AU_BOUT.get(operation, {200, 201, 303}), (operation, atteints)
    assert not {statut for statut in atteints if statut >= 500 and statut not in AU_BOUT.get(operation, set())}, (
        atteints
    )
    if methode == "get":
        assert empreinte(service.url_base) == avant


def _mettre_en_place(service: Service) -> dict[str, str]:  # noqa: F811
    """Un paiement ouvert et une anomalie signalée : leurs noms."""
    service.avis("3811702400012980F")
    transaction: str = service.payer("3811702400012980F", cle="k-0").json()["transaction"]
    service.catch_up()
    signale = service.client.post(
        f"/api/v1/support/paiements/{transaction}/signalement",
        json={"motif": "un doute"},
        headers={"Authorization": f"Bearer {jeton(RoleUtilisateur.SUPPORT)}"},
    )
    assert signale.status_code == 200, signale.text
    Follower(service.url_base, Anomalies(), mapper=MAPPER).catch_up()
    return {"transaction": transaction, "ident": signale.json()["id"], "idempotency-key": "k-1"}


def _aller_au_bout(
    service: Service,  # noqa: F811
    cas: Any,
    roles: Mapping[str, dict[str, str]],
    connus: Mapping[str, Any],
    operation: str,
) -> set[int]:
    """Les mêmes tirages, où ce qui doit exister existe, sous chaque rôle : l'opération va au bout."""
    statuts: set[int] = set()

    @settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cas=cas)
    def essai(cas: Any) -> None:
        for noms in (cas.path_parameters, cas.query, cas.headers):
            for nom in list(noms or ()):
                noms[nom] = connus.get(nom.lower(), noms[nom])
        cas.query = {nom: v for nom, v in {**(cas.query or {}), "motif": CONNUS["motif"]}.items() if nom not in SANS}
        if operation.endswith(("recherche", "acces")):
            cas.query |= {"q": REF} if operation.endswith("recherche") else {"objet": f"creance-{REF}"}
        if operation in CORPS:
            cas.body = CORPS[operation]
        if operation == "POST /kiosque/notification":
            cas.body = notification("T1", 20_00)
        for role in roles.values():
            en_tetes = role | {"Idempotency-Key": "k-1"}
            cas.headers = {
                nom: v
                for nom, v in (cas.headers or {}).items()
                if nom.lower() not in {"authorization", "idempotency-key"}
            }
            reponse = cas.call(base_url=str(service.client.base_url), headers=en_tetes, allow_redirects=False)
            statuts.add(reponse.status_code)

    essai()
    return statuts - {401, 403}


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
        assert reponse.status_code < 500 or SANS_KAFKA in reponse.text, (cas.as_curl_command(), reponse.text)
        if reponse.status_code >= 400:
            assert reponse.headers["content-type"][0].startswith("application/problem+json")

    essai()
