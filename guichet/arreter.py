"""Inscrire une clôture et son jeton d'horodatage : chacun une fois, quel que soit le nombre de ceux qui arrêtent."""

from datetime import date, datetime
from typing import Any, Final

from psycopg import Connection
from psycopg.errors import UniqueViolation

from engine.clocks import AT_MOST, latest

_INSCRIRE: Final = f"""
INSERT INTO journal.arretes (numero, jour, depuis, jusqu_a, contenu, empreinte, precedent)
SELECT %s, %s, %s, %s, %s, %s, %s FROM {AT_MOST}
"""  # noqa: S608 (constantes)

_HORODATER: Final = f"""
INSERT INTO journal.jetons_d_arrete (jour, empreinte, autorite, horodate_le, jeton)
SELECT %s, %s, %s, %s, %s FROM {AT_MOST} ON CONFLICT (jour) DO NOTHING
"""  # noqa: S608


def inscrire(
    conn: Connection[Any],
    *,
    numero: int,
    jour: date,
    bornes: tuple[int, int],
    contenu: bytes,
    empreinte: str,
    precedent: str,
) -> bool:
    """Inscrit la clôture de ce jour, d'un bloc ; rend Faux si un autre l'a déjà arrêté : rien n'est alors écrit.

    La base refuse (CheckViolation) ce qui ne suit pas la clôture précédente, et un jour qui n'est pas fini.
    """
    valeurs = (numero, jour, *bornes, contenu, bytes.fromhex(empreinte), bytes.fromhex(precedent), latest())
    try:
        with conn.transaction():
            conn.execute(_INSCRIRE, valeurs)
    except UniqueViolation:
        return False
    return True


def horodater(
    conn: Connection[Any], *, jour: date, empreinte: str, autorite: str, horodate_le: datetime, jeton: bytes
) -> bool:
    """Inscrit le jeton d'une clôture ; rend Faux si elle en avait déjà un."""
    valeurs = (jour, bytes.fromhex(empreinte), autorite, horodate_le, jeton, latest())
    return conn.execute(_HORODATER, valeurs).rowcount == 1
