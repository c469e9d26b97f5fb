"""Kafka s'en va : au démarrage, en plein travail ; tout revient seul, rien n'est perdu, et cela se dit partout."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from engine.batch import Partition
from engine.dead_letters import DeadLettersUnreachable
from engine.messages import Message
from service import composition, publisher
from service.lag import lag
from tests.consumers.banc import MAINTENANT, Banc, avis, banc, notification
from tests.outils import attendre
from tests.pannes.conftest import api, etat, memes_journaux_et_vues, mesure, roles
from tests.relais import Relais

pytestmark = pytest.mark.usefixtures("delais_courts")

REGLAGES: dict[str, Any] = {"kafka_metadata_max_age": 1.0}
"""Un courtier muet est dit absent après trois âges : 3 s au lieu de 15."""


@pytest.fixture
def b(base: Any, kafka_relaye: Relais, prefixe: str) -> Iterator[Banc]:
    kafka_relaye.retablir()
    with banc(base.url, f"127.0.0.1:{kafka_relaye.port}", prefixe, **REGLAGES) as ouvert:
        yield ouvert
    kafka_relaye.retablir()


@pytest.fixture
def tranquille(seconde_base: Any, kafka_relaye: Relais, prefixe: str) -> Iterator[Banc]:
    kafka_relaye.retablir()
    with banc(seconde_base.url, f"127.0.0.1:{kafka_relaye.port}", prefixe, **REGLAGES) as ouvert:
        yield ouvert


def lignes(b: Banc) -> dict[str, dict[str, Any]]:
    return {ligne["nom"]: ligne for ligne in lag(b.settings, b.guichet.base)}


def poster(client: httpx.Client, transaction: str) -> httpx.Response:
    formulaire = {nom: texte for nom, texte in notification(transaction, 20_00).items() if nom != "recue_le"}
    return client.post("/kiosque/notification", data=formulaire)


def fils_de_kafka() -> set[int | None]:
    return {fil.ident for fil in threading.enumerate() if fil.name.startswith("kafka-")}


@pytest.mark.lent
def test_kafka_absent_en_plein_travail_tout_reprend_seul_et_rien_n_est_perdu(
    b: Banc, tranquille: Banc, kafka_relaye: Relais
) -> None:
    creances = [avis(numero) for numero in range(8)]
    b.emettre_avis(*creances)
    for chacun in (b, tranquille):
        chacun.consommer("avis", len(creances))
    transactions = [[chacun.ouvrir(c["reference"], 20_00) for c in creances] for chacun in (b, tranquille)]
    assert transactions[0] == transactions[1]
    dits = [(t, notification(t, 20_00, code)) for t in transactions[0] for code in ("05", "00", "00")]
    topic = b.settings.topic_notifications

    with roles(b, "kiosque", "restant_du", "paiements"):
        b.emettre(topic, dits[:10])
        attendre(lambda: b.fates(topic) == 10, secondes=30, quoi="les premiers sorts")
        attendre(lambda: etat(b, "consommateur_kiosque")[0] == "actif", quoi="le consommateur actif")
        kafka_relaye.couper()
        attendre(lambda: etat(b, "consommateur_kiosque")[0] == "arrete", secondes=20, quoi="l'arrêt dit")
        dit = lignes(b)
        assert "Kafka" in dit["consommateur_kiosque"]["derniere_erreur"]
        assert dit["consommateur_kiosque"]["evenements"] is None
        assert dit["consommateur_kiosque"]["illisible"].startswith("Kafka ne répond pas")
        assert (dit["restant_du"]["etat"], dit["restant_du"]["evenements"]) == ("actif", 0)
        kafka_relaye.retablir()
        b.emettre(topic, dits[10:])
        attendre(lambda: b.fates(topic) == len(dits), secondes=40, quoi="tous les sorts")
        attendre(lambda: etat(b, "consommateur_kiosque")[0] == "actif", secondes=20, quoi="le consommateur revenu")
        apres = lignes(b)["consommateur_kiosque"]
        assert (apres["evenements"], apres["interruptions"] >= 1) == (0, True)
        assert apres["erreur_le"] < apres["battement_le"], (
            "l'erreur est passée : elle a une date, avant celle du retour"
        )

    tranquille.consommer("kiosque", len(dits))
    assert b.par_sort(topic) == tranquille.par_sort(topic) == {"appliquee": 16, "doublon": 8}
    memes_journaux_et_vues(tranquille, b)


@pytest.mark.lent
def test_sans_kafka_l_api_lit_se_dit_prete_repond_503_a_la_banque_et_se_retablit_seule(
    b: Banc, kafka_relaye: Relais, tmp_path: Any
) -> None:
    b.emettre_avis(avis(1))
    b.consommer("avis", 1)
    t = b.ouvrir(avis(1)["reference"], 20_00)
    b.projeter()
    avant = fils_de_kafka()
    kafka_relaye.couper()
    with api(b, tmp_path) as client:
        durees_s = []
        for _ in range(4):  # Kafka manque dès le démarrage.
            debut = time.monotonic()
            reponse = poster(client, t)
            assert (reponse.status_code, reponse.json()["code"]) == (503, "kafka_indisponible")
            assert int(reponse.headers["Retry-After"]) > 0
            durees_s.append(time.monotonic() - debut)
        assert min(durees_s[1:]) < publisher.ACK_SECONDS - 1, f"un refus n'attend pas son tour : {durees_s}"
        assert client.get("/readyz").status_code == 200
        assert client.get(f"/api/v1/creances/{avis(1)['reference']}").status_code == 200
        debut = time.monotonic()
        assert mesure(client, 'creances_roles_lisibles{serveur="kafka"}') == 0
        assert mesure(client, 'creances_roles_lisibles{serveur="postgresql"}') == 1
        assert time.monotonic() - debut < 30

        kafka_relaye.retablir()
        attendre(lambda: poster(client, t).status_code == 200, secondes=20, quoi="la banque entendue de nouveau")
        kafka_relaye.couper()
        attendre(lambda: poster(client, t).status_code == 503, secondes=20, quoi="la banque refusée")
        kafka_relaye.retablir()
        attendre(lambda: poster(client, t).status_code == 200, secondes=20, quoi="la banque entendue encore")
        attendre(
            lambda: mesure(client, 'creances_roles_lisibles{serveur="kafka"}') == 1, secondes=20, quoi="Kafka lisible"
        )
    attendre(lambda: fils_de_kafka() <= avant, secondes=20, quoi="ce que tenaient les mesures est fermé")


def test_un_courtier_qui_se_tait_sans_raccrocher_est_une_panne_comme_une_autre(b: Banc, kafka_relaye: Relais) -> None:
    b.emettre_avis(avis(1))
    with roles(b, "avis"):
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=30)
        kafka_relaye.faire_taire()
        attendre(lambda: etat(b, "consommateur_avis")[0] == "arrete", secondes=20, quoi="le silence dit")
        kafka_relaye.retablir()
        b.emettre_avis(avis(2))
        attendre(lambda: b.fates(b.settings.topic_avis) == 2, secondes=40, quoi="la reprise")


def test_un_role_demarre_sans_kafka_attend_et_s_arrete_quand_on_le_lui_demande(
    b: Banc, kafka_relaye: Relais, capsys: pytest.CaptureFixture[str]
) -> None:
    b.emettre_avis(avis(1))
    kafka_relaye.couper()
    with roles(b, "avis", "kiosque"):
        attendre(lambda: etat(b, "consommateur_avis")[2] >= 1, secondes=30, quoi="une interruption dite")
        kafka_relaye.retablir()
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=30, quoi="l'avis pris")
    traces = capsys.readouterr().out.count("Traceback (most recent call last)")
    assert traces <= 4, f"{traces} traces pour deux rôles et une panne"


def test_un_rebut_que_kafka_ne_prend_pas_est_une_panne_et_rien_n_est_enregistre_sans_lui(
    b: Banc, kafka_relaye: Relais
) -> None:
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.placement.attendues = {0: 0}
    topic = b.settings.topic_avis
    illisible = Message(Partition(uuid4(), topic, 0), 0, b"k", b"{", MAINTENANT)
    kafka_relaye.couper()
    with pytest.raises(DeadLettersUnreachable):
        boucle.enregistrer([illisible])
    assert b.fates(topic) == 0
    kafka_relaye.retablir()
    boucle.enregistrer([illisible])
    assert b.par_sort(topic) == {"rejetee": 1}
    assert len(b.rebuts(topic, 1)) == 1
    boucle.rebuts.fermer()


def test_des_essais_repetes_ne_laissent_rien_derriere_eux(
    b: Banc, kafka_relaye: Relais, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sinon, quelques heures de panne épuiseraient le processus."""
    connexion = b.settings.kafka_connection()

    def fils() -> int:
        return sum(fil.name.startswith("kafka-io") for fil in threading.enumerate())

    def essayer() -> None:
        kafka_relaye.retablir()
        monkeypatch.setattr(clients, "OPENING_MS", 10_000)  # Il répond : qu'il en ait le temps.
        ouvert = lecteur.ouvrir(connexion, groupe="fuite", client="fuite", lot_max=1)
        kafka_relaye.couper()
        monkeypatch.setattr(clients, "OPENING_MS", 200)
        lecteur.fermer(ouvert)
        with pytest.raises(clients.KafkaUnreachable):
            lecteur.ouvrir(connexion, groupe="fuite", client="fuite", lot_max=1)
        with pytest.raises(KafkaError):
            clients.open_client(KafkaAdminClient, **connexion, bootstrap_timeout_ms=200)

    essayer()  # Ce qui ne s'ouvre qu'une fois l'est maintenant.
    avant = fils()
    for _ in range(3):
        essayer()
        attendre(lambda: fils() <= avant, quoi="les fils finis")


@pytest.mark.lent
def test_lag_en_ligne_de_commande_dit_que_kafka_manque_et_sort_avec_1(b: Banc, kafka_relaye: Relais) -> None:
    from service.composition import FOLLOWERS
    from tests.pannes.commande import creances

    kafka_relaye.couper()
    debut = time.monotonic()
    fini = creances(b.settings, "lag", "--json")
    assert time.monotonic() - debut < 120
    assert fini.returncode == 1
    assert fini.stderr.startswith("Kafka ne répond pas")
    assert [ligne["nom"] for ligne in json.loads(fini.stdout)][2:] == [*FOLLOWERS, "relance", "sceller"]
