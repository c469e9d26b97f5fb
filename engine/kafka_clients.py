"""Les clients de kafka-python, ouverts et lâchés sans fuite ; et s'ils ont encore des nouvelles du courtier.

kafka-python se tait quand le courtier s'en va : il réessaie en fond, et l'appelant n'en sait rien. Ce module va donc
lire ce qu'il garde pour lui.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.producer.transaction_manager import TransactionState

from engine.kafka_security import refused_certificate
from engine.outages import Outage

OPENING_MS: Final = 5_000
"""Attente d'un courtier à l'ouverture (ms) : un arrêt demandé pendant une panne n'attend pas plus."""

PRODUCER_CLOSE_S: Final = 5.0
"""Attente de la fermeture d'un producteur (secondes) ; tout ce qui compte est déjà accusé."""

RECONNECT_MAX_MS: Final = 2_000
"""Attente la plus longue entre deux connexions (ms) : le retour d'un courtier se voit dans ce délai."""

REQUEST_MS: Final = 10_000
"""Attente d'une réponse (ms)."""

PRODUCTEUR: Final[Mapping[str, int]] = {
    "bootstrap_timeout_ms": OPENING_MS,
    "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
    "request_timeout_ms": 5_000,
    "delivery_timeout_ms": REQUEST_MS,
    "max_block_ms": OPENING_MS,
}
"""Les délais d'un producteur (ms) : un message est accusé dans les dix secondes, ou ne le sera pas."""

SILENCES_ALLOWED: Final = 3
"""Nouvelles du courtier manquées de suite, à raison d'une par âge maximal des métadonnées, avant de le dire absent."""


class KafkaUnreachable(Outage):
    """Aucun courtier Kafka ne répond."""


class TopicUnknown(Outage):
    """Le topic n'existe pas, ou le courtier ne dit pas son identifiant (Kafka 2.8 au moins)."""


class GroupStuck(Outage):
    """The group gives no place to anybody: its broker waits for a member that is gone."""


def open_client(classe: Callable[..., Any], **options: Any) -> Any:
    """Ouvre un client de kafka-python (consommateur, producteur, administrateur). Lève KafkaError.

    Quand aucun courtier ne répond, son constructeur lève en laissant derrière lui un fil et quatre descripteurs : à un
    essai toutes les dix secondes, une heure de panne en épuiserait le processus. On referme donc ce qu'il a ouvert.

    Aucun client ne crée de topic en demandant s'il existe : kafka-python ne transmet pas ce réglage (vu en 3.0.12).
    """
    ouverts: list[KafkaNetClient] = []

    def ouvrir_le_reseau(**reglages: Any) -> KafkaNetClient:
        reseau = KafkaNetClient(**reglages)
        reseau.cluster.config["allow_auto_create_topics"] = False
        ouverts.append(reseau)
        return reseau

    try:
        return classe(**options, kafka_client=ouvrir_le_reseau)
    except KafkaError as erreur:
        for reseau in ouverts:
            reseau.close()
        if (refus := refused_certificate(options)) is not None:
            raise refus from erreur
        raise


def require_news(cluster: Any) -> None:
    """Lève KafkaNeRépondPas si aucun courtier n'a donné de nouvelles depuis trop longtemps.

    `cluster` : les métadonnées d'un client (`_cluster` d'un consommateur, `_metadata` d'un producteur).
    """
    silence_s = time.monotonic() - cluster._last_successful_refresh_ms / 1000  # noqa: SLF001
    if silence_s > SILENCES_ALLOWED * cluster.config["metadata_max_age_ms"] / 1000:
        raise KafkaUnreachable(f"aucun courtier ne répond depuis {silence_s:.0f} s")


def is_lost(producteur: KafkaProducer) -> bool:
    """Dit qu'un producteur idempotent ne produira plus jamais rien : kafka-python ne s'en relève pas (vu en 3.0.12).

    Après un message refusé, il refuse tous les autres ; après un message parti, puis expiré sans accusé (le courtier a
    été tué), il rend son numéro de producteur et n'en redemande pas d'autre : tout expire en silence.
    """
    suivi = producteur._transaction_manager  # noqa: SLF001 (voir l'en-tête)
    if suivi is None:
        return False
    en_attente = suivi._current_state in {TransactionState.UNINITIALIZED, TransactionState.INITIALIZING}  # noqa: SLF001
    return bool(suivi.has_fatal_error() or not (suivi.has_producer_id() or en_attente))


def drop_producer(producteur: KafkaProducer, *, attente_s: float = 0.0) -> None:
    """Ferme un producteur sans attendre ce qu'il n'a pas envoyé ; `close` lèverait, et laisserait vivre son fil.

    `attente_s` : attend la fin de ce fil, après laquelle plus rien de lui ne peut partir.
    """
    producteur._sender.force_close()  # noqa: SLF001 (voir l'en-tête)
    if attente_s:
        producteur._sender.join(attente_s)  # noqa: SLF001
    with suppress(KafkaError):
        producteur.close(timeout=0)
