"""All settings: `CREANCES_…` variables, a `.env` file, and secrets from files (`CREANCES_…_FILE` names the file).

The first that says something wins: arguments, environment, files of the environment, `.env`, files of `.env`. An empty
variable counts as not given. Durations read `15 min`, `24 h`, `500 ms`, a bare number of seconds, or ISO 8601 `PT15M`.
"""

import os
import re
import secrets
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from domain.monnaie import Centimes
from domain.politique import Politique
from service.addresses import is_http_url, refuse_unreadable_database_url, without_password

PREFIX = "CREANCES_"
HIDDEN = "(masqué)"
JWT_SECRET_BYTES = 32
_POLITIQUE = Politique()
_UNITS = {"ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours", "j": "days"}


def _read_duration(value: object) -> object:
    """Read `15 min` or a bare number of seconds; leave the rest to pydantic."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|j)?\s*", value)):
        return timedelta(**{_UNITS[found[2] or "s"]: float(found[1])})
    return value


Duration = Annotated[timedelta, BeforeValidator(_read_duration), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=0, le=65535)]
Cents = Annotated[int, Field(ge=0)]
SECRET: JsonDict = {"secret": True}


class Merchant(BaseModel):
    """A merchant's account at the kiosk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    merchant_id: Annotated[str, Field(pattern=r"^\d{15}$")]
    secret_key: SecretStr
    key_version: Annotated[int, Field(ge=1)] = 1
    previous_secret_key: SecretStr | None = None
    previous_key_version: Annotated[int, Field(ge=1)] | None = None


class Settings(BaseSettings):
    """The service's settings; each description tells the unit."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    mode: Literal["demonstration", "production"] = Field(
        "production", description="La production refuse de démarrer sur des réglages de démonstration."
    )
    database_url: str | None = Field(
        None,
        repr=False,
        description="PostgreSQL du service (rôle sans privilège) ; absent : embarqué.",
        json_schema_extra=SECRET,
    )
    owner_database_url: str | None = Field(
        None,
        repr=False,
        description="PostgreSQL des migrations (propriétaire) ; absent : DATABASE_URL.",
        json_schema_extra=SECRET,
    )
    database_pool_max: int = Field(10, ge=1, description="Connexions PostgreSQL d'un rôle, au plus.")
    kafka_bootstrap: str | None = Field(None, description="Courtiers Kafka, hôte:port séparés par des virgules.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocole vers Kafka."
    )
    kafka_ssl_cafile: Path | None = Field(None, description="Autorité qui signe le certificat de Kafka (fichier PEM).")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="Authentification SASL auprès de Kafka."
    )
    kafka_sasl_username: str | None = Field(None, description="Utilisateur SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Mot de passe SASL.", json_schema_extra=SECRET)
    kafka_metadata_max_age: Duration = Field(
        timedelta(seconds=5),
        le=timedelta(seconds=10),
        description="Âge maximal de ce que l'on sait des topics : délai pour voir un topic recréé (10 s au plus).",
    )
    kafka_session_timeout: Duration = Field(
        timedelta(seconds=6), description="Sans battement pendant ce temps, Kafka donne les partitions à un autre."
    )
    kafka_max_poll_interval: Duration = Field(
        timedelta(seconds=10), description="Temps maximal entre deux lectures avant de perdre les partitions."
    )
    topic_prefix: str = Field("creances", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="Préfixe des topics.")
    topic_replicas: int = Field(1, ge=1, description="Copies de chaque topic créé (3 en production).")
    partitions_avis: int = Field(6, ge=1, description="Partitions du topic des avis.")
    partitions_notifications: int = Field(6, ge=1, description="Partitions du topic des notifications du kiosque.")
    partitions_evenements: int = Field(6, ge=1, description="Partitions du topic des événements publiés.")
    batch_size: int = Field(500, ge=1, le=10_000, description="Messages traités ensemble, au plus.")
    poll_timeout: Duration = Field(timedelta(milliseconds=500), description="Attente maximale d'un lot de messages.")
    follower_batch_size: int = Field(1000, ge=1, le=100_000, description="Événements projetés ensemble, au plus.")
    publication_batch_size: int = Field(4000, ge=1, le=100_000, description="Événements publiés ensemble, au plus.")
    follower_wait_max: Duration = Field(
        timedelta(seconds=1), le=timedelta(seconds=10), description="Attente maximale d'un suiveur sans réveil."
    )

    kiosque_url: str = Field("http://127.0.0.1:8001", description="Adresse de la page de paiement du kiosque.")
    kiosque_office_url: str | None = Field(
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
    kiosque_office_closed_until: time = Field(time(23), description="Fin, à Paris, des heures sans opération.")
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
    kiosque_merchants: dict[str, Merchant] = Field(
        default_factory=dict,
        description='Commerçant propre à une caisse, JSON : {"381": {"merchant_id", "secret_key", "key_version"}}.',
        json_schema_extra=SECRET,
    )
    kiosque_retired_merchants: list[Merchant] = Field(
        default_factory=list,
        description="Commerçants qui n'encaissent plus, encore lus et interrogés, JSON : une liste des mêmes.",
        json_schema_extra=SECRET,
    )
    kiosque_report_columns: dict[str, dict[str, list[str]]] = Field(
        default_factory=dict,
        description='Noms de colonne propres aux rapports de la banque, JSON : {"operations": {"montant": ["…"]}}.',
    )
    kiosque_seal_algorithm: Literal["SHA-256", "HMAC-SHA-256"] = Field(
        "SHA-256", description="Algorithme du sceau, jamais lu dans le message."
    )
    simulator_host: str = Field("127.0.0.1", description="Adresse d'écoute du simulateur de kiosque.")
    simulator_port: Port = Field(8001, description="Port du simulateur de kiosque.")
    simulator_url: str | None = Field(
        None, description="Adresse du simulateur pour le navigateur ; absente : son adresse d'écoute."
    )

    politique_minimum_par_paiement: Cents = Field(
        _POLITIQUE.minimum_par_paiement, description="Montant minimum d'un paiement, en centimes."
    )
    politique_maximum_par_paiement: Cents = Field(
        _POLITIQUE.maximum_par_paiement, description="Montant maximum d'un paiement, en centimes."
    )
    politique_solde_minimum: Cents = Field(
        _POLITIQUE.solde_minimum, description="Solde de PF/FR minimum ouvert au paiement, en centimes, compris."
    )
    politique_solde_maximum: Cents = Field(
        _POLITIQUE.solde_maximum, description="Solde de PF/FR maximum ouvert au paiement, en centimes, compris."
    )
    politique_references_max: int = Field(
        _POLITIQUE.references_max, ge=1, description="Références cochées dans un même paiement, au plus."
    )
    politique_ouverture: Duration = Field(
        _POLITIQUE.ouverture, description="Durée pendant laquelle le formulaire du kiosque est remis."
    )
    politique_interroger_apres: Duration = Field(
        _POLITIQUE.interroger_apres,
        description="Âge d'un paiement sans réponse où l'on interroge le kiosque.",
    )
    politique_expirer_apres: Duration = Field(
        _POLITIQUE.expirer_apres, description="Âge à partir duquel un paiement inconnu du kiosque expire."
    )
    politique_delai_affichage: Duration = Field(
        _POLITIQUE.delai_affichage, description="Délai pour afficher un paiement accepté."
    )
    politique_date_minimum: date = Field(
        _POLITIQUE.date_minimum, description="Premier jour admis dans un message de caisse."
    )
    politique_avance_maximum: Duration = Field(
        _POLITIQUE.avance_maximum, description="Avance au-delà de laquelle une date de caisse n'est plus crue."
    )
    approbation_delai: Duration = Field(
        timedelta(days=3), description="Temps donné à une seconde personne pour approuver un règlement."
    )
    janitor_interval: Duration = Field(
        timedelta(seconds=30), description="Temps entre deux tournées des paiements sans réponse."
    )
    janitor_batch_size: int = Field(500, ge=1, description="Paiements interrogés dans une tournée, au plus.")
    janitor_workers: int = Field(
        40, ge=1, le=200, description="Questions posées à la fois au kiosque : une banque muette n'arrête personne."
    )
    janitor_ask_again: list[Duration] = Field(
        [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)],
        description="Délais après la fin où un paiement refusé ou expiré est demandé de nouveau, JSON.",
    )

    public_url: str = Field("http://127.0.0.1:8000", description="Adresse du service pour le navigateur et la banque.")
    notification_url: str | None = Field(
        None,
        description="Adresse du service pour la banque, si elle n'est pas celle du navigateur ; absente : PUBLIC_URL.",
    )
    api_host: str = Field("127.0.0.1", description="Adresse d'écoute de l'API.")
    api_port: Port = Field(8000, description="Port de l'API.")
    body_limit_bytes: int = Field(64 * 1024, ge=1024, description="Taille maximale d'une requête, en octets.")
    http_header_timeout: Duration = Field(
        timedelta(seconds=10), description="Temps pour envoyer les en-têtes d'une requête, au plus."
    )
    http_body_timeout: Duration = Field(
        timedelta(seconds=20), description="Temps pour envoyer le corps d'une requête, au plus."
    )
    http_answer_timeout: Duration = Field(
        timedelta(seconds=60), description="Temps pour répondre à une requête et pour lire la réponse, au plus."
    )
    http_keep_alive: Duration = Field(timedelta(seconds=5), description="Attente d'une autre requête, au plus.")
    http_connections_max: int = Field(
        2000, ge=1, description="Connexions tenues, au plus ; jamais plus de la moitié des fichiers du processus."
    )
    trusted_proxies: str | None = Field(
        None,
        description="Adresses ou réseaux, séparés par des virgules, dont X-Forwarded-For est cru ; absent : aucun.",
    )
    notification_limit_bytes: int = Field(
        32 * 1024, ge=1024, description="Taille maximale d'un formulaire de la banque, en octets."
    )
    dead_letters_address_bytes: int = Field(
        2 * 1024**2, ge=0, description="Formulaires refusés gardés par adresse et par jour, en octets."
    )
    dead_letters_bytes: int = Field(
        50 * 1024**2, ge=0, description="Formulaires refusés gardés par jour, de toutes les adresses, en octets."
    )
    dead_letters_bank_bytes: int = Field(
        500 * 1024**2,
        ge=0,
        description="Formulaires refusés gardés par jour qui portent un de nos commerçants, en octets ; à part.",
    )
    rate_reads: int = Field(1200, ge=1, description="Consultations d'une personne par minute, au plus.")
    rate_writes: int = Field(120, ge=1, description="Paiements et envois d'une personne par minute, au plus.")
    rate_sign_ins: int = Field(120, ge=1, description="Connexions d'une adresse par minute, au plus.")
    rate_refusals: int = Field(120, ge=1, description="Jetons et formulaires refusés à une adresse par minute.")
    terminal_idle: Duration = Field(
        timedelta(minutes=2), description="À la borne, une session sans activité depuis ce temps est close."
    )
    oidc_issuer: str | None = Field(None, description="Émetteur OIDC ; absent : jetons de développement.")
    oidc_audience: str = Field("creances", description="Audience attendue des jetons.")
    oidc_client_id: str | None = Field(
        None, description="Client OIDC des pages ; absent : on ne s'y connecte que dans la démonstration."
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret de ce client ; absent : client public, avec PKCE seul.", json_schema_extra=SECRET
    )
    session_secret: SecretStr | None = Field(
        None,
        description="Secret des sessions des pages (32 octets au moins), le même pour toutes les instances de l'API ;"
        " absent : tiré au démarrage.",
        json_schema_extra=SECRET,
    )
    session_max_age: Duration = Field(
        timedelta(hours=2), description="Durée d'une session, quoi que fasse la personne."
    )
    session_idle_max: Duration = Field(timedelta(minutes=30), description="Temps sans page vue qui finit une session.")
    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret des jetons de développement (32 octets au moins) ; absent : créé dans DATA_DIR.",
        json_schema_extra=SECRET,
    )

    data_dir: Path = Field(Path(".creances"), description="Dossier des serveurs embarqués et du secret créé.")
    shard_digit: int = Field(0, ge=0, le=9, description="Chiffre réservé à cette base dans les transactions (0 à 9).")
    shutdown_timeout: Duration = Field(timedelta(seconds=10), description="Temps donné à un rôle pour s'arrêter.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Niveau des journaux.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Forme des journaux ; auto : lisible sur un terminal, JSON ailleurs."
    )

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
                sources.append(_SecretFiles(settings_cls, source.env_vars))
        return tuple(sources)

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _is_postgresql(cls, value: str | None) -> str | None:
        if value is not None:
            refuse_unreadable_database_url(value)
        return value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _is_host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*", value):
            raise ValueError("doit être hôte:port, séparés par des virgules")
        return value

    @field_validator(
        "kiosque_url", "kiosque_office_url", "simulator_url", "public_url", "notification_url", "oidc_issuer"
    )
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            raise ValueError("doit être une adresse http:// ou https://")
        return value.rstrip("/") if value is not None else None

    @field_validator("public_url", "notification_url")
    @classmethod
    def _takes_a_path(cls, value: str | None) -> str | None:
        if value is not None and set(value) & set("?#"):
            raise ValueError("ne doit avoir ni requête (?) ni fragment (#) : des chemins s'y ajoutent")
        return value

    @field_validator("kafka_ssl_cafile")
    @classmethod
    def _is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("ce fichier n'existe pas")
        return value

    @field_validator("jwt_secret", "session_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < JWT_SECRET_BYTES:
            raise ValueError(f"doit compter au moins {JWT_SECRET_BYTES} octets")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if (self.kiosque_previous_secret_key is None) != (self.kiosque_previous_key_version is None):
            raise ValueError("KIOSQUE_PREVIOUS_SECRET_KEY et KIOSQUE_PREVIOUS_KEY_VERSION vont ensemble")
        if self.kiosque_previous_key_version == self.kiosque_key_version:
            raise ValueError("KIOSQUE_PREVIOUS_KEY_VERSION doit différer de KIOSQUE_KEY_VERSION")
        if self.oidc_issuer is None and (self.oidc_client_id or self.oidc_client_secret):
            raise ValueError("OIDC_CLIENT_ID et OIDC_CLIENT_SECRET demandent OIDC_ISSUER")
        if self.oidc_client_id is None and self.oidc_client_secret is not None:
            raise ValueError("OIDC_CLIENT_SECRET demande OIDC_CLIENT_ID")
        if self.politique_minimum_par_paiement > self.politique_maximum_par_paiement:
            raise ValueError("le minimum par paiement dépasse le maximum")
        if self.politique_solde_minimum > self.politique_solde_maximum:
            raise ValueError("le solde minimum dépasse le solde maximum")
        if not self.politique_ouverture <= self.politique_interroger_apres <= self.politique_expirer_apres:
            raise ValueError("les délais doivent croître : ouverture, interroger_apres, expirer_apres")
        return self

    @property
    def politique(self) -> Politique:
        """The payment policy that these settings describe."""
        return Politique(
            minimum_par_paiement=Centimes(self.politique_minimum_par_paiement),
            maximum_par_paiement=Centimes(self.politique_maximum_par_paiement),
            solde_minimum=Centimes(self.politique_solde_minimum),
            solde_maximum=Centimes(self.politique_solde_maximum),
            references_max=self.politique_references_max,
            ouverture=self.politique_ouverture,
            interroger_apres=self.politique_interroger_apres,
            expirer_apres=self.politique_expirer_apres,
            delai_affichage=self.politique_delai_affichage,
            date_minimum=self.politique_date_minimum,
            avance_maximum=self.politique_avance_maximum,
        )

    @property
    def migration_database_url(self) -> str | None:
        """The URL that migrations use."""
        return self.owner_database_url or self.database_url

    @property
    def topic_avis(self) -> str:
        """The topic that avis come in by."""
        return f"{self.topic_prefix}.avis"

    @property
    def topic_notifications(self) -> str:
        """The topic of the bank's notifications."""
        return f"{self.topic_prefix}.kiosque.notifications"

    @property
    def topic_evenements(self) -> str:
        """The topic of the published events."""
        return f"{self.topic_prefix}.evenements"

    def merchant(self, caisse: str) -> Merchant:
        """Return the merchant of a caisse (three digits), else the common one."""
        return self.kiosque_merchants.get(caisse) or Merchant(
            merchant_id=self.kiosque_merchant_id,
            secret_key=self.kiosque_secret_key,
            key_version=self.kiosque_key_version,
        )

    def kafka_connection(self) -> dict[str, object]:
        """Return what every Kafka client is told to reach the brokers, in kafka-python's names.

        Raises:
            ValueError: no broker is configured.
        """
        if self.kafka_bootstrap is None:
            raise ValueError(f"{PREFIX}KAFKA_BOOTSTRAP manque.")
        password = self.kafka_sasl_password
        known = {
            "bootstrap_servers": self.kafka_bootstrap.split(","),
            "security_protocol": self.kafka_security_protocol,
            "metadata_max_age_ms": round(self.kafka_metadata_max_age.total_seconds() * 1000),
            "ssl_cafile": str(self.kafka_ssl_cafile) if self.kafka_ssl_cafile else None,
            "sasl_mechanism": self.kafka_sasl_mechanism,
            "sasl_plain_username": self.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
        return {key: value for key, value in known.items() if value is not None}


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads each secret `X` from the file that `CREANCES_X_FILE` names; a trailing line end is no part of it."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self.variables = {name.upper(): value for name, value in variables.items() if value}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Return the file's content, the variable's name, and whether it is JSON.

        Raises:
            SettingsError: both forms are given, or the file cannot be read.
        """
        variable = f"{PREFIX}{field_name.upper()}"
        path = self.variables.get(f"{variable}_FILE")
        if path is None or not is_secret(field):
            return None, field_name, False
        if variable in self.variables:
            raise SettingsError(f"{variable} et {variable}_FILE sont donnés tous deux : n'en gardez qu'un.")
        try:
            content = Path(path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as cause:
            raise SettingsError(f"{variable}_FILE : {path} est illisible ({type(cause).__name__}).") from cause
        return content, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, object]:
        """Return the values found in files."""
        found: dict[str, object] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, is_json = self.get_field_value(field, name)
            if value is None:
                continue
            try:
                found[key] = self.prepare_field_value(name, field, value, value_is_complex=is_json)
            except ValueError:  # Its text may quote the secret: none of it is told.
                raise SettingsError(f"{PREFIX}{name.upper()}_FILE : ce n'est pas du JSON.") from None
        return found


class SettingRow(NamedTuple):
    """One line of `creances settings`."""

    variable: str
    value: str
    is_default: bool
    description: str


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting may come from a file, and what it holds is hidden."""
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("secret") is True


def settings_table(settings: Settings) -> list[SettingRow]:
    """List all settings in their order, secrets hidden; of a URL, only the password is."""
    return [
        SettingRow(
            f"{PREFIX}{name.upper()}",
            _shown(name, getattr(settings, name), secret=is_secret(field)),
            name not in settings.model_fields_set,
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def development_jwt_secret(settings: Settings) -> str:
    """Return the secret of development tokens; without one, create it once in DATA_DIR, readable by its owner only.

    Raises:
        ValueError: an OIDC issuer is configured; there are no development tokens then.
    """
    if settings.oidc_issuer is not None:
        raise ValueError("Un émetteur OIDC est configuré : pas de jeton de développement.")
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.data_dir / "jwt.secret"
    if not path.exists():
        # Whole before it has its name: two roles that start together read the same secret.
        fresh = path.with_name(f"jwt.secret.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(JWT_SECRET_BYTES))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # The other role was first: its secret holds.
        finally:
            fresh.unlink()
    return path.read_text().strip()


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the `CREANCES_…` variables that name no setting: most often a spelling mistake."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    files = {f"{PREFIX}{name.upper()}_FILE" for name, field in Settings.model_fields.items() if is_secret(field)}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known | files)


def _shown(name: str, value: object, *, secret: bool) -> str:
    if value is None or value == {}:
        return ""
    if name.endswith("_url"):
        return without_password(str(value))
    return HIDDEN if secret else str(value)
