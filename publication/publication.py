"""Le suiveur qui publie : il envoie un lot hors de toute transaction, puis avance sa position, tous accusés reçus.

Tué entre les deux, il publie de nouveau les mêmes événements : au moins une fois, jamais aucun de moins, et chaque flux
dans l'ordre. Un topic recréé, ou une nouvelle époque du journal, et tout est publié de nouveau depuis le début.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import Connection

from domain.agregats import AGREGATS
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from publication import soldes
from publication.cloudevent import composer
from publication.contenu import champs, faits_publies
from publication.sender import Sender
from publication.soldes import Solde
from publication.vers_un_topic import VersUnTopic


class Publication(VersUnTopic):
    """La « vue » de la publication : ce qu'elle tient à jour est le topic des événements."""

    nom = "publication"
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
        super().__init__(sender, fragment, exiger_publiable=exiger_publiable)
        self.etape = etape
        self._soldes: dict[int, Solde] = {}
        self._mapper = EventMapper(AGREGATS)

    def oublier(self, conn: Connection[Any]) -> None:
        """Oublie les soldes publiés."""
        soldes.oublier(conn)

    def preparer(self, faits: Sequence[RecordedEvent]) -> None:
        """Publie ces faits et attend leurs accusés. Lève Outage, ou MessageTropGrand."""
        source = self.source
        self._soldes = soldes.soldes_apres(self.conn, self._mapper, faits)
        messages = [composer(lu, source, self._soldes.get(lu.position)) for lu in faits]
        self.etape("publier")
        self.sender.emettre(messages, self.lieu.topic_id)
        self.etape("publie")

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Garde où ce lot a été publié, et les soldes qu'il a dits, dans la transaction qui avance la position."""
        self.publie_la(conn)
        soldes.garder(conn, faits, self._soldes)
