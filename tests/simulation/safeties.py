"""Each safety, and what the product would be without it: `python -m tests.simulation --without …`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

from psycopg import Connection, Pipeline

import domain.notification
from engine.batch import Batch
from engine.follower import Follower
from engine.lease import Lease
from engine.recorder import Recorder
from kiosque.sips.office import diagnostic
from tests.simulation.tables import UniqueKey
from tests.simulation.view_statements import MOVE_ANYWAY

Keys = dict[str, list[UniqueKey]]


class Unordered(Recorder):
    """Writes without the lock that orders the log."""

    def take_order(self, conn: Connection[Any], pipeline: Pipeline | None = None) -> None:
        """Take nothing."""


class Apart(Recorder):
    """Writes the position in a transaction of its own, once the batch is recorded: what most consumers do."""

    def record(self, conn: Connection[Any], lot: Batch) -> list[int]:
        """Record all but the position; the position follows."""
        advances, lot.advances = lot.advances, []
        positions = super().record(conn, lot)
        if advances:
            session: Any = conn
            session.once_committed = lambda: self._positions_apart(advances)
        return positions

    def _positions_apart(self, advances: Any) -> None:
        with self.base.transaction() as conn:
            super().record(conn, Batch(advances=advances))


@contextmanager
def _no_compare() -> Iterator[None]:
    def move(follower: Any, conn: Any, _since: int, until: int) -> None:
        conn.execute(MOVE_ANYWAY, (until, follower.vue.nom))

    with mock.patch.object(Follower, "_move", move), mock.patch.object(Lease, "hold"):
        yield


@contextmanager
def _any_answer() -> Iterator[None]:
    """What the bank answers to a question is believed by its name alone."""
    never = mock.patch.object(domain.notification, "_etrangere_par_son_argent", return_value=None)
    with never, mock.patch.object(diagnostic, "_jeton", return_value=None):
        yield


@dataclass(frozen=True)
class Safety:
    """A safety, by the name that the command gives it."""

    name: str
    recorder: Callable[..., Recorder] = Recorder
    token: Callable[[], Any] | None = None
    ordered: bool = True
    """Whether the database takes the order itself."""
    lost_key: str = ""
    """A unique key that the database no longer has."""
    taken_out: Callable[[], Any] = nullcontext

    def keys(self, keys: Keys) -> Keys:
        """The unique keys that are left."""
        return {table: [key for key in ones if key.constraint != self.lost_key] for table, ones in keys.items()}


SAFETIES = {
    safety.name: safety
    for safety in (
        Safety("order-lock", recorder=Unordered, ordered=False),
        Safety("position", recorder=Apart),
        Safety("fate-key", lost_key="sorts_message"),
        Safety("compare-and-set", taken_out=_no_compare),
        Safety("echo", token=lambda: None),
        Safety("question", taken_out=_any_answer),
    )
}
