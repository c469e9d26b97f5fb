"""The receipts that a person asks for by e-mail."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from service.settings.values import SECRET, Concern, Port


class MailSettings(Concern):
    """The server that receipts leave by, if there is one."""

    smtp_host: str | None = Field(None, description="Serveur de courriel des reçus ; absent : ils n'y partent pas.")
    smtp_port: Port = Field(587, description="Port du serveur de courriel.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="Chiffrement vers le serveur de courriel ; none : seulement sur cette machine."
    )
    smtp_sender: str | None = Field(None, description="Adresse d'expéditeur des reçus.")
    smtp_user: str | None = Field(None, description="Compte sur le serveur de courriel ; absent : sans compte.")
    smtp_password: SecretStr | None = Field(None, description="Mot de passe de ce compte.", json_schema_extra=SECRET)

    @model_validator(mode="after")
    def _sender_goes_with_server(self) -> Self:
        if (self.smtp_host is None) != (self.smtp_sender is None):
            raise ValueError("SMTP_HOST et SMTP_SENDER vont ensemble")
        return self
