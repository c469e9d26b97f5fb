import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from api.application import Limites
from kiosque.interface import Verifiee
from kiosque.sips.enveloppe import fermer
from kiosque.sips.sceau import Algorithme, Marchand, sceller
from tests.api.conftest import MARCHAND, Service, notification

FORMULAIRE = {"Content-Type": "application/x-www-form-urlencoded"}
ETRANGER = Marchand(id=MARCHAND.id, cles={1: SecretStr("une autre clé")}, version_courante=1)


def poster(service: Service, champs: Any) -> Any:
    return service.client.post("/kiosque/notification", data=champs)


def test_une_notification_scellee_est_prise_en_charge_telle_que_recue(service: Service) -> None:
    service.maintenant = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
    champs = notification("PCLCB261520000001", 20_00)
    assert poster(service, champs).status_code == 200
    [(genre, cle, valeur, _)] = service.webhook_sender.messages
    assert (genre, cle) == ("notifications", b"PCLCB261520000001")
    assert json.loads(valeur) == champs | {"recue_le": "2026-06-01T10:00:00Z"}


def test_un_recue_le_venu_du_reseau_ne_compte_pas(service: Service) -> None:
    champs = notification("PCLCB261520000001", 20_00)
    poster(service, champs | {"recue_le": "1999-01-01T00:00:00Z"})
    assert not json.loads(service.webhook_sender.messages[0][2])["recue_le"].startswith("1999")


def test_un_mauvais_sceau_est_refuse_et_garde_aux_rebuts_rejouable(service: Service) -> None:
    champs = notification("PCLCB261520000001", 20_00, marchand=ETRANGER)
    reponse = poster(service, champs)
    assert (reponse.status_code, reponse.json()["code"]) == (400, "sceau_invalide")
    [(genre, cle, valeur, en_tetes)] = service.webhook_sender.messages
    assert (genre, cle) == ("rebuts", None)
    lu = json.loads(valeur)
    assert lu.pop("recue_le")
    assert lu == champs
    assert en_tetes["sha256"].decode() == hashlib.sha256(valeur).hexdigest()
    assert en_tetes["cause"].decode().startswith("Le sceau du message ne correspond pas")


BASE = (
    f"captureMode=AUTHOR_CAPTURE|currencyCode=978|merchantId={MARCHAND.id}|keyVersion=1"
    "|transactionReference=PCLCB261520000001|amount=2000|responseCode=00|authorisationId=761208"
)


def scelle(data: str, **autres: str) -> dict[str, str]:
    return {"Data": data, "Seal": sceller(data.encode(), MARCHAND.secret_courant, Algorithme.SHA_256)} | autres


@pytest.mark.parametrize(
    "champs",
    [
        scelle(f"{BASE}|preAuthorisationProfile=Règles par défaut"),
        scelle(f"{BASE}|x=1|x=1"),
        scelle(f"{BASE}|"),
        scelle(f"{BASE}|sans-egal"),
        scelle(base64.b64encode(BASE.encode()).decode(), Encode="BASE64"),
        scelle(base64.encodebytes(BASE.encode()).decode(), Encode="base64"),
        scelle(BASE, autre="x"),
    ],
)
def test_ce_que_personne_ne_lit_ne_coute_jamais_une_acceptation(service: Service, champs: dict[str, str]) -> None:
    assert poster(service, champs).status_code == 200
    [(genre, cle, valeur, _)] = service.webhook_sender.messages
    assert (genre, cle) == ("notifications", b"PCLCB261520000001")
    assert isinstance(service.guichet.kiosque.relire(json.loads(valeur)), Verifiee)


def test_un_champ_utilise_deux_fois_est_refuse_et_garde(service: Service) -> None:
    reponse = poster(service, scelle(f"{BASE}|amount=2000"))
    assert (reponse.status_code, reponse.json()["code"]) == (400, "formulaire_illisible")
    [(genre, _, _, en_tetes)] = service.webhook_sender.messages
    assert genre == "rebuts"
    assert "amount" in en_tetes["cause"].decode()


@pytest.mark.parametrize(
    "corps",
    [
        b"",
        b"Data=",
        b"Data=a%ff&Seal=x",
        b"\xff\xfe",
        b"Data=a&Data=b&Seal=x",
        b"Data=sans-egal&Seal=x",
        b"&".join(b"c%d=1" % i for i in range(500)),
        b"Data=merchantId%3D1%00&Seal=x",
    ],
)
def test_un_formulaire_illisible_est_refuse_et_garde(service: Service, corps: bytes) -> None:
    reponse = service.client.post("/kiosque/notification", content=corps, headers=FORMULAIRE)
    assert reponse.status_code == 400
    assert reponse.headers["Content-Type"] == "application/problem+json"
    assert [genre for genre, *_ in service.webhook_sender.messages] == ["rebuts"]


def test_du_json_n_est_pas_un_formulaire(service: Service) -> None:
    reponse = service.client.post("/kiosque/notification", json=notification("T1", 1))
    assert (reponse.status_code, reponse.json()["code"]) == (400, "formulaire_illisible")


def test_un_corps_trop_grand_est_refuse_sans_etre_lu(service: Service) -> None:
    for contenu in (b"Data=" + b"a" * 10_000_000, (b"a" * 65_536 for _ in range(160))):
        reponse = service.client.post("/kiosque/notification", content=contenu, headers=FORMULAIRE)
        assert (reponse.status_code, reponse.json()["code"]) == (413, "corps_trop_grand")
    assert service.webhook_sender.messages == []


@pytest.mark.parametrize("marchand", [MARCHAND, ETRANGER])
def test_sans_kafka_la_banque_doit_recommencer(service: Service, marchand: Marchand) -> None:
    service.webhook_sender.en_panne = True
    reponse = poster(service, notification("T1", 20_00, marchand=marchand))
    assert (reponse.status_code, reponse.json()["code"]) == (503, "kafka_indisponible")
    assert int(reponse.headers["Retry-After"]) > 0


class TestDebitDesRebuts:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"limites": Limites(rebuts_par_seconde=0.0, rebuts_en_rafale=3), "metriques": CollectorRegistry()}

    def test_au_dela_du_debit_les_refuses_ne_sont_plus_gardes_mais_comptes(self, service: Service) -> None:
        inconnu = Marchand(id="999000000000009", cles={1: SecretStr("x")}, version_courante=1)
        faux = [notification(f"T{n}", 20_00, marchand=inconnu) for n in range(5)]
        assert {poster(service, champs).status_code for champs in faux} == {400}
        assert len(service.webhook_sender.messages) == 3
        assert poster(service, notification("T1", 20_00)).status_code == 200
        mesures = service.client.get("/metrics").text
        assert 'creances_formulaires_refuses_total{code="marchand_inconnu",garde="non"} 2.0' in mesures


def test_le_retour_mene_a_l_etat_du_paiement_et_ne_decide_de_rien(service: Service) -> None:
    reponse = service.client.post("/kiosque/retour", data=notification("PCLCB261520000001", 20_00))
    assert (reponse.status_code, reponse.headers["Location"]) == (303, "/paiements/PCLCB261520000001")
    assert service.webhook_sender.messages == []


@pytest.mark.parametrize("champs", [{}, {"Data": "x", "Seal": "y"}, notification("T1", 1, marchand=ETRANGER)])
def test_un_retour_irrecevable_mene_a_l_accueil(service: Service, champs: dict[str, str]) -> None:
    reponse = service.client.post("/kiosque/retour", data=champs)
    assert (reponse.status_code, reponse.headers["Location"]) == (303, "/")


def test_un_algorithme_choisi_par_le_message_n_est_pas_cru(service: Service) -> None:
    champs = fermer(
        {"amount": "2000", "currencyCode": "978", "transactionReference": "T1", "responseCode": "00"},
        MARCHAND,
        Algorithme.HMAC_SHA_256,
        version_interface="HP_2.40",
    )
    assert poster(service, champs).status_code == 400


class TestKafkaReel:
    @pytest.fixture
    def topic(self, kafka: str) -> str:
        topic = f"t-{secrets.token_hex(6)}"
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        admin.wait_for_topics([topic])
        admin.close()
        return topic

    @pytest.fixture
    def reglages_api(self, kafka: str, topic: str) -> Iterator[dict[str, Any]]:
        producteur = KafkaProducer(bootstrap_servers=kafka, acks="all", allow_auto_create_topics=False)

        async def publier(genre: str, cle: bytes | None, valeur: bytes, _: object) -> None:
            assert genre == "notifications"
            await anyio.to_thread.run_sync(lambda: producteur.send(topic, key=cle, value=valeur).get(timeout=60))

        yield {"publier": publier}
        producteur.close(timeout=5)

    def test_a_la_reponse_200_le_message_est_sur_le_topic(self, service: Service, kafka: str, topic: str) -> None:
        champs = notification("PCLCB261520000001", 20_00)
        assert poster(service, champs).status_code == 200
        lecteur = KafkaConsumer(
            topic,
            bootstrap_servers=kafka,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=10_000,
        )
        message = next(iter(lecteur))
        lecteur.close()
        assert message.key == b"PCLCB261520000001"
        lu = json.loads(message.value)
        assert datetime.fromisoformat(lu.pop("recue_le")).tzinfo is not None
        assert lu == champs
