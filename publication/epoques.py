"""Les époques du journal : une nouvelle après la restauration d'une sauvegarde plus ancienne."""

import re
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.clocks import AT_MOST, latest

NOM: Final = re.compile("[0-9]{8}T[0-9]{6}Z", re.ASCII)
"""La forme du nom d'une époque : ce qu'un message dit d'une autre n'est pas de nous."""

# Les époques, de la première à la courante.
_LIRE: Final = "SELECT nom, raison, ouverte_par, enregistre_le FROM journal.epoques ORDER BY nom"

# L'époque courante.
_COURANTE: Final = "SELECT max(nom) FROM journal.epoques"

# Ouvre une époque, nommée par l'heure et toujours après la dernière, même si l'horloge a reculé.
_OUVRIR: Final = f"""
INSERT INTO journal.epoques (nom, raison)
SELECT to_char(greatest(date_trunc('second', journal.heure() AT TIME ZONE 'UTC'),
                        left(derniere.nom, 15)::timestamp + interval '1 second'), 'YYYYMMDD"T"HH24MISS"Z"'), %b
FROM {AT_MOST}, (SELECT max(nom) AS nom FROM journal.epoques) AS derniere
RETURNING nom
"""  # noqa: S608 (constantes)


class Epoque(NamedTuple):
    """Une époque du journal."""

    nom: str
    """Son heure d'ouverture en UTC, `20261124T221305Z` : l'ordre des noms est celui des époques."""
    raison: str
    ouverte_par: str
    enregistree_le: Any


def epoques(conn: Connection[Any]) -> list[Epoque]:
    """Toutes les époques, de la première à la courante."""
    return [Epoque(*ligne) for ligne in conn.execute(_LIRE)]


def epoque_courante(conn: Connection[Any]) -> str:
    """Le nom de l'époque courante."""
    (nom,) = conn.execute(_COURANTE).fetchone() or ("",)
    return str(nom)


def ouvrir_epoque(conn: Connection[Any], raison: str) -> str:
    """Ouvre une époque et rend son nom ; le publieur republiera tout le journal sous elle."""
    (nom,) = conn.execute(_OUVRIR, (raison, latest())).fetchone() or ("",)
    return str(nom)
