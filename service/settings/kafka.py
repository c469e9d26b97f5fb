"""Kafka: how it is reached, its topics, and the batches that consumers and followers take."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, SecretStr, model_validator

from consumers import NomDeConsommateur
from service.settings.values import PREFIX, SECRET, Brokers, Concern, Duration, ExistingFile


class BrokerMissing(ValueError):
    """No broker is configured."""

    def __init__(self) -> None:
        """Say which setting is missing."""
        super().__init__(f"{PREFIX}KAFKA_BOOTSTRAP manque.")


class IncomingTopic(NamedTuple):
    """A topic that somebody else writes to."""

    topic: str
    partitions: int


class KafkaSettings(Concern):
    """The brokers, the topics and the batches."""

    kafka_bootstrap: Brokers | None = Field(None, description="Courtiers Kafka, hôte:port séparés par des virgules.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocole vers Kafka."
    )
    kafka_ssl_cafile: ExistingFile | None = Field(
        None, description="Autorité qui signe le certificat de Kafka (fichier PEM)."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="Authentification SASL auprès de Kafka."
    )
    kafka_sasl_username: str | None = Field(None, description="Utilisateur SASL.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Mot de passe SASL.", json_schema_extra=SECRET)
    kafka_sasl_token_path: Path | None = Field(
        None,
        description="Fichier qui porte le jeton OAUTHBEARER, relu à chaque connexion : qui le renouvelle l'y écrit.",
    )
    kafka_ssl_certfile: ExistingFile | None = Field(None, description="Notre certificat auprès de Kafka (fichier PEM).")
    kafka_ssl_keyfile: ExistingFile | None = Field(None, description="La clé de ce certificat (fichier PEM).")
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
    partitions_soldes: int = Field(6, ge=1, description="Partitions du topic des soldes, compacté.")
    retention_entrees: Duration = Field(
        timedelta(days=30), description="Ce que gardent les topics des avis et des notifications, à leur création."
    )
    retention_evenements: Duration = Field(
        timedelta(days=90), description="Ce que garde le topic des événements publiés, à sa création."
    )
    retention_rebuts: Duration = Field(
        timedelta(days=365), description="Ce que gardent les topics de rebuts, à leur création."
    )
    retention_renvois: Duration = Field(
        timedelta(days=7), description="Ce que garde le topic d'un renvoi à un seul partenaire, à sa création."
    )
    batch_size: int = Field(500, ge=1, le=10_000, description="Messages traités ensemble, au plus.")
    poll_timeout: Duration = Field(
        timedelta(milliseconds=500),
        le=timedelta(seconds=10),
        description="Attente maximale d'un lot de messages (10 s au plus).",
    )
    follower_batch_size: int = Field(1000, ge=1, le=100_000, description="Événements projetés ensemble, au plus.")
    publication_batch_size: int = Field(4000, ge=1, le=100_000, description="Événements publiés ensemble, au plus.")
    follower_wait_max: Duration = Field(
        timedelta(seconds=1), le=timedelta(seconds=10), description="Attente maximale d'un suiveur sans réveil."
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if (self.kafka_sasl_mechanism == "OAUTHBEARER") != (self.kafka_sasl_token_path is not None):
            raise ValueError("KAFKA_SASL_MECHANISM=OAUTHBEARER et KAFKA_SASL_TOKEN_PATH vont ensemble")
        if (self.kafka_ssl_certfile is None) != (self.kafka_ssl_keyfile is None):
            raise ValueError("KAFKA_SSL_CERTFILE et KAFKA_SSL_KEYFILE vont ensemble")
        return self

    @property
    def topic_avis(self) -> str:
        """The topic that avis come in by."""
        return f"{self.topic_prefix}.avis"

    @property
    def topic_notifications(self) -> str:
        """The topic of the bank's notifications."""
        return f"{self.topic_prefix}.kiosque.notifications"

    @property
    def incoming(self) -> dict[NomDeConsommateur, IncomingTopic]:
        """What each consumer reads."""
        return {
            NomDeConsommateur.AVIS: IncomingTopic(self.topic_avis, self.partitions_avis),
            NomDeConsommateur.KIOSQUE: IncomingTopic(self.topic_notifications, self.partitions_notifications),
        }

    @property
    def topic_evenements(self) -> str:
        """The topic of the published events."""
        return f"{self.topic_prefix}.evenements"

    @property
    def topic_soldes(self) -> str:
        """The compacted topic of the latest balance of each créance."""
        return f"{self.topic_prefix}.soldes"

    @property
    def topic_points(self) -> str:
        """The compacted topic of the sealed log's checkpoints."""
        return f"{self.topic_prefix}.points"

    def topic_renvois(self, partner: str) -> str:
        """The topic of what is published again for one partner only."""
        return f"{self.topic_prefix}.renvois.{partner}"

    def kafka_connection(self) -> dict[str, object]:
        """Return what every Kafka client is told to reach the brokers, in kafka-python's names.

        Raises:
            BrokerMissing: no broker is configured.
        """
        if self.kafka_bootstrap is None:
            raise BrokerMissing
        password, token = self.kafka_sasl_password, None
        if self.kafka_sasl_token_path:
            from engine.kafka_security import FileToken

            token = FileToken(self.kafka_sasl_token_path)
        known = {
            "bootstrap_servers": self.kafka_bootstrap.split(","),
            "security_protocol": self.kafka_security_protocol,
            "metadata_max_age_ms": round(self.kafka_metadata_max_age.total_seconds() * 1000),
            "ssl_cafile": str(self.kafka_ssl_cafile) if self.kafka_ssl_cafile else None,
            "ssl_certfile": str(self.kafka_ssl_certfile) if self.kafka_ssl_certfile else None,
            "ssl_keyfile": str(self.kafka_ssl_keyfile) if self.kafka_ssl_keyfile else None,
            "sasl_mechanism": self.kafka_sasl_mechanism,
            "sasl_oauth_token_provider": token,
            "sasl_plain_username": self.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
        return {key: value for key, value in known.items() if value is not None}
