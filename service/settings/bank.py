"""The bank: its kiosk, our merchants there, its questions and reports, and the simulator that stands in for it."""

from datetime import date, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from service.settings.values import JSON, SECRET, Caisse, Concern, Duration, HttpUrl, LongSecret, Networks, Port


class Merchant(BaseModel):
    """A merchant's account at the kiosk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    merchant_id: Annotated[str, Field(pattern=r"^\d{15}$")]
    secret_key: SecretStr
    key_version: Annotated[int, Field(ge=1)] = 1
    previous_secret_key: SecretStr | None = None
    previous_key_version: Annotated[int, Field(ge=1)] | None = None
    key_expires_on: date | None = None
    """The last day of the current key, as the bank wrote it."""
    previous_key_until: date | None = None
    """The last day on which the previous key is still read; absent: for as long as it is given."""

    @model_validator(mode="after")
    def _key_versions_fit(self) -> Self:
        # Without its version the previous key would be read by nothing, and the turn would refuse the bank's messages.
        if (self.previous_secret_key is None) != (self.previous_key_version is None):
            raise ValueError("previous_secret_key et previous_key_version vont ensemble")
        if self.previous_key_version == self.key_version:
            raise ValueError("previous_key_version doit différer de key_version")
        return self


class KiosqueSettings(Concern):
    """The kiosk and its simulator."""

    kiosque_url: HttpUrl = Field("http://127.0.0.1:8001", description="Adresse de la page de paiement du kiosque.")
    kiosque_office_url: HttpUrl | None = Field(
        None, description="Origine de l'interrogation et des opérations du kiosque ; absente : celle de KIOSQUE_URL."
    )
    kiosque_office_diagnostic_version: str = Field(
        "DR_WS_2.58", description="Version du service qui dit l'état d'une transaction."
    )
    kiosque_office_operations_version: str = Field(
        "CR_WS_2.55", description="Version des services d'annulation et de remboursement."
    )
    kiosque_office_seal_required: bool = Field(
        default=True,
        description="Une réponse sans sceau n'est pas crue ; faux sur la seule plateforme de test de la banque.",
    )
    kiosque_office_closed_from: time = Field(time(22), description="Début, à Paris, des heures sans opération.")
    kiosque_office_closed_until: time = Field(
        time(23), description="Fin, à Paris, des heures sans opération ; égale au début : il n'y en a pas."
    )
    kiosque_office_resend_after: Duration = Field(
        timedelta(hours=6),
        ge=timedelta(hours=1),
        le=timedelta(days=7),
        description="Après une opération envoyée sans réponse : temps que la banque peut mettre à écrire ce qu'elle a"
        " fait ; d'ici là, rien n'est renvoyé ni tenu pour refusé.",
    )
    kiosque_networks: Networks | None = Field(
        None,
        description="Adresses ou réseaux, séparés par des virgules, d'où la banque notifie : ses formulaires refusés y"
        " ont leur place aux rebuts, que nul autre ne prend. Absent : elle est comptée comme qui l'imite.",
    )
    kiosque_timeout: Duration = Field(timedelta(seconds=5), description="Attente maximale d'une réponse du kiosque.")
    kiosque_merchant_id: str = Field(
        "002001000000001", pattern=r"^\d{15}$", description="Commerçant au kiosque (15 chiffres) ; défaut : simulation."
    )
    kiosque_secret_key: SecretStr = Field(
        SecretStr("002001000000001_KEY1"), description="Clé secrète du commerçant.", json_schema_extra=SECRET
    )
    kiosque_key_version: int = Field(1, ge=1, description="Version de la clé secrète.")
    kiosque_previous_secret_key: SecretStr | None = Field(
        None, description="Clé précédente, encore acceptée pendant un changement.", json_schema_extra=SECRET
    )
    kiosque_previous_key_version: int | None = Field(None, ge=1, description="Version de la clé précédente.")
    kiosque_key_expires_on: date | None = Field(None, description="Dernier jour de la clé secrète, selon la banque.")
    kiosque_previous_key_until: date | None = Field(
        None, description="Dernier jour où la clé précédente est encore lue ; absent : tant qu'elle est donnée."
    )
    kiosque_merchants: Annotated[dict[Caisse, Merchant], *JSON] = Field(
        default_factory=dict,
        description='Commerçant propre à une caisse, JSON : {"381": {"merchant_id", "secret_key", "key_version"}}.',
        json_schema_extra=SECRET,
    )
    kiosque_retired_merchants: Annotated[list[Merchant], *JSON] = Field(
        default_factory=list,
        description="Commerçants qui n'encaissent plus, encore lus et interrogés, JSON : une liste des mêmes.",
        json_schema_extra=SECRET,
    )
    kiosque_report_columns: Annotated[dict[str, dict[str, list[str]]], *JSON] = Field(
        default_factory=dict,
        description='Noms de colonne propres aux rapports de la banque, JSON : {"operations": {"montant": ["…"]}}.',
    )
    pseudonym_secret: LongSecret | None = Field(
        None,
        description="Secret du customerId remis à la banque et de ce qui attend aux rebuts (32 octets au moins) ;"
        " absent : tiré de KIOSQUE_SECRET_KEY.",
        json_schema_extra=SECRET,
    )
    pseudonym_previous_secret: LongSecret | None = Field(
        None, description="Le précédent, qui rouvre encore ce qui attend aux rebuts.", json_schema_extra=SECRET
    )
    kiosque_seal_algorithm: Literal["SHA-256", "HMAC-SHA-256"] = Field(
        "SHA-256", description="Algorithme du sceau, jamais lu dans le message."
    )
    simulator_host: str = Field("127.0.0.1", description="Adresse d'écoute du simulateur de kiosque.")
    simulator_port: Port = Field(8001, description="Port du simulateur de kiosque.")
    simulator_url: HttpUrl | None = Field(
        None, description="Adresse du simulateur pour le navigateur ; absente : son adresse d'écoute."
    )

    @model_validator(mode="after")
    def _key_versions_fit(self) -> Self:
        if (self.kiosque_previous_secret_key is None) != (self.kiosque_previous_key_version is None):
            raise ValueError("KIOSQUE_PREVIOUS_SECRET_KEY et KIOSQUE_PREVIOUS_KEY_VERSION vont ensemble")
        if self.kiosque_previous_key_version == self.kiosque_key_version:
            raise ValueError("KIOSQUE_PREVIOUS_KEY_VERSION doit différer de KIOSQUE_KEY_VERSION")
        return self

    def merchant(self, caisse: str) -> Merchant:
        """Return the merchant of a caisse (three digits), else the common one."""
        return self.kiosque_merchants.get(caisse) or Merchant(
            merchant_id=self.kiosque_merchant_id,
            secret_key=self.kiosque_secret_key,
            key_version=self.kiosque_key_version,
            previous_secret_key=self.kiosque_previous_secret_key,
            previous_key_version=self.kiosque_previous_key_version,
            key_expires_on=self.kiosque_key_expires_on,
            previous_key_until=self.kiosque_previous_key_until,
        )
