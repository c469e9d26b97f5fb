"""The database of the service: its migrations, in order; `creances migrate` applies them."""

from importlib import resources
from typing import Final

from engine.migrations import migrate_schema

FOLDER: Final = resources.files(__name__)
"""Where the migrations are."""


def migrate(owner_url: str, service_user: str) -> list[str]:
    """Creates or upgrades the service's schema; see `engine.migrations.migrate_schema`."""
    return migrate_schema(owner_url, service_user, FOLDER)
