"""L'identifiant d'un fait publié, relu du topic par qui démarre et par qui cherche ce qui est perdu."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from publication.cloudevent import identifiant_publie, lire_identifiant
from service.lost import _event
from service.rewind import _missing

ETRANGERS = (
    "",
    "creance-x",
    ":1",
    "creance-x:",
    "creance-x:-1",
    "creance-x:1.0",
    "creance-x:\u0663",
    f"creance-x:{'9' * 19}",
    f"creance-x:{'9' * 5_000}",
    "creance-\x00:1",
)
"""Ce que personne de nous n'a écrit, et que quelqu'un peut mettre sur le topic."""


def test_ce_qui_est_ecrit_se_relit() -> None:
    assert lire_identifiant(identifiant_publie("creance-3811701200010075F", 12)) == ("creance-3811701200010075F", 12)


@pytest.mark.parametrize("identifiant", ETRANGERS)
def test_un_identifiant_qui_n_est_pas_de_nous_n_arrete_personne(base: Any, identifiant: str) -> None:
    """Ni un rôle qui démarre et cherche si le journal a reculé, ni la commande qui retrouve ce qui est perdu."""
    assert lire_identifiant(identifiant) is None
    with psycopg.connect(base.url, autocommit=True) as conn:
        assert _missing(conn, [identifiant]) is None
        assert _missing(conn, [identifiant, "creance-x:1"]) == "creance-x:1"
    en_tetes = [("ce_id", identifiant.encode()), ("ce_source", b"/creances/bases/1/epoques/e")]
    assert _event(SimpleNamespace(headers=en_tetes, value=b"{}"), "/creances/bases/1/") is None
