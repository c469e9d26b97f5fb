"""Le courtier Kafka, tel que la boucle le voit par kafka-python : ce qu'il sait du topic, et s'il répond encore.

kafka-python se tait quand le courtier s'en va (il réessaie en fond, et `poll` ne rend rien) comme quand un topic est
recréé. Ce module va donc lire ce qu'il garde pour lui : l'identifiant du topic et l'heure de sa dernière nouvelle.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.producer.transaction_manager import TransactionState

from journal.pannes import Panne

OCTETS_LUS_MAX: Final = 64 * 1024 * 1024
"""Ce qu'une lecture peut rapporter (octets) ; un message plus gros que sa part est lu quand même, seul."""

LECTURE_MS: Final = 200
"""Attente d'un premier message par le courtier (ms)."""

OUVERTURE_MS: Final = 5_000
"""Attente d'un courtier à l'ouverture (ms) : un arrêt demandé pendant une panne n'attend pas plus."""

FERMETURE_MS: Final = 2_000
"""Attente de l'adieu au groupe (ms) : sans courtier pour l'entendre, il expire de lui-même."""

ADIEU_D_UN_PRODUCTEUR_S: Final = 5.0
"""Attente de la fermeture d'un producteur (secondes) ; tout ce qui compte est déjà accusé."""

RECONNEXION_MAX_MS: Final = 2_000
"""Attente la plus longue entre deux connexions (ms) : le retour d'un courtier se voit dans ce délai."""

REQUÊTE_MS: Final = 10_000
"""Attente d'une réponse (ms)."""

PRODUCTEUR: Final[Mapping[str, int]] = {
    "bootstrap_timeout_ms": OUVERTURE_MS,
    "reconnect_backoff_max_ms": RECONNEXION_MAX_MS,
    "request_timeout_ms": 5_000,
    "delivery_timeout_ms": REQUÊTE_MS,
    "max_block_ms": OUVERTURE_MS,
}
"""Les délais d'un producteur (ms) : un message est accusé dans les dix secondes, ou ne le sera pas."""

SILENCES_ADMIS: Final = 3
"""Nouvelles du courtier manquées de suite, à raison d'une par âge maximal des métadonnées, avant de le dire absent."""


class KafkaNeRépondPas(Panne):
    """Aucun courtier Kafka ne répond."""


class TopicInconnu(Panne):
    """Le topic n'existe pas, ou le courtier ne dit pas son identifiant (Kafka 2.8 au moins)."""


def ouvrir_client(classe: Callable[..., Any], **options: Any) -> Any:
    """Ouvre un client de kafka-python (consommateur, producteur, administrateur). Lève KafkaError.

    Quand aucun courtier ne répond, son constructeur lève en laissant derrière lui un fil et quatre descripteurs : à un
    essai toutes les dix secondes, une heure de panne en épuiserait le processus. On referme donc ce qu'il a ouvert.

    Aucun client ne crée de topic en demandant s'il existe : kafka-python ne transmet pas ce réglage (vu en 3.0.12).
    """
    ouverts: list[KafkaNetClient] = []

    def ouvrir_le_réseau(**réglages: Any) -> KafkaNetClient:
        réseau = KafkaNetClient(**réglages)
        réseau.cluster.config["allow_auto_create_topics"] = False
        ouverts.append(réseau)
        return réseau

    try:
        return classe(**options, kafka_client=ouvrir_le_réseau)
    except KafkaError:
        for réseau in ouverts:
            réseau.close()
        raise


def ouvrir(kafka: Mapping[str, Any], *, groupe: str, client: str, lot_max: int) -> KafkaConsumer:
    """Un consommateur du groupe, dont nous tenons les positions. Lève KafkaNeRépondPas."""
    try:
        return ouvrir_client(
            KafkaConsumer,
            **kafka,
            group_id=groupe,
            client_id=client,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=lot_max,
            fetch_max_bytes=OCTETS_LUS_MAX,
            fetch_max_wait_ms=LECTURE_MS,
            bootstrap_timeout_ms=OUVERTURE_MS,
            reconnect_backoff_max_ms=RECONNEXION_MAX_MS,
            request_timeout_ms=REQUÊTE_MS,
        )
    except KafkaError as erreur:
        raise KafkaNeRépondPas(f"aucun courtier n'a répondu en {OUVERTURE_MS // 1000} s") from erreur


def fermer(consommateur: KafkaConsumer) -> None:
    """Quitte le groupe, si quelqu'un est là pour l'entendre."""
    with suppress(KafkaError):
        consommateur.close(autocommit=False, timeout_ms=FERMETURE_MS)


def exiger_des_nouvelles(cluster: Any) -> None:
    """Lève KafkaNeRépondPas si aucun courtier n'a donné de nouvelles depuis trop longtemps.

    `cluster` : les métadonnées d'un client (`_cluster` d'un consommateur, `_metadata` d'un producteur).
    """
    silence_s = time.monotonic() - cluster._last_successful_refresh_ms / 1000  # noqa: SLF001
    if silence_s > SILENCES_ADMIS * cluster.config["metadata_max_age_ms"] / 1000:
        raise KafkaNeRépondPas(f"aucun courtier ne répond depuis {silence_s:.0f} s")


def est_perdu(producteur: KafkaProducer) -> bool:
    """Dit qu'un producteur idempotent ne produira plus jamais rien : kafka-python ne s'en relève pas (vu en 3.0.12).

    Après un message refusé, il refuse tous les autres ; après un message parti, puis expiré sans accusé (le courtier a
    été tué), il rend son numéro de producteur et n'en redemande pas d'autre : tout expire en silence.
    """
    suivi = producteur._transaction_manager  # noqa: SLF001 (voir l'en-tête)
    if suivi is None:
        return False
    en_attente = suivi._current_state in {TransactionState.UNINITIALIZED, TransactionState.INITIALIZING}  # noqa: SLF001
    return bool(suivi.has_fatal_error() or not (suivi.has_producer_id() or en_attente))


def lâcher(producteur: KafkaProducer) -> None:
    """Ferme un producteur sans attendre ce qu'il n'a pas envoyé ; `close` lèverait, et laisserait vivre son fil."""
    producteur._sender.force_close()  # noqa: SLF001 (voir l'en-tête)
    with suppress(KafkaError):
        producteur.close(timeout=0)


def identifiant(consommateur: KafkaConsumer, topic: str) -> UUID | None:
    """L'identifiant du topic d'après la dernière nouvelle ; recréé, il en a un autre."""
    connu: UUID | None = consommateur._cluster.topic_id(topic)  # noqa: SLF001 (voir l'en-tête)
    return connu


def relire_l_identifiant(consommateur: KafkaConsumer, topic: str) -> Callable[[], UUID | None]:
    """Demande l'identifiant dès maintenant ; ce qui est rendu attend la réponse, et la rend. Lève KafkaError.

    Elle est postérieure à tout ce qui a été lu avant cet appel. Elle passe par la connexion du coordinateur : sur celle
    des lectures, elle attendrait derrière la lecture en cours, jusqu'à `LECTURE_MS` quand le topic est à jour.
    """
    cluster, réseau = consommateur._cluster, consommateur._net  # noqa: SLF001 (voir l'en-tête)

    async def relire() -> None:
        if cluster.metadata_refresh_in_progress:  # Celle-là a pu partir avant ce que nous avons lu.
            with suppress(KafkaError):
                await cluster._refresh_future  # noqa: SLF001
        await cluster.refresh_metadata(consommateur._coordinator.coordinator_id)  # noqa: SLF001

    demandé = réseau.call_soon_with_future(relire)

    async def attendre() -> None:
        await demandé

    def réponse() -> UUID | None:
        réseau.run(attendre)
        return identifiant(consommateur, topic)

    return réponse


def bornes(consommateur: KafkaConsumer, topic: str, partitions: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Le premier décalage et le suivant à écrire de chaque partition. Lève KafkaError."""
    visées = [TopicPartition(topic, numéro) for numéro in partitions]
    débuts, fins = consommateur.beginning_offsets(visées), consommateur.end_offsets(visées)
    return {tp.partition: début for tp, début in débuts.items()}, {tp.partition: fin for tp, fin in fins.items()}
