"""Rejouer un message refusé, une fois la cause corrigée : il reprend le chemin ordinaire, et compte une seule fois.

Il est remis sur son topic tel qu'il était ; le consommateur le lit, en vérifie le sceau, et lui donne un sort. Rien
n'est rejoué qui serait refusé encore.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, assert_never
from uuid import UUID

from psycopg import Connection

from domain.delai import jour_de_paris
from domain.geste import Geste, Proposition, Source
from domain.refus import AnomalieDejaReglee, GesteImpossible, Refus, RejeuRefuse
from engine.dead_letters import SUFFIXE
from engine.messages import Message, UnreadableMessage, require_size
from guichet.guichet import Guichet
from guichet.prendre_avis import exiger_des_jours_plausibles, lire_message_de_caisse
from guichet.prendre_notification import lire_notification
from guichet.reglement.acte import Acte, lire_agent, lire_texte
from guichet.reglement.dossiers import Origine, charger_anomalie
from guichet.reglement.proposer import Reglement, decider, exiger_ouvert, regler
from kiosque.interface import Indice, Rejetee, Verifiee

EN_TETE: Final = "rejeu"
"""L'en-tête d'un message rejoué : l'anomalie qui l'a fait rejouer."""


class Garde(NamedTuple):
    """Un message tel que Kafka le garde."""

    cle: bytes | None
    valeur: bytes
    recu_le: datetime


class Boite(Protocol):
    """Kafka, tel qu'un rejeu en a besoin."""

    topic_avis: str
    topic_notifications: str

    def lire(self, topic: str, topic_id: UUID, partition: int, offset: int) -> Garde | None:
        """Le message à cette place ; None s'il n'y est plus, ou si le topic a été recréé."""

    def envoyer(self, topic: str, cle: bytes | None, valeur: bytes, en_tetes: list[tuple[str, bytes]]) -> None:
        """Met un message sur un topic et attend son accusé."""


class Rejeu(NamedTuple):
    """Ce qu'un rejeu de plusieurs messages a donné."""

    rejoues: list[str]
    refuses: dict[str, str]
    """Pourquoi chacun des autres ne l'a pas été."""


def rejouer(guichet: Guichet, ident: str, motif: str, par: str, *, boite: Boite, maintenant: datetime) -> Reglement:
    """Rejoue un message. Lève Refus (rien n'est alors changé), ou ce que `boite` lève.

    Il est remis sur son topic avant que le règlement ne soit enregistré : coupé entre les deux, un second rejeu n'est
    qu'un doublon.
    """
    agent, dit = lire_agent(par), lire_texte(motif)
    voulue = Proposition(geste=Geste.REJOUER, motif=dit)
    with guichet.base.transaction() as conn:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        dossier = exiger_ouvert(guichet, conn, ident, anomalie, Geste.REJOUER)
    if dossier.origine is None:
        raise GesteImpossible
    (topic_id, topic, partition), offset = dossier.origine
    garde = boite.lire(topic, topic_id, partition, offset)
    if garde is None:
        raise RejeuRefuse("Kafka ne le garde plus.")
    vers = topic.removesuffix(SUFFIXE) if dossier.source is Source.REBUT else topic
    cle = _exiger_recevable(guichet, boite, vers, garde, dossier.origine, maintenant)
    boite.envoyer(vers, cle, garde.valeur, [(EN_TETE, ident.encode())])

    def decision(conn: Connection[Any]) -> Reglement:
        anomalie = charger_anomalie(guichet, conn, ident, maintenant)
        dossier = exiger_ouvert(guichet, conn, ident, anomalie, Geste.REJOUER)
        return regler(Acte(guichet, conn, dossier, voulue, agent, agent, maintenant), anomalie, seul=True)

    return decider(guichet, decision)


def rejouer_tous(
    guichet: Guichet, idents: Iterable[str], motif: str, par: str, *, boite: Boite, maintenant: datetime
) -> Rejeu:
    """Rejoue chacun de ces messages ; celui qui serait encore refusé n'arrête pas les autres."""
    fait = Rejeu([], {})
    for ident in idents:
        try:
            rejouer(guichet, ident, motif, par, boite=boite, maintenant=maintenant)
            fait.rejoues.append(ident)
        except AnomalieDejaReglee:
            continue
        except Refus as refus:
            fait.refuses[ident] = refus.phrase
    return fait


def _exiger_recevable(  # noqa: PLR0917 (le message, et ce qui dit s'il se lira)
    guichet: Guichet, boite: Boite, topic: str, garde: Garde, origine: Origine, maintenant: datetime
) -> bytes | None:
    """La clé sous laquelle le rejouer ; lève RejeuRefuse s'il serait refusé encore."""
    message = Message(origine.partition, origine.offset, garde.cle, garde.valeur, garde.recu_le)
    if topic == boite.topic_avis:
        try:
            require_size(message)
            lu = lire_message_de_caisse(garde.valeur)
            exiger_des_jours_plausibles(lu, guichet.politique, jour_de_paris(maintenant))
            return lu.reference.encode()
        except UnreadableMessage as illisible:
            raise RejeuRefuse(f"Il serait encore refusé : {illisible}.") from illisible
    if topic != boite.topic_notifications:
        raise RejeuRefuse("Son topic n'est plus lu.")
    try:
        lecture, _ = lire_notification(guichet, message)
    except UnreadableMessage as illisible:
        raise RejeuRefuse(f"Il serait encore refusé : {illisible}.") from illisible
    match lecture:
        case Verifiee(reponse=reponse):
            return str(reponse.transaction).encode()
        case Indice(transaction=transaction):
            return transaction.encode()
        case Rejetee(refus=refus):
            raise RejeuRefuse(f"Il serait encore refusé : {refus}")
        case _:
            assert_never(lecture)
