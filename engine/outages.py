"""What is an outage, and what is a fault: one definition, for all rooms.

An **outage** is no message's fault: a support (PostgreSQL, Kafka, the network) is missing or refuses for now. Nothing
is decided, we stand back and try again; nothing is set aside. A **fault** lies in what is handled, or in our code
before it: trying again would change nothing, the faulty one is isolated and the others pass.

In doubt it is an outage: PostgreSQL says when the data are to blame (classes below); any other refusal (rights, a
missing table, a full disk, a read-only server) would wrongly reject each message, one after another.
"""

from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

CLASSES_DE_FAUTE: Final = frozenset(
    {
        "21",  # Cardinality.
        "22",  # Data: too long, out of bounds, a character without translation (22P05).
        "23",  # Constraint; those that two writers compete for are conflicts, translated before they come here.
        "44",  # WITH CHECK OPTION.
        "54",  # The program's limit: a value that an index cannot hold.
        "P0",  # PL/pgSQL: RAISE.
    }
)
"""Classes of SQLSTATE by which PostgreSQL blames what it is given."""

CLASSES_QUI_SE_RETENTENT: Final = frozenset({"08", "40"})
"""Connection lost, transaction undone by concurrency: another attempt, at once, has a chance."""

ETATS_QUI_SE_RETENTENT: Final = frozenset({"57P01", "57P02", "57P03"})
"""A server that stops, has just fallen, or starts."""

_EPUISEMENT: Final = (PoolTimeout, TooManyRequests, PoolClosed)
"""The pool has made us wait already: asking again would double the wait."""


class Outage(Exception):
    """A support of the service is missing for now; what a module that speaks to something else raises, as this type."""


def is_outage(erreur: BaseException) -> bool:
    """Whether the error is an outage: wait and try again, without setting anything aside."""
    match erreur:
        case Outage() | OSError() | MemoryError():
            return True
        case psycopg.Error(sqlstate=str(etat)):
            return etat[:2] not in CLASSES_DE_FAUTE
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return True  # Without SQLSTATE: the connection does not open, or was lost.
        case _:
            return False  # The client's DataError and ProgrammingError, and any defect of the code.


def is_retryable(erreur: BaseException) -> bool:
    """Whether a second attempt, at once, has a chance: for a person who waits for the answer."""
    if not is_outage(erreur) or not isinstance(erreur, psycopg.Error) or isinstance(erreur, _EPUISEMENT):
        return False
    etat = erreur.sqlstate
    return etat is None or etat[:2] in CLASSES_QUI_SE_RETENTENT or etat in ETATS_QUI_SE_RETENTENT


def storable(text: str) -> str:
    """The text as PostgreSQL and UTF-8 can hold it: what tells of a fault may quote what could not be stored."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def describe(erreur: BaseException) -> str:
    """The error in one line, with the cause that it wraps: what `lag` and the logs show."""
    dits = [_en_une_ligne(erreur)]
    cause = erreur.__cause__
    if cause is not None and str(cause) not in dits[0]:
        dits.append(_en_une_ligne(cause))
    return storable(" ← ".join(dits))


def _en_une_ligne(erreur: BaseException) -> str:
    nom, dit = type(erreur).__name__, " ".join(str(erreur).split())
    return f"{nom}: {dit.removeprefix(f'{nom}: ')}".removesuffix(": ")  # kafka-python names the type already.
