"""Processor time by role, read from the kernel: unlike a rate, it says the same on a machine that others use too."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from psycopg import Connection

from bench.processes import Process, cpu_seconds

MICROSECONDS: Final = 1_000_000

# The sessions of this database, but the one that asks; a role's session says its name.
_SESSIONS: Final = """
SELECT pid, application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Costs(NamedTuple):
    """Processor seconds used so far, user and system: of each role, and of PostgreSQL's sessions for it."""

    python: Mapping[str, float]
    postgresql: Mapping[str, float]

    def since(self, before: "Costs", notifications: int) -> "Costs":
        """What each used since, in microseconds a notification; sessions that ended meanwhile are not counted."""
        return Costs(
            *(
                {name: (now[name] - then.get(name, 0.0)) * MICROSECONDS / notifications for name in now}
                for now, then in zip(self, before, strict=True)
            )
        )


def read(conn: Connection[Any], processes: Sequence[Process]) -> Costs:
    """Read them all; PostgreSQL's only if it runs on this machine, under its own process ids."""
    sessions: dict[str, float] = {}
    for pid, name in conn.execute(_SESSIONS):
        sessions[name] = sessions.get(name, 0.0) + cpu_seconds(pid)
    return Costs({process.name: process.cpu_seconds() for process in processes}, sessions)
