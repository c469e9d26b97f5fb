"""La tournée qui arrête, ce que Prometheus en lit, et les pages de l'exploitation."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry

from api.application import Dependances, creer_api
from api.socle.identite import VerificateurDeDeveloppement
from domain.delai import PARIS
from projections.arretes.lecture import dernieres
from service.closing_duty import ClosingDuty, ClosingsCollector
from tests.api.navigation import NAVIGATEUR, champ, lisible
from tests.arretes.autorite import autorite
from tests.arretes.histoires import Histoire, histoire
from tests.preuve.test_sceau import dernier_point, sceller
from tests.serveurs import servi

HIER = datetime.now(PARIS).date() - timedelta(days=1)


@pytest.fixture
def h(base: Any) -> Iterator[Histoire]:
    """Une histoire d'hier et d'avant-hier."""
    with histoire(base.url, 4, datetime.combine(HIER - timedelta(days=1), time(9), PARIS)) as une:
        for _ in range(2):
            for _ in range(6):
                une.geste()
            une.avancer(timedelta(days=1))
        yield une


def a(heure: int) -> datetime:
    """Aujourd'hui, à cette heure de Paris."""
    return datetime.combine(HIER + timedelta(days=1), time(heure), PARIS)


def tournee(h: Histoire, heure: int, **reglages: Any) -> int:
    """Un regard de la tournée à cette heure ; combien de journées elle a arrêtées."""
    settings = h.m.settings.model_copy(update=reglages)
    return ClosingDuty(settings, h.m.guichet, lambda: a(heure)).look(h.m.conn)


def mesure(h: Histoire, heure: int, *, stamped: bool = False) -> tuple[float | None, float | None]:
    mesures = CollectorRegistry()
    mesures.register(ClosingsCollector(str(h.m.settings.database_url), stamped=stamped, clock=lambda: a(heure)))
    return (
        mesures.get_sample_value("creances_arretes_en_retard"),
        mesures.get_sample_value("creances_arretes_sans_jeton"),
    )


def test_la_veille_attend_le_rapport_de_la_banque_mais_pas_au_dela_de_dix_heures(h: Histoire) -> None:
    assert mesure(h, 9) == (1, 0)  # L'avant-veille.
    assert mesure(h, 12) == (2, 0)
    assert tournee(h, 8) == 1
    assert dernieres(h.m.conn)[0].arrete.jour == HIER - timedelta(days=1)
    assert mesure(h, 9) == (0, 0)
    assert mesure(h, 12) == (1, 0)
    assert tournee(h, 8) == 0
    assert tournee(h, 10) == 1
    assert mesure(h, 12, stamped=True) == (0, 2)
    assert tournee(h, 11) == 0


def test_sous_son_role_elle_arrete_et_horodate(h: Histoire, tmp_path: Path) -> None:
    with autorite(tmp_path) as tsa, psycopg.connect(str(h.m.settings.database_url), autocommit=True) as conn:
        # Le rôle de la relance, dans la base : ce que rights.sql lui donne suffit.
        options = "?options=-c%20role%3Dcreances_relance"
        url = str(h.m.settings.database_url)
        sous_son_role = url + (options if "?" not in url else "&" + options[1:])
        with histoire(sous_son_role, 5, a(9)) as role:
            role.m.settings = role.m.settings.model_copy(update={"tsa_url": tsa.url, "tsa_roots": tsa.racines})
            assert tournee(role, 10) == 2
        assert all(cloture.jeton is not None for cloture in dernieres(conn, 9))


@pytest.fixture
def client(h: Histoire) -> Iterator[httpx.Client]:
    dependances = Dependances(
        guichet=h.m.guichet,
        url_base=str(h.m.settings.database_url),
        publier=lambda *_: None,  # type: ignore[arg-type]
        jetons=VerificateurDeDeveloppement("x" * 32, "creances"),
        retard=list,
        pret=lambda: True,
        horloge=lambda: datetime.now(UTC),
        demo=True,
    )
    with servi(creer_api(dependances)) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as ouvert:
        ouvert.headers.update(NAVIGATEUR)
        jeton = champ(ouvert.get("/"), "jeton")
        assert ouvert.post("/demonstration/agent", data={"jeton": jeton, "agent": "emile"}).status_code == 303
        yield ouvert


def test_l_exploitation_les_voit_et_les_emporte(h: Histoire, client: httpx.Client) -> None:
    assert "Aucune journée n'est encore arrêtée" in lisible(client.get("/exploitation/arretes"))
    with psycopg.connect(str(h.m.settings.database_url), autocommit=True) as conn:
        sceller(conn)
        point = dernier_point(conn)
    assert tournee(h, 12) == 2
    assert f"{HIER:%d/%m/%Y}" in lisible(client.get("/exploitation/arretes"))
    page = f"/exploitation/arretes/{HIER}"
    dite = lisible(client.get(page))
    (cloture,) = dernieres(h.m.conn)
    assert cloture.empreinte in dite
    assert f"{point.origin} {point.size} {point.root.hex()}" in dite
    assert "+ Avis émis" in dite
    assert client.get(f"{page}/arrete.json").content == cloture.octets
    assert client.get(f"{page}/arrete.pdf").content.startswith(b"%PDF-1.7")
    assert cloture.empreinte in client.get(f"{page}/arrete.csv").text


@pytest.mark.parametrize("chemin", ["2999-01-01", "hier", "2026-02-30", "x" * 200])
def test_ce_qui_n_est_pas_arrete_n_y_est_pas(h: Histoire, client: httpx.Client, chemin: str) -> None:
    tournee(h, 12)
    assert client.get(f"/exploitation/arretes/{chemin}").status_code == 404
    assert client.get(f"/exploitation/arretes/{HIER}/arrete.exe").status_code == 404
    assert client.get(f"/exploitation/arretes/{HIER}/arrete.tsr").status_code == 404


def test_un_premier_jour_d_avant_un_changement_d_heure_a_sa_fin_a_lui() -> None:
    from projections.arretes.journal import debut_du

    assert debut_du(date(2026, 3, 30)) - debut_du(date(2026, 3, 29)) == timedelta(hours=23)
    assert debut_du(date(2026, 10, 26)) - debut_du(date(2026, 10, 25)) == timedelta(hours=25)
