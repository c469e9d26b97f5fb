"""Le recul du journal : revenu d'une sauvegarde plus ancienne, il ignore ce qui a été publié, lu, ou donné au dehors.

Tant qu'une personne n'a pas ouvert une nouvelle époque (`creances epoch --open`), aucun paiement ne s'ouvre : il
pourrait porter le nom d'un paiement perdu, dont la banque garde l'accord.
"""

from typing import Any, Final

from psycopg import Connection

from domain.refus import Refus
from engine.clocks import AT_MOST, latest

# Note un recul, une fois par époque.
_CONSTATER: Final = f"""
INSERT INTO journal.reculs (epoque, raison)
SELECT coalesce(%b, (SELECT max(nom) FROM journal.epoques)), %b FROM {AT_MOST} ON CONFLICT DO NOTHING
"""  # noqa: S608 (constantes)

# Le recul de l'époque courante.
_LIRE: Final = "SELECT raison FROM journal.reculs WHERE epoque = (SELECT max(nom) FROM journal.epoques)"


class JournalEnRetard(Refus):
    """Le journal revient d'une sauvegarde plus ancienne, et personne n'a encore ouvert d'époque."""

    code = "journal_en_retard"
    phrase_de_base = (
        "Le service a été rétabli d'après une sauvegarde : aucun paiement ne peut être ouvert avant sa vérification."
        " Merci de revenir plus tard."
    )


class JournalNonVerifie(Refus):
    """Kafka n'a pas encore répondu : on ne sait pas si le journal est celui qui a été publié."""

    code = "journal_non_verifie"
    phrase_de_base = (
        "Le service démarre et vérifie ses données : aucun paiement ne peut encore être ouvert."
        " Merci de recommencer dans quelques instants."
    )


def constater_recul(conn: Connection[Any], raison: str, epoque: str | None = None) -> None:
    """Note que le journal a reculé ; sans effet si c'est déjà dit de cette époque (absente : de la courante).

    Qui l'a constaté d'une époque la nomme : ouverte entre-temps, la suivante n'y est pour rien.
    """
    conn.execute(_CONSTATER, (epoque, raison, latest()))


def recul(conn: Connection[Any]) -> str | None:
    """La raison du recul que l'époque courante n'a pas levé, s'il y en a un."""
    (raison,) = conn.execute(_LIRE).fetchone() or (None,)
    return raison


def exiger_sans_recul(conn: Connection[Any]) -> None:
    """Lève JournalEnRetard tant qu'aucune époque n'a été ouverte après un recul."""
    if recul(conn) is not None:
        raise JournalEnRetard
