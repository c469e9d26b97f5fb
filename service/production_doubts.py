"""What production starts with, and hardly anybody means: told by `creances check`, beside what it does not start on."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from domain.delai import PARIS
from service.production import merchants_by_setting
from service.production_certificates import SOON, ending_certificates
from service.settings import PREFIX, Settings, known_variables, unknown_variables

LONG: Final = {
    "shutdown_timeout": timedelta(minutes=5),
    "kafka_session_timeout": timedelta(minutes=5),
    "kafka_max_poll_interval": timedelta(minutes=10),
    "kiosque_timeout": timedelta(seconds=30),
    "politique_ouverture": timedelta(hours=2),
    "politique_interroger_apres": timedelta(hours=6),
    "politique_expirer_apres": timedelta(days=1),
    "janitor_interval": timedelta(minutes=10),
    "http_header_timeout": timedelta(minutes=1),
    "http_body_timeout": timedelta(minutes=2),
    "http_wait_timeout": timedelta(seconds=30),
    "http_answer_timeout": timedelta(minutes=10),
    "http_keep_alive": timedelta(minutes=2),
    "terminal_idle": timedelta(minutes=10),
    "session_max_age": timedelta(hours=12),
    "session_idle_max": timedelta(hours=1),
    "preuve_interval": timedelta(minutes=1),
    "preuve_temoins_interval": timedelta(minutes=10),
    "tsa_interval": timedelta(days=1),
}
"""The longest that each wait is of use; what is kept rather than waited for (retentions, days of policy) is absent."""

CLOSE: Final = 0.8
ALMOST: Final = 0.9
"""How alike a name of another beginning must be to be taken for one of ours."""


def find_doubts(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each doubtful setting, named whole, and why; `environment`: every variable given, `.env` included."""
    yield from _misspelt(environment)
    for name, longest in LONG.items():
        given: timedelta = getattr(settings, name)
        if given > longest:
            yield f"{PREFIX}{name.upper()}", f"dépasse {_told(longest)} : une panne se verrait d'autant plus tard."
    if settings.session_idle_max > settings.session_max_age:
        yield f"{PREFIX}SESSION_IDLE_MAX", "dépasse SESSION_MAX_AGE : rien ne finit une session qui ne sert plus."
    if settings.log_level == "DEBUG":
        yield f"{PREFIX}LOG_LEVEL", "DEBUG écrit ce que disent les bibliothèques, et noie le reste : INFO."
    for name in ("database_url", "owner_database_url"):
        url: str | None = getattr(settings, name)
        if url is not None and conninfo_to_dict(url).get("sslmode") == "require":
            yield (
                f"{PREFIX}{name.upper()}",
                "sslmode=require chiffre sans savoir avec qui : verify-full, et sslrootcert.",
            )
    if settings.kiosque_networks is None:
        yield (
            f"{PREFIX}KIOSQUE_NETWORKS",
            "manque : parmi les formulaires refusés, la banque partage sa place avec qui l'imite.",
        )
    yield from ((f"{PREFIX}{name.upper()}", cause) for name, cause in _people_and_time(settings))
    if settings.kafka_security_protocol == "SSL" and settings.kafka_ssl_certfile is None:
        yield (
            f"{PREFIX}KAFKA_SSL_CERTFILE",
            "manque : en SSL, seul un certificat dit à Kafka qui nous sommes ; sans lui, n'importe qui est nous.",
        )


def _people_and_time(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.oidc_issuer is not None and settings.oidc_client_id is None:
        yield "oidc_client_id", "manque : personne ne peut se connecter aux pages."
    if settings.topic_replicas == 1:
        yield (
            "topic_replicas",
            "vaut 1 : la perte d'un courtier perd ce qui n'est pas encore lu (3 : docs/production.md).",
        )
    yield from ending_certificates(settings)
    today = datetime.now(PARIS).date()
    for where, merchant in merchants_by_setting(settings, "kiosque_key_expires_on"):
        ends, previous = merchant.key_expires_on, merchant.previous_key_until
        if ends is None:
            yield (
                where,
                f"le dernier jour de la clé de {merchant.merchant_id} manque : elle expirerait sans être vue.",
            )
        elif today <= ends < today + SOON:
            yield where, f"la clé du commerçant {merchant.merchant_id} expire dans {(ends - today).days} j."
        if merchant.previous_secret_key is not None and previous is not None and previous < today:
            yield where, f"la clé précédente du commerçant {merchant.merchant_id} n'est plus lue : ôtez-la."


def _misspelt(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that name no setting, with the nearest that does."""
    known = known_variables()
    for name in unknown_variables(environment):
        near = get_close_matches(name.upper(), known, 1, CLOSE)
        yield name, "ne nomme aucun réglage" + (f" : {near[0]} ?" if near else ".")
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX) and (near := get_close_matches(name.upper(), known, 1, ALMOST)):
            yield name, f"ne nomme aucun réglage : {near[0]} ?"


def _told(longest: timedelta) -> str:
    seconds = round(longest.total_seconds())
    for unit, name in ((86_400, "j"), (3_600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
