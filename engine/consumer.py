"""La boucle : lire un lot de messages, décider, tout enregistrer d'un bloc avec la position lue.

Les positions enregistrées dans PostgreSQL sont la vérité ; celles que Kafka garde ne servent qu'à montrer le retard.
Tuée n'importe où, la boucle reprend à la dernière position validée : chaque message compte exactement une fois.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from kafka import KafkaConsumer
from kafka.errors import LogTruncationError, OffsetOutOfRangeError
from psycopg import Connection

from engine import kafka_clients as clients
from engine import kafka_reader as lecteur
from engine import waiting_room
from engine.backoff import BACKOFF_MAX_S, Backoff
from engine.batch import Batch, Settled
from engine.conflicts import Conflict, PositionConflict
from engine.database import Database
from engine.dead_letters import DeadLetters
from engine.decision import decide
from engine.listener import Listener
from engine.messages import Message, Outcome, add_fate
from engine.outages import describe, is_outage
from engine.placement import Placement
from engine.recorder import Recorder
from engine.role_state import RoleState

REJECTED: Final = "rejetee"
"""The fate of a message that no decision could take."""

Prendre = Callable[[Connection[Any], Sequence[Message], datetime], Outcome]


PLACE_MAX_S: Final = 30.0
"""How long a consumer may be without an answer about its share before it joins anew (seconds).

A member whose share is empty has its answer: there are more of them than partitions.
"""


class UnexpectedFault(Exception):
    """Une faute en décidant d'un lot ou en l'enregistrant : un défaut du code, ou une donnée que la base refuse."""


class TopicRecreated(PositionConflict):
    """Le topic n'est plus celui dont nous tenons les positions : ces messages ont peut-être été lus du nouveau."""


class Consumer:
    """Consomme un topic, par lots, en groupe."""

    def __init__(
        self,
        *,
        nom: str,
        topic: str,
        base: Database,
        recorder: Recorder,
        prendre: Prendre,
        rebuts: DeadLetters,
        kafka: Mapping[str, Any],
        groupe: str,
        lot_max: int = 500,
        attente_s: float = 0.5,
        place_max_s: float = PLACE_MAX_S,
        horloge: Callable[[], datetime] = lambda: datetime.now(UTC),
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`kafka` : les réglages de connexion, aux noms de kafka-python. `etape` est appelée entre deux étapes."""
        self.nom = nom
        self.topic = topic
        self.base = base
        self.recorder = recorder
        self.prendre = prendre
        self.rebuts = rebuts
        self.kafka = kafka
        self.groupe = groupe
        self.lot_max = lot_max
        self.attente_s = attente_s
        self.place_max_s = max(place_max_s, 2 * kafka.get("max_poll_interval_ms", 0) / 1000)
        self.horloge = horloge
        self.etape = etape
        self._log = structlog.get_logger().bind(consommateur=nom)
        self._etat = RoleState(base.url, nom)
        self._reprise = Backoff(self._log, "consommateur_interrompu")
        self.placement = Placement(base, topic, nom)
        self._identifiant: Callable[[], UUID | None] = lambda: None
        """L'identifiant du topic, redemandé après la dernière lecture ; None : le topic n'est plus là, le lot si."""
        self._a_replacer = False
        self._a_verifier = False
        self._ouvert_a = 0.0
        self._awaited: set[str] | None = set()
        """Les flux que des messages attendent et que les derniers lots ont touchés ; None : tous, une fois de temps en
        temps, car un flux a pu être réparé."""

    # --- La boucle ---------------------------------------------------------------------------------------------------

    def run(self, arret: threading.Event) -> None:
        """Consomme jusqu'à l'arrêt demandé ; revient seule d'une panne de Kafka ou de PostgreSQL, et la dit."""
        while not arret.is_set():
            try:
                self._consommer(arret)
            except Exception as erreur:  # noqa: BLE001 (toute panne est gardée, puis reprise)
                attente_s = self._reprise.fail(erreur)
                self._etat.interrupt(erreur)
                if isinstance(erreur, clients.GroupStuck):
                    self._log.error("groupe_dissous", groupe=self.groupe, dit=lecteur.dissolve(self.kafka, self.groupe))
                arret.wait(attente_s)

    def _consommer(self, arret: threading.Event) -> None:
        consommateur = lecteur.ouvrir(self.kafka, groupe=self.groupe, client=self.nom, lot_max=self.lot_max)
        self._ouvert_a = time.monotonic()
        self.placement.topic_id = None
        try:
            # Connu avant d'entrer dans le groupe : un chef qui n'en sait rien encore ne donnerait rien à personne.
            if not consommateur.partitions_for_topic(self.topic):
                raise clients.TopicUnknown(self.topic)
            ecoute = Listener(self.placement, consommateur)
            consommateur.subscribe([self.topic], listener=ecoute)
            while not arret.is_set():
                ecoute.require_answer(self.groupe, self.place_max_s)
                self._battre(consommateur)
                self._tour(consommateur)
                if self._awaited is None or self._awaited:
                    self.release()
        finally:
            lecteur.fermer(consommateur, settle=arret.is_set())
        with self.base.transaction() as conn:
            self._etat.dire(conn, "inactif")

    def _tour(self, consommateur: KafkaConsumer) -> None:
        """Lit un lot et l'enregistre."""
        if self.placement.is_gone(consommateur):
            # Disparu. Rester dans le groupe ne suffirait pas : recréé, son chef peut n'en rien savoir au partage.
            raise clients.TopicUnknown(self.topic)
        if self._a_replacer or self.placement.is_recreated(consommateur):
            self.placement.placer(consommateur, [tp.partition for tp in consommateur.assignment()])
            self._a_replacer = False
        if self._a_verifier:
            self._a_verifier = self._a_replacer = not self.placement.check_bounds(consommateur)
        self.etape("lire")
        try:
            lots = lecteur.lire(consommateur, self.attente_s)
        except OffsetOutOfRangeError:
            self._a_verifier = True
            return
        except LogTruncationError as raccourci:
            self.placement.arreter(
                {tp.partition: ou.offset if ou else 0 for tp, ou in raccourci.divergent_offsets.items()}
            )
            self._a_replacer = True
            return
        messages = self.placement.retenir(lots)
        if not messages:
            return
        self._identifiant = lecteur.refresh_topic_id(consommateur, self.topic)  # Répond pendant que l'on décide.
        try:
            self.enregistrer(messages)
        except PositionConflict as conflit:
            # Un autre consommateur a déjà lu ces messages, ou ce ne sont pas ceux que l'on croyait.
            self._log.warning("lot_abandonne", messages=len(messages), cause=type(conflit).__name__)
            self._a_replacer = True
            return
        self._reprise.progress()
        self.placement.montrer(consommateur)
        self.etape("suite")

    # --- Ce qui attendait --------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Applique ce qui attendait et peut l'être, un flux à la fois, dans l'ordre ; le reste attend encore."""
        streams, self._awaited = self._awaited, set()
        with self.base.transaction() as conn:
            ones = waiting_room.waiting(conn, self.topic, streams)
        for stream, messages in ones:
            try:
                applied = decide(self.base, self.recorder, partial(self._release, messages))
            except PositionConflict:
                continue  # Un autre l'a fait.
            except Exception as erreur:
                if is_outage(erreur):
                    raise
                self._log.exception("attente_fautive", flux=stream)
                continue
            if applied:
                self._log.info("attente_levee", flux=stream, messages=applied)

    def _release(self, messages: Sequence[Message], conn: Connection[Any]) -> int:
        traitement = self.prendre(conn, messages, self.horloge())
        lot = traitement.lot
        lot.settled = [Settled(fate.partition, fate.offset, fate.sort, fate.cause) for fate in lot.fates]
        lot.fates = []
        self.rebuts.produire(traitement.rebuts)
        self.etape("lever")
        self.recorder.record(conn, lot)
        return len(lot.settled)

    # --- Un lot ------------------------------------------------------------------------------------------------------

    def enregistrer(self, messages: Sequence[Message]) -> None:
        """Décide d'un lot et l'enregistre d'un bloc avec ses positions.

        Une faute imprévue (un défaut du code, une donnée que PostgreSQL refuse) ne retient pas les autres messages : le
        lot est coupé en deux jusqu'à isoler le fautif, qui est rejeté avec sa cause et mis aux rebuts. Une panne, elle,
        n'est la faute d'aucun : elle remonte telle quelle, et rien n'est enregistré.

        Lève PositionConflict si un autre a déjà lu ces messages.
        """
        try:
            self._enregistrer(messages, self.prendre)
        except UnexpectedFault as faute:
            self._log.exception("lot_fautif", messages=len(messages), origine=messages[0].origine)
            if len(messages) > 1:
                milieu = len(messages) // 2
                self.enregistrer(messages[:milieu])
                self.enregistrer(messages[milieu:])
            else:
                self._enregistrer(messages, _rejeter(f"faute imprévue : {faute}"))

    def _enregistrer(self, messages: Sequence[Message], prendre: Prendre) -> None:
        maintenant = self.horloge()
        advances = self.placement.advances(messages)
        mis_au_rebut: set[tuple[int, int]] = set()
        touches: set[str] = set()

        def decision(conn: Connection[Any]) -> None:
            self.etape("decider")
            traitement = prendre(conn, messages, maintenant)
            if self._identifiant() not in {None, self.placement.topic_id}:
                raise TopicRecreated(self.topic)
            traitement.lot.advances = advances
            self.etape("rebuter")
            nouveaux = [
                rebut
                for rebut in traitement.rebuts
                if (rebut.message.partition.partition, rebut.message.offset) not in mis_au_rebut
            ]
            self.rebuts.produire(nouveaux)
            mis_au_rebut.update((rebut.message.partition.partition, rebut.message.offset) for rebut in nouveaux)
            self.etape("inscrire")
            self.recorder.record(conn, traitement.lot)
            self.etape("valider")
            touches.update(traitement.awaited)

        try:
            decide(self.base, self.recorder, decision)
        except Conflict:
            raise
        except Exception as erreur:
            if is_outage(erreur):
                raise
            raise UnexpectedFault(describe(erreur)) from erreur
        self.etape("valide")
        self.placement.avancer(advances)
        if self._awaited is not None:
            self._awaited |= touches

    def _battre(self, consommateur: KafkaConsumer) -> None:
        """Donne signe de vie, tant que Kafka en donne aussi. Lève KafkaNeRépondPas."""
        clients.require_news(consommateur._cluster)  # noqa: SLF001 (voir `engine.kafka_clients`)
        if self._etat.is_due:
            with self.base.transaction() as conn:
                self._etat.dire(conn, "actif")
                self._a_replacer |= self.placement.resumption_decided(conn)
            self._awaited = None
            self.rebuts.produire([])  # Ceux qui attendaient leur topic.
            if time.monotonic() - self._ouvert_a > BACKOFF_MAX_S:
                self._reprise.progress()  # Rien à lire, mais tout répond.


def _rejeter(cause: str) -> Prendre:
    def prendre(_conn: Connection[Any], messages: Sequence[Message], _maintenant: datetime) -> Outcome:
        traitement = Outcome(Batch(), [])
        for message in messages:
            add_fate(traitement, message, REJECTED, cause, objet=None, champs={}, dead=True)
        return traitement

    return prendre
