"""Conflicts of recording: who was faster, and what is to be done again."""

from typing import Final

from psycopg.errors import UniqueViolation


class Conflict(Exception):
    """Somebody else recorded before us; nothing of this batch is written."""


class VersionConflict(Conflict):
    """A stream has moved since it was read: load again, decide again."""


class LogContradicts(Exception):
    """A version that was just read is taken already, though nobody else could write: what is stored belies itself.

    Deciding again would find the same, for ever: it is a fault, not a conflict.
    """


class PositionConflict(Conflict):
    """The partition was read further already: drop the batch and take place again."""


class KeyConflict(Conflict):
    """The same request has just been handled: return its answer."""


_PAR_CONTRAINTE: Final[dict[str, type[Conflict]]] = {
    "evenements_flux_version": VersionConflict,
    "positions_depuis": PositionConflict,
    "sorts_message": PositionConflict,
    "attentes_message": PositionConflict,
    "attentes_reglees_message": PositionConflict,
    "cles_idempotence_cle": KeyConflict,
}


def traduire(erreur: UniqueViolation) -> Exception:
    """The conflict that the violated constraint means; the error itself if it is none of ours."""
    conflit = _PAR_CONTRAINTE.get(erreur.diag.constraint_name or "")
    return conflit(erreur.diag.message_detail or "") if conflit else erreur
