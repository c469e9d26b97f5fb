"""La boucle : lire un lot de messages, décider, tout enregistrer d'un bloc avec la position lue.

Les positions enregistrées dans PostgreSQL sont la vérité ; celles que Kafka garde ne servent qu'à montrer le retard.
Tuée n'importe où, la boucle reprend à la dernière position validée : chaque message compte exactement une fois.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata
from psycopg import Connection
from psycopg_pool import PoolTimeout

from consumers.rebuts import Rebuts
from domain.sort import Sort, Verdict
from guichet.guichet import Guichet
from guichet.messages import Message, Traitement, rendre_sort
from journal.conflits import Conflit, ConflitDePosition
from journal.etats import dire_état, garder_erreur
from journal.lot import Avancée, Lot, Partition

RECUL_MIN_S: Final = 0.2
RECUL_MAX_S: Final = 10.0
"""Bornes de l'attente entre deux reprises après une panne ; elle double à chaque fois (secondes)."""

BATTEMENT_S: Final = 5.0
"""Intervalle entre deux signes de vie (secondes)."""

OCTETS_LUS_MAX: Final = 64 * 1024 * 1024
"""Ce qu'une lecture peut rapporter (octets) ; un message plus gros que sa part est lu quand même, seul."""

Prendre = Callable[[Guichet, Connection[Any], Sequence[Message], datetime], Traitement]


class TopicInconnu(Exception):
    """Le topic n'existe pas, ou le courtier ne dit pas son identifiant (Kafka 2.8 au moins)."""


class FauteImprévue(Exception):
    """Un défaut du code, en décidant d'un lot."""


class PositionAuDelàDeLaFin(Exception):
    """La position enregistrée dépasse la fin de la partition : des messages ont disparu du topic."""


class Boucle:
    """Consomme un topic, par lots, en groupe."""

    def __init__(
        self,
        *,
        nom: str,
        topic: str,
        guichet: Guichet,
        prendre: Prendre,
        rebuts: Rebuts,
        kafka: Mapping[str, Any],
        groupe: str,
        lot_max: int = 500,
        attente_s: float = 0.5,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        étape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python. `étape` est appelée entre deux étapes."""
        self.nom = nom
        self.topic = topic
        self.guichet = guichet
        self.prendre = prendre
        self.rebuts = rebuts
        self.kafka = kafka
        self.groupe = groupe
        self.lot_max = lot_max
        self.attente_s = attente_s
        self.horloge = horloge
        self.étape = étape
        self._journal = structlog.get_logger().bind(consommateur=nom)
        self._topic_id: UUID | None = None
        self._attendues: dict[int, int] = {}
        self._à_replacer = False
        self._dernier_battement = 0.0

    # --- La boucle ---------------------------------------------------------------------------------------------------

    def tourner(self, arrêt: threading.Event) -> None:
        """Consomme jusqu'à l'arrêt demandé ; revient seule d'une panne de Kafka ou de PostgreSQL, et la dit."""
        recul_s = RECUL_MIN_S
        while not arrêt.is_set():
            début = time.monotonic()
            try:
                self._consommer(arrêt)
            except Exception as erreur:  # noqa: BLE001 (toute panne est gardée, puis reprise)
                if time.monotonic() - début > RECUL_MAX_S:
                    recul_s = RECUL_MIN_S
                self._journal.exception("consommateur_interrompu", reprise_dans_s=recul_s)
                garder_erreur(self.guichet.base.url, self.nom, erreur)
                arrêt.wait(recul_s)
                recul_s = min(recul_s * 2, RECUL_MAX_S)

    def _consommer(self, arrêt: threading.Event) -> None:
        consommateur = self._ouvrir()
        try:
            # Connu avant d'entrer dans le groupe : un chef qui ne sait rien du topic n'en donnerait rien à personne.
            if not consommateur.partitions_for_topic(self.topic):
                raise TopicInconnu(self.topic)
            consommateur.subscribe([self.topic], listener=_Écoute(self, consommateur))
            while not arrêt.is_set():
                self._battre()
                self._tour(consommateur)
        finally:
            with suppress(KafkaError):
                consommateur.close(autocommit=False)
        with self.guichet.base.transaction() as conn:
            dire_état(conn, self.nom, "inactif")

    def _ouvrir(self) -> KafkaConsumer:
        return KafkaConsumer(
            **self.kafka,
            group_id=self.groupe,
            client_id=self.nom,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            max_poll_records=self.lot_max,
            fetch_max_bytes=OCTETS_LUS_MAX,
            fetch_max_wait_ms=200,
        )

    def _tour(self, consommateur: KafkaConsumer) -> None:
        """Lit un lot et l'enregistre."""
        if self._à_replacer or self._topic_recréé(consommateur):
            self._replacer(consommateur, [tp.partition for tp in consommateur.assignment()])
        self.étape("lire")
        try:
            lots = consommateur.poll(timeout_ms=round(self.attente_s * 1000))
        except OffsetOutOfRangeError:
            self._hors_bornes(consommateur)
            return
        messages = self._messages(lots)
        if not messages:
            return
        # On lit par le nom, et ce que l'on sait du topic peut dater d'avant sa recréation : ces messages seraient alors
        # enregistrés sous l'ancien identifiant, puis relus sous le nouveau.
        consommateur._net.run(consommateur._cluster.refresh_metadata)  # noqa: SLF001 (voir `placer`)
        if self._topic_recréé(consommateur):
            self._à_replacer = True
            return
        try:
            self.enregistrer(messages)
        except ConflitDePosition:
            # Un autre consommateur a déjà lu ces messages : les nôtres ne comptent pas.
            self._journal.warning("lot_abandonne", messages=len(messages))
            self._à_replacer = True
            return
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, Conflit, KafkaError):
            self._à_replacer = True
            raise
        self._montrer_le_retard(consommateur)
        self.étape("suite")

    def _messages(self, lots: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """Les messages lus, sans ceux d'une lecture antérieure au dernier placement."""
        if self._topic_id is None:
            return []
        messages = []
        for tp, enregistrements in lots.items():
            attendue = self._attendues.get(tp.partition)
            if attendue is None:
                continue
            partition = Partition(self._topic_id, tp.topic, tp.partition)
            messages += [
                Message(
                    partition,
                    lu.offset,
                    lu.key,
                    lu.value or b"",
                    datetime.fromtimestamp(lu.timestamp / 1000, UTC),
                )
                for lu in enregistrements
                if lu.offset >= attendue
            ]
        return messages

    # --- Un lot ------------------------------------------------------------------------------------------------------

    def enregistrer(self, messages: Sequence[Message]) -> None:
        """Décide d'un lot et l'enregistre d'un bloc avec ses positions.

        Une faute imprévue (un défaut du code) ne retient pas les autres messages : le lot est coupé en deux jusqu'à
        isoler le fautif, qui est rejeté avec sa cause et mis aux rebuts.

        Lève ConflitDePosition si un autre a déjà lu ces messages.
        """
        try:
            self._enregistrer(messages, self.prendre)
        except FauteImprévue as faute:
            self._journal.exception("lot_fautif", messages=len(messages), origine=messages[0].origine)
            if len(messages) > 1:
                milieu = len(messages) // 2
                self.enregistrer(messages[:milieu])
                self.enregistrer(messages[milieu:])
            else:
                self._enregistrer(messages, _rejeter(f"faute imprévue : {faute}"))

    def _enregistrer(self, messages: Sequence[Message], prendre: Prendre) -> None:
        maintenant = self.horloge()
        avancées = self._avancées(messages)
        mis_au_rebut: set[tuple[int, int]] = set()

        def décision(conn: Connection[Any]) -> None:
            self.étape("decider")
            try:
                traitement = prendre(self.guichet, conn, messages, maintenant)
            except psycopg.Error:
                raise
            except Exception as faute:
                raise FauteImprévue(f"{type(faute).__name__}: {faute}") from faute
            traitement.lot.avancées = avancées
            self.étape("rebuter")
            nouveaux = [
                rebut
                for rebut in traitement.rebuts
                if (rebut.message.partition.partition, rebut.message.décalage) not in mis_au_rebut
            ]
            self.rebuts.produire(nouveaux)
            mis_au_rebut.update((rebut.message.partition.partition, rebut.message.décalage) for rebut in nouveaux)
            self.étape("inscrire")
            self.guichet.enregistreur.inscrire(conn, traitement.lot)
            self.étape("valider")

        self.guichet.décider(décision)
        self.étape("valide")
        for avancée in avancées:
            self._attendues[avancée.partition.partition] = avancée.jusqu_à

    def _avancées(self, messages: Sequence[Message]) -> list[Avancée]:
        """De la position chargée au dernier message du lot, pour chaque partition."""
        derniers = {message.partition: message.décalage for message in messages}
        return [
            Avancée(partition, self._attendues[partition.partition], dernier + 1)
            for partition, dernier in derniers.items()
        ]

    # --- Les positions -----------------------------------------------------------------------------------------------

    def placer(self, consommateur: KafkaConsumer, partitions: Sequence[int]) -> None:
        """Se place, sur chaque partition, à la position que PostgreSQL connaît (0 si elle n'a jamais été lue)."""
        # kafka-python ne l'offre pas autrement : l'identifiant du topic, qui change quand il est recréé.
        self._topic_id = consommateur._cluster.topic_id(self.topic)  # noqa: SLF001
        if self._topic_id is None:
            raise TopicInconnu(self.topic)
        with self.guichet.base.transaction() as conn:
            connues = self.guichet.enregistreur.positions(conn, self._topic_id)
        self._attendues = {partition: connues.get(partition, 0) for partition in partitions}
        for partition, position in self._attendues.items():
            consommateur.seek(TopicPartition(self.topic, partition), position)
        self._journal.info("place", topic_id=str(self._topic_id), positions=self._attendues)

    def _replacer(self, consommateur: KafkaConsumer, partitions: Sequence[int]) -> None:
        self.placer(consommateur, partitions)
        self._à_replacer = False

    def oublier(self) -> None:
        """Les partitions ne sont plus à nous : rien de ce qui en reste ne doit être traité."""
        self._attendues = {}

    def _topic_recréé(self, consommateur: KafkaConsumer) -> bool:
        actuel = consommateur._cluster.topic_id(self.topic)  # noqa: SLF001 (voir `placer`)
        if actuel is None or self._topic_id is None or actuel == self._topic_id:
            return False
        self._journal.error("topic_recree", ancien=str(self._topic_id), nouveau=str(actuel))
        return True

    def _hors_bornes(self, consommateur: KafkaConsumer) -> None:
        """La position sort de la partition : dépassée par la rétention (dit, et repris au début), ou au-delà de la fin.

        Lève PositionAuDelàDeLaFin.
        """
        partitions = [TopicPartition(self.topic, partition) for partition in self._attendues]
        débuts, fins = consommateur.beginning_offsets(partitions), consommateur.end_offsets(partitions)
        for tp in partitions:
            position = self._attendues[tp.partition]
            if position > fins[tp]:
                raise PositionAuDelàDeLaFin(f"{self.topic}/{tp.partition} : {position}, fin à {fins[tp]}")
            if position < débuts[tp]:
                self._journal.error("messages_perdus", partition=tp.partition, de=position, a=débuts[tp])
                consommateur.seek(tp, débuts[tp])

    def _montrer_le_retard(self, consommateur: KafkaConsumer) -> None:
        """Dit à Kafka où nous en sommes ; s'il l'oublie, rien n'est perdu."""
        positions = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in self._attendues.items()
        }
        with suppress(KafkaError):
            consommateur.commit_async(positions)

    def _battre(self) -> None:
        if time.monotonic() - self._dernier_battement > BATTEMENT_S:
            with self.guichet.base.transaction() as conn:
                dire_état(conn, self.nom, "actif")
            self._dernier_battement = time.monotonic()


class _Écoute(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python n'est pas typé
    """Se place sur les partitions reçues ; lâche tout de celles qui partent."""

    def __init__(self, boucle: Boucle, consommateur: KafkaConsumer) -> None:
        self.boucle = boucle
        self.consommateur = consommateur

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002
        self.boucle.oublier()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self.boucle.placer(self.consommateur, [tp.partition for tp in assigned])


def _rejeter(cause: str) -> Prendre:
    def prendre(
        _guichet: Guichet, _conn: Connection[Any], messages: Sequence[Message], _maintenant: datetime
    ) -> Traitement:
        traitement = Traitement(Lot(), [])
        for message in messages:
            rendre_sort(traitement, message, Verdict(Sort.REJETÉE, cause), None, {})
        return traitement

    return prendre
