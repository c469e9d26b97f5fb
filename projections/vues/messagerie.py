"""La vue `messagerie` : les accusés de réception de chaque assuré, une ligne par paiement accepté.

Une ligne échue n'est jamais montrée (les requêtes comparent l'échéance au jour), n'est pas écrite par une
reconstruction, et est effacée par `purger` : à un instant donné, la vue suivie et la vue reconstruite sont les mêmes.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple, assert_never

from psycopg import AsyncConnection, Connection

from domain.accuse import echeance_de
from domain.agregats import AGREGATS
from domain.delai import jour_de_paris
from domain.messagerie import Messagerie, est_de_messagerie
from domain.paiement import Fin, Paiement
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from projections.effets import TOPICS_DE_LA_MESSAGERIE

# L'ouverture de chaque paiement : elle seule nomme l'assuré.
_OUVERTURES: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%b::text[]) AND version = 1
"""

# Ajoute ce que le lot apprend de chaque message ; l'ordre d'arrivée de l'acceptation et des gestes ne compte pas.
_APPRENDRE: Final = """
INSERT INTO vues.messagerie AS m (transaction, assure, accepte_le, echeance, lu_le, supprime_le)
SELECT * FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::date[], %b::timestamptz[], %b::timestamptz[])
ON CONFLICT (transaction) DO UPDATE
SET accepte_le = coalesce(m.accepte_le, excluded.accepte_le), lu_le = coalesce(m.lu_le, excluded.lu_le),
    supprime_le = coalesce(m.supprime_le, excluded.supprime_le)
"""

# Efface les messages échus.
_PURGER: Final = "DELETE FROM vues.messagerie WHERE echeance <= %b"

# Les messages d'un assuré qui se montrent encore, le plus récent d'abord.
_LIRE_CEUX_DE: Final = """
SELECT transaction, accepte_le, lu_le IS NOT NULL FROM vues.messagerie
WHERE assure = %s AND accepte_le IS NOT NULL AND supprime_le IS NULL AND echeance > %s
ORDER BY accepte_le DESC, transaction DESC
"""


class LigneMessage(NamedTuple):
    """Un message tel que la vue le montre."""

    transaction: str
    accepte_le: datetime
    lu: bool


class OuvertureIntrouvable(Exception):
    """Un paiement accepté dont le premier fait n'est pas une ouverture : on ne sait pas à qui écrire."""


class _Ligne(NamedTuple):
    """Ce que le lot apprend d'un message."""

    assure: str
    echeance: date
    accepte_le: datetime | None = None
    lu_le: datetime | None = None
    supprime_le: datetime | None = None


class MessagerieDesAssures:
    """La vue, telle qu'un suiveur la mène."""

    nom: Final = "messagerie"
    topics: Final = TOPICS_DE_LA_MESSAGERIE

    def __init__(
        self, horloge: Callable[[], datetime] = lambda: datetime.now(UTC), mapper: EventMapper | None = None
    ) -> None:
        """`horloge` dit quels messages sont déjà échus ; ils ne sont pas écrits."""
        self.horloge = horloge
        self.mapper = mapper or EventMapper(AGREGATS)

    def appliquer(self, conn: Connection[Any], faits: Sequence[RecordedEvent]) -> None:
        """Deux instructions par lot : qui a ouvert les paiements acceptés, puis ce que chaque message devient."""
        maintenant = self.horloge()
        lignes: dict[str, _Ligne] = {}
        aujourd_hui = jour_de_paris(maintenant)  # Pour dire ce que dit `est_echu`, un jour calculé une fois par lot.
        acceptes = {
            lu.event.originator_id: (echeance, lu.event.accepte_le)
            for lu in faits
            if isinstance(lu.event, Paiement.PaiementConclu)
            and lu.event.issue is Fin.ACCEPTE
            and lu.event.accepte_le is not None
            and (echeance := echeance_de(lu.event.accepte_le)) > aujourd_hui
        }
        for ouvert in self._ouvertures(conn, list(acceptes)):
            lignes[ouvert.transaction] = _Ligne(ouvert.assure, *acceptes[ouvert.originator_id])
        for lu in faits:
            fait = lu.event
            if not est_de_messagerie(fait) or fait.echeance <= aujourd_hui:
                continue
            ligne = lignes.get(fait.transaction) or _Ligne(fait.assure, fait.echeance)
            match fait:
                case Messagerie.MessageLu():
                    ligne = ligne._replace(lu_le=fait.timestamp)
                case Messagerie.MessageSupprimé():
                    ligne = ligne._replace(supprime_le=fait.timestamp)
                case _:
                    assert_never(fait)
            lignes[fait.transaction] = ligne
        if lignes:
            valeurs = lignes.values()
            conn.execute(
                _APPRENDRE,
                (
                    list(lignes),
                    [ligne.assure for ligne in valeurs],
                    [ligne.accepte_le for ligne in valeurs],
                    [ligne.echeance for ligne in valeurs],
                    [ligne.lu_le for ligne in valeurs],
                    [ligne.supprime_le for ligne in valeurs],
                ),
            )

    def _ouvertures(self, conn: Connection[Any], flux: list[str]) -> list[Paiement.PaiementOuvert]:
        """L'ouverture de chacun de ces paiements ; lève OuvertureIntrouvable."""
        if not flux:
            return []
        lire = self.mapper.read
        lignes = conn.execute(_OUVERTURES, (flux,), binary=True)
        ouverts = [fait for ligne in lignes if isinstance(fait := lire(*ligne), Paiement.PaiementOuvert)]
        if manquants := set(flux) - {fait.originator_id for fait in ouverts}:
            raise OuvertureIntrouvable(", ".join(sorted(manquants)))
        return ouverts


def purger(conn: Connection[Any], maintenant: datetime) -> int:
    """Efface de la vue les messages échus ; rend leur nombre. Leurs événements restent au journal."""
    return conn.execute(_PURGER, (jour_de_paris(maintenant),)).rowcount


async def messages_de(conn: AsyncConnection[Any], assure: str, maintenant: datetime) -> list[LigneMessage]:
    """Les messages d'un assuré, ni supprimés ni échus, le plus récent d'abord."""
    lignes = await conn.execute(_LIRE_CEUX_DE, (assure, jour_de_paris(maintenant)), prepare=True)
    return [LigneMessage(*ligne) for ligne in await lignes.fetchall()]
