"""Where the service keeps its truth: PostgreSQL."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from service.settings.values import SECRET, Concern, DatabaseUrl, Duration


class DatabaseSettings(Concern):
    """How PostgreSQL is reached."""

    database_url: DatabaseUrl | None = Field(
        None,
        repr=False,
        description="PostgreSQL du service (rôle sans privilège) ; absent : embarqué.",
        json_schema_extra=SECRET,
    )
    owner_database_url: DatabaseUrl | None = Field(
        None,
        repr=False,
        description="PostgreSQL des migrations (propriétaire) ; absent : DATABASE_URL.",
        json_schema_extra=SECRET,
    )
    database_pool_max: int = Field(10, ge=1, description="Connexions PostgreSQL d'un rôle, au plus.")

    order_held_max: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = Field(
        timedelta(seconds=10),
        description="Combien de temps un écrivain figé ou coupé peut retenir les autres (1 s à 1 min).",
    )

    @property
    def migration_database_url(self) -> str | None:
        """The URL that migrations use."""
        return self.owner_database_url or self.database_url
