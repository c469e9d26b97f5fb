"""The security log: who signed in, what was refused, what an administrator did; append-only, in `journal.securite`."""

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection, Connection

from engine.clocks import AT_MOST, latest

UNKNOWN: Final = "inconnu"
"""The actor when nobody made themselves known."""

DETAIL_MAX: Final = 2_000

_WRITE: Final = f"""
INSERT INTO journal.securite (genre, acteur, reseau, objet, detail, fois) SELECT %b, %b, %b, %b, %b, %b FROM {AT_MOST}
"""  # noqa: S608 (constants)

# What happened between two instants, in order.
_READ: Final = """
SELECT rang, enregistre_le, genre, acteur, reseau, objet, detail, fois FROM journal.securite
WHERE rang > %b AND (%b::timestamptz IS NULL OR enregistre_le >= %b) AND (%b::text IS NULL OR genre = %b)
ORDER BY rang
"""


class Kind(StrEnum):
    """What a line is about."""

    SIGN_IN = "connexion"
    SIGN_OUT = "deconnexion"
    REFUSAL = "refus"
    SETTINGS = "reglages"
    EPOCH = "epoque"
    APPROVAL = "approbation"
    ACCESS = "acces"
    ADMINISTRATION = "administration"


class SecurityEvent(NamedTuple):
    """One thing that happened; `detail` is a sentence and never holds a secret."""

    kind: Kind
    actor: str
    detail: str
    object: str | None = None
    network: str | None = None
    times: int = 1


class Line(NamedTuple):
    """A line of the log, as it is exported."""

    rang: int
    enregistre_le: datetime
    genre: str
    acteur: str
    reseau: str | None
    objet: str | None
    detail: str
    fois: int


def note(conn: Connection[Any], event: SecurityEvent) -> None:
    """Write one event, in the caller's transaction."""
    conn.execute(_WRITE, _values(event))


async def note_async(conn: AsyncConnection[Any], event: SecurityEvent) -> None:
    """The same, for the API."""
    await conn.execute(_WRITE, _values(event))


def lines(
    conn: Connection[Any], *, after: int = 0, since: datetime | None = None, kind: Kind | None = None
) -> Iterator[Line]:
    """The log in its order, read as it is consumed."""
    for row in conn.execute(_READ, (after, since, since, kind, kind)):
        yield Line(*row)


def network_of(address: str) -> str | None:
    """The network of an address (/24, /48): enough to see an attack, too little to name a person."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    prefix = 24 if isinstance(parsed, ipaddress.IPv4Address) else 48
    return str(ipaddress.ip_network((parsed, prefix), strict=False))


def _values(event: SecurityEvent) -> tuple[object, ...]:
    return (
        event.kind.value,
        event.actor,
        event.network,
        event.object,
        event.detail[:DETAIL_MAX],
        event.times,
        latest(),
    )
