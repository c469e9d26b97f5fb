"""Un même appelant ne peut pas tout demander : 429, quand revenir, et les autres n'en savent rien."""

from typing import Any

import httpx
import psycopg
import pytest
from starlette.requests import Request

from api.application import Limites
from api.socle.debits import adresse_de
from tests.api.conftest import Service, notification, porteur
from tests.api.navigation import NAVIGATEUR, REF, champ, devenir
from tests.api.test_meme_travail import requetes


class TestDebits:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        limites = Limites(lectures_par_minute=4, ecritures_par_minute=2, connexions_par_minute=2, refus_par_minute=3)
        return {"demo": True, "limites": limites}

    def test_les_consultations_d_une_personne_sont_bornees_pas_celles_d_une_autre(self, service: Service) -> None:
        service.avis(REF)
        reponses = [service.chercher(REF) for _ in range(6)]
        assert [reponse.status_code for reponse in reponses] == [200] * 4 + [429] * 2
        assert reponses[-1].headers["Content-Type"] == "application/problem+json"
        assert reponses[-1].json()["code"] == "trop_de_demandes"
        assert int(reponses[-1].headers["Retry-After"]) > 0
        assert service.chercher(REF, "a-2").status_code == 404

    def test_les_paiements_d_une_personne_sont_bornes(self, service: Service) -> None:
        service.avis(REF)
        assert [service.payer(REF, cle=f"k-{n}").status_code for n in range(4)][2:] == [429, 429]

    def test_une_page_le_dit_a_une_personne(self, service: Service) -> None:
        devenir(service)
        pages = [service.client.get("/payer") for _ in range(6)]
        assert pages[-1].status_code == 429
        assert "trop de demandes" in pages[-1].text
        assert "Retry-After" in pages[-1].headers

    def test_les_jetons_refuses_d_une_adresse_sont_bornes(self, service: Service) -> None:
        faux = {"Authorization": "Bearer faux"}
        statuts = [service.client.get(f"/api/v1/creances/{REF}", headers=faux).status_code for _ in range(5)]
        assert statuts == [401, 401, 401, 429, 429]
        service.avis(REF)
        assert service.chercher(REF).status_code == 200

    def test_les_retours_de_la_banque_refuses_d_une_adresse_sont_bornes_et_consignes(self, service: Service) -> None:
        bon = notification("PCLCB990010000001", 20_00)
        retours = [service.client.post("/kiosque/retour", data=bon | {"Seal": "0" * 64}) for _ in range(5)]
        assert [retour.status_code for retour in retours] == [303, 303, 303, 429, 429]
        assert int(retours[-1].headers["Retry-After"]) > 0
        assert service.client.post("/kiosque/retour", data=bon).status_code == 303
        with psycopg.connect(service.url_base) as conn:
            lignes = conn.execute("SELECT detail FROM journal.securite WHERE genre = 'refus'").fetchall()
        assert ("retour de la banque refusé : sceau_invalide",) in lignes

    def test_les_connexions_d_une_adresse_sont_bornees(self, service: Service) -> None:
        statuts = [service.client.get("/connexion", headers=NAVIGATEUR).status_code for _ in range(4)]
        assert statuts[2:] == [httpx.codes.TOO_MANY_REQUESTS] * 2


@pytest.mark.parametrize(
    ("une", "autre", "ensemble"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_un_abonne_compte_pour_un_quelle_que_soit_son_adresse(une: str, autre: str, *, ensemble: bool) -> None:
    lues = [adresse_de(Request({"type": "http", "client": (hote, 1)})) for hote in (une, autre)]
    assert (lues[0] == lues[1]) is ensemble


class TestSessions:
    """Un 429, un 403 ou un 404 demandé sans fin ne se lit pas sans fin dans la base."""

    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"demo": True, "limites": Limites(lectures_par_minute=4, ecritures_par_minute=2)}

    @staticmethod
    def lues(service: Service, adresse: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], int]:
        """Les statuts de quarante demandes, et combien de fois une session a été lue."""
        with requetes(monkeypatch) as vues:
            statuts = [service.client.get(adresse).status_code for _ in range(40)]
        return statuts, sum("FROM acces.sessions" in vue for vue in vues)

    @pytest.mark.parametrize("adresse", ["/payer", "/support", "/exploitation", "/nulle-part"])
    def test_une_session_ne_se_lit_pas_sans_fin(
        self, service: Service, adresse: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devenir(service)
        statuts, lectures = self.lues(service, adresse, monkeypatch)
        assert statuts[-1] == (404 if adresse == "/nulle-part" else 429)
        assert lectures <= 2 * (4 + 2)

    def test_une_session_finie_non_plus_et_la_personne_n_en_est_pas_genee(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devenir(service)
        copie = service.client.cookies["creances_session"]
        service.client.post("/deconnexion", data={"jeton": champ(service.client.get("/"), "jeton")})
        devenir(service)
        vraie = service.client.cookies["creances_session"]
        service.client.cookies.set("creances_session", copie)
        statuts, lectures = self.lues(service, "/payer", monkeypatch)
        assert (statuts[0], statuts[-1]) == (303, 429)
        assert lectures <= 2 * (4 + 2)
        service.client.cookies.set("creances_session", vraie)
        assert service.client.get("/payer").status_code == 200

    def test_un_flot_n_empeche_pas_de_se_deconnecter(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        devenir(service)
        jeton = champ(service.client.get("/"), "jeton")
        self.lues(service, "/payer", monkeypatch)
        assert service.client.post("/deconnexion", data={"jeton": jeton}).status_code == 303
        assert service.client.get("/payer").status_code == 303

    def test_un_jeton_d_un_autre_role_compte_aussi(self, service: Service) -> None:
        statuts = [service.client.get("/api/v1/support/anomalies", headers=porteur()).status_code for _ in range(6)]
        assert statuts == [403] * 4 + [429] * 2
