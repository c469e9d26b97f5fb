"""Who goes on next: actors as coroutines over one simulated clock, chosen by one seed.

Every actor runs the product's own blocking code in a greenlet; it gives way wherever the product meets the outside (a
statement, a commit, a poll, a step between two). One thread, one random generator: the same seed, the same history.
"""

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from greenlet import greenlet

EPOCH = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
STEP_S = 0.002
"""What one step takes (simulated seconds)."""
GOES_ON = 0.6
"""How often the one that could give way goes on at once."""
FOREVER = float("inf")
STEPS_MAX = 8_000
"""A history that is not over by then never is."""


class Killed(BaseException):
    """The process is gone: unwinds the product's code without letting it do anything more."""


class Endless(Exception):
    """A history did not come to rest."""


@dataclass(eq=False, slots=True)
class Actor:
    """A process, or somebody outside, that does one thing at a time."""

    name: str
    body: greenlet
    mortal: bool
    """Whether faults may strike it."""
    wake_at: float = 0.0
    condition: Callable[[], bool] | None = None
    frozen_until: float = 0.0
    killed: bool = False
    failure: BaseException | None = None
    on_death: list[Callable[[], None]] = field(default_factory=list)

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return bool(self.body.dead)


class Scheduler:
    """The clock, the actors, the trace."""

    def __init__(self, seed: str) -> None:
        """`seed`: decides everything."""
        self.rng = random.Random(seed)  # noqa: S311 (a replayable history, no secret)
        self.now_s = 0.0
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.goes_on = GOES_ON
        self.steps = 0
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.before_jump: Callable[[], None] = lambda: None
        """Called before time jumps because nobody can go on."""
        self.lines: list[str] = []
        """The trace."""
        self._main = greenlet.getcurrent()
        self.closing = False

    # --- Time and trace ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return EPOCH + timedelta(seconds=self.now_s)

    def tell(self, what: str) -> None:
        """Add a line to the trace."""
        who = self.current.name if self.current else "-"
        self.lines.append(f"{self.now_s:12.3f} {who:22s} {what}")

    @property
    def digest(self) -> str:
        """What two runs of the same history have in common, and no other."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        """Do something at an instant."""
        self.timers.append((when_s, len(self.timers), action))
        self.timers.sort(key=lambda timer: timer[:2])

    # --- Actors ------------------------------------------------------------------------------------------------------

    def spawn(self, name: str, run: Callable[[], None], *, mortal: bool = False, after_s: float = 0.0) -> Actor:
        """A new actor, that begins after a while."""

        def live() -> None:
            try:
                run()
            except Killed:
                pass
            except Exception as failure:  # noqa: BLE001 (told by the history)
                actor.failure = failure
            finally:
                for action in actor.on_death:
                    action()

        actor = Actor(name, greenlet(live, self._main), mortal, wake_at=self.now_s + after_s)
        self.actors.append(actor)
        return actor

    def pause(self) -> None:
        """Let somebody else go on, perhaps."""
        actor = self._here()
        if self.rng.random() < self.goes_on:
            self.now_s += STEP_S
            return
        actor.wake_at = self.now_s
        self._leave(actor)

    def sleep(self, seconds: float) -> None:
        """Stand still for a while."""
        self.wait(None, seconds)

    def wait(self, condition: Callable[[], bool] | None, seconds: float) -> bool:
        """Stand still until this holds, at most so long; whether it holds."""
        actor = self._here()
        if condition is not None and condition():
            return True
        actor.condition, actor.wake_at = condition, self.now_s + seconds
        self._leave(actor)
        return condition is not None and condition()

    def wake(self, actor: Actor | None) -> None:
        """What this one waits for may be there."""
        if actor is not None:
            actor.wake_at = min(actor.wake_at, self.now_s)

    def freeze(self, actor: Actor, seconds: float) -> None:
        """The process stands still (SIGSTOP), whatever it was doing."""
        actor.frozen_until = self.now_s + seconds

    def kill(self, actor: Actor) -> None:
        """The process is gone, at once (SIGKILL), if it had begun."""
        if not actor.body:
            return
        actor.killed = True
        actor.frozen_until = 0.0
        actor.wake_at = self.now_s
        actor.condition = None

    def _here(self) -> Actor:
        actor = self.current
        if actor is None:
            raise RuntimeError("only an actor gives way")
        if actor.killed:
            raise Killed  # What is gone does not wait.
        return actor

    def _leave(self, actor: Actor) -> None:
        self._main.switch()
        actor.condition = None
        if actor.killed:
            raise Killed

    # --- The loop ----------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Go on until this holds, which is asked whenever time would jump. Raises Endless."""
        while True:
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise Endless(f"{STEPS_MAX} steps, at {self.now_s:.0f} s")
            self._ring()
            now_s = self.now_s
            ready = [
                actor
                for actor in self.actors
                if (actor.wake_at <= now_s or (actor.condition is not None and actor.condition()))
                and actor.frozen_until <= now_s
            ]
            if ready:
                self._resume(self.rng.choice(ready) if len(ready) > 1 else ready[0])
                continue
            if until():
                return
            self.before_jump()
            self._jump()

    def close(self) -> None:
        """End all that still lives."""
        self.closing = True
        for actor in list(self.actors):
            self.kill(actor)
            with suppress(Exception):
                if actor.killed:
                    self._resume(actor)

    def _ring(self) -> None:
        while self.timers and self.timers[0][0] <= self.now_s:
            self.timers.pop(0)[2]()

    def _resume(self, actor: Actor) -> None:
        self.current = actor
        self.now_s += STEP_S
        actor.body.switch()
        self.current = None
        if actor.dead:
            self.actors.remove(actor)
            if actor.failure is not None:
                raise actor.failure

    def _jump(self) -> None:
        """To the next instant at which anybody can go on."""
        nexts = [max(actor.wake_at, actor.frozen_until) for actor in self.actors if not actor.dead]
        # Frozen, it may have what it waits for when it wakes.
        nexts += [actor.frozen_until for actor in self.actors if actor.frozen_until > self.now_s]
        if self.timers:
            nexts.append(self.timers[0][0])
        later = [when for when in nexts if self.now_s < when < FOREVER]
        if not later:
            raise Endless("nobody can go on")
        self.now_s = min(later)
