"""The doors: addresses, limits, sign-in and sessions."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from service.settings.values import JSON, SECRET, BaseUrl, Caisse, Concern, Duration, HttpUrl, LongSecret, Port


class Instructions(BaseModel):
    """How a caisse takes a cheque or a transfer, and who answers; what is absent sends people to the caisse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cheque: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    virement: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    telephone: Annotated[str, Field(pattern=r"^\+?[0-9 ]{4,20}$")] | None = None
    precision: Annotated[str, Field(max_length=400)] | None = None


class WebSettings(Concern):
    """What the API and the pages listen to, allow and remember."""

    public_url: BaseUrl = Field(
        "http://127.0.0.1:8000", description="Adresse du service pour le navigateur et la banque."
    )
    notification_url: BaseUrl | None = Field(
        None,
        description="Adresse du service pour la banque, si elle n'est pas celle du navigateur ; absente : PUBLIC_URL.",
    )
    api_host: str = Field("127.0.0.1", description="Adresse d'écoute de l'API.")
    api_port: Port = Field(8000, description="Port de l'API.")
    ops_host: str = Field("127.0.0.1", description="Adresse d'écoute de l'exploitation (/readyz, /metrics, /docs).")
    ops_port: Port | None = Field(
        None, description="Port de l'exploitation ; absent : 9000 en production, celui de l'API ailleurs."
    )
    body_limit_bytes: int = Field(64 * 1024, ge=1024, description="Taille maximale d'une requête, en octets.")
    http_header_timeout: Duration = Field(
        timedelta(seconds=10), description="Temps pour envoyer les en-têtes d'une requête, au plus."
    )
    http_body_timeout: Duration = Field(
        timedelta(seconds=20), description="Temps pour envoyer le corps d'une requête, au plus."
    )
    http_wait_timeout: Duration = Field(
        timedelta(seconds=9.5), description="Temps pour commencer à répondre à une requête, au plus : 503 sinon."
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
        description="Formulaires refusés gardés par jour qui ont l'allure de ceux de la banque, en octets ; à part.",
    )
    dead_letters_bank_address_bytes: int = Field(
        20 * 1024**2,
        ge=0,
        description="Les mêmes, gardés par jour d'une adresse qui n'est pas de KIOSQUE_NETWORKS, en octets.",
    )
    rate_reads: int = Field(1200, ge=1, description="Consultations d'une personne par minute, au plus.")
    rate_writes: int = Field(120, ge=1, description="Paiements et envois d'une personne par minute, au plus.")
    rate_sign_ins: int = Field(120, ge=1, description="Connexions d'une adresse par minute, au plus.")
    rate_refusals: int = Field(120, ge=1, description="Jetons et formulaires refusés à une adresse par minute.")
    rate_bank_refusals: int = Field(
        240,
        ge=1,
        description="Formulaires refusés par minute qui ont l'allure de ceux de la banque, d'une adresse qui n'est pas"
        " de KIOSQUE_NETWORKS.",
    )
    terminal_idle: Duration = Field(
        timedelta(minutes=2), description="À la borne, une session sans activité depuis ce temps est close."
    )
    caisse_instructions: Annotated[dict[Caisse, Instructions], *JSON] = Field(
        default_factory=dict,
        description='Payer autrement, par caisse, JSON : {"381": {"cheque", "virement", "telephone", "precision"}} ;'
        " ce qui manque renvoie à la caisse.",
    )
    oidc_issuer: HttpUrl | None = Field(None, description="Émetteur OIDC ; absent : jetons de développement.")
    oidc_audience: str = Field("creances", description="Audience attendue des jetons.")
    oidc_client_id: str | None = Field(
        None, description="Client OIDC des pages ; absent : on ne s'y connecte que dans la démonstration."
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret de ce client ; absent : client public, avec PKCE seul.", json_schema_extra=SECRET
    )
    session_secret: LongSecret | None = Field(
        None,
        description="Secret des sessions des pages (32 octets au moins), le même pour toutes les instances de l'API ;"
        " absent : tiré au démarrage.",
        json_schema_extra=SECRET,
    )
    session_previous_secret: LongSecret | None = Field(
        None, description="Le secret précédent, encore lu le temps d'un changement.", json_schema_extra=SECRET
    )
    session_max_age: Duration = Field(
        timedelta(hours=2), description="Durée d'une session, quoi que fasse la personne."
    )
    session_idle_max: Duration = Field(timedelta(minutes=30), description="Temps sans page vue qui finit une session.")
    jwt_secret: LongSecret | None = Field(
        None,
        description="Secret des jetons de développement (32 octets au moins) ; absent : créé dans DATA_DIR.",
        json_schema_extra=SECRET,
    )

    agent_token: SecretStr | None = Field(
        None,
        description="Jeton d'accès d'un agent du support : qui agit à la ligne de commande. Absent : le compte de la"
        " machine, à qui l'émetteur, s'il y en a un, ne laisse pas faire bouger d'argent.",
        json_schema_extra=SECRET,
    )

    @model_validator(mode="after")
    def _sign_in_is_whole(self) -> Self:
        if self.oidc_issuer is None and (self.oidc_client_id or self.oidc_client_secret):
            raise ValueError("OIDC_CLIENT_ID et OIDC_CLIENT_SECRET demandent OIDC_ISSUER")
        if self.oidc_client_id is None and self.oidc_client_secret is not None:
            raise ValueError("OIDC_CLIENT_SECRET demande OIDC_CLIENT_ID")
        return self
