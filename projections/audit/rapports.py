"""Les lignes que la banque a dites : chacune est nommée par l'empreinte de ce qu'elle affirme."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from psycopg import Connection

from projections.audit.contexte import Contexte

# Peu de colonnes, et des instants lus tels que la base les rend : ceux-là viennent d'un rapport, dont ils ont été lus.
_LIGNES: Final = """
SELECT cle, numero, rapport, genre, transaction, marchand, operation, sequence, montant, frais, code, autorisation,
       extract(epoch FROM survenu_le)::float8
FROM journal.lignes_de_rapport
"""


def lire_les_lignes(conn: Connection[Any], contexte: Contexte) -> None:
    """Recalcule l'empreinte de chaque ligne de rapport."""
    with conn.cursor(name="audit_lignes_de_rapport", binary=False) as curseur:
        curseur.itersize = 2_000
        curseur.execute(_LIGNES)
        for cle, numero, rapport, *affirme, survenu in curseur:
            try:
                survenu_le = datetime.fromtimestamp(survenu, UTC).isoformat()
            except (OverflowError, OSError, ValueError):
                survenu_le = str(survenu)
            dite = (*affirme, survenu_le)
            if sha256(repr(dite).encode()).digest() != bytes(cle):
                contexte.ecart(f"ligne {numero} du rapport {rapport} : n'affirme plus ce que dit son empreinte")
