"""Kafka se tait sans raccrocher : aucune attente de kafka-python, d'où qu'elle vienne, n'est sans fin."""

import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.future import Future
from kafka.net.selector import NetworkSelector

from engine import kafka_clients as clients
from engine import kafka_waits
from tests.outils import attendre
from tests.relais import Relais

pytestmark = [
    pytest.mark.lent,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DEMANDE_MS = 500
CONNU = TopicPartition("connu", 0)

LECTURES: dict[str, Callable[[KafkaConsumer], Any]] = {
    "partitions d'un topic inconnu": lambda c: c.partitions_for_topic("inconnu"),
    "tous les topics": lambda c: c.topics(),
    "position montrée": lambda c: c.committed(CONNU),
    "prochaine position": lambda c: c.position(CONNU),
    "premières positions": lambda c: c.beginning_offsets([CONNU]),
    "dernières positions": lambda c: c.end_offsets([CONNU]),
    "positions d'une heure": lambda c: c.offsets_for_times({CONNU: 0}),
    "montrer sa position": lambda c: c.commit({}),
    "lire": lambda c: [c.poll(timeout_ms=300) for _ in range(3)],
    "fermer": lambda c: c.close(timeout_ms=DEMANDE_MS),
}
ADMINISTRATION: dict[str, Callable[[KafkaAdminClient], Any]] = {
    "lister les topics": lambda a: a.list_topics(),
    "créer un topic": lambda a: a.create_topics({"neuf": {"num_partitions": 1, "replication_factor": 1}}),
    "supprimer un topic": lambda a: a.delete_topics(["connu"]),
    "attendre un topic": lambda a: a.wait_for_topics(["jamais"]),
    "décrire la grappe": lambda a: a.describe_cluster(),
    "effacer un groupe": lambda a: a.delete_groups(["g"]),
    "fermer": lambda a: a.close(),
}


@pytest.fixture(autouse=True)
def prises_ramassees() -> Iterator[None]:
    """Ce que kafka-python laisse au ramasse-miettes devant un courtier muet : ici, et pas dans un autre test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def ouvrir(classe: Any, relais: Relais, **options: Any) -> Any:
    relais.retablir()
    bornes = {"request_timeout_ms": DEMANDE_MS, "bootstrap_timeout_ms": 20_000, "retry_backoff_ms": 50}
    return clients.open_client(classe, bootstrap_servers=f"127.0.0.1:{relais.port}", **bornes, **options)


def finit(appel: Callable[[], Any]) -> None:
    """L'appel finit, par une réponse ou un refus de Kafka, dans un délai qui n'est là que pour échouer."""
    dit: list[BaseException | None] = []

    def faire() -> None:
        try:
            appel()
            dit.append(None)
        except Exception as cause:  # noqa: BLE001 (jugée plus bas)
            dit.append(cause)

    threading.Thread(target=faire, daemon=True).start()
    attendre(lambda: dit, secondes=120, quoi="la fin de l'attente")
    assert dit[0] is None or isinstance(dit[0], KafkaError), repr(dit[0])


@pytest.mark.parametrize("quoi", LECTURES)
def test_une_lecture_finit_quand_kafka_se_tait(kafka_relaye: Relais, quoi: str) -> None:
    options = {"group_id": "muet", "enable_auto_commit": False, "fetch_max_wait_ms": 200}
    consommateur = ouvrir(KafkaConsumer, kafka_relaye, **options)
    consommateur.assign([CONNU])
    kafka_relaye.faire_taire()
    finit(lambda: LECTURES[quoi](consommateur))
    finit(consommateur.close)


@pytest.mark.parametrize("quoi", ADMINISTRATION)
def test_un_geste_d_administration_finit_quand_kafka_se_tait(kafka_relaye: Relais, quoi: str) -> None:
    admin = ouvrir(KafkaAdminClient, kafka_relaye)
    kafka_relaye.faire_taire()
    finit(lambda: ADMINISTRATION[quoi](admin))
    finit(admin.close)


def test_un_envoi_et_la_fermeture_de_qui_envoie_finissent_quand_kafka_se_tait(kafka_relaye: Relais) -> None:
    producteur = ouvrir(KafkaProducer, kafka_relaye, max_block_ms=500, delivery_timeout_ms=1_000, linger_ms=0)
    kafka_relaye.faire_taire()
    finit(lambda: producteur.send("connu", b"x").get(timeout=5))
    finit(lambda: producteur.partitions_for("inconnu"))
    finit(lambda: producteur.close(timeout=1))


# --- La borne elle-même -----------------------------------------------------------------------------------------------


@pytest.fixture
def boucle() -> Any:
    net = NetworkSelector()
    net.start()
    kafka_waits.bound(net, 100)
    yield net
    net.close()


def test_ce_qui_repond_rend_sa_reponse_ou_son_erreur(boucle: Any) -> None:
    async def reponse(un: int) -> int:
        return un + 1

    async def erreur() -> None:
        raise KafkaError("non")

    assert boucle.run(reponse, 1) == 2
    with pytest.raises(KafkaError, match="non"):
        boucle.run(erreur)
    assert not boucle._pending_waiters


def test_ce_qui_ne_repond_jamais_est_abandonne_et_la_boucle_sert_encore(boucle: Any) -> None:
    async def jamais() -> None:
        await Future()

    debut = time.monotonic()
    with pytest.raises(KafkaTimeoutError):
        boucle.run(jamais)
    assert time.monotonic() - debut >= kafka_waits.REQUESTS * 0.1
    assert not boucle._pending_waiters

    async def reponse() -> str:
        return "encore"

    # Une machine occupée peut manquer un délai si court ; jamais chaque fois.
    attendre(lambda: _ou_rien(lambda: boucle.run(reponse)) == "encore", quoi="une réponse")


def _ou_rien(appel: Callable[[], Any]) -> Any:
    try:
        return appel()
    except KafkaTimeoutError:
        return None


def test_qui_attend_une_boucle_qui_finit_n_attend_plus(boucle: Any) -> None:
    async def jamais() -> None:
        await Future()

    dit: list[Any] = []

    def attend() -> None:
        try:
            boucle.run(jamais)
        except KafkaError as cause:
            dit.append(cause)

    fil = threading.Thread(target=attend, daemon=True)
    fil.start()
    boucle.stop()
    attendre(lambda: dit, quoi="la fin de l'attente")
