"""Un rapport corrigé : le dernier qui parle d'une opération est ce que la banque en dit ; les autres restent gardés."""

from collections.abc import Iterator
from typing import Any

import pytest

from projections.audit import auditer
from tests.rapports.banc import Banc, Ligne, banc, rapport


@pytest.fixture
def b(base: Any) -> Iterator[Banc]:
    with banc(base.url) as ouvert:
        yield ouvert


def test_un_rapport_corrige_le_meme_jour_ferme_l_ecart_qu_il_avait_ouvert(b: Banc) -> None:
    b.payer("T1")
    faux = b.rapprocher(rapport([Ligne("T1", 21_00, autorisation="761208")]))
    assert [(e.montant_banque, e.montant_chez_nous) for e in faux.ecarts] == [(21_00, 20_00)]
    juste = b.rapprocher(rapport([Ligne("T1", 20_00, autorisation="761208")]))
    assert (juste.ecarts, juste.leves, b.ouverts()) == ([], 1, [])
    [somme] = juste.sommes.values()
    assert (somme.banque_pris, somme.nous_pris) == (20_00, 20_00)
    assert b.conn.execute("SELECT count(*) FROM journal.lignes_de_rapport").fetchone() == (2,), "rien n'est effacé"
    assert [ecart for ecart in auditer(b.conn).ecarts if "rapport" in ecart or "remboursements" in ecart] == []
