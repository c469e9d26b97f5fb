"""Writing a lived base: the templates of `bench.life`, filled in by PostgreSQL, a table a statement."""

from typing import Any, Final

import psycopg
from psycopg import Connection

from bench import data, life
from bench.data import EPOCH, EXPIRY, ISSUED, Scale
from bench.life import Life
from bench.servers import Database
from service.composition import VIEWS

CHUNK: Final = 50_000
"""Créances whose events one statement writes."""

# The créances: what each is called, the life it has, and how many messages of each topic came before its own.
_CREANCES: Final = """
CREATE TEMP TABLE c ON COMMIT DROP AS
SELECT i, lpad(i::text, 8, '0') AS n, lpad((i / %(each)s)::text, 8, '0') AS o,
       lpad((i / %(step)s)::text, 8, '0') AS p, k.life,
       (sum(l.avis) OVER w - l.avis)::int8 AS avis, (sum(l.bank) OVER w - l.bank)::int8 AS bank
FROM generate_series(0, %(creances)s - 1) AS i
CROSS JOIN LATERAL (
    SELECT (%(kinds)s::int4[])[i %% %(every)s + 1]
           + CASE WHEN i %% %(step)s = 0 AND i / %(step)s < %(payments)s THEN 1 ELSE 0 END AS life
) AS k
JOIN l ON l.life = k.life
WINDOW w AS (ORDER BY i)
"""

_TEMPLATES: Final = {
    "l": "life int, avis int8, bank int8, solde int8, en_cours int8, version int8",
    "e": "life int, rank int, flux text, version int8, topic text, etat text, by text, message int8, cause text",
    "f": "life int, by text, message int8, sort text, cause text, objet text, champs text",
    "t": (
        "life int, transaction text, statut text, code text, cause text, conclu_le timestamptz, accepte_le timestamptz,"
        " ouvert_le timestamptz, version int8, cle text, reponse text"
    ),
    "d": "life int, transaction text, accepte_le timestamptz, affiche_le timestamptz, version int8",
    "m": (
        "life int, transaction text, accepte_le timestamptz, echeance date, lu_le timestamptz, supprime_le timestamptz"
    ),
}

# A nested loop keeps the créances in order, and each one's events in theirs; the identity follows.
_EVENTS: Final = """
WITH written AS (
    INSERT INTO journal.evenements (flux, version, topic, etat, cause, enregistre_le)
    SELECT format(e.flux, c.n, c.o, c.p), e.version, e.topic, convert_to(format(e.etat, c.n, c.o, c.p), 'UTF8'),
           CASE e.by WHEN 'avis' THEN 'kafka:creances.avis/0@' || c.avis + e.message
                     WHEN 'bank' THEN 'kafka:notifications/0@' || c.bank + e.message
                     ELSE format(e.cause, c.n, c.o, c.p) END, %(epoch)s
    FROM (SELECT * FROM c WHERE i >= %(first)s AND i < %(last)s ORDER BY i) AS c
    CROSS JOIN LATERAL (SELECT * FROM e WHERE e.life = c.life ORDER BY rank) AS e
    RETURNING flux, position
)
INSERT INTO vues.restant_du (reference, assure, caisse, nature, date_emission, payable_en_ligne, annulee,
                             montant_initial, solde, en_cours, version, position)
SELECT '38117012' || c.n || 'F', 'a-' || c.o, '381', 'PF/FR', %(issued)s, true, false, %(debt)s,
       l.solde, l.en_cours, l.version, w.position
FROM c JOIN l USING (life)
JOIN (SELECT flux, max(position) AS position FROM written GROUP BY flux) AS w
     ON w.flux = 'creance-38117012' || c.n || 'F'
WHERE i >= %(first)s AND i < %(last)s
"""

_REST: Final = (
    """
INSERT INTO journal.topics (topic, topic_id) VALUES ('creances.avis', '00000000-0000-0000-0000-00000000000a'),
       ('notifications', '00000000-0000-0000-0000-00000000000b')
""",
    "UPDATE journal.topics SET enregistre_le = %(epoch)s",
    """
INSERT INTO journal.sorts (topic_id, topic, partition, decalage, sort, cause, objet, empreinte, champs, enregistre_le)
SELECT CASE f.by WHEN 'avis' THEN '00000000-0000-0000-0000-00000000000a'::uuid
                 ELSE '00000000-0000-0000-0000-00000000000b' END,
       CASE f.by WHEN 'avis' THEN 'creances.avis' ELSE 'notifications' END, 0,
       CASE f.by WHEN 'avis' THEN c.avis ELSE c.bank END + f.message, f.sort, f.cause,
       format(f.objet, c.n, c.o, c.p), sha256(c.n::bytea), format(f.champs, c.n, c.o, c.p)::jsonb, %(epoch)s
FROM c JOIN f USING (life)
""",
    """
INSERT INTO journal.positions (topic_id, topic, partition, depuis, jusqu_a, enregistre_le)
SELECT topic_id, topic, 0, min(decalage), max(decalage) + 1, %(epoch)s FROM journal.sorts
GROUP BY topic_id, topic, decalage / 500
""",
    """
INSERT INTO vues.sorts (topic_id, topic, partition, sort, messages)
SELECT topic_id, topic, partition, sort, count(*) FROM journal.sorts GROUP BY 1, 2, 3, 4
""",
    """
INSERT INTO journal.cles_idempotence (auteur, cle, empreinte, reponse, enregistre_le)
SELECT 'a-' || c.o, format(t.cle, c.n, c.o, c.p), sha256(c.n::bytea), format(t.reponse, c.n, c.o, c.p)::jsonb, %(epoch)s
FROM c JOIN t USING (life)
""",
    """
INSERT INTO vues.paiements (transaction, assure, caisse, canal, montant, statut, code, cause, ouvert_le, expire_le,
                            conclu_le, accepte_le, version)
SELECT format(t.transaction, c.n, c.o, c.p), 'a-' || c.o, '381', 'web', %(share)s, t.statut, t.code, t.cause,
       t.ouvert_le, %(expiry)s, t.conclu_le, t.accepte_le, t.version FROM c JOIN t USING (life)
""",
    """
INSERT INTO vues.delai_affichage (transaction, reference, accepte_le, affiche_le, version, montree)
SELECT format(d.transaction, c.n, c.o, c.p), '38117012' || c.n || 'F', d.accepte_le, d.affiche_le, d.version, true
FROM c JOIN d USING (life)
""",
    """
INSERT INTO vues.messagerie (transaction, assure, accepte_le, echeance, lu_le, supprime_le)
SELECT format(m.transaction, c.n, c.o, c.p), 'a-' || c.o, m.accepte_le, m.echeance, m.lu_le, m.supprime_le
FROM c JOIN m USING (life)
""",
    """
INSERT INTO vues.suiveurs (nom, position)
SELECT nom, (SELECT max(position) FROM journal.evenements) FROM unnest(%(views)s::text[]) AS nom
""",
    "DELETE FROM journal.epoques",
    """
INSERT INTO journal.epoques (nom, raison, enregistre_le)
VALUES (to_char(%(epoch)s AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'), 'ouverture du journal', %(epoch)s)
""",
)

_HELD: Final = {"epoques": ("ajout_seul", "date"), "topics": ("ajout_seul",), "evenements": ("a_l_heure", "date")}
"""Triggers that would give what is written here another time than its own."""


def load(database: Database, scale: Scale) -> int:
    """Fill a migrated, empty database with lives; the number of events."""
    with psycopg.connect(database.owner_url) as conn:
        for table, triggers in _HELD.items():
            for trigger in triggers:
                conn.execute(f"ALTER TABLE journal.{table} DISABLE TRIGGER {trigger}")
        values = _prepare(conn, scale)
        for first in range(0, scale.creances, CHUNK):
            conn.execute(_EVENTS, values | {"first": first, "last": first + CHUNK})
        for statement in _REST:
            conn.execute(statement, values)
        data.keep_lists(conn)
        for table in _HELD:
            conn.execute(f"ALTER TABLE journal.{table} ENABLE TRIGGER USER")
        (events,) = conn.execute("SELECT max(position) FROM journal.evenements").fetchone() or (0,)
    data.settle(database)
    return int(events)


def _prepare(conn: Connection[Any], scale: Scale) -> dict[str, Any]:
    kinds, lived = life.lives()
    for table, columns in _TEMPLATES.items():
        conn.execute(f"CREATE TEMP TABLE {table} ({columns}) ON COMMIT DROP")
    for number, one in enumerate(lived):
        rows = _rows(one)
        for table, some in rows.items():
            with conn.cursor() as cursor:
                places = ", ".join(["%s"] * len(_TEMPLATES[table].split(",")))
                cursor.executemany(f"INSERT INTO {table} VALUES ({places})", [(number, *row) for row in some])  # noqa: S608
    conn.execute("CREATE INDEX ON e (life, rank)")
    values = {
        "creances": scale.creances,
        "payments": scale.payments,
        "step": scale.creances // scale.payments,
        "kinds": kinds,
        "every": life.EVERY,
        "each": data.CREANCES_PER_ASSURE,
        "views": list(VIEWS),
        "epoch": EPOCH,
        "expiry": EXPIRY,
        "issued": ISSUED,
        "debt": data.DEBT,
        "share": data.SHARE,
    }
    conn.execute(_CREANCES, values)
    conn.execute("CREATE INDEX ON c (i)")
    for table in ("c", *_TEMPLATES):
        conn.execute(f"ANALYZE {table}")
    return values


def _rows(one: Life) -> dict[str, list[tuple[Any, ...]]]:
    return {
        "l": [(one.heard[life.AVIS], one.heard[life.BANK], *one.balance)],
        "e": one.events,
        "f": one.fates,
        "t": one.payments,
        "d": one.displays,
        "m": one.accounts,
    }
