"""What production does not start without: told all at once, each gap with the setting that closes it."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from domain.delai import PARIS
from service.networks import is_everyone, unfit_networks
from service.production_certificates import unfit_certificates
from service.production_secrets import unfit_secrets
from service.role_names import RoleKind
from service.settings import PREFIX, Merchant, Settings
from service.settings.values import split

_PUBLISHED_MERCHANTS: Final = re.compile(r"0020010000000\d\d|211000021310001")
_PUBLISHED_KEYS: Final = re.compile(r"\d{15}_KEY\d+", re.IGNORECASE)
"""The bank prints the keys of its trial merchants in its manual: anyone can seal an acceptance with one."""

_PUBLISHED_DIGESTS: Final = frozenset({"2e7e8d10cf024356b07fe9288a1d5b021811652acce8d1df31719792fe052039"})
"""SHA-256 of the other published key, that of the merchant of the test platform."""

WAITED_MAX: Final = timedelta(seconds=10)
"""What a writer waits for the order before it is refused (`lock_timeout`), and a request for its answer."""

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
_TRIAL_PLATFORMS: Final = frozenset({"simu", "test"})


NOTIFICATION: Final = "/kiosque/notification"
"""Where the bank posts, below NOTIFICATION_URL."""


class Gap(NamedTuple):
    """A setting that production cannot do with, and why."""

    setting: str
    cause: str


class ProductionRefused(Exception):
    """Production does not start; the message lists every gap, one a line."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        super().__init__("\n".join(f"{gap.setting} : {gap.cause}" for gap in gaps))
        self.gaps = gaps


def require_ready(settings: Settings, roles: Collection[RoleKind]) -> None:
    """Let a demonstration pass; raise ProductionRefused if production lacks what these roles need."""
    if settings.in_production and (gaps := find_gaps(settings, roles)):
        raise ProductionRefused(gaps)


def find_gaps(
    settings: Settings,
    roles: Collection[RoleKind] = (RoleKind.API, RoleKind.SCELLER),
    environment: Mapping[str, str] = os.environ,
) -> list[Gap]:
    """Everything that would keep production from starting, whatever the mode is; nothing is connected to.

    `environment` is what libpq reads besides the URL (PGHOST, PGSSLMODE).
    """
    found = [*_bank(settings), *_addresses(settings), *_database(settings, environment), *_kafka(settings)]
    found += [*unfit_secrets(settings), *unfit_certificates(settings)]
    if RoleKind.API in roles:
        found += _people(settings)
    if RoleKind.SCELLER in roles:
        found += _seal(settings)
    if RoleKind.KIOSQUE in roles:
        found.append(("mode", "le kiosque simulé n'a pas sa place en production."))
    return [Gap(f"{PREFIX}{name.upper()}", cause) for name, cause in found]


def _bank(settings: Settings) -> Iterator[tuple[str, str]]:
    if _PUBLISHED_MERCHANTS.fullmatch(settings.kiosque_merchant_id):
        yield "kiosque_merchant_id", "est le commerçant de simulation de la banque."
    if (what := _anyone_s(settings.kiosque_secret_key)) is not None:
        yield "kiosque_secret_key", f"est {what} : n'importe qui scelle avec elle."
    if _published(settings.kiosque_previous_secret_key):
        yield "kiosque_previous_secret_key", "est la clé de simulation, que la banque publie."
    for caisse, merchant in settings.kiosque_merchants.items():
        if _is_trial(merchant):
            yield "kiosque_merchants", f"la caisse {caisse} a le commerçant ou la clé de simulation de la banque."
    if any(_is_trial(merchant) for merchant in settings.kiosque_retired_merchants):
        yield "kiosque_retired_merchants", "porte le commerçant ou la clé de simulation de la banque."
    yield from _expired_keys(settings)
    yield from _unturned_keys(settings)
    if not settings.kiosque_office_seal_required:
        yield "kiosque_office_seal_required", "une réponse sans sceau serait crue : ce n'est bon que pour un essai."
    for name in ("kiosque_url", "kiosque_office_url"):
        if _is_trial_platform(getattr(settings, name)):
            yield name, "est une plateforme d'essai de la banque."


def merchants_by_setting(settings: Settings, common: str) -> Iterator[tuple[str, Merchant]]:
    """Each merchant in service, with the setting to look at; `common`: that of the merchant of all other caisses."""
    yield common, settings.merchant("")
    yield from (("kiosque_merchants", merchant) for merchant in settings.kiosque_merchants.values())


def _expired_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    today = datetime.now(PARIS).date()
    for where, merchant in merchants_by_setting(settings, "kiosque_key_expires_on"):
        if merchant.key_expires_on is not None and merchant.key_expires_on < today:
            yield where, f"la clé du commerçant {merchant.merchant_id} a expiré : la banque refuse tout paiement."


def _unturned_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """A turn half done: a new version with the key of before, which the bank refuses."""
    for where, merchant in merchants_by_setting(settings, "kiosque_previous_secret_key"):
        if merchant.previous_secret_key == merchant.secret_key:
            yield where, f"est la clé courante du commerçant {merchant.merchant_id} : laquelle est la nouvelle ?"


def _anyone_s(key: SecretStr) -> str | None:
    """What this key is, if it is a secret to nobody."""
    if not key.get_secret_value().strip():
        return "vide"
    return "la clé de simulation, que la banque publie" if _published(key) else None


def _published(key: SecretStr | None) -> bool:
    if key is None:
        return False
    value = key.get_secret_value().strip()
    return bool(_PUBLISHED_KEYS.fullmatch(value)) or sha256(value.encode()).hexdigest() in _PUBLISHED_DIGESTS


def _is_trial(merchant: Merchant) -> bool:
    keys = (merchant.secret_key, merchant.previous_secret_key)
    return _PUBLISHED_MERCHANTS.fullmatch(merchant.merchant_id) is not None or any(map(_published, keys))


def _is_trial_platform(url: str | None) -> bool:
    # A word of the host's name, by itself or in a part of it: `x.simu.banque.fr`, `x-simu.banque.fr`.
    return url is not None and not _TRIAL_PLATFORMS.isdisjoint(re.split("[.-]", urlsplit(url).hostname or ""))


def _addresses(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in ("public_url", "notification_url", "kiosque_url", "kiosque_office_url", "oidc_issuer"):
        url: str | None = getattr(settings, name)
        if url is not None and urlsplit(url).scheme != "https":
            yield name, "doit commencer par https://."
    if urlsplit(settings.public_url).path:
        yield "public_url", "ne doit pas avoir de chemin."
    if (settings.notification_url or "").endswith(NOTIFICATION):
        yield "notification_url", f"porte déjà {NOTIFICATION}, qui s'y ajoute : la banque écrirait à côté."
    if settings.oidc_issuer is not None and "/.well-known/" in settings.oidc_issuer:
        yield "oidc_issuer", "est l'adresse de sa description : donnez l'émetteur, ce qui précède /.well-known."


def _database(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if settings.database_url is None:
        yield "database_url", "manque."
    if settings.order_held_max > WAITED_MAX:
        yield "order_held_max", "dépasse 10 s : un écrivain figé ferait refuser les écritures des autres (503)."
    for name in ("database_url", "owner_database_url"):
        url: str | None = getattr(settings, name)
        if url is not None and not _is_private(url, environment):
            yield name, "passe par le réseau en clair : ajoutez sslmode=require, verify-ca ou verify-full."


def _is_private(url: str, environment: Mapping[str, str]) -> bool:
    """Tell whether every host is a Unix socket, or the connection is encrypted whatever the server says.

    A service (`service=`, PGSERVICE) may name any host, in a file that is not read here.
    """
    known = conninfo_to_dict(url)
    told = {name: known.get(name) or environment.get(f"PG{name.upper()}") for name in ("host", "hostaddr", "service")}
    hosts = str(told["hostaddr"] or told["host"] or "")  # An address goes before a name, wherever each is told.
    if not told["service"] and all(host.startswith(("/", "@")) or not host for host in hosts.split(",")):
        return True
    return str(known.get("sslmode") or environment.get("PGSSLMODE") or "") in _ENCRYPTED


def _kafka(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.kafka_bootstrap is None:
        yield "kafka_bootstrap", "manque."
    match settings.kafka_security_protocol:
        case "PLAINTEXT":
            yield "kafka_security_protocol", "PLAINTEXT n'est ni chiffré ni authentifié : SSL ou SASL_SSL."
        case "SASL_PLAINTEXT":
            yield "kafka_security_protocol", "SASL_PLAINTEXT porte le mot de passe en clair : SASL_SSL."
        case "SASL_SSL":
            password = ("kafka_sasl_username", "kafka_sasl_password")
            needed = () if settings.kafka_sasl_mechanism == "OAUTHBEARER" else password
            for name in ("kafka_sasl_mechanism", *needed):
                if getattr(settings, name) is None:
                    yield name, "manque, et SASL_SSL le demande."
        case "SSL":
            pass


def _people(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.oidc_issuer is None:
        yield "oidc_issuer", "manque : les jetons seraient ceux de développement (HS256)."
    if settings.session_secret is None:
        yield "session_secret", "manque : chaque processus aurait le sien."
    if settings.pseudonym_secret is None:
        yield "pseudonym_secret", "manque : le customerId viendrait d'une clé que la banque connaît."
    if settings.trusted_proxies is not None:
        yield from (("trusted_proxies", cause) for cause in unfit_networks(settings.trusted_proxies))
    if settings.kiosque_networks is not None and is_everyone(
        [ip_network(network) for network in split(settings.kiosque_networks)]
    ):
        yield "kiosque_networks", "est tout le monde : chacun prendrait la place des messages de la banque."
    if 0 != settings.ops_port_apart == settings.api_port and _overlap(settings.ops_host, settings.api_host):
        yield "ops_port", "est celui de l'API : un seul des deux s'ouvrirait, et la santé ou le public manquerait."
    if settings.smtp_host is not None and settings.smtp_tls == "none" and not _is_this_machine(settings.smtp_host):
        yield "smtp_tls", "porte les reçus, leurs adresses et le mot de passe en clair : starttls ou tls."


def _seal(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.preuve_origin.partition("/")[0].lower().endswith(".invalid"):
        yield "preuve_origin", "manque : deux journaux porteraient le même nom."
    for name in ("preuve_key", "preuve_salt"):
        if getattr(settings, name) is None:
            yield name, "manque : le sceau ne se tire pas au hasard."
    yield from _unfit_public_key(settings)


def _unfit_public_key(settings: Settings) -> Iterator[tuple[str, str]]:
    """The public key is shown to everybody: it is neither the private one nor another's."""
    if settings.preuve_key is None or settings.preuve_public_key is None:
        return
    private, public = bytes.fromhex(settings.preuve_key.get_secret_value()), bytes.fromhex(settings.preuve_public_key)
    if private == public:
        yield (
            "preuve_public_key",
            "est PREUVE_KEY, que les pages montreraient : tirez-en une autre, et retirez celle-ci.",
        )
    elif Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() != public:
        yield "preuve_public_key", "n'est pas celle de PREUVE_KEY : aucune preuve ne serait crue (`creances temoins`)."


def _overlap(one: str, other: str) -> bool:
    return one == other or not {"0.0.0.0", "::"}.isdisjoint({one, other})  # noqa: S104  told, not listened to


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
