"""Un événement que l'on ne peut pas publier arrête son flux, et lui seul ; libéré, le flux repart dans l'ordre."""

from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2
from kafka.record.memory_records import MemoryRecordsBuilder

from domain.agregats import AGREGATS
from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from engine.mapper import EventMapper
from engine.recorder import Recorder
from publication.cloudevent import CloudEvent
from publication.sender import LOT_OCTETS, MessageTropGrand, TopicRecreated, vagues
from service import composition
from service.settings import Settings
from tests.publication import banc


def planter(base: Any, flux: str, version: int, etat: bytes, topic: str = "creance.PaiementEchoue") -> None:
    """Écrit au journal un fait que personne n'a décidé."""
    with psycopg.connect(base.url_proprietaire) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause) VALUES (%s, %s, %s, %s, 'planté')",
            (flux, version, topic, etat),
        )


def ecartes(base: Any) -> list[tuple[str, str]]:
    with psycopg.connect(base.url) as conn:
        return conn.execute(
            "SELECT flux, cause FROM vues.ecartes WHERE suiveur = 'publication' ORDER BY position"
        ).fetchall()


ILLISIBLE = b"pas du JSON"
TROP_GRAND = (
    b'{"timestamp":"2026-06-01T10:00:00Z","transaction":"T1X0","part_liberee":1,"cause":"' + b"x" * 1_100_000 + b'"}'
)
REFUSE_PAR_LE_COURTIER = TROP_GRAND.replace(b"x" * 1_100_000, b"x" * 700_000)
"""Sous la limite du producteur, mais au-dessus de celle que ce topic s'est donnée."""


@pytest.mark.parametrize(
    ("etat", "pourquoi"),
    [(ILLISIBLE, "événement illisible"), (TROP_GRAND, "MessageTropGrand")],
    ids=["illisible", "trop grand"],
)
def test_un_evenement_impubliable_arrete_son_flux_et_lui_seul(
    base: Any, recorder: Recorder, settings: Settings, etat: bytes, pourquoi: str
) -> None:
    fautive = banc.avec_paiements(1, 1)
    banc.record(recorder, fautive, banc.avec_paiements(2, 1))
    planter(base, fautive.id, 4, etat)
    fautive.version = 4
    fautive.initier_paiement(ReferenceTransaction("T1X9"), Centimes(20_00), Canal.WEB, banc.T0, maintenant=banc.T0)
    banc.record(recorder, fautive, banc.avec_paiements(3, 1))

    banc.publier(settings)

    publiees = {flux: banc.retenues(recues) for flux, recues in banc.versions(banc.relire(settings)).items()}
    attendues = banc.journal(base.url)
    assert publiees == attendues | {fautive.id: [1, 2, 3]}
    (premier, cause), (second, suite) = ecartes(base)
    assert premier == second == fautive.id
    assert pourquoi in cause
    assert suite == "suit un événement écarté du même flux"
    assert banc.publier(settings) == 0


def test_un_flux_libere_repart_dans_l_ordre_s_il_est_devenu_publiable(
    base: Any, recorder: Recorder, settings: Settings
) -> None:
    fautive = banc.avec_paiements(1, 2)
    banc.record(recorder, fautive)
    with psycopg.connect(base.url, autocommit=True) as conn:
        suiveur, sender = composition.publication(settings)
        reel, suiveur.mapper = suiveur.mapper, Defaillant(AGREGATS)
        suiveur.catch_up()
        assert [flux for flux, _ in ecartes(base)] == [fautive.id] * 3
        conn.execute("UPDATE vues.ecartes SET libere_le = now() WHERE suiveur = 'publication'")
        suiveur.catch_up()
        assert len(ecartes(base)) == 3, "toujours fautif : il retourne à l'attente"
        suiveur.mapper = reel
        suiveur.catch_up()
        assert len(ecartes(base)) == 3, "non libéré : il y reste"
        conn.execute("UPDATE vues.ecartes SET libere_le = now() WHERE suiveur = 'publication'")
        suiveur.catch_up()
        sender.abandonner()
    assert ecartes(base) == []
    publiees = banc.versions(banc.relire(settings))
    assert banc.retenues(publiees[fautive.id]) == [1, 2, 3, 4, 5]


class Defaillant(EventMapper):
    """Un mapper dont le code ne sait pas encore lire la troisième version d'un flux."""

    def read(self, stream: Any, version: int, topic: str, state: bytes) -> Any:
        if version == 3:
            raise ValueError("pas encore su")
        return super().read(stream, version, topic, state)


@pytest.mark.usefixtures("apache")
def test_le_courtier_refuse_un_message_le_producteur_est_releve_et_les_autres_passent(
    base: Any, recorder: Recorder, kafka: str, prefixe: str
) -> None:
    """La limite du topic est plus basse que la nôtre : kafka-python condamne alors tout son producteur.

    Le courtier embarqué n'applique pas cette limite.
    """
    from kafka import KafkaAdminClient

    settings = banc.reglages(base.url, kafka, prefixe)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics(
        {
            settings.topic_evenements: {
                "num_partitions": 3,
                "replication_factor": 1,
                "configs": {"max.message.bytes": "600000"},
            }
        }
    )
    admin.close()
    fautive = banc.avec_paiements(1, 1)
    banc.record(recorder, fautive, *(banc.avec_paiements(numero, 1) for numero in range(2, 30)))
    planter(base, fautive.id, 4, REFUSE_PAR_LE_COURTIER)
    banc.publier(settings)
    recus = banc.relire(settings)
    publiees = {flux: banc.retenues(recues) for flux, recues in banc.versions(recus).items()}
    assert publiees == banc.journal(base.url) | {fautive.id: [1, 2, 3]}
    assert len(ecartes(base)) == 1


def test_rien_ne_part_vers_un_autre_topic_que_celui_que_l_on_croit(settings: Settings) -> None:
    from uuid import uuid4

    sender = composition.emitter(settings)
    with pytest.raises(TopicRecreated):
        sender.emettre([CloudEvent(b"k", b"{}", [])], uuid4())
    sender.abandonner()
    assert banc.relire(settings) == []


def test_un_message_trop_grand_est_dit_et_l_emetteur_sert_encore(settings: Settings) -> None:
    sender = composition.emitter(settings)
    topic_id = sender.topic_id()
    with pytest.raises(MessageTropGrand):
        sender.emettre([CloudEvent(b"k", b"x" * 1_100_000, [])], topic_id)
    sender.emettre([CloudEvent(b"k", b"{}", [("ce_id", b"a:1")])], topic_id)
    sender.abandonner()
    assert [recu.valeur for recu in banc.relire(settings)] == [b"{}"]


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=30),
            st.integers(0, 300_000),
            st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=60)), max_size=12),
        ),
        max_size=40,
    ),
    st.integers(1, 6),
)
def test_une_vague_tient_en_un_seul_lot_kafka_par_partition(recus: list[Any], partitions: int) -> None:
    """Éprouvé avec le constructeur de lots de kafka-python : refusé ou plein, il enverrait avant la fin."""
    messages = [CloudEvent(cle, b"v" * taille, en_tetes) for cle, taille, en_tetes in recus]
    coupees = list(vagues(messages, partitions))
    assert [message for vague in coupees for _, message in vague] == messages
    for vague in coupees:
        lots = [MemoryRecordsBuilder(2, 0, LOT_OCTETS) for _ in range(partitions)]
        for rang, message in vague:
            assert rang == (murmur2(message.cle) & 0x7FFFFFFF) % partitions
            assert lots[rang].append(None, message.cle, message.valeur, message.en_tetes) is not None
        assert not any(lot.is_full() for lot in lots if lot.next_offset() > 1)
