"""Ce que le propriétaire de la base change au journal, une fois scellé : chaque altération de la table est trouvée.

La table est celle de l'audit (tests/audit) ; ce qu'il ne voit pas, le rehachage le voit.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from preuve.found import Rehashed
from preuve.rehash import rehash_here
from tests.audit.alterations import ALTERATIONS, PUIS, Alteration
from tests.audit.conftest import base_peuplee
from tests.audit.test_alterations import GARDES
from tests.preuve.test_sceau import PUBLIQUE, SCEAU, sceller

__all__ = ["base_peuplee"]

pytestmark = pytest.mark.lent

_GESTE: Final = re.compile(r"\b(UPDATE|DELETE FROM|INSERT INTO) journal\.\w+")


def gestes(alteration: Alteration) -> set[str]:
    """Ce que l'altération fait à des lignes du journal."""
    return set(_GESTE.findall(alteration.sql))


DU_JOURNAL: Final = [une for une in ALTERATIONS if gestes(une)]
"""Celles qui touchent à des lignes du journal ; une vue n'est pas scellée, elle se refait de lui."""


@pytest.fixture(scope="module")
def scellee(base_peuplee: Any) -> Iterator[psycopg.Connection[Any]]:
    """Le monde de l'audit, scellé une fois ; chaque altération y est défaite."""
    with psycopg.connect(base_peuplee.url, autocommit=True) as conn:
        sceller(conn)
    with psycopg.connect(base_peuplee.url_proprietaire, autocommit=True) as proprietaire:
        yield proprietaire


def rehachee(conn: psycopg.Connection[Any], sql: str = "") -> Rehashed:
    """Ce que le rehachage trouve, l'altération faite ; la base est rendue telle qu'elle était."""
    with conn.transaction(force_rollback=True):
        conn.execute(GARDES.format("DISABLE"))
        for instruction in filter(None, sql.split("; ")):
            assert conn.execute(instruction.encode()).rowcount != 0, f"n'altère rien : {instruction}"
        conn.execute(GARDES.format("ENABLE"))
        return rehash_here(conn, SCEAU.origin, SCEAU.secret, [PUBLIQUE])
    raise AssertionError("la transaction est toujours défaite")


def test_rien_n_a_change_tant_que_rien_n_est_altere(scellee: psycopg.Connection[Any]) -> None:
    trouve = rehachee(scellee)
    assert (trouve.count, trouve.unsealed) == (0, 0)
    assert trouve.leaves > 100


def test_la_table_est_grande_et_contient_ce_que_l_audit_ne_voit_pas() -> None:
    assert len(DU_JOURNAL) >= 120
    assert {une.nom for une in ALTERATIONS if une.preuve} <= {une.nom for une in DU_JOURNAL}
    assert not any(PUIS in une.sql for une in DU_JOURNAL)


@pytest.mark.parametrize("alteration", DU_JOURNAL, ids=[une.nom for une in DU_JOURNAL])
def test_une_alteration_du_journal_est_trouvee(scellee: psycopg.Connection[Any], alteration: Alteration) -> None:
    trouve = rehachee(scellee, alteration.sql)
    if gestes(alteration) == {"INSERT INTO"}:
        # Une ligne de plus n'est pas une ligne changée : elle est comptée parmi ce qu'aucun sceau ne couvre, et
        # l'audit la juge comme toute autre.
        assert trouve.count > 0 or trouve.unsealed > 0
        assert alteration.preuve is None
        return
    assert trouve.count > 0
    assert all(difference.where for difference in trouve.differences)
