"""The state of each role that runs in the background: who leads it, its last sign of life and error, its stops."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import psycopg
import structlog
from psycopg import Connection

from engine.clocks import disagreement, skew
from engine.database import connect
from engine.outages import Outage, describe

HEARTBEAT_S: Final = 5.0
"""Interval between two signs of life (seconds)."""

ERREUR_MAX: Final = 2_000
"""Length of an error that is kept, in characters."""

# Says in what state a role is, and who leads it; adds the interruptions that could not be told.
_DIRE: Final = """
INSERT INTO vues.suiveurs AS s (nom, etat, meneur, battement_le, interruptions, derniere_erreur, erreur_le)
VALUES (%b, %b, %b, clock_timestamp(), %b::int8, %b, %b::timestamptz)
ON CONFLICT (nom) DO UPDATE
SET etat = excluded.etat, meneur = excluded.meneur, battement_le = excluded.battement_le,
    interruptions = s.interruptions + excluded.interruptions,
    derniere_erreur = coalesce(excluded.derniere_erreur, s.derniere_erreur),
    erreur_le = coalesce(excluded.erreur_le, s.erreur_le)
RETURNING clock_timestamp()
"""

# Keeps why a role stopped.
_INTERROMPRE: Final = """
INSERT INTO vues.suiveurs AS s (nom, etat, interruptions, derniere_erreur, erreur_le)
VALUES (%b, 'arrete', %b::int8, %b, %b::timestamptz)
ON CONFLICT (nom) DO UPDATE
SET etat = excluded.etat, interruptions = s.interruptions + excluded.interruptions,
    derniere_erreur = excluded.derniere_erreur, erreur_le = excluded.erreur_le
"""


State = Literal["inactif", "actif", "arrete"]
"""Led by nobody, led by a process, or stopped by an error."""


class RoleState:
    """What a role says of itself in the database, where `lag` and `/metrics` read it from any process.

    When the database is what is missing, its interruptions wait here to be told.
    """

    def __init__(self, url: str, nom: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`url`: the database, reached by a new connection to tell an error."""
        self.url = url
        self._clock = clock
        self._disagrees = False
        self.nom = nom
        self._a_dire = 0
        self._erreur: str | None = None
        self._erreur_le: datetime | None = None
        self._dit_a = float("-inf")

    @property
    def is_due(self) -> bool:
        """True if the last sign of life is older than `HEARTBEAT_S`, or the role has stopped since."""
        return time.monotonic() - self._dit_a > HEARTBEAT_S

    def dire(self, conn: Connection[Any], etat: State) -> None:
        """Record the state (`actif` or `inactif`) and the process that leads this role."""
        meneur = f"{socket.gethostname()}:{os.getpid()}" if etat == "actif" else None
        values = (self.nom, etat, meneur, self._a_dire, self._erreur, self._erreur_le)
        before = self._clock()
        (theirs,) = conn.execute(_DIRE, values).fetchone() or (before,)
        self._dit_a = time.monotonic() if meneur else float("-inf")
        self._oublier()
        self._compare(skew(theirs, before, self._clock()))

    def _compare(self, gap: timedelta) -> None:
        """Say that the clocks disagree, once, with the next sign of life; and that they agree again."""
        told = disagreement(gap)
        if told and not self._disagrees:
            structlog.get_logger().error("horloges_en_desaccord", role=self.nom, cause=told)
            self._erreur, self._erreur_le = told, self._clock()
        elif self._disagrees and not told:
            structlog.get_logger().info("horloges_d_accord", role=self.nom)
        self._disagrees = told is not None

    def interrupt(self, erreur: BaseException) -> None:
        """Keep an interruption and its cause; if the database does not answer, at the next occasion."""
        self._a_dire += 1
        self._dit_a = float("-inf")
        self._erreur, self._erreur_le = describe(erreur)[:ERREUR_MAX], datetime.now(UTC)
        try:
            with closing(connect(self.url, application=f"role-{self.nom}")) as conn:
                conn.execute(_INTERROMPRE, (self.nom, self._a_dire, self._erreur, self._erreur_le))
            self._oublier()
        except (psycopg.Error, Outage) as refus:  # The role has told its outage: one line an attempt is enough.
            structlog.get_logger().debug("interruption_non_gardee", role=self.nom, cause=describe(refus))

    def _oublier(self) -> None:
        self._a_dire, self._erreur, self._erreur_le = 0, None, None
