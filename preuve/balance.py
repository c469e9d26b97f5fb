"""The proof of a balance: the events of a créance, the path of each to a signed tree, and the arithmetic."""

import json
from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from domain.refus import Refus
from preuve import verificateur
from preuve.checkpoints import Checkpoint
from preuve.merkle import inclusion_proof, leaf_hash
from preuve.notes import NoteRefused, Verifier, encode, split
from preuve.rows import Row, of_stream
from preuve.stamped import covering
from preuve.tree import Leaf, indexes_of, read_ahead
from preuve.witnessing import cosigned_by

_POINT: Final = """
SELECT epoque, note, (SELECT max(jusqu_a) FROM journal.sceaux s WHERE s.epoque = p.epoque) FROM journal.points p
WHERE epoque = (SELECT max(nom) FROM journal.epoques) ORDER BY taille DESC LIMIT 1
"""


_FIRST: Final = "SELECT etat FROM journal.evenements WHERE flux = %s AND version = 1"


class NothingSealed(Refus):
    """There is no such créance in the log."""

    code = "rien_de_scelle"
    phrase_de_base = "Cette créance n'existe pas : il n'y a rien à prouver."


class NotYetSealed(Refus):
    """The créance is there, and nothing of it is sealed yet: in a moment, unless the sealer is stopped."""

    code = "pas_encore_scelle"
    phrase_de_base = (
        "Cette créance n'est pas encore scellée : sa preuve vient d'ordinaire en quelques secondes. Revenez un peu"
        " plus tard."
    )


class NamesAgents(Refus):
    """A fact of the créance names who handled it: its row is shown whole, so not to a person who may not read that."""

    code = "preuve_reservee"
    phrase_de_base = (
        "Un geste d'agent a changé cette créance, et sa preuve les nommerait : elle n'est remise qu'au support, à qui"
        " vous pouvez la demander."
    )


class RowNotSealed(Refus):
    """An event of the créance is not the one that was sealed: there is no proof."""

    code = "fait_altere"
    phrase_de_base = "Un fait de cette créance n'est pas celui qui a été scellé : `creances audit --preuve` le nomme."


class Unprovable(Refus):
    """What was sealed of the créance, or the state that covers it, cannot be read: nobody could verify a proof."""

    code = "preuve_impossible"
    phrase_de_base = (
        "Un fait de cette créance, ou le point signé qui le couvre, ne se lit pas : il n'y a pas de preuve."
        " `creances audit` et `creances audit --preuve` disent lequel."
    )


AGENTS: Final = ("saisi_par", "approuve_par")
"""The fields of a créance's facts that name agents."""


def prove(
    conn: Connection[Any],
    secret: bytes,
    reference: str,
    *,
    with_agents: bool = True,
    witnesses: Sequence[Verifier] = (),
) -> bytes:
    """The proof of this créance's balance, up to its last sealed event. `with_agents`: its reader may know their names.

    Its state is the last that holds every sealed event and whose time was stamped, if one of these witnesses has
    cosigned it, or none has any such; else the last that one has cosigned; else the last signed.
    What is sealed does not change: the caller's transaction need not be one snapshot. Raises NothingSealed,
    NotYetSealed, RowNotSealed, NamesAgents, Unprovable.
    """
    try:
        return _prove(conn, secret, reference, with_agents=with_agents, witnesses=witnesses)
    except (NoteRefused, verificateur.PreuveFausse):
        raise Unprovable from None


def _prove(
    conn: Connection[Any], secret: bytes, reference: str, *, with_agents: bool, witnesses: Sequence[Verifier]
) -> bytes:
    rows = of_stream(conn, Créance.flux(reference))
    if not rows:
        raise NothingSealed
    epoch, note, until = conn.execute(_POINT).fetchone() or ("", "", 0)
    if not note:
        raise NotYetSealed
    size = _size(note)
    sealed: list[tuple[int, Row]] = []
    leaves = [Leaf(row.written_by, row.position, leaf_hash(row.entry(secret))) for row in rows]
    for row, index in zip(rows, indexes_of(conn, epoch, leaves), strict=True):
        if index is None and row.written_by <= until:
            raise RowNotSealed
        if index is None or index >= size:  # Written, or sealed, since that state was signed.
            break
        sealed.append((index, row))
    if not sealed:
        raise NotYetSealed
    note, token = _state(conn, epoch, note, max(index for index, _ in sealed), witnesses)
    size = _size(note)
    said = _said(reference, [row for _, row in sealed], with_agents=with_agents)
    reader = read_ahead(conn, epoch, size, [index for index, _ in sealed])
    facts = [
        {
            "chemin": [encode(part) for part in inclusion_proof(index, size, reader)],
            "feuille": index,
            "ligne": encode(row.canonical),
            "sel": encode(row.salt(secret)),
        }
        for index, row in sealed
    ]
    stamp = {} if token is None else {"jeton": encode(token)}
    form = verificateur.FORMATS[token is not None]
    return verificateur.ecrire(said | stamp | {"creance": reference, "faits": facts, "format": form, "point": note})


def _said(reference: str, rows: Sequence[Row], *, with_agents: bool) -> dict[str, Any]:
    """What these facts make of the balance, as the verifier will make it again."""
    try:
        columns = [verificateur.lire_ligne(row.canonical)[1] for row in rows]
        read = [(one, verificateur.lire_json(one["etat"].decode(), verificateur.ETAGES)) for one in columns]
        if not with_agents and any(name in state for _, state in read for name in AGENTS):
            raise NamesAgents
        return verificateur.conclure(reference, read)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unprovable from None


def _state(
    conn: Connection[Any], epoch: str, last: str, leaf: int, witnesses: Sequence[Verifier]
) -> tuple[str, bytes | None]:
    """The signed state to prove under, which holds this leaf, as `last` does; and the token of its time."""
    witnessed = cosigned_by(conn, epoch, witnesses) if witnesses else None
    if witnessed is not None and _size(witnessed) <= leaf:
        witnessed = None
    stamped = covering(conn, epoch, leaf, witnesses)
    if stamped is not None and (stamped.cosigned or witnessed is None):
        return stamped.note, stamped.token
    return witnessed or last, None


def _size(note: str) -> int:
    return Checkpoint.parse(split(note)[0]).size


def assures_de(conn: Connection[Any], reference: str) -> list[str]:
    """Whose data a proof of this créance shows: the pseudonym of its first event."""
    state = conn.execute(_FIRST, (Créance.flux(reference),)).fetchone()
    try:
        return [str(json.loads(state[0])["assure"])] if state else []
    except (ValueError, KeyError, TypeError):  # Its first event cannot be read: nobody is named in it.
        return []
