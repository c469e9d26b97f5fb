"""Ce que la banque a dit de chaque transaction, tous fichiers réunis, et ce que le fichier déposé en dit."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from kiosque.rapports import Genre

TRANCHE: Final = 5_000
"""Transactions jugées ensemble."""

# Par transaction, marchand et jour de Paris : tout ce que la banque en a dit, et ce que le fichier en dit. Une
# autorisation absente n'est pas une autre autorisation, ni la même sans ses zéros de tête : la même acceptation redite
# ainsi dans un autre rapport ne compte qu'une fois (`domain.autorisation` dit la même chose des réponses).
_COTES: Final = """
WITH dites AS (
    SELECT l.*, u.cle IS NOT NULL AS lue,
           CASE WHEN l.genre <> 'transactions' THEN l.survenu_le END AS instant,
           coalesce(nullif(ltrim(l.autorisation, '0'), ''), left(l.autorisation, 1)) AS forme
    FROM journal.lignes_de_rapport l
    LEFT JOIN (SELECT DISTINCT cle FROM pg_temp.lues) u ON u.cle = l.cle
    WHERE l.genre = %s AND l.transaction IN (SELECT transaction FROM pg_temp.touchees)
), rangees AS (
    SELECT *, row_number() OVER (memes ORDER BY forme NULLS LAST, lue DESC, rapport, numero) AS rang,
           lag(forme) OVER (memes ORDER BY forme NULLS LAST, lue DESC, rapport, numero) AS precedente
    FROM dites WINDOW memes AS (PARTITION BY transaction, marchand, montant, code, operation, sequence, frais, instant)
), comptees AS (
    SELECT *, rang = 1 OR forme <> precedente AS compte FROM rangees
)
SELECT transaction, marchand, (survenu_le AT TIME ZONE 'Europe/Paris')::date AS jour,
       coalesce(sum(pris) FILTER (WHERE compte), 0)::int8, coalesce(sum(rendu) FILTER (WHERE compte), 0)::int8,
       array_remove(array_agg(DISTINCT code), NULL), array_remove(array_agg(DISTINCT etat), NULL),
       bool_or(lue),
       coalesce(sum(pris) FILTER (WHERE lue AND compte), 0)::int8,
       coalesce(sum(rendu) FILTER (WHERE lue AND compte), 0)::int8,
       coalesce(sum(frais) FILTER (WHERE lue AND compte), 0)::int8,
       coalesce(array_agg(survenu_le) FILTER (WHERE compte AND pris > 0), '{}'),
       coalesce(array_agg(pris) FILTER (WHERE compte AND pris > 0), '{}')
FROM comptees GROUP BY 1, 2, 3 ORDER BY 1, 3, 2
"""

_CONNUES: Final = """
SELECT l.transaction, max(l.survenu_le), bool_or(u.cle IS NOT NULL)
FROM journal.lignes_de_rapport l LEFT JOIN pg_temp.lues u ON u.cle = l.cle
WHERE l.genre = %s AND l.transaction = ANY (%s) GROUP BY 1
"""

_RENDUS: Final = """
SELECT transaction, sum(rendu)::int8 FROM journal.lignes_de_rapport
WHERE genre = %s AND transaction = ANY (%s) GROUP BY 1
"""


def cotes(conn: Connection[Any], genre: Genre, transactions: Sequence[str] | None) -> Iterator[tuple[Any, ...]]:
    """Ce que la banque dit de ces transactions (None : celles du fichier), dans leur ordre, un jour par ligne."""
    conn.execute('CREATE TEMP TABLE IF NOT EXISTS touchees (transaction text COLLATE "C") ON COMMIT DROP')
    conn.execute("TRUNCATE pg_temp.touchees")
    if transactions is None:
        conn.execute("INSERT INTO pg_temp.touchees SELECT DISTINCT transaction FROM pg_temp.lues")
    else:
        conn.execute("INSERT INTO pg_temp.touchees SELECT unnest(%s::text[])", (list(transactions),))
    conn.execute("ANALYZE pg_temp.touchees")
    with conn.cursor(name="cotes") as curseur:
        curseur.itersize = TRANCHE
        curseur.execute(_COTES, (genre.value,))
        yield from curseur


def connues(conn: Connection[Any], genre: Genre, transactions: Sequence[str]) -> dict[str, tuple[datetime, bool]]:
    """Celles dont un rapport de ce genre a parlé : la plus tardive de leurs lignes, et s'il y en a dans celui-ci."""
    lignes = conn.execute(_CONNUES, (genre.value, list(transactions)))
    return {transaction: (dernier, ici) for transaction, dernier, ici in lignes}


def rendus(conn: Connection[Any], genre: Genre, transactions: Sequence[str]) -> dict[str, int]:
    """Ce qu'un genre de rapport dit rendu de chacune de ces transactions, en centimes ; absente : rien."""
    return dict(conn.execute(_RENDUS, (genre.value, list(transactions))).fetchall())
