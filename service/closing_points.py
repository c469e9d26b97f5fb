"""What each closing says of the signed state that it stands under, against that state."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from psycopg import Connection

from preuve.covering import Counted, Cover, outside
from preuve.notes import KeyType, NoteRefused, Verifier, read
from preuve.seal import log_name
from projections.arretes.contenu import Arrete, PointDeControle
from projections.arretes.lecture import arretes_lisibles


def unfounded(conn: Connection[Any], origin: str, publics: Sequence[bytes]) -> list[tuple[date, str]]:
    """The days whose closing does not stand under the state that it says, and why.

    `publics`: the keys by which the log `origin` has ever signed; without any, signatures are not looked at. A closing
    that says no state is not looked at: nothing was sealed yet.
    """
    standing = [
        (arrete, arrete.point_de_controle) for arrete in arretes_lisibles(conn) if arrete.point_de_controle is not None
    ]
    counted = [Counted(arrete.jusqu_a, arrete.rapports) for arrete, _ in standing]
    states = [(arrete.epoque, point.taille) for arrete, point in standing]
    found = []
    for (arrete, point), cover in zip(standing, outside(conn, counted, states), strict=True):
        fault = _fault(arrete, point, cover, origin, publics)
        if fault is not None:
            found.append((arrete.jour, fault))
    return found


def _fault(
    arrete: Arrete, point: PointDeControle, cover: Cover | None, origin: str, publics: Sequence[bytes]
) -> str | None:
    if cover is None:
        return f"le journal n'a pas de point signé de {point.taille} lignes"
    state = cover.checkpoint
    if (state.origin, state.size, state.root.hex()) != (point.origine, point.taille, point.racine):
        return f"ce n'est pas le point de {point.taille} lignes que le journal a signé"
    if cover.outside != point.hors_du_point:
        return f"{cover.outside} de ses lignes sont hors de son point, il en dit {point.hors_du_point}"
    if not publics:
        return None
    name = log_name(origin, arrete.epoque)
    try:
        read(cover.note, [Verifier(name, KeyType.NOTE, public) for public in publics])
    except NoteRefused:
        return "son point n'est pas signé de la clé du journal"
    return None
