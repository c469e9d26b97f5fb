"""Les rebuts ne sont pas un disque offert : bornés en octets, ceux de la banque à part, les copies comptées."""

import asyncio
import json
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
import structlog.testing
from pydantic import SecretStr
from starlette.types import Message

from api.application import Limites
from api.socle.rebuts import COPIES_TRANSMISES, Place, Provenance
from kiosque.sips.sceau import Marchand
from tests.api.conftest import MARCHAND, Service, notification

ETRANGER = Marchand(id=MARCHAND.id, cles={1: SecretStr("une autre clé")}, version_courante=1)
FORMULAIRE = {"Content-Type": "application/x-www-form-urlencoded"}


def poster(service: Service, champs: dict[str, str]) -> int:
    return service.client.post("/kiosque/notification", data=champs).status_code


def poster_de(service: Service, adresse: str, *formulaires: dict[str, str]) -> list[int]:
    """Poste comme si les connexions venaient de cette adresse."""

    async def demander() -> list[int]:
        transport = httpx.ASGITransport(app=service.application, client=(adresse, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            return [(await client.post("/kiosque/notification", data=champs)).status_code for champs in formulaires]

    return asyncio.run(demander())


def reseaux(*dits: str) -> tuple[Any, ...]:
    return tuple(map(ip_network, dits))


def octets_gardes(service: Service) -> int:
    return sum(len(valeur) for genre, _, valeur, _ in service.webhook_sender.messages if genre == "rebuts")


class TestPlace:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        limites = Limites(rebuts_par_adresse_octets_par_jour=20_000, rebuts_en_rafale=10_000, refus_par_minute=10_000)
        return {"limites": limites}

    def test_dans_un_flot_de_faux_tous_les_messages_de_la_banque_sont_gardes(self, service: Service) -> None:
        de_la_banque = [notification(f"T{n}", 20_00, marchand=ETRANGER) for n in range(20)]
        for n, champs in enumerate(de_la_banque):
            for faux in range(5):
                poster(service, {"Data": f"{n}-{faux}" + "x" * 8_000, "Seal": "0"})
            assert poster(service, champs) == 400
        gardes = [json.loads(valeur) for _, _, valeur, _ in service.webhook_sender.messages]
        assert [lu["Data"] for lu in gardes if lu["Data"].startswith("amount")] == [c["Data"] for c in de_la_banque]
        assert octets_gardes(service) < 20_000 + 20 * 1_000

    def test_le_lendemain_la_place_est_libre(self, service: Service) -> None:
        from datetime import timedelta

        for n in range(4):
            poster(service, {"Data": f"{n}" + "x" * 8_000, "Seal": "0"})
        assert len(service.webhook_sender.messages) == 2
        service.maintenant = service.heure() + timedelta(days=1)
        poster(service, {"Data": "demain", "Seal": "0"})
        assert len(service.webhook_sender.messages) == 3


def test_une_adresse_qui_revient_n_est_pas_oubliee_avant_les_autres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.socle.rebuts.ADRESSES_MAX", 3)
    place = Place(Limites(rebuts_plausibles_par_adresse_octets_par_jour=10), banque_connue=True)
    instant = datetime(2026, 11, 27, tzinfo=UTC)
    gardes = 0
    for n in range(50):
        gardes += place.prendre(1, "192.0.2.1", instant, Provenance.PLAUSIBLE)
        place.prendre(1, f"198.51.100.{n}", instant, Provenance.PLAUSIBLE)
    assert gardes == 10


class TestPlausibles:
    """Ce qui a l'allure des messages de la banque, et que n'importe qui compose : un commerçant se connaît."""

    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        limites = Limites(
            rebuts_plausibles_par_adresse_octets_par_jour=10_000,
            rebuts_de_la_banque_octets_par_jour=40_000,
            rebuts_par_adresse_octets_par_jour=5_000,
            plausibles_par_minute=1_000,
            refus_par_minute=100_000,
        )
        return {"limites": limites, "reseaux_de_la_banque": reseaux("127.0.0.1/32")}

    def faux(self, service: Service, combien: int, adresse: str) -> list[int]:
        """Autant de formulaires de bonne allure et faux, venus d'une adresse."""
        nom = adresse.replace(".", "x")
        formulaires = (notification(f"{nom}-{n}", 20_00, marchand=ETRANGER) for n in range(combien))
        return poster_de(service, adresse, *formulaires)

    def test_une_adresse_n_en_garde_que_sa_part(self, service: Service) -> None:
        assert set(self.faux(service, 100, "192.0.2.1")) == {400}
        assert 9_000 < octets_gardes(service) <= 10_000

    def test_toutes_les_adresses_ensemble_laissent_la_moitie_a_la_banque(self, service: Service) -> None:
        for hote in range(1, 9):
            self.faux(service, 40, f"192.0.2.{hote}")
        assert octets_gardes(service) <= 20_000
        de_la_banque = [notification(f"T{n}", 20_00, marchand=ETRANGER) for n in range(30)]
        assert {poster(service, champs) for champs in de_la_banque} == {400}
        gardes = {json.loads(valeur)["Data"] for _, _, valeur, _ in service.webhook_sender.messages}
        assert {champs["Data"] for champs in de_la_banque} <= gardes

    def test_ce_qui_est_trop_grand_pour_la_banque_n_a_que_la_place_de_tous(self, service: Service) -> None:
        formulaires = (notification(f"T{n}", 20_00, marchand=ETRANGER) for n in range(10))
        grands = (champs | {"Data": champs["Data"] + "|x=" + "y" * 20_000} for champs in formulaires)
        poster_de(service, "192.0.2.1", *grands)
        assert octets_gardes(service) == 0

    @pytest.mark.parametrize("adresse", ["127.0.0.1", "192.0.2.1"])
    def test_ce_que_kafka_n_a_pas_pris_ne_prend_pas_de_place(self, service: Service, adresse: str) -> None:
        service.webhook_sender.en_panne = True
        assert set(self.faux(service, 100, adresse)) == {503}
        service.webhook_sender.en_panne = False
        assert self.faux(service, 1, adresse) == [400]
        assert len(service.webhook_sender.messages) == 1

    @pytest.mark.parametrize("sceau", ["0", "z" * 64, "0" * 63])
    def test_un_sceau_qui_n_en_a_pas_la_forme_n_a_que_la_place_de_tous(self, service: Service, sceau: str) -> None:
        formulaires = (notification(f"T{n}", 20_00, marchand=ETRANGER) | {"Seal": sceau} for n in range(50))
        poster_de(service, "192.0.2.1", *formulaires)
        assert octets_gardes(service) <= 5_000


class TestDebitDesPlausibles:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        limites = Limites(plausibles_par_minute=5)
        return {"limites": limites, "reseaux_de_la_banque": reseaux("127.0.0.1/32")}

    def test_au_dela_d_un_debit_ils_attendent_sauf_ceux_de_la_banque(self, service: Service) -> None:
        formulaires = [notification(f"T{n}", 20_00, marchand=ETRANGER) for n in range(8)]
        assert poster_de(service, "192.0.2.1", *formulaires) == [400] * 5 + [429] * 3
        assert len(service.webhook_sender.messages) == 5
        assert {poster(service, champs | {"InterfaceVersion": "autre"}) for champs in formulaires} == {400}
        assert len(service.webhook_sender.messages) == 13


def test_un_flot_de_refus_se_dit_en_une_ligne_avec_son_nombre(service: Service) -> None:
    with structlog.testing.capture_logs() as dites:
        for n in range(50):
            poster(service, {"Data": str(n), "Seal": "0"})
            service.client.post("/kiosque/retour", data={"Data": str(n), "Seal": "0"})
    for evenement in ("notification_refusee", "retour_irrecevable"):
        assert [dite["fois"] for dite in dites if dite["event"] == evenement] == [1]


def test_ceux_qui_partent_avant_la_fin_se_disent_en_une_ligne(service: Service) -> None:
    async def partir() -> None:
        portee = {
            "type": "http", "method": "POST", "path": "/kiosque/notification", "raw_path": b"/kiosque/notification",
            "query_string": b"", "headers": [], "client": ("192.0.2.1", 1), "server": ("s", 80), "scheme": "http",
            "root_path": "", "http_version": "1.1",
        }  # fmt: skip

        async def recevoir() -> Message:
            return {"type": "http.disconnect"}

        async def envoyer(_: Message) -> None:
            pass

        for _ in range(20):
            await service.application(dict(portee), recevoir, envoyer)

    with structlog.testing.capture_logs() as dites:
        asyncio.run(partir())
    assert [dite["fois"] for dite in dites if dite["event"] == "client_parti"] == [1]


def test_un_formulaire_trop_grand_n_est_ni_lu_ni_garde(service: Service) -> None:
    corps = b"Data=" + b"%01" * 12_000 + b"&Seal=x"  # Six fois plus grand une fois écrit en JSON.
    reponse = service.client.post("/kiosque/notification", content=corps, headers=FORMULAIRE)
    assert reponse.status_code == 413
    assert service.webhook_sender.messages == []


def test_seuls_les_champs_de_la_banque_sont_gardes(service: Service) -> None:
    en_plus = {"nom": "Durand", "recue_le": "1999"}
    assert poster(service, notification("T1", 20_00, marchand=ETRANGER) | en_plus) == 400
    assert poster(service, notification("T2", 20_00) | en_plus) == 200
    attendus = {"Data", "Seal", "InterfaceVersion", "Encode", "SealAlgorithm", "recue_le"}
    assert all(set(json.loads(valeur)) <= attendus for _, _, valeur, _ in service.webhook_sender.messages)


@pytest.mark.parametrize(("marchand", "statut", "genre"), [(MARCHAND, 200, "notifications"), (ETRANGER, 400, "rebuts")])
def test_un_formulaire_rejoue_est_compte_et_garde_une_fois(
    service: Service, marchand: Marchand, statut: int, genre: str
) -> None:
    champs = notification("T1", 20_00, marchand=marchand)
    assert {poster(service, champs) for _ in range(20)} == {statut}
    combien = COPIES_TRANSMISES if genre == "notifications" else 1
    assert [message[0] for message in service.webhook_sender.messages] == [genre] * combien


@pytest.mark.parametrize("autour", ["InterfaceVersion", "Encode", "SealAlgorithm"])
def test_un_formulaire_rejoue_sous_un_autre_habit_est_le_meme(service: Service, autour: str) -> None:
    # Le sceau ne couvre pas ces champs : qui tient un formulaire scellé les réécrit sans fin.
    champs = notification("T1", 20_00)
    assert {poster(service, champs | {autour: f"habit {n}"}) for n in range(20)} == {200}
    assert len(service.webhook_sender.messages) == COPIES_TRANSMISES


def test_une_notification_que_kafka_n_a_pas_prise_n_est_pas_une_copie(service: Service) -> None:
    champs = notification("T1", 20_00)
    service.webhook_sender.en_panne = True
    assert poster(service, champs) == 503
    service.webhook_sender.en_panne = False
    assert poster(service, champs) == 200
    assert len(service.webhook_sender.messages) == 1


class TestDebit:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"limites": Limites(refus_par_minute=3)}

    def test_qui_n_envoie_que_des_faux_attend_et_la_banque_passe(self, service: Service) -> None:
        statuts = [poster(service, {"Data": str(n), "Seal": "0"}) for n in range(5)]
        assert statuts == [400, 400, 400, 429, 429]
        assert poster(service, notification("T1", 20_00)) == 200
        assert poster(service, notification("T2", 20_00, marchand=ETRANGER)) == 400
