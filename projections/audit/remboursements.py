"""Les remboursements par carte : ce que la banque dit avoir rendu, face à ce que le journal dit rendu ou repris.

Un retard n'est pas un écart : la banque a une semaine pour montrer une opération, et ses rapports ne manquent à
personne tant qu'ils n'ont pas été lus. Ce qui est gardé en mémoire l'est par remboursement, non par paiement.
"""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from psycopg import Connection

from domain.paiement import Paiement
from domain.redite import Dite, affirmees
from projections.audit.contexte import Contexte, Rendu

OPERATION_VISIBLE: Final = timedelta(days=7)
"""Après quoi une opération faite chez la banque doit être dans ses rapports."""

# Toutes les lignes de ces transactions : une correction peut ne plus rien rendre.
_BANQUE: Final = f"""
SELECT {", ".join(Dite._fields)}
FROM journal.lignes_de_rapport JOIN (SELECT rang AS rapport, genere_le FROM journal.rapports) AS r USING (rapport)
WHERE genre = 'operations' AND transaction IN
    (SELECT transaction FROM journal.lignes_de_rapport WHERE genre = 'operations' AND rendu > 0)
ORDER BY transaction
"""  # noqa: S608

# Un écart a été ouvert pour ce montant de la banque, ou aucun ne l'a été.
_ECARTS: Final = """
SELECT DISTINCT transaction, montant_banque FROM journal.ecarts_de_rapport
WHERE genre_de_rapport = 'operations' AND genre = 'remboursement' AND clot IS NULL
"""

# Ceux dont les rapports d'opérations de leur marchand couvrent, sans trou, le délai qui suit.
_COUVERTS: Final = """
SELECT t.transaction FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS t (transaction, marchand, le)
WHERE (SELECT range_agg(tstzrange(r.couvre_depuis, r.couvre_jusqua)) FROM journal.rapports r
       WHERE r.genre = 'operations' AND t.marchand = ANY (r.marchands)) @> tstzrange(t.le, t.le + %s)
ORDER BY t.transaction
"""


def comparer(conn: Connection[Any], contexte: Contexte) -> None:
    """Compare, transaction par transaction, et nomme ce qui diffère. Le journal est lu."""
    connus = {(transaction, montant) for transaction, montant in conn.execute(_ECARTS)}
    banque = _rendu_selon_la_banque(conn)
    for transaction, rendu in banque.items():
        nous = contexte.rendus.get(transaction, Rendu())
        ici = nous.par_carte + nous.repris
        if rendu > ici and (transaction, rendu) not in connus and not _illisible(contexte, transaction):
            contexte.ecart(
                f"remboursements : la banque dit avoir rendu {rendu} centimes de {transaction}, le journal {ici},"
                " et aucun écart n'en est ouvert"
            )
    tus = {
        transaction: nous
        for transaction, nous in contexte.rendus.items()
        if nous.par_carte > banque.get(transaction, 0) and not _illisible(contexte, transaction)
    }
    heures = [datetime.fromtimestamp(nous.le / 1_000_000, UTC) for nous in tus.values()]
    demandes = (list(tus), [nous.marchand for nous in tus.values()], heures, OPERATION_VISIBLE)
    for (transaction,) in conn.execute(_COUVERTS, demandes):
        contexte.ecart(
            f"remboursements : {tus[transaction].par_carte} centimes de {transaction} rendus par carte, les opérations"
            f" de la banque en disent {banque.get(transaction, 0)}"
        )


def _rendu_selon_la_banque(conn: Connection[Any]) -> dict[str, int]:
    """Ce que ses opérations disent rendu de chaque transaction, en centimes ; redite, une ligne compte une fois."""
    with conn.cursor(name="audit_remboursements") as curseur:
        curseur.execute(_BANQUE)
        return {
            transaction: sum(dite.rendu for dite, *_ in affirmees(lignes))
            for transaction, lignes in groupby(map(Dite._make, curseur), key=attrgetter("transaction"))
        }


def _illisible(contexte: Contexte, transaction: str) -> bool:
    return Paiement.flux(transaction) in contexte.rapport.illisibles
