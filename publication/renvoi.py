"""Le renvoi : publier de nouveau, à la demande d'un consommateur, sans toucher à la position du publieur.

Il ne va jamais plus loin que le publieur, et finit à sa hauteur : ce que le publieur envoie ensuite vient après. Un
consommateur qui n'applique que la version suivante de chaque flux et ignore les autres retrouve donc tout, en ordre,
quel que soit l'entrelacement. Un flux écarté de la publication ne dépasse pas l'événement qui l'arrête. Une marque
dit la fin dans chaque partition. Pour un seul partenaire, il va sur un topic à lui, avec ses seules caisses au besoin.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

import structlog
from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.paiement import Paiement
from engine import tracing
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from publication.caisses import caisses_des_flux, est_pour
from publication.cloudevent import CloudEvent, composer, source_publiee
from publication.epoques import epoque_courante
from publication.marques import FinDeRenvoi, marque_de_fin
from publication.publication import Publication
from publication.sender import MessageTropGrand, Sender
from publication.soldes import Solde, soldes_apres

LOT_MAX: Final = 4_000
"""Événements renvoyés ensemble, au plus."""

# La position du publieur : ce qui est au-delà n'est pas encore publié.
_HAUTEUR: Final = "SELECT coalesce((SELECT position FROM vues.suiveurs WHERE nom = %b), 0)"

# Les événements publiés suivants, sans ceux que le publieur a écartés ; au besoin de quelques flux seulement.
_SUIVANTS: Final = """
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le FROM journal.evenements e
WHERE e.position > %b AND e.position <= %b AND e.topic = ANY (%b::text[])
  AND (%b::text[] IS NULL OR e.flux = ANY (%b::text[]))
  AND NOT EXISTS (SELECT FROM vues.ecartes x WHERE x.suiveur = %b AND x.position = e.position)
ORDER BY e.position LIMIT %b
"""

# Combien il y en a, pour la barre de progression.
_COMBIEN: Final = f"SELECT count(*) FROM ({_SUIVANTS}) AS suivants"  # noqa: S608 (constantes)


class DepartHorsBornes(Exception):
    """Un renvoi ne part pas d'au-delà du dernier événement publié."""

    def __init__(self, hauteur: int) -> None:
        """`hauteur` : la position du publieur."""
        super().__init__(f"la dernière position publiée est {hauteur}")


class Renvoi(NamedTuple):
    """Ce qu'un renvoi a fait."""

    renvoyes: int
    depuis: int
    """Première position demandée."""
    jusqu_a: int
    """La hauteur du publieur à la fin."""
    arretes: dict[str, str]
    """Les flux arrêtés par un événement illisible ou trop grand, et pourquoi."""


def flux_de(conn: Connection[Any], mapper: EventMapper, reference: str) -> list[str]:
    """Les flux qui concernent une créance : le sien, et ceux des paiements dont elle a reçu une part."""
    creance = Créance.flux(reference)
    lignes = conn.execute(
        "SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = %b ORDER BY version", (creance,)
    )
    transactions: dict[str, None] = {}
    for ligne in lignes:
        try:
            transaction = getattr(mapper.lire(*ligne), "transaction", None)
        except MapperDeserialisationError:
            continue
        if transaction is not None:
            transactions[Paiement.flux(transaction)] = None
    return [creance, *transactions]


def a_renvoyer(conn: Connection[Any], depuis: int, flux: Sequence[str] | None) -> int:
    """Combien d'événements un renvoi portera, au moins."""
    (combien,) = conn.execute(_COMBIEN, _parametres(depuis - 1, _hauteur(conn), flux, 2**62)).fetchone() or (0,)
    return int(combien)


def renvoyer(
    conn: Connection[Any],
    sender: Sender,
    fragment: int,
    *,
    depuis: int,
    flux: Sequence[str] | None = None,
    caisses: Collection[str] | None = None,
    avancee: Callable[[int], None] = lambda _: None,
) -> Renvoi:
    """Publie de nouveau ce qui l'a été depuis cette position, comprise ; `avancee` reçoit le nombre de chaque lot.

    `caisses` : celles-là seulement. `conn` est en autocommit : rien n'est tenu pendant les envois.

    Lève DepartHorsBornes, KafkaAbsent, TopicAbsent ou TopicRecreated.
    """
    mapper = EventMapper(AGREGATS)
    topic_id = sender.topic_id()
    source = source_publiee(fragment, epoque_courante(conn)).encode()
    arretes: dict[str, str] = {}
    renvoyes, position = 0, depuis - 1
    if depuis > _hauteur(conn) + 1:
        raise DepartHorsBornes(_hauteur(conn))
    while True:
        hauteur = _hauteur(conn)
        lignes = conn.execute(_SUIVANTS, _parametres(position, hauteur, flux, LOT_MAX)).fetchall()
        if not lignes:
            fin = FinDeRenvoi(renvoi=uuid4().hex, depuis_position=depuis, jusqu_a_position=hauteur, evenements=renvoyes)
            sender.marquer(marque_de_fin(source.decode(), fin, datetime.now(UTC)), topic_id)
            return Renvoi(renvoyes, depuis, hauteur, arretes)
        faits = _pour(conn, mapper, _lire(lignes, mapper, arretes), caisses)
        apres = _soldes(conn, mapper, faits, arretes)
        faits = [lu for lu in faits if lu.event.originator_id not in arretes]
        traces = tracing.kept(conn, [tracing.event_key(lu.event) for lu in faits])
        composes = [(lu, composer(lu, source, apres.get(lu.position), traces)) for lu in faits]
        renvoyes += _emettre(sender, composes, topic_id, arretes)
        position = lignes[-1][0]
        avancee(len(lignes))


def _pour(
    conn: Connection[Any], mapper: EventMapper, faits: Sequence[RecordedEvent], caisses: Collection[str] | None
) -> Sequence[RecordedEvent]:
    """Ceux de ces faits qui sont de ces caisses."""
    if caisses is None:
        return faits
    siennes = caisses_des_flux(conn, mapper, {lu.event.originator_id for lu in faits})
    return [lu for lu in faits if est_pour(siennes.get(lu.event.originator_id), caisses)]


def _emettre(
    sender: Sender, messages: Sequence[tuple[RecordedEvent, CloudEvent]], topic_id: Any, arretes: dict[str, str]
) -> int:
    """Émet un lot ; un message trop grand arrête son flux, et le lot est coupé en deux jusqu'à l'isoler."""
    messages = [(lu, message) for lu, message in messages if lu.event.originator_id not in arretes]
    if not messages:
        return 0
    try:
        sender.emettre([message for _, message in messages], topic_id)
    except MessageTropGrand as refus:
        if len(messages) == 1:
            flux = messages[0][0].event.originator_id
            arretes[flux] = str(refus)
            structlog.get_logger().error("renvoi_refuse", flux=flux, cause=str(refus))
            return 0
        milieu = len(messages) // 2
        premiere = _emettre(sender, messages[:milieu], topic_id, arretes)
        return premiere + _emettre(sender, messages[milieu:], topic_id, arretes)
    return len(messages)


def _soldes(
    conn: Connection[Any], mapper: EventMapper, faits: Sequence[RecordedEvent], arretes: dict[str, str]
) -> dict[int, Solde]:
    """Le solde après chaque fait ; un flux que le journal ne permet pas de refaire est arrêté, et lui seul."""
    try:
        return soldes_apres(conn, mapper, faits)
    except (MapperDeserialisationError, ValueError):
        soldes: dict[int, Solde] = {}
        par_flux: dict[str, list[RecordedEvent]] = {}
        for lu in faits:
            par_flux.setdefault(lu.event.originator_id, []).append(lu)
        for flux, siens in par_flux.items():
            try:
                soldes |= soldes_apres(conn, mapper, siens)
            except (MapperDeserialisationError, ValueError) as illisible:
                arretes[flux] = str(illisible)
        return soldes


def _lire(lignes: Sequence[Any], mapper: EventMapper, arretes: dict[str, str]) -> list[RecordedEvent]:
    faits = []
    for position, nom, version, topic, etat, cause, enregistre_le in lignes:
        if nom in arretes:
            continue
        try:
            fait = mapper.lire(nom, version, topic, etat)
        except MapperDeserialisationError as illisible:
            arretes[nom] = str(illisible)
        else:
            faits.append(RecordedEvent(position, fait, cause, enregistre_le))
    return faits


def _hauteur(conn: Connection[Any]) -> int:
    (position,) = conn.execute(_HAUTEUR, (Publication.nom,)).fetchone() or (0,)
    return int(position)


def _parametres(apres: int, hauteur: int, flux: Sequence[str] | None, combien: int) -> tuple[Any, ...]:
    noms = None if flux is None else list(flux)
    return (apres, hauteur, sorted(Publication.topics), noms, noms, Publication.nom, combien)
