"""The roles that a process can run, by the names that commands and deployments give them: a closed set."""

from enum import StrEnum
from typing import Final, NamedTuple, assert_never

from consumers import NomDeConsommateur
from preuve import role as seal
from publication.publication import Publication
from service.composition import VIEWS


class RoleKind(StrEnum):
    """What a role does; a consumer and a follower are named further by their topic or view."""

    API = "api"
    CONSUME = "consume"
    PROJECT = "project"
    PUBLISH = "publish"
    RELANCE = "relance"
    SCELLER = "sceller"
    KIOSQUE = "kiosque"
    """The bank's, simulated: never in production, and without our database."""


class UnknownRole(ValueError):
    """No role of this name; says which there are."""

    def __init__(self, name: str) -> None:
        """`name`: as it was given."""
        super().__init__(f"rôle inconnu : {name[:64]} (connus : {', '.join(map(str, (*ALL, SIMULATOR)))})")


class RoleName(NamedTuple):
    """A role: `api`, `consume:avis`, `project:restant_du`."""

    kind: RoleKind
    of: str = ""
    """The consumer or the view."""

    def __str__(self) -> str:
        """As commands name it."""
        return f"{self.kind}:{self.of}" if self.of else str(self.kind)

    @property
    def signs(self) -> str | None:
        """The name under which `lag` and `healthy` know it; None if it has no state in the database."""
        match self.kind:
            case RoleKind.CONSUME:
                return NomDeConsommateur(self.of).role
            case RoleKind.PROJECT:
                return self.of
            case RoleKind.PUBLISH:
                return Publication.nom
            case RoleKind.API | RoleKind.RELANCE:
                return str(self.kind)
            case RoleKind.SCELLER:
                return seal.NAME
            case RoleKind.KIOSQUE:
                return None
            case _:
                assert_never(self.kind)


ALL: Final = (
    RoleName(RoleKind.API),
    *(RoleName(RoleKind.CONSUME, name) for name in NomDeConsommateur),
    *(RoleName(RoleKind.PROJECT, name) for name in VIEWS),
    RoleName(RoleKind.PUBLISH),
    RoleName(RoleKind.RELANCE),
    RoleName(RoleKind.SCELLER),
)
"""What `creances up` runs."""

SIMULATOR: Final = RoleName(RoleKind.KIOSQUE)

_BY_NAME: Final = {str(role): role for role in (*ALL, SIMULATOR)}


def role_named(name: str) -> RoleName:
    """The role of this name. Raises UnknownRole."""
    if (role := _BY_NAME.get(name)) is None:
        raise UnknownRole(name)
    return role
