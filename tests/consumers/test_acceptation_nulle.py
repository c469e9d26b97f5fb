"""Une acceptation de zéro centime n'a rien pris : elle ne conclut rien, et n'enferme personne en vérification."""

from collections.abc import Iterator
from typing import Any

import pytest

from projections.audit import auditer
from tests.consumers.banc import Banc, avis, banc, notification

INCONNUE = "PCLCB260010009999"


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        ouvert.emettre_avis(avis(1))
        ouvert.consommer("avis", 1)
        yield ouvert


@pytest.mark.parametrize("nul", ["0", "00", "000000000000"])
def test_elle_laisse_le_paiement_ouvert_et_la_banque_interrogee(b: Banc, nul: str) -> None:
    transaction = b.ouvrir(avis(1)["reference"], 20_00)
    nulle, topic = notification(transaction, 0, amount=nul), b.settings.topic_notifications
    b.emettre(topic, [(transaction, nulle), (INCONNUE, notification(INCONNUE, 0, amount=nul))])
    b.consommer("kiosque", 2)
    assert b.par_sort(topic) == {"en_attente": 1, "non_rapprochee": 1}
    b.projeter()
    assert b.conn.execute("SELECT statut FROM vues.paiements").fetchall() == [("en_cours",)]
    assert b.conn.execute("SELECT solde, en_cours FROM vues.restant_du").fetchone() == (87_09, 20_00)

    b.emettre(topic, [(transaction, notification(transaction, 20_00)), (transaction, nulle)])
    b.consommer("kiosque", 4)
    assert b.par_sort(topic) == {"appliquee": 1, "en_attente": 2, "non_rapprochee": 1}
    encaissements = "SELECT count(*) FROM journal.evenements WHERE topic = 'paiement.EncaissementNonImpute'"
    assert b.conn.execute(encaissements).fetchone() == (0,)
    assert auditer(b.conn).ecarts == []
