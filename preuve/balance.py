"""The proof of a balance: the events of a créance, the path of each to a signed tree, and the arithmetic."""

import json
from typing import Any, Final

from psycopg import Connection

from domain.creance import Créance
from domain.refus import Refus
from preuve import verificateur
from preuve.checkpoints import Checkpoint
from preuve.merkle import inclusion_proof, leaf_hash
from preuve.notes import encode, split
from preuve.rows import of_stream
from preuve.tiles import subtrees
from preuve.tree import index_of, tile_reader

_POINT: Final = """
SELECT epoque, note, (SELECT max(jusqu_a) FROM journal.sceaux s WHERE s.epoque = p.epoque) FROM journal.points p
WHERE epoque = (SELECT max(nom) FROM journal.epoques) ORDER BY taille DESC LIMIT 1
"""


_FIRST: Final = "SELECT etat FROM journal.evenements WHERE flux = %s AND version = 1"


class NothingSealed(Refus):
    """Nothing of this créance is sealed: not yet, or there is no such créance."""

    code = "rien_de_scelle"
    phrase_de_base = "Rien de cette créance n'est scellé : elle n'existe pas, ou le sceau n'y est pas encore."


class RowNotSealed(Refus):
    """An event of the créance is not the one that was sealed: there is no proof."""

    code = "fait_altere"
    phrase_de_base = "Un fait de cette créance n'est pas celui qui a été scellé : `creances audit --preuve` le nomme."


def prove(conn: Connection[Any], secret: bytes, reference: str) -> bytes:
    """The proof of this créance's balance, up to its last sealed event. Raises NothingSealed, RowNotSealed.

    What is sealed does not change: the caller's transaction need not be one snapshot.
    """
    epoch, note, until = conn.execute(_POINT).fetchone() or ("", "", 0)
    if not note:
        raise NothingSealed
    point = Checkpoint.parse(split(note)[0])
    reader = subtrees(point.size, tile_reader(conn, epoch))
    facts, read = [], []
    for row in of_stream(conn, Créance.flux(reference)):
        index = index_of(conn, epoch, row.written_by, leaf_hash(row.entry(secret)))
        if index is None and row.written_by <= until:
            raise RowNotSealed
        if index is None or index >= point.size:  # Written, or sealed, since that state was signed.
            break
        facts.append(
            {
                "chemin": [encode(part) for part in inclusion_proof(index, point.size, reader)],
                "feuille": index,
                "ligne": encode(row.canonical),
                "sel": encode(row.salt(secret)),
            }
        )
        _, columns = verificateur.lire_ligne(row.canonical)
        read.append((columns, json.loads(columns["etat"])))
    if not facts:
        raise NothingSealed
    said = verificateur.conclure(reference, read)
    return verificateur.ecrire(
        said | {"creance": reference, "faits": facts, "format": verificateur.FORMAT, "point": note}
    )


def assures_de(conn: Connection[Any], reference: str) -> list[str]:
    """Whose data a proof of this créance shows: the pseudonym of its first event."""
    state = conn.execute(_FIRST, (Créance.flux(reference),)).fetchone()
    try:
        return [str(json.loads(state[0])["assure"])] if state else []
    except (ValueError, KeyError, TypeError):  # Its first event cannot be read: nobody is named in it.
        return []
