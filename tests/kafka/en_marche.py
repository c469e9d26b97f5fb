"""Des consommateurs qui tournent pendant que l'on maltraite leur courtier."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from engine.consumer import Consumer
from service import composition, kafka
from tests.consumers.banc import MAINTENANT, Banc


@contextmanager
def en_marche(b: Banc, *noms: str) -> Iterator[dict[str, Consumer]]:
    """Fait tourner ces consommateurs jusqu'à la fin du bloc ; ils reviennent seuls de ce qui leur arrive."""
    arret = threading.Event()
    boucles = {nom: composition.consumer(b.settings, b.guichet, nom) for nom in noms}
    fils = [threading.Thread(target=boucle.run, args=(arret,), daemon=True) for boucle in boucles.values()]
    for boucle in boucles.values():
        boucle.horloge = lambda: MAINTENANT
    for fil in fils:
        fil.start()
    try:
        yield boucles
    finally:
        arret.set()
        for fil in fils:
            fil.join(60)
        for boucle in boucles.values():
            boucle.rebuts.fermer()


@contextmanager
def administrateur(b: Banc) -> Iterator[Any]:
    """Le client d'administration de Kafka."""
    admin = KafkaAdminClient(**b.settings.kafka_connection())
    try:
        yield admin
    finally:
        admin.close()


def regler_topic(b: Banc, topic: str, **reglages: str) -> None:
    """Change les réglages d'un topic, et attend que le courtier les applique."""
    ressource = ConfigResource(
        ConfigResourceType.TOPIC, topic, {nom.replace("_", "."): v for nom, v in reglages.items()}
    )
    with administrateur(b) as admin:
        admin.alter_configs([ressource])


def fins(b: Banc, topic: str) -> kafka.TopicEnd:
    """L'identifiant d'un topic, et jusqu'où vont ses partitions."""
    lecteur = kafka.reader(b.settings)
    try:
        dit = kafka.topic_end(lecteur, topic)
    finally:
        lecteur.close()
    assert dit is not None
    return dit


def fates_by_topic(b: Banc, topic: str) -> dict[UUID, int]:
    """Combien de messages ont un sort, pour chaque topic qui a porté ce nom."""
    requete = "SELECT topic_id, count(*) FROM journal.sorts WHERE topic = %s GROUP BY topic_id"
    return dict(b.conn.execute(requete, (topic,)).fetchall())
