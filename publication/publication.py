"""Le suiveur qui publie : il envoie un lot hors de toute transaction, puis avance sa position, tous accusés reçus.

Tué entre les deux, il publie de nouveau les mêmes événements : au moins une fois, jamais aucun de moins, et chaque flux
dans l'ordre. Un topic recréé, ou une nouvelle époque du journal, et tout est publié de nouveau depuis le début.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog
from psycopg import Connection

from domain.agregats import AGREGATS
from engine import set_aside
from engine.follower import LeadershipLost
from engine.mapper import EventMapper
from engine.positions import encounter
from engine.recorder import RecordedEvent
from publication import soldes
from publication.cloudevent import composer, source_publiee
from publication.contenu import champs, faits_publies
from publication.sender import Sender
from publication.soldes import Solde

# L'époque courante du journal, et là où l'on a publié en dernier.
_OU: Final = """
SELECT (SELECT max(nom) FROM journal.epoques), p.topic_id, p.epoque
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


class _Lieu(NamedTuple):
    topic_id: UUID
    epoque: str


class Publication:
    """La « vue » de la publication : ce qu'elle tient à jour est le topic."""

    nom: Final = "publication"
    topics: Final = frozenset(classe.TOPIC for classe in faits_publies())

    def __init__(
        self,
        sender: Sender,
        fragment: int,
        *,
        exiger_publiable: Callable[[Connection[Any]], None] = lambda _: None,
        etape: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`fragment` : le numéro de cette base. `exiger_publiable` lève si rien ne doit être publié de cette base-là.

        `etape` est appelée entre deux étapes, pour éprouver une coupure.

        Lève ChampSansDiffusion.
        """
        for classe in faits_publies():
            champs(classe)  # Un champ sans diffusion arrête le service ici, et n'écarte aucun événement.
        self.sender = sender
        self.fragment = fragment
        self._exiger_publiable = exiger_publiable
        self.etape = etape
        self._lieu: _Lieu | None = None
        self._conn: Connection[Any] | None = None
        self._soldes: dict[int, Solde] = {}
        self._mapper = EventMapper(AGREGATS)
        self._log = structlog.get_logger().bind(suiveur=self.nom, topic=sender.topic)

    def reconcile(self, conn: Connection[Any]) -> None:
        """Constate le topic et l'époque ; s'ils ont changé, alerte et reprend au début, d'un bloc."""
        self._exiger_publiable(conn)
        epoque, topic_id, epoque_publiee = conn.execute(_OU, (self.nom,)).fetchone() or ("", None, None)
        lieu = _Lieu(self.sender.topic_id(), epoque)
        if lieu != (topic_id, epoque_publiee):
            self._reprendre(conn, lieu, topic_id, epoque_publiee)
        self._lieu = lieu
        self._conn = conn  # Le meneur la laisse libre, hors de toute transaction, pendant que l'on prépare un lot.

    def _reprendre(self, conn: Connection[Any], lieu: _Lieu, topic_id: UUID | None, epoque: str | None) -> None:
        alerte = None
        if topic_id is not None and lieu.topic_id != topic_id:
            alerte = f"topic recréé ({topic_id} → {lieu.topic_id}) : tout est publié de nouveau"
            self._log.error("topic_recree", ancien=str(topic_id), nouveau=str(lieu.topic_id))
        elif epoque is not None and lieu.epoque != epoque:
            alerte = f"nouvelle époque du journal ({epoque} → {lieu.epoque}) : tout est publié de nouveau"
            self._log.error("nouvelle_epoque", ancienne=epoque, nouvelle=lieu.epoque)
        with conn.transaction():
            encounter(conn, self.sender.topic, lieu.topic_id)
            conn.execute(_REPRENDRE_AU_DEBUT, (alerte, alerte, self.nom))
            set_aside.forget_all(conn, self.nom)
            soldes.oublier(conn)
            conn.execute(_PUBLIER_LA, (self.nom, self.sender.topic, lieu.topic_id, lieu.epoque))

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Publie ces faits et attend leurs accusés. Lève Outage, ou MessageTropGrand."""
        assert self._lieu is not None  # noqa: S101 (posés par `reconcile`)
        assert self._conn is not None  # noqa: S101
        source = source_publiee(self.fragment, self._lieu.epoque).encode()
        self._soldes = soldes.soldes_apres(self._conn, self._mapper, faits)
        messages = [composer(lu, source, self._soldes.get(lu.position)) for lu in faits]
        self.etape("publier")
        self.sender.emettre(messages, self._lieu.topic_id)
        self.etape("publie")

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Garde où ce lot a été publié, et les soldes qu'il a dits, dans la transaction qui avance la position."""
        assert self._lieu is not None  # noqa: S101 (posé par `reconcile`)
        if conn.execute(_PUBLIE, (self.nom, *self._lieu)).rowcount != 1:
            raise LeadershipLost(self.nom)
        soldes.garder(conn, faits, self._soldes)
