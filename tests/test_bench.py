"""Le banc de mesure part d'une base juste, et ses pages disent ce qui a été mesuré."""

from xml.etree import ElementTree as ET

import psycopg
import pytest

from bench import ceiling, data, life, life_loading, rebuild, report
from bench.data import Scale
from bench.figures import Figures
from bench.servers import Database as BenchDatabase
from engine.database import Database as Acces
from engine.mapper import EventMapper
from engine.recorder import Recorder
from projections.audit import auditer
from service import composition
from service.settings import Settings
from tests.conftest import Database
from tests.mapper import MAPPER

ECHELLE = Scale(creances=40, payments=10)


def lignes(conn: psycopg.Connection[tuple[object, ...]], vue: str) -> list[tuple[object, ...]]:
    return conn.execute(f"SELECT * FROM vues.{vue} ORDER BY 1").fetchall()  # noqa: S608


def test_la_base_chargee_est_celle_que_les_suiveurs_auraient_laissee(base: Database) -> None:
    data.load(BenchDatabase(base.nom, base.url, base.url_proprietaire), ECHELLE)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn, Acces(base.url) as acces:
        chargees = {vue: lignes(conn, vue) for vue in ("restant_du", "paiements")}
        assert len(chargees["restant_du"]) == 40
        assert len(chargees["paiements"]) == 10
        conn.execute("TRUNCATE vues.restant_du, vues.paiements; UPDATE vues.suiveurs SET position = 0")
        settings = Settings(_env_file=None, database_url=base.url)
        for vue in chargees:
            composition.follower(settings, Recorder(acces, MAPPER), vue).catch_up()
        assert {vue: lignes(conn, vue) for vue in chargees} == chargees
        conn.execute(rebuild._EMPTY)
        ceiling.rebuild(conn)
        assert lignes(conn, "restant_du") == chargees["restant_du"]


def test_les_octets_charges_sont_ceux_du_mapper() -> None:
    mapper = MAPPER
    for ligne in data.events(ECHELLE):
        fait = mapper.lire(*ligne)
        assert mapper.to_stored_event(fait).state == ligne.state


VECUE = Scale(creances=200, payments=40)


@pytest.mark.lent
def test_une_base_vecue_est_nette_et_ses_vues_sont_celles_que_ses_suiveurs_refont_sans_lecture_stricte(
    base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    evenements = life_loading.load(BenchDatabase(base.nom, base.url, base.url_proprietaire), VECUE)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn, Acces(base.url) as acces:
        rapport = auditer(conn, maintenant=data.EPOCH)
        assert (rapport.ecarts, rapport.non_controles, rapport.evenements) == ([], [], evenements)
        vues = ("restant_du", "paiements", "delai_affichage", "messagerie")
        chargees = {vue: lignes(conn, vue) for vue in vues}
        conn.execute("TRUNCATE vues.restant_du, vues.paiements, vues.delai_affichage, vues.messagerie")
        conn.execute("UPDATE vues.suiveurs SET position = 0")
        monkeypatch.setattr(EventMapper, "lire", lambda _, flux, *__: pytest.fail(f"{flux} : lecture stricte"))
        settings = Settings(_env_file=None, database_url=base.url)
        for vue in composition.VIEWS:
            composition.follower(settings, Recorder(acces, MAPPER), vue).catch_up()
        assert {vue: lignes(conn, vue) for vue in vues} == chargees
        assert conn.execute("SELECT max(position) FROM journal.evenements").fetchone() == (evenements,)


def test_les_vies_ont_des_flux_courts_et_longs_et_chacune_se_lit_aussi_en_attente() -> None:
    _, vies = life.lives()
    longueurs = [vie.creance.version for vie in vies]
    assert min(longueurs) == 1
    assert max(longueurs) > life.LONG_CHEQUES
    for finie, en_attente in zip(vies[::2], vies[1::2], strict=True):
        assert en_attente.balance == (finie.creance.solde, data.SHARE, finie.creance.version + 1)


def figures(ours: float) -> Figures:
    runs = {
        f"{genre}.{echelle}.{maniere}": [valeur]
        for genre in ("pipeline", "rebuild")
        for echelle in ("small", "large")
        for maniere, valeur in (("ours", ours), ("library", 100.0), ("ceiling", 5_000.0))
    }
    runs |= {"http.ours": [700.0], "http.bare": [1_000.0], "latency.p50": [12.0], "latency.p99": [40.0]}
    runs |= {"pipeline.large.ours, all followers": [ours], "memory.api": [100.0], "memory.api, growth": [1.0]}
    faits = {"créances_small": 10_000, "créances_large": 1_000_000, "bytes_per_event": 450.0}
    return Figures(runs=runs, facts=faits | {"bytes_per_fate": 600.0, "bytes_per_view_row": 220.0})


def test_la_table_dit_ce_qui_est_atteint_et_ce_qui_manque() -> None:
    atteint, manque = report.table(figures(2_000.0)), report.table(figures(900.0))
    assert "| **20** | ≥ 10 | reached |" in atteint
    assert "| **0.4** | ≥ 0.3 | reached |" in atteint
    assert "missed" not in atteint
    assert "| **9** | ≥ 10 | missed |" in manque
    assert "| **0.18** | ≥ 0.3 | missed |" in manque


def test_un_rapport_est_la_mediane_des_rapports_des_tours() -> None:
    mesures = Figures(runs={"a": [10.0, 1.0, 30.0], "b": [1.0, 1.0, 10.0]})
    assert mesures.ratio("a", "b") == 3.0


def test_la_page_calcule_ce_qu_un_noeud_porte_et_le_graphique_se_lit() -> None:
    page = report.page(figures(2_000.0))
    assert "4.0 times the peak" in page
    assert "450 bytes an event with its indexes: 135 GB a year" in page
    svg = ET.fromstring(report.chart(figures(2_000.0)))  # noqa: S314  notre propre dessin
    noms = [enfant.tag.rpartition("}")[2] for enfant in svg]
    assert noms[:2] == ["title", "desc"]
    assert svg.get("aria-labelledby") == "t d"
    assert "rect" in noms
