"""Whether the roles that have no HTTP do their work: each signs, in the database, that it lives."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from psycopg import Connection

from engine.instants import age_s
from service.composition import FOLLOWERS
from service.role_names import ALL, RoleKind

_NAMED: Final = tuple(role.signs for role in ALL if role.kind is not RoleKind.API and role.signs)
ROLES: Final = (*_NAMED, *(name for name in FOLLOWERS if name not in _NAMED))
"""The names under which roles sign, as `creances lag` prints them."""

# The state of these roles, and the age of their last sign of life by the database's own clock.
_SIGNS: Final = f"SELECT nom, etat, {age_s('battement_le')} FROM vues.suiveurs WHERE nom = ANY (%s)"  # noqa: S608


def health(conn: Connection[Any], names: Sequence[str], age_max: timedelta) -> list[dict[str, Any]]:
    """One row a role, JSON-ready: healthy if somebody leads it and has signed lately enough."""
    found = {name: (state, age) for name, state, age in conn.execute(_SIGNS, (list(names),))}
    rows = []
    for name in names:
        state, age = found.get(name, ("jamais_demarre", None))
        healthy = state == "actif" and age is not None and abs(age) <= age_max.total_seconds()
        rows.append({"nom": name, "etat": state, "battement_secondes": age, "sain": healthy})
    return rows
