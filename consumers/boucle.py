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

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata
from psycopg import Connection

from consumers import courtier
from consumers.rebuts import Rebuts
from domain.sort import Sort, Verdict
from guichet.guichet import Guichet
from guichet.messages import Message, Traitement, rendre_sort
from journal import places
from journal.conflits import Conflit, ConflitDePosition
from journal.etats import ÉtatDuRôle
from journal.lot import Avancée, Lot, Partition
from journal.pannes import est_une_panne, raconter
from journal.reprise import RECUL_MAX_S, Reprise

BATTEMENT_S: Final = 5.0
"""Intervalle entre deux signes de vie (secondes)."""

Prendre = Callable[[Guichet, Connection[Any], Sequence[Message], datetime], Traitement]


class FauteImprévue(Exception):
    """Une faute en décidant d'un lot ou en l'enregistrant : un défaut du code, ou une donnée que la base refuse."""


class TopicRecréé(ConflitDePosition):
    """Le topic n'est plus celui dont nous tenons les positions : ces messages ont peut-être été lus du nouveau."""


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
        self._état = ÉtatDuRôle(guichet.base.url, nom)
        self._reprise = Reprise(self._journal, "consommateur_interrompu")
        self._topic_id: UUID | None = None
        self._partitions: dict[int, Partition] = {}
        self._attendues: dict[int, int] = {}
        self._arrêtées: list[int] = []
        self._identifiant: Callable[[], UUID | None] = lambda: None
        """L'identifiant du topic, redemandé après la dernière lecture ; None : le topic n'est plus là, le lot si."""
        self._à_replacer = False
        self._à_vérifier = False
        self._ouvert_à = self._dernier_battement = 0.0

    # --- La boucle ---------------------------------------------------------------------------------------------------

    def tourner(self, arrêt: threading.Event) -> None:
        """Consomme jusqu'à l'arrêt demandé ; revient seule d'une panne de Kafka ou de PostgreSQL, et la dit."""
        while not arrêt.is_set():
            try:
                self._consommer(arrêt)
            except Exception as erreur:  # noqa: BLE001 (toute panne est gardée, puis reprise)
                attente_s = self._reprise.échouer(erreur)
                self._état.interrompre(erreur)
                arrêt.wait(attente_s)

    def _consommer(self, arrêt: threading.Event) -> None:
        consommateur = courtier.ouvrir(self.kafka, groupe=self.groupe, client=self.nom, lot_max=self.lot_max)
        self._ouvert_à, self._dernier_battement = time.monotonic(), 0.0
        self._topic_id = None
        try:
            # Connu avant d'entrer dans le groupe : un chef qui n'en sait rien encore ne donnerait rien à personne.
            if not consommateur.partitions_for_topic(self.topic):
                raise courtier.TopicInconnu(self.topic)
            consommateur.subscribe([self.topic], listener=_Écoute(self, consommateur))
            while not arrêt.is_set():
                self._battre(consommateur)
                self._tour(consommateur)
        finally:
            courtier.fermer(consommateur)
        with self.guichet.base.transaction() as conn:
            self._état.dire(conn, "inactif")

    def _tour(self, consommateur: KafkaConsumer) -> None:
        """Lit un lot et l'enregistre."""
        if self._topic_id is not None and courtier.identifiant(consommateur, self.topic) is None:
            # Disparu. Rester dans le groupe ne suffirait pas : recréé, son chef peut n'en rien savoir au partage.
            raise courtier.TopicInconnu(self.topic)
        if self._à_replacer or self._topic_recréé(consommateur):
            self._replacer(consommateur)
        if self._à_vérifier:
            self._vérifier_les_bornes(consommateur)
        self.étape("lire")
        try:
            lots = consommateur.poll(timeout_ms=round(self.attente_s * 1000))
        except OffsetOutOfRangeError:
            self._à_vérifier = True
            return
        except LogTruncationError as raccourci:
            self._arrêter(
                {
                    tp.partition: où.offset if où else 0
                    for tp, où in raccourci.divergent_offsets.items()
                    if tp.partition in self._attendues
                }
            )
            self._à_replacer = True
            return
        messages = self._messages(lots)
        if not messages:
            return
        self._identifiant = courtier.relire_l_identifiant(consommateur, self.topic)  # Répond pendant que l'on décide.
        try:
            self.enregistrer(messages)
        except ConflitDePosition as conflit:
            # Un autre consommateur a déjà lu ces messages, ou ce ne sont pas ceux que l'on croyait.
            self._journal.warning("lot_abandonne", messages=len(messages), cause=type(conflit).__name__)
            self._à_replacer = True
            return
        self._reprise.progresser()
        self._montrer_le_retard(consommateur)
        self.étape("suite")

    def _messages(self, lots: Mapping[TopicPartition, Sequence[Any]]) -> list[Message]:
        """Les messages lus, sans ceux d'une lecture antérieure au dernier placement."""
        messages = []
        for tp, enregistrements in lots.items():
            attendue = self._attendues.get(tp.partition)
            if attendue is None:
                continue
            partition = self._partitions[tp.partition]
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

        Une faute imprévue (un défaut du code, une donnée que PostgreSQL refuse) ne retient pas les autres messages : le
        lot est coupé en deux jusqu'à isoler le fautif, qui est rejeté avec sa cause et mis aux rebuts. Une panne, elle,
        n'est la faute d'aucun : elle remonte telle quelle, et rien n'est enregistré.

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
            traitement = prendre(self.guichet, conn, messages, maintenant)
            if self._identifiant() not in {None, self._topic_id}:
                raise TopicRecréé(self.topic)
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

        try:
            self.guichet.décider(décision)
        except Conflit:
            raise
        except Exception as erreur:
            if est_une_panne(erreur):
                raise
            raise FauteImprévue(raconter(erreur)) from erreur
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
        topic_id = courtier.identifiant(consommateur, self.topic)
        if topic_id is None:
            raise courtier.TopicInconnu(self.topic)
        with self.guichet.base.transaction() as conn:
            ancien = places.rencontrer(conn, self.topic, topic_id)
            trouvées = places.places(conn, self.topic, topic_id, partitions)
        if ancien is not None:
            self._journal.error("topic_recree", ancien=str(ancien), nouveau=str(topic_id))
        self._arrêtées = sorted(numéro for numéro, place in trouvées.items() if place.arrêtée)
        if self._arrêtées:
            self._journal.error("partitions_arretees", partitions=self._arrêtées)
        self._topic_id = topic_id
        self._partitions = {numéro: place.partition for numéro, place in trouvées.items()}
        self._attendues = {numéro: place.position for numéro, place in trouvées.items() if not place.arrêtée}
        consommateur.resume(*(TopicPartition(self.topic, numéro) for numéro in self._attendues))
        consommateur.pause(*(TopicPartition(self.topic, numéro) for numéro in self._arrêtées))
        for numéro, place in trouvées.items():
            consommateur.seek(TopicPartition(self.topic, numéro), place.position)
        self._journal.info("place", topic_id=str(topic_id), positions=self._attendues)

    def _replacer(self, consommateur: KafkaConsumer) -> None:
        self.placer(consommateur, [tp.partition for tp in consommateur.assignment()])
        self._à_replacer = False

    def oublier(self) -> None:
        """Les partitions ne sont plus à nous : rien de ce qui en reste ne doit être traité."""
        self._attendues, self._arrêtées = {}, []

    def _topic_recréé(self, consommateur: KafkaConsumer) -> bool:
        actuel = courtier.identifiant(consommateur, self.topic)
        return actuel is not None and self._topic_id is not None and actuel != self._topic_id

    def _vérifier_les_bornes(self, consommateur: KafkaConsumer) -> None:
        """Compare nos positions à ce que Kafka garde : il vient de refuser l'une d'elles.

        En deçà du début, la rétention a effacé des messages jamais lus : la perte est comptée, et l'on saute au début.
        Au-delà de la fin, le même topic a raccourci : ce qui s'écrira en deçà de notre position serait sauté sans
        bruit, et personne ne sait depuis quand. La partition s'arrête donc, pour de bon, et les autres continuent.
        """
        if courtier.relire_l_identifiant(consommateur, self.topic)() != self._topic_id:
            self._à_replacer = True  # Ces bornes seraient celles d'un autre topic.
            return
        attendues = dict(self._attendues)
        débuts, fins = courtier.bornes(consommateur, self.topic, list(attendues))
        self._à_vérifier = False
        for numéro, position in attendues.items():
            if position < débuts[numéro]:
                self._perdre(numéro, débuts[numéro])
                consommateur.seek(TopicPartition(self.topic, numéro), débuts[numéro])
        raccourcies = {numéro: fins[numéro] for numéro, position in attendues.items() if position > fins[numéro]}
        if raccourcies:
            self._arrêter(raccourcies)
            consommateur.pause(*(TopicPartition(self.topic, numéro) for numéro in raccourcies))

    def _perdre(self, numéro: int, début: int) -> None:
        depuis = self._attendues[numéro]
        with self.guichet.base.transaction() as conn:
            places.perdre(conn, self._partitions[numéro], depuis, début)
        self._attendues[numéro] = début
        self._journal.error("messages_perdus", partition=numéro, depuis=depuis, jusqu_a=début, messages=début - depuis)

    def _arrêter(self, fins: Mapping[int, int]) -> None:
        """Arrête des partitions, de façon qu'un autre processus, ou celui-ci relancé, ne les reprenne pas."""
        with self.guichet.base.transaction() as conn:
            for numéro, fin in fins.items():
                places.arrêter(conn, self._partitions[numéro], self._attendues[numéro], fin)
        for numéro, fin in fins.items():
            position = self._attendues.pop(numéro)
            self._arrêtées.append(numéro)
            self._journal.error("position_au_dela_de_la_fin", partition=numéro, position=position, fin=fin)

    def _montrer_le_retard(self, consommateur: KafkaConsumer) -> None:
        """Dit à Kafka où nous en sommes ; s'il l'oublie, rien n'est perdu."""
        positions = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in self._attendues.items()
        }
        with suppress(KafkaError):
            consommateur.commit_async(positions)

    def _battre(self, consommateur: KafkaConsumer) -> None:
        """Donne signe de vie, tant que Kafka en donne aussi. Lève KafkaNeRépondPas."""
        courtier.exiger_des_nouvelles(consommateur._cluster)  # noqa: SLF001 (voir `courtier`)
        if time.monotonic() - self._dernier_battement > BATTEMENT_S:
            with self.guichet.base.transaction() as conn:
                self._état.dire(conn, "actif")
                self._à_replacer |= self._reprise_décidée(conn)
            self._dernier_battement = time.monotonic()
            if self._dernier_battement - self._ouvert_à > RECUL_MAX_S:
                self._reprise.progresser()  # Rien à lire, mais tout répond.

    def _reprise_décidée(self, conn: Connection[Any]) -> bool:
        """Dit si une personne a repris l'une des partitions à l'arrêt."""
        if self._topic_id is None or not self._arrêtées:
            return False
        trouvées = places.places(conn, self.topic, self._topic_id, self._arrêtées)
        return not all(place.arrêtée for place in trouvées.values())


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
