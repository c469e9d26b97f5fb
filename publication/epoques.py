"""Les époques du journal : une nouvelle après la restauration d'une sauvegarde plus ancienne."""

from typing import Any, Final, NamedTuple

from psycopg import Connection

# Les époques, de la première à la courante.
_LIRE: Final = "SELECT nom, raison, ouverte_par, enregistre_le FROM journal.epoques ORDER BY nom"

# L'époque courante.
_COURANTE: Final = "SELECT max(nom) FROM journal.epoques"

# Ouvre une époque, nommée par l'heure et toujours après la dernière, même si l'horloge a reculé.
_OUVRIR: Final = """
INSERT INTO journal.epoques (nom, raison)
SELECT to_char(greatest(date_trunc('second', clock_timestamp() AT TIME ZONE 'UTC'),
                        left(max(nom), 15)::timestamp + interval '1 second'), 'YYYYMMDD"T"HH24MISS"Z"'), %b
FROM journal.epoques
RETURNING nom
"""


class Époque(NamedTuple):
    """Une époque du journal."""

    nom: str
    """Son heure d'ouverture en UTC, `20261124T221305Z` : l'ordre des noms est celui des époques."""
    raison: str
    ouverte_par: str
    enregistrée_le: Any


def époques(conn: Connection[Any]) -> list[Époque]:
    """Toutes les époques, de la première à la courante."""
    return [Époque(*ligne) for ligne in conn.execute(_LIRE)]


def époque_courante(conn: Connection[Any]) -> str:
    """Le nom de l'époque courante."""
    (nom,) = conn.execute(_COURANTE).fetchone() or ("",)
    return str(nom)


def ouvrir_époque(conn: Connection[Any], raison: str) -> str:
    """Ouvre une époque et rend son nom ; le publieur republiera tout le journal sous elle."""
    (nom,) = conn.execute(_OUVRIR, (raison,)).fetchone() or ("",)
    return str(nom)
