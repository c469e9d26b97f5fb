"""Ce que la surveillance lit des rapports : celui qui manque à midi, et les écarts ouverts."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from service.reports.due import ReportsCollector
from tests.rapports.banc import AUTRE_MARCHAND, MARCHAND, Ligne, banc, rapport

MIDI = datetime(2026, 6, 2, 10, 0, tzinfo=UTC)


def test_un_rapport_absent_et_un_ecart_ouvert_se_mesurent(base: Any) -> None:
    with banc(base.url) as b:
        b.rapprocher(rapport([Ligne("X")]))
    mesures = CollectorRegistry()
    mesures.register(ReportsCollector(base.url, (MARCHAND, AUTRE_MARCHAND), lambda: MIDI))
    attendus = [
        mesures.get_sample_value("creances_rapport_attendu", {"marchand": m}) for m in (MARCHAND, AUTRE_MARCHAND)
    ]
    assert attendus == [0, 1]
    assert mesures.get_sample_value("creances_ecarts_ouverts", {"genre": "manque_ici"}) == 1
    assert mesures.get_sample_value("creances_ecarts_ouverts", {"genre": "impaye"}) == 0


def test_sans_base_rien_n_est_mesure() -> None:
    assert list(ReportsCollector("postgresql://x@127.0.0.1:1/x", (MARCHAND,)).collect()) == []
