"""The time of each closing, asked of the authority after it is written: a closing never waits for it."""

from typing import Final

from engine.database import Database
from guichet.arreter import horodater
from projections.arretes.lecture import cloture_du, jours_sans_jeton
from service.settings import Settings
from service.timestamping import roots_of, stamp

AT_ONCE: Final = 50


def stamp_closings(settings: Settings, base: Database) -> int:
    """Stamp the closings that have no token yet, the oldest first; return how many. Raises NoTimestamp.

    Without an authority in the settings: none.
    """
    if settings.tsa_url is None or settings.tsa_roots is None:
        return 0
    roots = roots_of(settings.tsa_roots)
    with base.transaction() as conn:
        days = jours_sans_jeton(conn, AT_ONCE)
    for day in days:
        with base.transaction() as conn:
            closing = cloture_du(conn, day)
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
