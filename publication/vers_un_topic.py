"""Ce qu'un suiveur qui publie a de commun, quel que soit son topic : où il publie, et quand il reprend au début.

Un topic recréé, ou une nouvelle époque du journal, et tout est publié de nouveau ; une époque s'annonce d'une marque
dans chaque partition, avant le premier événement qu'elle porte.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

import structlog
from psycopg import Connection

from engine import set_aside
from engine.follower import LeadershipLost
from engine.positions import encounter
from publication.cloudevent import source_publiee
from publication.marques import marque_d_epoque
from publication.sender import Sender

# L'époque à publier (celle de qui l'on suit, sinon celle du journal), et là où l'on a publié en dernier.
_OU: Final = """
SELECT coalesce((SELECT epoque FROM vues.publications WHERE suiveur = %b), (SELECT max(nom) FROM journal.epoques)),
       p.topic_id, p.epoque
FROM (SELECT 1) AS une LEFT JOIN vues.publications p ON p.suiveur = %b
"""

# Garde où l'on publie désormais.
_PUBLIER_LA: Final = """
INSERT INTO vues.publications AS p (suiveur, topic, topic_id, epoque) VALUES (%b, %b, %b, %b)
ON CONFLICT (suiveur) DO UPDATE SET topic = excluded.topic, topic_id = excluded.topic_id, epoque = excluded.epoque
"""

# Reprend au début, et dit pourquoi dans l'état du suiveur.
_REPRENDRE_AU_DEBUT: Final = """
UPDATE vues.suiveurs SET position = 0, derniere_erreur = coalesce(%b, derniere_erreur),
                         erreur_le = CASE WHEN %b::text IS NULL THEN erreur_le ELSE clock_timestamp() END
WHERE nom = %b
"""

# Garde, avec la position, le topic qui a accusé ce lot.
_PUBLIE: Final = """
UPDATE vues.publications SET publie_le = clock_timestamp() WHERE suiveur = %b AND topic_id = %b AND epoque = %b
"""


class Lieu(NamedTuple):
    """Où l'on publie : un topic, et l'époque du journal que l'on y dit."""

    topic_id: UUID
    epoque: str


class VersUnTopic:
    """Un suiveur dont la « vue » est un topic ; qui en hérite dit son nom, et ce qu'il envoie."""

    nom: ClassVar[str]
    derriere: ClassVar[str | None] = None
    """Le suiveur dont on ne dépasse ni la position, ni l'époque."""

    def __init__(
        self,
        sender: Sender,
        fragment: int,
        *,
        exiger_publiable: Callable[[Connection[Any]], None] = lambda _: None,
    ) -> None:
        """`fragment` : le numéro de cette base. `exiger_publiable` lève si rien ne doit être publié d'elle."""
        self.sender = sender
        self._exiger_publiable = exiger_publiable
        self.fragment = fragment
        self._lieu: Lieu | None = None
        self._conn: Connection[Any] | None = None
        self._log = structlog.get_logger().bind(suiveur=self.nom, topic=sender.topic)

    @property
    def lieu(self) -> Lieu:
        """Où l'on publie, que `reconcile` vient de constater."""
        assert self._lieu is not None  # noqa: S101 (posé par `reconcile`)
        return self._lieu

    @property
    def conn(self) -> Connection[Any]:
        """La connexion du meneur : il la laisse libre, hors de toute transaction, pendant que l'on prépare un lot."""
        assert self._conn is not None  # noqa: S101 (posée par `reconcile`)
        return self._conn

    @property
    def source(self) -> bytes:
        """Le `ce_source` de ce que l'on publie."""
        return source_publiee(self.fragment, self.lieu.epoque).encode()

    def reconcile(self, conn: Connection[Any]) -> None:
        """Constate le topic et l'époque ; s'ils ont changé, alerte et reprend au début, d'un bloc."""
        self._exiger_publiable(conn)
        epoque, topic_id, epoque_publiee = conn.execute(_OU, (self.derriere, self.nom)).fetchone() or ("", None, None)
        lieu = Lieu(self.sender.topic_id(), epoque)
        if lieu != (topic_id, epoque_publiee):
            self._reprendre(conn, lieu, topic_id, epoque_publiee)
        self._lieu, self._conn = lieu, conn

    def oublier(self, conn: Connection[Any]) -> None:
        """Oublie, dans la même transaction, ce qui ne vaut plus quand tout est publié de nouveau."""

    def publie_la(self, conn: Connection[Any]) -> None:
        """Garde où ce lot a été publié, dans la transaction qui avance la position. Lève LeadershipLost."""
        if conn.execute(_PUBLIE, (self.nom, *self.lieu)).rowcount != 1:
            raise LeadershipLost(self.nom)

    def _reprendre(self, conn: Connection[Any], lieu: Lieu, topic_id: UUID | None, epoque: str | None) -> None:
        alerte = None
        if topic_id is not None and lieu.topic_id != topic_id:
            alerte = f"topic recréé ({topic_id} → {lieu.topic_id}) : tout est publié de nouveau"
            self._log.error("topic_recree", ancien=str(topic_id), nouveau=str(lieu.topic_id))
        elif epoque is not None and lieu.epoque != epoque:
            alerte = f"nouvelle époque du journal ({epoque} → {lieu.epoque}) : tout est publié de nouveau"
            self._log.error("nouvelle_epoque", ancienne=epoque, nouvelle=lieu.epoque)
        if epoque is not None and lieu.epoque != epoque:
            # Avant la position : tué ici, le suivant la redit, et elle reste devant le premier événement.
            self.sender.marquer(
                marque_d_epoque(source_publiee(self.fragment, lieu.epoque), lieu.epoque, epoque), lieu.topic_id
            )
        with conn.transaction():
            encounter(conn, self.sender.topic, lieu.topic_id)
            conn.execute(_REPRENDRE_AU_DEBUT, (alerte, alerte, self.nom))
            set_aside.forget_all(conn, self.nom)
            self.oublier(conn)
            conn.execute(_PUBLIER_LA, (self.nom, self.sender.topic, lieu.topic_id, lieu.epoque))
