"""The composition root: from the settings to the objects that do the work."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection
from pydantic import SecretStr

from consumers import NomDeConsommateur
from consumers.avis import consommateur_des_avis
from consumers.kiosque import consommateur_du_kiosque
from domain.agregats import AGREGATS
from engine.consumer import Consumer
from engine.database import Database
from engine.dead_letters import DeadLetters
from engine.follower import Follower, View
from engine.mapper import EventMapper
from engine.recorder import ORDER_HELD_MAX_S, Recorder
from guichet.guichet import Adresses, Guichet
from kiosque.echeance import client_borne
from preuve.folder import TileFolder
from preuve.notes import Verifier
from preuve.role import SealingRole
from preuve.seal import Sealing
from preuve.trust import Trusted
from preuve.witness_client import Caller
from preuve.witness_role import WitnessRole
from preuve.witnessing import Point
from projections.vues import VUES
from publication.etat import EtatDesSoldes
from publication.publication import Publication
from publication.sender import Sender
from service import bank
from service.kafka import ensure_dead_letters
from service.settings import PREFIX, Settings, demo_witness_key, drawn_secret
from service.settings.preuve import KEY_BYTES

VIEWS = tuple(VUES)
"""The names of the views, in the order they are led."""

FOLLOWERS = (*VIEWS, Publication.nom, EtatDesSoldes.nom)
"""All that follows the log: the views, and the publication of events and of balances."""


def required(value: str | None, name: str) -> str:
    """Return a setting that has no default; raise ValueError naming it if it is missing."""
    if value is None:
        raise ValueError(f"CREANCES_{name} manque.")
    return value


def recorder_on(base: Database, settings: Settings | None = None) -> Recorder:
    """What writes and reads the log on this database, and knows our aggregates.

    `settings`: those of who writes; who only reads needs none.
    """
    held_max_s = ORDER_HELD_MAX_S if settings is None else settings.order_held_max.total_seconds()
    return Recorder(base, EventMapper(AGREGATS), order_held_max_s=held_max_s)


def guichet(settings: Settings, *, application: str) -> Guichet:
    """The use cases, on the configured database; its `base` is to be closed by the caller."""
    base = Database(
        required(settings.database_url, "DATABASE_URL"),
        application=application,
        connexions_max=settings.database_pool_max,
    )
    return Guichet(
        base=base,
        recorder=recorder_on(base, settings),
        kiosque=bank.kiosk(settings),
        politique=settings.politique,
        adresses=Adresses(
            retour=f"{settings.public_url}/kiosque/retour",
            notification=f"{settings.notification_url or settings.public_url}/kiosque/notification",
        ),
        fragment=settings.shard_digit,
        approbation_delai=settings.approbation_delai,
    )


def consumer(settings: Settings, counter: Guichet, name: str, step: Callable[[str], None] = lambda _: None) -> Consumer:
    """The loop of a topic: `avis` or `kiosque`. Raises ValueError for another name."""
    consumer = NomDeConsommateur(name)
    topic = settings.incoming[consumer].topic
    kafka = settings.kafka_connection()
    options: dict[str, Any] = {
        "rebuts": DeadLetters(kafka, partial(ensure_dead_letters, settings)),
        "kafka": kafka
        | {
            "session_timeout_ms": round(settings.kafka_session_timeout.total_seconds() * 1000),
            "max_poll_interval_ms": round(settings.kafka_max_poll_interval.total_seconds() * 1000),
            "heartbeat_interval_ms": round(settings.kafka_session_timeout.total_seconds() * 1000 / 3),
        },
        "lot_max": settings.batch_size,
        "attente_s": settings.poll_timeout.total_seconds(),
        "etape": step,
    }
    match consumer:
        case NomDeConsommateur.AVIS:
            return consommateur_des_avis(topic, counter, **options)
        case NomDeConsommateur.KIOSQUE:
            return consommateur_du_kiosque(topic, counter, **options)
        case _:
            assert_never(consumer)


def view(name: str, recorder: Recorder) -> View:
    """A view by its name. Raises ValueError for an unknown one."""
    if name not in VUES:
        raise ValueError(f"vue inconnue : {name} (connues : {', '.join(VIEWS)})")
    return VUES[name].construire(recorder)


def follower(
    settings: Settings, recorder: Recorder, name: str, step: Callable[[str], None] = lambda _: None
) -> Follower:
    """The follower of a view, behind the one it must not pass."""
    return Follower(
        required(settings.database_url, "DATABASE_URL"),
        view(name, recorder),
        derriere=VUES[name].derriere,
        mapper=recorder.mapper,
        lot_max=settings.follower_batch_size,
        wake_max_s=settings.follower_wait_max.total_seconds(),
        etape=step,
    )


def concerns(name: str, recorder: Recorder) -> frozenset[str]:
    """The topics of the stored events that a follower reads. Raises ValueError for an unknown one."""
    published = {Publication.nom: Publication.topics, EtatDesSoldes.nom: EtatDesSoldes.topics}
    return published[name] if name in published else view(name, recorder).topics


def publication(
    settings: Settings,
    step: Callable[[str], None] = lambda _: None,
    require_whole: Callable[[Connection[Any]], None] = lambda _: None,
) -> tuple[Follower, Sender]:
    """The follower that publishes the log to Kafka, and what it sends with, to be given up by the caller.

    `require_whole` raises, before each batch, while the log must not be published.
    """
    sender = emitter(settings)
    follower = Follower(
        required(settings.database_url, "DATABASE_URL"),
        Publication(sender, settings.shard_digit, exiger_publiable=require_whole, etape=step),
        mapper=EventMapper(AGREGATS),
        lot_max=settings.publication_batch_size,
        wake_max_s=settings.follower_wait_max.total_seconds(),
        etape=step,
    )
    return follower, sender


def balances(
    settings: Settings,
    step: Callable[[str], None] = lambda _: None,
    require_whole: Callable[[Connection[Any]], None] = lambda _: None,
) -> tuple[Follower, Sender]:
    """The follower that keeps the state topic, behind the publication, and what it sends with, as `publication`."""
    sender = emitter(settings, settings.topic_soldes)
    follower = Follower(
        required(settings.database_url, "DATABASE_URL"),
        EtatDesSoldes(sender, settings.shard_digit, exiger_publiable=require_whole, etape=step),
        derriere=EtatDesSoldes.derriere,
        mapper=EventMapper(AGREGATS),
        lot_max=settings.publication_batch_size,
        wake_max_s=settings.follower_wait_max.total_seconds(),
        etape=step,
    )
    return follower, sender


def _drawn(settings: Settings, given: SecretStr | None, name: str) -> str:
    """A secret of the proof; outside production, drawn once where none is given. Raises ValueError."""
    if given is not None:
        return given.get_secret_value()
    if settings.in_production:
        raise ValueError(f"{PREFIX}{name.upper()} manque.")
    return drawn_secret(settings, name.replace("_", "."), lambda: secrets.token_hex(KEY_BYTES))


def sealing(settings: Settings) -> Sealing:
    """What the log is sealed with. Raises ValueError if production lacks it."""
    private = bytes.fromhex(_drawn(settings, settings.preuve_key, "preuve_key"))
    salt = _drawn(settings, settings.preuve_salt, "preuve_salt").encode()
    return Sealing(settings.preuve_origin, Ed25519PrivateKey.from_private_bytes(private), salt)


def proof_salt(settings: Settings) -> bytes | None:
    """What proofs need of the secrets; None in production where it is not given: no proof is given there."""
    if settings.in_production and settings.preuve_salt is None:
        return None
    return _drawn(settings, settings.preuve_salt, "preuve_salt").encode()


def sealing_keys(settings: Settings) -> list[bytes]:
    """The public keys by which the log has ever signed, today's first."""
    current = sealing(settings).private.public_key().public_bytes_raw()
    return [current, *map(bytes.fromhex, settings.preuve_retired_keys)]


def _known_witnesses(settings: Settings) -> list[Verifier]:
    """Those of the settings; beside a demonstration, which sets its own, the one that it has left its key of."""
    if settings.preuve_temoins:
        return [witness.verifier for witness in settings.preuve_temoins]
    kept = demo_witness_key(settings)
    return [Verifier.parse(kept.read_text("utf-8"))] if not settings.in_production and kept.exists() else []


def trusted(settings: Settings) -> Trusted:
    """By whom a proof of ours must be signed; no key where a secret of the seal is given, and neither of its keys.

    Who only hands out proofs is given the salt and the public key, and never holds the private one.
    """
    witnesses = _known_witnesses(settings)
    if settings.preuve_public_key is not None:
        current = bytes.fromhex(settings.preuve_public_key)
    elif settings.preuve_key is None and (settings.in_production or settings.preuve_salt is not None):
        return Trusted(settings.preuve_origin, (), witnesses)
    else:
        private = bytes.fromhex(_drawn(settings, settings.preuve_key, "preuve_key"))
        current = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    own = (current, *map(bytes.fromhex, settings.preuve_retired_keys))
    return Trusted(settings.preuve_origin, own, witnesses)


def sealer(settings: Settings) -> SealingRole:
    """The role that seals the log, and writes its tiles if there is a folder for them."""
    with_what = sealing(settings)
    folder = settings.preuve_dir
    return SealingRole(
        required(settings.database_url, "DATABASE_URL"),
        with_what,
        interval_s=settings.preuve_interval.total_seconds(),
        after=TileFolder(folder, with_what).follow if folder is not None else lambda _: None,
    )


def witnesses(
    settings: Settings, recall: Callable[[Connection[Any], Point], str | None] = lambda _conn, _point: None
) -> list[WitnessRole]:
    """What has the sealed log cosigned, a role a witness; `recall`: see WitnessRole."""
    url = required(settings.database_url, "DATABASE_URL")
    interval_s = settings.preuve_temoins_interval.total_seconds()
    opened = partial(client_borne, environnement=False)
    return [
        WitnessRole(url, one.verifier, Caller(one.url, opened=opened), interval_s=interval_s, recall=recall)
        for one in settings.preuve_temoins
    ]


def emitter(settings: Settings, topic: str | None = None) -> Sender:
    """What sends to the topic of published events, or to another."""
    return Sender(settings.kafka_connection() | {"client_id": "publication"}, topic or settings.topic_evenements)
