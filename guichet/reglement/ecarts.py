"""Fermer un écart de rapport qu'une personne a réglé : une ligne de plus, comme le prochain rapport l'aurait fait."""

from typing import Any, Final

from psycopg import Connection

from engine.clocks import AT_MOST, latest

_FERMER: Final = f"""
INSERT INTO journal.ecarts_de_rapport (clot, rapport, genre_de_rapport, genre, transaction, marchand, jour, montant,
                                       montant_banque, montant_chez_nous, etat_banque, etat_chez_nous, cause)
SELECT rang, NULL, genre_de_rapport, genre, transaction, marchand, jour, montant, montant_banque, montant_chez_nous,
       etat_banque, etat_chez_nous, %s
FROM journal.ecarts_de_rapport, {AT_MOST} WHERE rang = %s
ON CONFLICT (clot) DO NOTHING
"""  # noqa: S608 (constantes)


def fermer_ecart(conn: Connection[Any], rang: int, cause: str) -> bool:
    """Ferme l'écart de ce rang ; rend Faux s'il l'était déjà."""
    return conn.execute(_FERMER, (cause, latest(), rang)).rowcount == 1
