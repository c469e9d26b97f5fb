"""What every process of the service is told: its mode, its folder, how it stops and what it writes down."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, assert_never

from pydantic import Field

from service.settings.values import Concern, Duration, HttpUrl


class ProcessSettings(Concern):
    """The mode and the manners of a process."""

    mode: Literal["demonstration", "production"] = Field(
        "production", description="La production refuse de démarrer sur des réglages de démonstration."
    )
    data_dir: Path = Field(Path(".creances"), description="Dossier des serveurs embarqués et du secret créé.")
    shard_digit: int = Field(0, ge=0, le=9, description="Chiffre réservé à cette base dans les transactions (0 à 9).")
    shutdown_timeout: Duration = Field(timedelta(seconds=10), description="Temps donné à un rôle pour s'arrêter.")
    parity_share: float = Field(
        0.05, ge=0, le=1, description="Part d'un cœur pour comparer sans fin les vues au journal ; 0 : jamais."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Niveau des journaux.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Forme des journaux ; auto : lisible sur un terminal, JSON ailleurs."
    )
    otlp_endpoint: HttpUrl | None = Field(
        None,
        description="Collecteur OpenTelemetry (OTLP sur HTTP, port 4318) ; absent : rien n'est tracé.",
    )
    trace_share: float = Field(
        0.1, ge=0, le=1, description="Part tracée des appels et messages qui n'apportent pas leur propre trace."
    )

    @property
    def in_production(self) -> bool:
        """Whether nothing that serves a demonstration is admitted: the one place that asks which mode this is."""
        match self.mode:
            case "production":
                return True
            case "demonstration":
                return False
            case _:
                assert_never(self.mode)
