"""Ce que le fil retient : d'un flux qui ne se lit pas, le premier événement fautif et ce qui le suit, et rien d'autre.

Le curseur du partenaire porte la position de chacun, si bien que le fil n'a rien à se rappeler : la page rendue après
la réparation reprend ces flux là où ils se sont arrêtés, dans leur ordre, et rien n'est passé ni dit deux fois.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection

from domain.creance import Créance
from domain.paiement import Paiement
from engine.mapper import EventMapper
from engine.recorder import RecordedEvent
from publication.caisses import caisses_des_flux, est_pour
from publication.publication import Publication
from publication.soldes import soldes_apres

# La caisse d'un flux, si une vue la dit.
AVEC_CAISSE: Final = """
LEFT JOIN vues.restant_du r ON r.reference = CASE WHEN starts_with(e.flux, %(creance)s)
                                                  THEN substr(e.flux, length(%(creance)s) + 1) END
LEFT JOIN vues.paiements p ON p.transaction = CASE WHEN starts_with(e.flux, %(paiement)s)
                                                   THEN substr(e.flux, length(%(paiement)s) + 1) END
"""

# Ce qui se publie, et ce dont on ne connaît pas le genre : il est illisible, et non sans importance.
PUBLIES: Final = "(e.topic = ANY (%(topics)s::text[]) OR e.topic <> ALL (%(connus)s::text[]))"

_RETENUS: Final = f"""
SELECT e.position, e.flux, e.version, e.enregistre_le, coalesce(r.caisse, p.caisse)
FROM journal.evenements e {AVEC_CAISSE} WHERE e.position = ANY (%(positions)s::int8[]) ORDER BY e.position
"""  # noqa: S608

_SUITE: Final = f"""
SELECT e.position, e.flux, e.version, e.topic, e.etat, e.cause, e.enregistre_le FROM journal.evenements e
WHERE e.flux = %(flux)s AND e.position >= %(depuis)s AND e.position <= %(jusqu_a)s AND {PUBLIES}
ORDER BY e.position LIMIT %(limite)s
"""  # noqa: S608


class Retenu(NamedTuple):
    """Un flux retenu, au premier événement qui ne se lit pas."""

    position: int
    flux: str
    evenement: str | None
    """Son id ; None : personne ne sait encore de quelle caisse il est."""
    depuis: datetime


def parametres(mapper: EventMapper) -> dict[str, Any]:
    """Ce que ces requêtes demandent."""
    topics = {"topics": sorted(Publication.topics), "connus": sorted(mapper.topics)}
    return topics | {"creance": Créance.flux(""), "paiement": Paiement.flux("")}


def retenus(
    conn: Connection[Any], mapper: EventMapper, positions: Iterable[int], caisses: Iterable[str]
) -> list[Retenu]:
    """Ce que retiennent ces positions, pour qui a ces caisses ; ce qui n'est pas pour lui n'y est pas."""
    trouves = conn.execute(_RETENUS, parametres(mapper) | {"positions": list(positions)}).fetchall()
    premiers = caisses_des_flux(conn, mapper, [flux for _, flux, *_ in trouves])
    dits = []
    for position, flux, version, depuis, vue in trouves:
        connue = vue is not None or flux in premiers
        if connue and not est_pour(vue or premiers[flux], list(caisses)):
            continue
        dits.append(Retenu(position, flux, f"{flux}:{version}" if connue else None, depuis))
    return dits


def reprendre(
    conn: Connection[Any], mapper: EventMapper, avant: Sequence[Retenu], jusqu_a: int, limite: int
) -> tuple[list[RecordedEvent], dict[str, int]]:
    """Les événements retenus qui se lisent de nouveau, et où chaque flux s'arrête encore."""
    rendus: list[RecordedEvent] = []
    encore: dict[str, int] = {}
    for un in avant:
        bornes = {"flux": un.flux, "depuis": un.position, "jusqu_a": jusqu_a, "limite": limite + 1}
        lignes = conn.execute(_SUITE, parametres(mapper) | bornes).fetchall() if un.evenement else []
        faits, arret = lire_la_suite(conn, mapper, lignes[: limite - len(rendus)])
        if arret is None and len(faits) < len(lignes):
            arret = lignes[len(faits)][0]
        if arret is not None or not un.evenement:
            encore[un.flux] = arret or un.position
        rendus += faits
    return sorted(rendus, key=lambda lu: lu.position), encore


def lire_la_suite(
    conn: Connection[Any], mapper: EventMapper, lignes: Sequence[Any]
) -> tuple[list[RecordedEvent], int | None]:
    """Ce qui se lit de ces lignes d'un seul flux, et la position où cela s'arrête (None : tout se lit)."""
    faits = []
    arret = None
    for position, flux, version, topic, etat, cause, enregistre_le, *_ in lignes:
        try:
            faits.append(RecordedEvent(position, mapper.lire(flux, version, topic, etat), cause, enregistre_le))
        except MapperDeserialisationError:
            arret = position
            break
    if faits and not se_refait(conn, mapper, faits):
        return [], faits[0].position
    return faits, arret


def se_refait(conn: Connection[Any], mapper: EventMapper, faits: Sequence[RecordedEvent]) -> bool:
    """Dit si le solde après ces faits d'un flux se refait du journal."""
    try:
        soldes_apres(conn, mapper, faits)
    except (MapperDeserialisationError, ValueError):
        return False
    return True
