"""Les rebuts ne sont pas un disque offert : bornés en octets, ceux de la banque à part, les copies comptées."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from api.application import Limites
from api.socle.rebuts import COPIES_TRANSMISES
from kiosque.sips.sceau import Marchand
from tests.api.conftest import MARCHAND, Service, notification

ETRANGER = Marchand(id=MARCHAND.id, cles={1: SecretStr("une autre clé")}, version_courante=1)
FORMULAIRE = {"Content-Type": "application/x-www-form-urlencoded"}


def poster(service: Service, champs: dict[str, str]) -> int:
    return service.client.post("/kiosque/notification", data=champs).status_code


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
