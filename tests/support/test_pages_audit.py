"""L'auditeur demande un audit depuis sa page, le suit, le lit, l'emporte ; un autre rôle ne le peut pas."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from projections.vues import audits
from service.audits import launcher, run
from tests.api.navigation import champ, lisible
from tests.outils import attendre
from tests.support.banc import REF, Service, paiement, recevoir
from tests.support.test_pages import entrer

LANCES: list[int] = []


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    """La démonstration ; l'audit est fait quand un test le dit."""
    LANCES.clear()
    return {"demo": True, "auditer": LANCES.append}


def demander(service: Service, depuis: str = "") -> Any:
    jeton = champ(service.client.get("/support/audit"), "jeton")
    return service.client.post("/support/audit", data={"jeton": jeton, "depuis": depuis})


def faire(service: Service) -> None:
    run(service.url_base, LANCES[-1])


def test_un_audit_se_demande_se_suit_se_lit_et_s_emporte(service: Service) -> None:
    service.avis(REF)
    transaction = paiement(service, REF)
    recevoir(service, transaction, 20_00)
    entrer(service, "aline")
    demandee = demander(service)
    page = demandee.headers["Location"]
    assert (demandee.status_code, page) == (303, f"/support/audit/{LANCES[0]}")
    en_cours = service.client.get(page)
    assert "<progress" in en_cours.text
    assert en_cours.headers["Refresh"] == "2"
    assert demander(service).headers["Location"] == page, "un seul à la fois : on est mené à lui"
    assert len(LANCES) == 1
    faire(service)
    finie = service.client.get(page)
    assert "Refresh" not in finie.headers
    lue = lisible(finie)
    for dit in ("Tête du journal", "Époque", "Version du code", "Base", "Hors de portée", "Par caisse", "Par marchand"):
        assert dit in lue
    assert "Acceptés en ligne 20,00 €" in re.sub(r"\s+", " ", lue)
    rapport = service.client.get(f"{page}/rapport.json").json()
    assert rapport["totaux"]["accepte"] == 20_00
    assert rapport["identite"]["difference"] == 0
    lignes = list(csv.DictReader(io.StringIO(service.client.get(f"{page}/rapport.csv").text), delimiter=";"))
    assert {ligne["axe"] for ligne in lignes} == {"ensemble", "caisse", "marchand", "jour"}
    assert f'href="{page}"' in service.client.get("/support/audit").text


@pytest.mark.parametrize("adresse", ["/support/audit/999", "/support/audit/9" + "9" * 30, "/support/audit/x",
                                     "/support/audit/1/rapport.pdf", "/support/audit/1/rapport.csv"])  # fmt: skip
def test_un_audit_qui_n_est_pas_la_est_refuse(service: Service, adresse: str) -> None:
    entrer(service, "aline")
    assert service.client.get(adresse).status_code in {404, 422}


@pytest.mark.parametrize("depuis", ["hier", "2026", "2026-02-31", "<script>", "2026-01-01x"])
def test_un_jour_qui_ne_se_lit_pas_ne_lance_rien(service: Service, depuis: str) -> None:
    entrer(service, "aline")
    refuse = demander(service, depuis)
    assert (refuse.status_code, "AAAA-MM-JJ" in refuse.text, "<script>" in refuse.text) == (422, True, False)
    assert LANCES == []


def test_le_support_et_un_inconnu_n_ont_pas_la_page_de_l_auditeur(service: Service) -> None:
    assert service.client.get("/support/audit").status_code in {303, 401, 403}
    entrer(service, "claire")
    for appel in (service.client.get, service.client.post):
        assert appel("/support/audit").status_code == 403
    assert LANCES == []


def test_un_audit_dont_le_processus_est_mort_est_dit_interrompu(service: Service) -> None:
    entrer(service, "aline")
    page = demander(service).headers["Location"]
    with psycopg.connect(service.url_base, autocommit=True) as conn:
        conn.execute("UPDATE vues.audits SET vu_le = vu_le - make_interval(secs => %s)", (audits.SILENCE_S + 1,))
    assert "Interrompu" in lisible(service.client.get(page))
    assert demander(service).headers["Location"] != page


def test_un_audit_qui_echoue_le_dit(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def tomber(*_: Any, **__: Any) -> None:
        raise RuntimeError("plus de place")

    monkeypatch.setattr("service.audits.auditer", tomber)
    entrer(service, "aline")
    page = demander(service).headers["Location"]
    faire(service)
    assert "plus de place" in lisible(service.client.get(page))


def test_l_audit_se_fait_dans_un_processus_a_lui(service: Service) -> None:
    lancer: Callable[[int], None] = launcher(service.url_base)
    with psycopg.connect(service.url_base, autocommit=True) as conn:
        rang, neuf = audits.demander(conn, "aline", None)
        assert neuf
        lancer(rang)

        def fini() -> bool:
            trouve = audits.audit_demande(conn, rang)
            return trouve is not None and trouve.fini_le is not None

        attendre(fini, secondes=30, quoi="un audit fini")
        trouve = audits.audit_demande(conn, rang)
    assert trouve is not None
    assert (trouve.echec, (trouve.rapport or {})["ecarts_total"]) == (None, 0)
