"""All settings together, a concern a module."""

from typing import Final

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.settings.bank import KiosqueSettings
from service.settings.closing import ClosingSettings
from service.settings.database import DatabaseSettings
from service.settings.kafka import KafkaSettings
from service.settings.mail import MailSettings
from service.settings.payments import PaymentSettings
from service.settings.preuve import PreuveSettings
from service.settings.process import ProcessSettings
from service.settings.secret_files import SecretFiles
from service.settings.values import PREFIX
from service.settings.web import WebSettings

OPS_PORT: Final = 9000
"""Of the operations, in production."""


# Fields stand in the order of the bases read from the last: process first.
class Settings(
    ClosingSettings,
    PreuveSettings,
    MailSettings,
    WebSettings,
    PaymentSettings,
    KiosqueSettings,
    KafkaSettings,
    DatabaseSettings,
    ProcessSettings,
    BaseSettings,
):
    """The service's settings; each description tells the unit."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @property
    def ops_port_apart(self) -> int | None:
        """The port of the operations, if it is not the API's."""
        return OPS_PORT if self.ops_port is None and self.in_production else self.ops_port

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the hook's signature; ours replaces it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the files named by `CREANCES_…_FILE` just behind the variables of the same origin."""
        sources = [init_settings]
        for source in (env_settings, dotenv_settings):
            sources.append(source)
            if isinstance(source, EnvSettingsSource | DotEnvSettingsSource):
                sources.append(SecretFiles(settings_cls, source.env_vars))
        return tuple(sources)
