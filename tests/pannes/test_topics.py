"""Ce que Kafka fait sous nos pieds : un topic recréé, raccourci, ou effacé par la rétention avant d'être lu."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import kafka.errors
import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from engine import kafka_reader as lecteur
from engine.batch import Partition
from engine.positions import accidents, encounter, perdre, stopped_partitions
from projections.audit import auditer
from service import kafka as kafka_du_service
from service.lag import lag
from tests.consumers.banc import Banc, avis, banc, notification
from tests.outils import attendre
from tests.pannes.commande import creances
from tests.pannes.conftest import memes_journaux_et_vues, roles

REGLAGES: dict[str, Any] = {"kafka_metadata_max_age": 0.5}
DEJA_LUS = 1_000
"""Une position que le topic n'a jamais atteinte : comme si son journal avait raccourci."""


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe, **REGLAGES) as ouvert:
        yield ouvert


@pytest.fixture
def refus_de_position(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tansu ne refuse pas une position hors de la partition, comme le fait Kafka : ceci le fait à sa place."""
    if pytestconfig.getoption("--courtier") != "tansu":
        return
    poll = KafkaConsumer.poll

    def refuser(consommateur: Any, *arguments: Any, **options: Any) -> Any:
        assignees = list(consommateur.assignment() - consommateur.paused())
        positions = {tp: consommateur._subscription.position(tp) for tp in assignees}
        debuts, fins = lecteur.bornes(consommateur, assignees[0].topic, [tp.partition for tp in assignees]) if (
            assignees
        ) else ({}, {})  # fmt: skip
        for tp, position in positions.items():
            if position is not None and not debuts[tp.partition] <= position.offset <= max(fins[tp.partition], 100):
                raise kafka.errors.OffsetOutOfRangeError({tp: position.offset})
        return poll(consommateur, *arguments, **options)

    monkeypatch.setattr(KafkaConsumer, "poll", refuser)


def ligne(b: Banc, nom: str) -> dict[str, Any]:
    [trouvee] = [ligne for ligne in lag(b.settings, b.guichet.base) if ligne["nom"] == nom]
    return trouvee


def topic_id(b: Banc, topic: str) -> UUID:
    lecteur = kafka_du_service.reader(b.settings)
    try:
        fin = kafka_du_service.topic_end(lecteur, topic)
    finally:
        lecteur.close()
    assert fin is not None
    return fin.topic_id


def recreer(b: Banc, topic: str) -> None:
    admin = KafkaAdminClient(**b.settings.kafka_connection())
    try:
        admin.delete_topics([topic])
        attendre(lambda: topic not in admin.list_topics(), quoi="le topic supprimé")
    finally:
        admin.close()
    kafka_du_service.create_topics(b.settings)


@pytest.mark.parametrize("en_marche", [False, True], ids=["à l'arrêt", "en marche"])
def test_un_topic_recree_est_lu_depuis_son_debut_et_cela_se_dit(
    b: Banc,
    en_marche: bool,  # noqa: FBT001
) -> None:
    topic = b.settings.topic_avis
    b.emettre_avis(*(avis(n) for n in range(6)))
    if not en_marche:
        b.consommer("avis", 6)
        recreer(b, topic)
        b.emettre_avis(*(avis(n) for n in range(4, 12)))
    with roles(b, "avis"):
        attendre(lambda: b.fates(topic) >= 6, secondes=30, quoi="le premier topic lu")
        if en_marche:
            recreer(b, topic)
            # Plus de messages que l'ancien n'en avait : lus à ses positions, les derniers passeraient pour les siens.
            b.emettre_avis(*(avis(n) for n in range(4, 12)))
        attendre(lambda: b.fates(topic) == 14, secondes=40, quoi="un sort à chaque message des deux topics")
        attendre(lambda: ligne(b, "consommateur_avis")["topic_recree"] == 1, quoi="la recréation dite")
    requete = "SELECT topic_id, count(*) FROM journal.sorts WHERE topic = %s GROUP BY topic_id"
    assert sorted(dict(b.conn.execute(requete, (topic,)).fetchall()).values()) == [6, 8]
    assert b.par_sort(topic) == {"appliquee": 12, "doublon": 2}
    assert ligne(b, "consommateur_avis")["topic_recree_le"] is not None
    memes_journaux_et_vues(b)


@pytest.mark.lent
@pytest.mark.usefixtures("refus_de_position")
def test_une_partition_raccourcie_s_arrete_seule_se_dit_et_reprend_quand_une_personne_le_decide(b: Banc) -> None:
    b.emettre_avis(avis(0))
    b.consommer("avis", 1)
    transactions = [b.ouvrir(avis(0)["reference"], montant) for montant in (20_00,)]
    topic = b.settings.topic_notifications
    identifiant = topic_id(b, topic)
    planter = "INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a) VALUES (%s, %s, 0, 0, %s)"
    b.conn.execute(planter, (identifiant, topic, DEJA_LUS))
    envoyer(b, topic, 0, transactions[0], notification(transactions[0], 20_00, "05"))
    with roles(b, "kiosque"):
        attendre(lambda: ligne(b, "consommateur_kiosque")["partitions_arretees"] == 1, secondes=30, quoi="l'arrêt dit")
        envoyer(b, topic, 1, transactions[0], notification(transactions[0], 20_00, "60"))
        attendre(lambda: b.fates(topic) == 1, secondes=30, quoi="l'autre partition continue")
    with roles(b, "kiosque"):  # Relancé, il ne la reprend pas de lui-même.
        envoyer(b, topic, 1, transactions[0], notification(transactions[0], 20_00, "60"))
        attendre(lambda: b.fates(topic) == 2, secondes=30, quoi="l'autre partition continue encore")
        assert b.conn.execute(
            "SELECT count(*) FROM journal.sorts WHERE partition = 0 AND topic = %s", (topic,)
        ).fetchone() == (0,)

        dit = creances(b.settings, "partitions")
        assert (dit.returncode, topic in dit.stdout.replace("\n", "")) == (1, True), dit.stdout
        reprise = creances(b.settings, "reprendre-partition", topic, "0", "--motif", "journal vérifié", "--json")
        assert (reprise.returncode, json.loads(reprise.stdout)["position"]) == (0, 0), reprise.stderr
        attendre(lambda: b.fates(topic) == 3, secondes=30, quoi="la partition reprise depuis son début")
        attendre(lambda: ligne(b, "consommateur_kiosque")["partitions_arretees"] == 0, quoi="plus rien d'arrêté")
    assert stopped_partitions(b.conn) == []
    assert b.par_sort(topic) == {"appliquee": 1, "en_attente": 2}
    b.projeter()
    # La position plantée prétend mille messages lus dont aucun n'a de sort : l'audit voit cela, et rien d'autre.
    [ecart] = auditer(b.conn).ecarts
    assert "de 0 à 999, lus sans sort" in ecart


def test_ce_que_la_retention_efface_avant_lecture_est_saute_compte_et_dit(b: Banc, courtier_durable: Any) -> None:
    """Avec un courtier qui sait effacer le début d'une partition : Apache Kafka."""
    with banc(str(b.settings.database_url), courtier_durable.bootstrap, "retention", **REGLAGES) as efface:
        topic = efface.settings.topic_avis
        for n in range(10):
            envoyer(efface, topic, 0, avis(n)["reference"], avis(n))
        admin = KafkaAdminClient(**efface.settings.kafka_connection())
        try:
            admin.delete_records({TopicPartition(topic, 0): 4})
        finally:
            admin.close()
        with roles(efface, "avis"):
            attendre(lambda: efface.fates(topic) == 6, secondes=40, quoi="les six qui restent")
            assert ligne(efface, "consommateur_avis")["messages_perdus"] == 4
        pertes = "SELECT partition, depuis, jusqu_a FROM journal.pertes"
        assert efface.conn.execute(pertes).fetchall() == [(0, 0, 4)]
        efface.consommer("avis", 6)  # Relancé, rien n'est perdu une seconde fois.
        assert efface.conn.execute(pertes).fetchall() == [(0, 0, 4)]


def envoyer(b: Banc, topic: str, partition: int, cle: str, valeur: dict[str, Any]) -> None:
    """Met un message sur cette partition."""
    import json

    emetteur = kafka_du_service.producer(b.settings)
    emetteur.send(topic, key=cle.encode(), value=json.dumps(valeur).encode(), partition=partition)
    emetteur.flush()
    emetteur.close()


@pytest.mark.parametrize("octets_max", [2_000])
def test_un_rebut_trop_grand_pour_son_topic_est_produit_tronque_et_ne_retient_personne(
    base: Any, courtier_durable: Any, prefixe: str, octets_max: int
) -> None:
    """Avec un courtier qui applique max.message.bytes : Apache Kafka."""
    with banc(base.url, courtier_durable.bootstrap, prefixe, **REGLAGES) as b:
        topic = b.settings.topic_avis
        admin = KafkaAdminClient(**b.settings.kafka_connection())
        try:
            admin.delete_topics([f"{topic}.rebuts"])
            attendre(lambda: f"{topic}.rebuts" not in admin.list_topics(), quoi="le topic supprimé")
            options = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": str(octets_max)}}
            admin.create_topics({f"{topic}.rebuts": options})
        finally:
            admin.close()
        b.emettre(topic, [("k", b"{"), ("k", b"x" * 10_000), ("k" * 5_000, b"["), ("k", b"]"), ("k", b"y" * 900_000)])
        b.emettre_avis(avis(1))
        b.consommer("avis", 6)
        assert b.par_sort(topic) == {"appliquee": 1, "rejetee": 5}
        rebuts = b.rebuts(topic, 5)
        assert sorted(rebut.value for rebut in rebuts) == [b"", b"", b"", b"]", b"{"]
        tronques = [dict(rebut.headers) for rebut in rebuts if not rebut.value]
        assert all(en_tetes["tronque"] and en_tetes["origine-position"] for en_tetes in tronques)
        memes_journaux_et_vues(b)


def test_les_accidents_se_lisent_sans_kafka(base: Any) -> None:
    ancien, nouveau = uuid4(), uuid4()
    with psycopg.connect(base.url, autocommit=True) as conn:
        assert encounter(conn, "t", ancien) is None
        assert encounter(conn, "t", ancien) is None
        assert encounter(conn, "t", nouveau) == ancien
        assert encounter(conn, "t", nouveau) is None
        perdre(conn, Partition(nouveau, "t", 0), 0, 7)
        [dit] = accidents(conn).values()
        assert (dit.recree, dit.perdus, dit.recree_le is not None) == (1, 7, True)
