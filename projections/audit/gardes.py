"""Les gardes du journal : ce que les migrations y ont mis, et que nul n'ôte, ne désarme ni ne vide de ce qu'il fait."""

from typing import Any, Final

from psycopg import Connection

from projections.audit.rapport import Rapport
from projections.audit.structure import comparer_la_structure, tables_du_journal

_MANQUENT: Final = "SELECT t FROM unnest(%s::text[]) AS t WHERE to_regclass(t) IS NULL"

_FAUTES: Final = r"""
SELECT format('garde : %s a une règle de réécriture, %s', c.oid::regclass, r.rulename)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND r.rulename <> '_RETURN'
UNION ALL
SELECT format('garde : %s cache des lignes à certains', c.oid::regclass)
FROM pg_class c
WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND c.relrowsecurity
UNION ALL
SELECT format('garde : %s peut %s dans %s', coalesce(nullif(d.grantee, 0)::regrole::text, 'tout le monde'),
              d.privilege_type, c.oid::regclass)
FROM pg_class c, aclexplode(c.relacl) AS d
WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind <> 'S' AND d.grantee <> c.relowner
  AND d.privilege_type <> 'SELECT'
UNION ALL
SELECT format('garde : %s peut %s %s de %s', coalesce(nullif(d.grantee, 0)::regrole::text, 'tout le monde'),
              d.privilege_type, a.attname, c.oid::regclass)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) AS d
WHERE c.relnamespace = 'journal'::regnamespace AND d.grantee <> c.relowner
  AND (d.privilege_type NOT IN ('SELECT', 'INSERT')
       OR d.privilege_type = 'INSERT'
          AND (a.attidentity <> '' OR a.attname IN ('enregistre_le', 'lu_par', 'ouverte_par', 'ecrit_par')))
UNION ALL
-- Reculée, elle se voit à la première heure qui n'est pas dans l'ordre ; avancée, elle daterait tout de l'avenir.
SELECT 'garde : l''horloge du journal est en avance'
WHERE 'epoch'::timestamptz + interval '1 microsecond' * journal.dernier_instant()
      > clock_timestamp() + interval '1 hour'
"""


def controler(conn: Connection[Any], rapport: Rapport) -> None:
    """Nomme chaque garde ôtée, désarmée ou détournée ; une table du journal qui n'est pas là n'a pas pu l'être."""
    for (table,) in conn.execute(_MANQUENT, (tables_du_journal(),)):
        rapport.non_controle(f"les gardes : {table} n'est pas là")
    comparer_la_structure(conn, rapport)
    for (phrase,) in conn.execute(_FAUTES):
        rapport.ecart(phrase)
