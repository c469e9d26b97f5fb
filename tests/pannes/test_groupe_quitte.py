"""Un groupe que deux consommateurs ont quitté en plein partage : le courtier embarqué garde un chef qui n'est plus."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener

from engine import kafka_reader as lecteur
from service import composition
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.courtiers import COURTIER
from tests.outils import attendre, attendre_au_plus

pytestmark = pytest.mark.lent

PLACE_S = 2 * COURTIER[0].lecture_max.total_seconds()
"""Comme en service : un partage peut prendre ce qu'un membre peut laisser passer entre deux lectures."""
PARTITIONS = 2
"""Celles du banc."""


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe) as ouvert:
        yield ouvert


class _Muet(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python n'est pas typé
    """Se place au début de sa part, et la note."""

    def __init__(self, membre: KafkaConsumer) -> None:
        self.membre = membre
        self.part: set[Any] = set()

    def on_partitions_revoked(self, revoked: Any) -> None: ...

    def on_partitions_assigned(self, assigned: Any) -> None:
        for partition in assigned:
            self.membre.seek(partition, 0)
        self.part = set(assigned)


def deux_partent(b: Banc, groupe: str, *, settle: bool) -> None:
    """Deux consommateurs entrent dans le groupe ; l'un part, l'autre part pendant le partage qui s'ensuit."""
    kafka = b.settings.kafka_connection() | {"session_timeout_ms": 1500, "heartbeat_interval_ms": 500}
    membres: list[KafkaConsumer] = [
        lecteur.ouvrir(kafka | {"max_poll_interval_ms": 5000}, groupe=groupe, client=nom, lot_max=10) for nom in "ab"
    ]
    ecoutes = [_Muet(membre) for membre in membres]
    for membre, ecoute in zip(membres, ecoutes, strict=True):
        membre.subscribe([b.settings.topic_avis], listener=ecoute)

    def partages() -> bool:
        for membre in membres:
            membre.poll(timeout_ms=50)
        return all(ecoute.part for ecoute in ecoutes)

    attendre(partages, secondes=30, quoi="chacun sa part")
    premier, second = membres
    lecteur.fermer(premier)

    def repartage() -> bool:
        second.poll(timeout_ms=50)
        # Apache Kafka partage trop vite pour que l'on parte au milieu.
        return bool(second._coordinator.rebalance_in_progress()) or len(ecoutes[1].part) == PARTITIONS

    attendre(repartage, secondes=20, quoi="un partage en cours")
    lecteur.fermer(second, settle=settle)


@contextmanager
def un_troisieme(b: Banc, groupe: str, place_max_s: float) -> Iterator[None]:
    boucle = composition.consumer(b.settings, b.guichet, "avis")
    boucle.groupe, boucle.horloge, boucle.place_max_s = groupe, lambda: MAINTENANT, place_max_s
    arret = threading.Event()
    fil = threading.Thread(target=boucle.run, args=(arret,))
    fil.start()
    try:
        yield
    finally:
        arret.set()
        fil.join(30)
        boucle.rebuts.fermer()


def interruptions(b: Banc) -> int:
    requete = "SELECT interruptions FROM vues.suiveurs WHERE nom = 'consommateur_avis'"
    (combien,) = b.conn.execute(requete).fetchone() or (0,)
    return int(combien)


def test_un_groupe_quitte_en_plein_partage_se_dit_et_est_rejoint_de_nouveau(b: Banc, prefixe: str) -> None:
    deux_partent(b, prefixe, settle=False)
    b.emettre_avis(avis(1))
    with un_troisieme(b, prefixe, PLACE_S):
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=40, quoi="l'avis lu")
    # Apache Kafka, lui, n'a rien à dissoudre.
    (erreur,) = b.conn.execute(
        "SELECT derniere_erreur FROM vues.suiveurs WHERE nom = 'consommateur_avis'"
    ).fetchone() or (None,)
    assert erreur is None or "n'attribue rien depuis" in erreur


def test_un_depart_demande_attend_la_fin_du_partage_et_laisse_le_groupe_libre(b: Banc, prefixe: str) -> None:
    deux_partent(b, prefixe, settle=True)
    b.emettre_avis(avis(1))
    with un_troisieme(b, prefixe, 60.0):
        attendre(lambda: b.fates(b.settings.topic_avis) == 1, secondes=20, quoi="l'avis lu")
    assert interruptions(b) == 0


def test_celui_dont_la_part_est_vide_reste_et_ne_derange_personne(b: Banc, prefixe: str) -> None:
    with un_troisieme(b, prefixe, PLACE_S), un_troisieme(b, prefixe, PLACE_S), un_troisieme(b, prefixe, PLACE_S):
        for numero in range(1, 4):
            b.emettre_avis(avis(numero))
            attendre(lambda numero=numero: b.fates(b.settings.topic_avis) == numero, secondes=30)  # type: ignore[misc]
        # Une machine occupée peut en interrompre un qui entre ; une part vide en interromprait un à chaque fois.
        assert any(calme(b) for _ in range(4))


def calme(b: Banc) -> bool:
    """Personne n'est interrompu pendant deux fois ce qu'on laisse à qui n'a pas de réponse."""
    avant = interruptions(b)
    try:
        attendre_au_plus(lambda: interruptions(b) > avant, 2 * PLACE_S)
    except AssertionError:
        return True
    return False
