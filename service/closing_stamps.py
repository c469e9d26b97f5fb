"""The time of each closing, asked of the authority after it is written: a closing never waits for it."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from psycopg import Connection

from engine import clocks
from engine.database import Database
from guichet.arreter import horodater
from projections.arretes.contenu import ArreteIllisible
from projections.arretes.lecture import cloture_du, jetons_gardes, jours_sans_jeton
from service.settings import Settings
from service.timestamping import NoTimestamp, roots_of, stamp, verify

AT_ONCE: Final = 50


def stamp_closings(settings: Settings, base: Database) -> int:
    """Stamp the closings that have no token yet, the oldest first; return how many days had none. Raises NoTimestamp.

    One whose bytes are no longer a closing's is left, and told: the others have their time.

    Without an authority in the settings: none; while PostgreSQL's clock and ours disagree, none either, and NoTimestamp
    says so: a token is kept beside the time at which it came, and this one would contradict it for good.
    """
    if settings.tsa_url is None or settings.tsa_roots is None:
        return 0
    roots = roots_of(settings.tsa_roots)
    with base.transaction() as conn:
        days = jours_sans_jeton(conn, AT_ONCE)
        gap = clocks.measure(conn) if days else timedelta()
    if (said := clocks.disagreement(gap)) is not None:
        raise NoTimestamp(said)
    for day in days:
        try:
            with base.transaction() as conn:
                closing = cloture_du(conn, day)
        except ArreteIllisible as cause:
            structlog.get_logger().error("arrete_illisible", jour=day.isoformat(), cause=str(cause))
            continue
        if closing is None:
            continue
        got = stamp(settings.tsa_url, roots, closing.octets)
        with base.transaction() as conn:
            horodater(
                conn,
                jour=day,
                empreinte=closing.empreinte,
                autorite=settings.tsa_url,
                horodate_le=got.at,
                jeton=got.response,
            )
    return len(days)


def unsigned(conn: Connection[Any], roots: Path) -> list[date]:
    """The days whose token the authority did not sign for these very bytes. Raises NoTimestamp: unreadable roots."""
    trusted = roots_of(roots)
    found = []
    for day, sealed, response in jetons_gardes(conn):
        try:
            verify(response, trusted, sealed)
        except NoTimestamp:
            found.append(day)
    return found
