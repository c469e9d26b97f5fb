"""One history: the product's own roles and use cases in a simulated world, until it has come to rest."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, cast

from consumers.avis import consommateur_des_avis
from consumers.kiosque import consommateur_du_kiosque
from domain.politique import Politique
from engine.consumer import Consumer
from engine.database import Database as RealDatabase
from engine.dead_letters import SUFFIXE, DeadLetters
from engine.follower import Follower, View
from engine.messages import DeadLetter
from engine.outages import is_outage
from engine.recorder import Recorder
from guichet.guichet import Adresses, Guichet
from guichet.relancer_paiement import relancer_paiement
from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.paiements import Paiements, sans_reponse
from projections.vues.restant_du import RestantDu
from tests.mapper import MAPPER
from tests.simulation import checks, journal_statements, view_statements, witness
from tests.simulation.bank import NOTIFICATIONS, Bank, Kiosk
from tests.simulation.books import Books
from tests.simulation.broker import Broker
from tests.simulation.connection import Connection, Database, Statement
from tests.simulation.faults import Faults
from tests.simulation.safeties import Safety
from tests.simulation.scheduler import Endless, Scheduler
from tests.simulation.seams import simulated, steady
from tests.simulation.server import Server
from tests.simulation.tables import unique_keys
from tests.simulation.traffic import AVIS, OUTAGES, Caisse, Payer, Traffic
from tests.simulation.view_statements import ASIDE
from tests.simulation.witness import WITNESS, Seen, Witness

STATEMENTS: Final[dict[str, tuple[str, Statement]]] = (
    journal_statements.STATEMENTS | view_statements.STATEMENTS | witness.STATEMENTS
)
KEYS: Final = unique_keys() | {WITNESS: []}

REST_MAX_S = 3_600.0
"""How long everything may take to come to rest once the faults are over (simulated seconds)."""
LEASE_S = 100.0
"""Longer than a wait: here a lease is not renewed but taken anew when it has run out (simulated seconds)."""
CLIENTS = 2


class Letters(DeadLetters):
    """The product's dead letters, whose producer is the simulated broker."""

    def __init__(self, broker: Broker) -> None:
        """Nothing to open."""
        super().__init__({})
        self.broker = broker

    def _produire_tous(self, rebuts: Any) -> None:
        letters: list[DeadLetter] = list(rebuts)
        self.broker.strike()
        for letter in letters:
            message = letter.message
            value = f"{message.partition.partition}@{message.offset}".encode()
            self.broker.put(message.partition.topic + SUFFIXE, b"", value)


class Stop:
    """What asks a role to stop: here it is killed instead."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Its waits take simulated time."""
        self.scheduler = scheduler

    def is_set(self) -> bool:
        """Never."""
        return False

    def wait(self, seconds: float) -> bool:
        """Stand still."""
        self.scheduler.sleep(seconds)
        return False


class World:
    """Everything of one history."""

    connection = Connection

    def __init__(self, seed: str, without: Safety | None = None, *, peaceful: bool = False) -> None:
        """`without`: the safety that is taken out. `peaceful`: nothing goes wrong, and no transaction meets another."""
        self.seed = seed
        self.without = without
        self.scheduler = Scheduler(seed)
        rng = self.scheduler.rng
        self.lease_s = LEASE_S
        if peaceful:
            self.scheduler.goes_on, self.lease_s = 1.0, LEASE_S * 1000
        keys = without.keys(KEYS) if without else KEYS
        self.server = Server(self.scheduler, keys)
        self.server.orders = without is None or without.ordered
        self.server.version = rng.choice([150_000, 180_000])
        self.broker = Broker(self.scheduler, [topic + end for topic in (AVIS, NOTIFICATIONS) for end in ("", SUFFIXE)])
        self.faults = Faults(self.scheduler, self.server, self.broker, peaceful=peaceful)
        self.books = Books()
        self.published: list[Seen] = []
        self.base = cast("RealDatabase", Database(self.connect))
        self.recorder = (without.recorder if without else Recorder)(self.base, MAPPER, clock=lambda: self.scheduler.now)
        self.bank = Bank(self.scheduler, self.broker, self.books)
        self.guichet = Guichet(
            base=self.base,
            recorder=self.recorder,
            kiosque=Kiosk(self.bank),
            politique=Politique.model_validate({"ouverture": 60, "interroger_apres": 90, "expirer_apres": 150}),
            adresses=Adresses("https://us/retour", "https://us/notification"),
            # A name that serves twice is what the echo alone guards against: the rewind is not noticed here.
            exiger_ouvrable=lambda _: None,
            tirer_jeton=without.token if without and without.token else lambda: f"{rng.getrandbits(64):016x}",
        )
        self.traffic = Traffic(
            self.scheduler, self.broker, self.bank, self.guichet, self.books, restores=self.faults.restores
        )
        self._calm_since = 0.0
        self.scheduler.before_jump = self._tend

    def connect(self) -> Connection:
        """A connection of the process that goes on now."""
        return self.connection(self.server, STATEMENTS)

    # --- The history -------------------------------------------------------------------------------------------------

    def live(self) -> list[str]:
        """Run it; everything that is wrong in the end."""
        with ExitStack() as seams:
            seams.enter_context(simulated(self.scheduler, self.broker, self.connect))
            if self.without:
                seams.enter_context(self.without.taken_out())
            self._people()
            self._processes()
            try:
                self.scheduler.run(self._at_rest)
            except Endless as endless:
                return [f"stuck: {endless}; {'; '.join(checks.unrest(self)[:5])}"]
            finally:
                self.scheduler.close()
            wrong = checks.everything(self)
        for line in checks.outcome(self):
            self.scheduler.tell(line)
        return wrong

    def _people(self) -> None:
        for number in range(CLIENTS):
            caisse = Caisse(self.traffic, f"p-{number}")
            self.scheduler.spawn(f"caisse {number}", caisse.run)
            self.scheduler.spawn(f"payer {number}", Payer(self.traffic, caisse).run, after_s=0.5)
        rng = self.scheduler.rng
        if self.faults.unreadable:
            spoiled_s = rng.uniform(1, 30)
            self.scheduler.at(spoiled_s, self.faults.spoil)
            self.scheduler.at(spoiled_s + rng.uniform(1, 30), self.faults.mend)
        if self.faults.restores:
            self.scheduler.at(rng.uniform(1, 15), self._back_up)

    def _processes(self) -> None:
        wake_s, batch = 60.0, self.scheduler.rng.choice([2, 7, 2000])
        consumers = {"avis": (consommateur_des_avis, AVIS), "kiosque": (consommateur_du_kiosque, NOTIFICATIONS)}
        for name, (build, topic) in consumers.items():
            for number in range(2):
                self._role(f"consume {name} {number}", partial(self._consume, build, topic))
        views: list[tuple[Callable[[], View], str | None, int]] = [
            (RestantDu, None, 2),
            (Paiements, None, 1),
            (partial(DelaiAffichage, self.recorder, lambda: self.scheduler.now), RestantDu.nom, 2),
            (partial(Witness, self.published), None, 2),
        ]
        for view, behind, times in views:
            for number in range(times):
                self._role(f"project {view().nom} {number}", partial(self._follow, view, behind, batch, wake_s))
        self._role("relance", self._ask)

    def _role(self, name: str, run: Callable[[], None], after_s: float = 0.0) -> None:
        actor = self.scheduler.spawn(name, run, mortal=True, after_s=after_s)

        def again() -> None:
            if not self.scheduler.closing:
                self._role(name, run, self.scheduler.rng.choice([0.1, 1.0, 5.0, 20.0]))

        actor.on_death.append(again)

    # --- The product's roles -----------------------------------------------------------------------------------------

    def _consume(self, build: Callable[..., Consumer], topic: str) -> None:
        consumer = build(
            topic,
            self.guichet,
            rebuts=Letters(self.broker),
            kafka={},
            horloge=lambda: self.scheduler.now,
            etape=self._step,
        )
        steady(consumer, self.scheduler)
        consumer.run(cast("Any", Stop(self.scheduler)))

    def _follow(self, view: Callable[[], View], behind: str | None, batch: int, wake_s: float) -> None:
        follower = Follower(
            "simulation",
            view(),
            derriere=behind,
            lot_max=batch,
            wake_max_s=wake_s,
            lease_s=self.lease_s,
            mapper=MAPPER,
            etape=self._step,
        )
        steady(follower, self.scheduler)
        follower.run(cast("Any", Stop(self.scheduler)))

    def _step(self, step: str) -> None:
        self.scheduler.tell(f"- {step}")
        self.scheduler.pause()
        self.faults.at_step()

    def _ask(self) -> None:
        """Ask the bank about payments without an answer, as the role `relance` does."""
        policy = self.guichet.politique
        while True:
            self.scheduler.sleep(45.0)
            now = self.scheduler.now
            try:
                with self.base.transaction() as conn:
                    due = sans_reponse(conn, now - policy.interroger_apres, 50)
                for transaction in due:
                    relancer_paiement(self.guichet, transaction, self.bank.forward, self.scheduler.now)
            except Exception as fault:
                if not is_outage(fault) and not isinstance(fault, OUTAGES):
                    raise

    # --- Backup, restore, rest ---------------------------------------------------------------------------------------

    def _back_up(self) -> None:
        self.scheduler.tell("backup")
        dump = self.server.dump()
        published = len(self.published)
        restored_s = self.scheduler.now_s + self.scheduler.rng.uniform(2, 20)
        self.scheduler.at(restored_s, lambda: self._restore(dump, published))

    def _restore(self, dump: Any, published: int) -> None:
        self.scheduler.tell("FAULT restore")
        self.faults.struck["backup restored"] += 1
        self.server.restore(dump)
        self.faults.mend()
        self.books.forget(checks.opened_in(self.server))
        if self.faults.stops_for_restore:
            for actor in self.scheduler.actors:
                if actor.mortal:
                    self.scheduler.kill(actor)
        del self.published[published:]  # Those who read what was published since then are told by the new epoch.

    def _at_rest(self) -> bool:
        if self.traffic.finished < 2 * CLIENTS or self.scheduler.timers:
            return False
        if not self.faults.calm:
            self.faults.rest()
            self._calm_since = self.scheduler.now_s
        if self.scheduler.now_s - self._calm_since > REST_MAX_S:
            raise Endless(f"not at rest {REST_MAX_S:.0f} s after the last fault")
        return not checks.unrest(self)

    def _tend(self) -> None:
        """A person releases what was set aside, if an event was unreadable: nothing else may need a hand."""
        if self.faults.calm and self.faults.struck["event unreadable"] and self.server.tables[ASIDE].rows:
            self.faults.release()
