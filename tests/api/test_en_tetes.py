"""Les en-têtes de sûreté sont sur chaque réponse : page, JSON, erreur, redirection, fichier, santé."""

import re
from dataclasses import replace
from typing import Any

import pytest

from api.application import creer_api, creer_exploitation
from api.socle.en_tetes import POLITIQUE_DE_CONTENU
from tests.api.conftest import Service, porteur
from tests.api.navigation import NAVIGATEUR, REF
from tests.serveurs import servi

ADRESSES = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/nulle-part",
    "/payer",
    "/connexion",
    "/inactivite",
    "/statique/pages.css",
    "/statique/absent.css",
    f"/api/v1/creances/{REF}",
    "/api/v1/paiements/x",
    "/kiosque/notification",
]


@pytest.mark.parametrize("adresse", ADRESSES)
@pytest.mark.parametrize("accepte", [NAVIGATEUR, {"Accept": "application/json"}], ids=["page", "programme"])
def test_chaque_reponse_porte_les_en_tetes_de_surete(service: Service, adresse: str, accepte: dict[str, str]) -> None:
    service.avis(REF)
    en_tetes = service.client.get(adresse, headers=porteur() | accepte).headers
    assert en_tetes["X-Content-Type-Options"] == "nosniff"
    assert en_tetes["X-Frame-Options"] == "DENY"
    assert en_tetes["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in en_tetes["Content-Security-Policy"]
    assert "camera=()" in en_tetes["Permissions-Policy"]
    assert en_tetes["Cache-Control"] == ("no-cache" if adresse == "/statique/pages.css" else "no-store")
    assert "Strict-Transport-Security" not in en_tetes  # L'adresse publique des tests est en http.
    assert len(en_tetes.get_list("Cache-Control")) == 1


def test_sous_https_le_navigateur_ne_doit_plus_prendre_d_autre_chemin(service: Service) -> None:
    guichet = service.guichet
    adresses = replace(guichet.adresses, retour="https://service.test/kiosque/retour")
    dependances = replace(service.dependances_api, guichet=_avec(guichet, adresses), metriques=_registre())
    with servi(creer_api(dependances)) as url:
        en_tetes = service.client.get(f"{url}/livez").headers
    assert en_tetes["Strict-Transport-Security"].startswith("max-age=31536000")


def _avec(guichet: Any, adresses: Any) -> Any:
    return replace(guichet, adresses=adresses)


def _registre() -> Any:
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()


def test_hors_de_la_demonstration_docs_n_existe_pas(service: Service) -> None:
    assert service.client.get("/docs").status_code == 404


class TestDemonstration:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"demo": True}

    def test_docs_ne_charge_rien_d_ailleurs(self, service: Service) -> None:
        page = service.client.get("/docs")
        assert page.status_code == 200
        assert "/api/v1/creances/{reference}" in page.text
        assert page.headers["Content-Security-Policy"] == POLITIQUE_DE_CONTENU.decode()
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)


class TestPortDExploitation:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"exploitation_a_part": True}

    @pytest.mark.parametrize("notice_servie", [True, False])
    def test_la_sante_et_les_mesures_sont_la_et_nulle_part_ailleurs(
        self, service: Service, *, notice_servie: bool
    ) -> None:
        principale = creer_api(replace(service.dependances_api, metriques=_registre()))
        with servi(creer_exploitation(principale, notice_servie=notice_servie)) as url:
            for adresse, statut in {
                "/livez": 200,
                "/readyz": 200,
                "/metrics": 200,
                "/docs": 200 if notice_servie else 404,
                "/openapi.json": 404,
                "/payer": 404,
                "/api/v1/exploitation/retard": 404,
            }.items():
                reponse = service.client.get(f"{url}{adresse}")
                assert reponse.status_code == statut, adresse
                assert reponse.headers["Content-Security-Policy"] == POLITIQUE_DE_CONTENU.decode()
        for adresse in ("/readyz", "/metrics", "/docs"):
            assert service.client.get(adresse).status_code == 404
        assert service.client.get("/livez").status_code == 200
