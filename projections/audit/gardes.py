"""Les gardes du journal : ce que les migrations y ont mis, et que nul n'ôte, ne désarme ni ne vide de ce qu'il fait."""

from typing import Any, Final, NamedTuple

from psycopg import Connection

from projections.audit.rapport import Rapport

TABLES: Final = (
    *("acces", "arretes", "arrets", "attentes", "attentes_reglees", "cles_idempotence", "cosignatures"),
    *("ecarts_de_rapport", "epoques", "evenements", "jetons_d_arrete", "jetons_de_point", "lignes_de_rapport"),
    *("noeuds", "notes", "pertes", "points", "positions", "rapports", "reculs", "refus_de_temoins", "reprises"),
    *("sceaux", "securite", "sorts", "topics"),
)
"""Les tables du journal : toutes sont en ajout seul."""


class Garde(NamedTuple):
    """Un déclencheur du journal, et ce qui serait possible sans lui."""

    table: str
    nom: str
    fonction: str
    geste: str
    """Ce que sa fonction fait, en expression rationnelle : vidée de cela, elle ne garde plus rien."""
    sans_elle: str


_DATE: Final = r"new\.enregistre_le\s*:="
_CONSIGNE: Final = r"insert\s+into\s+journal\.securite"

GARDES: Final = (
    Garde("acces", "consigne", "consigner_acces", _CONSIGNE, "une lecture peut échapper au journal de la sûreté"),
    Garde("arretes", "suite", "suivre_l_arrete", r"raise\s+exception", "un arrêté peut ne pas suivre le précédent"),
    Garde("epoques", "consignee", "consigner_epoque", _CONSIGNE, "une époque peut échapper au journal de la sûreté"),
    Garde("epoques", "date", "dater_l_epoque", _DATE, "une époque peut se dater d'avant celle qui la précède"),
    Garde("epoques", "generation", "commencer_une_generation", r"execute\s+format", "l'ordre du sceau peut reculer"),
    Garde("epoques", "sauter", "sauter_ce_qui_a_ete_donne", r"setval\s*\(", "un numéro peut être donné deux fois"),
    Garde("evenements", "a_l_heure", "mettre_a_l_heure", r"setval\s*\(", "l'heure d'un événement peut reculer"),
    Garde("evenements", "date", "dater", _DATE, "qui écrit un événement peut en choisir l'heure"),
    Garde("jetons_d_arrete", "date", "dater_le_jeton", _DATE, "un horodatage peut se dater d'avant sa clôture"),
)
"""Ceux qui ne sont pas `ajout_seul` ; un test vérifie que ce sont ceux de la base."""

_MANQUENT: Final = "SELECT t FROM unnest(%s::text[]) AS t WHERE to_regclass('journal.' || t) IS NULL"

_FAUTES: Final = r"""
SELECT format('garde : %%s n''est plus en ajout seul', c.oid::regclass)
FROM pg_class c
WHERE c.relnamespace = 'journal'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_trigger t
                  WHERE t.tgrelid = c.oid AND t.tgname = 'ajout_seul' AND t.tgenabled IN ('O', 'A')
                    AND t.tgfoid = to_regprocedure('journal.refuser_modification()'))
UNION ALL
SELECT format('garde : %%s laisse faire ce qu''elle devait refuser', p.oid::regprocedure)
FROM pg_proc p WHERE p.oid = to_regprocedure('journal.refuser_modification()') AND p.prosrc !~* 'raise\s+exception'
UNION ALL
SELECT format('garde : %%s a une règle de réécriture, %%s', c.oid::regclass, r.rulename)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND r.rulename <> '_RETURN'
UNION ALL
SELECT format('garde : %%s cache des lignes à certains', c.oid::regclass)
FROM pg_class c
WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND c.relrowsecurity
UNION ALL
SELECT format('garde : %%s.%%s peut être choisi par qui écrit', a.attrelid::regclass, a.attname)
FROM pg_attribute a
WHERE a.attrelid = to_regclass('journal.evenements') AND a.attname = 'position' AND a.attidentity <> 'a'
UNION ALL
SELECT format('garde : journal.%%s, %%s : %%s', g.tab, g.nom, g.sans_elle)
FROM unnest(%(tables)s::text[], %(noms)s::text[], %(fonctions)s::text[], %(gestes)s::text[], %(sans_elles)s::text[])
     AS g (tab, nom, fonction, geste, sans_elle)
WHERE to_regclass('journal.' || g.tab) IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                  WHERE t.tgrelid = to_regclass('journal.' || g.tab) AND t.tgname = g.nom
                    AND t.tgenabled IN ('O', 'A') AND p.oid = to_regprocedure('journal.' || g.fonction || '()')
                    AND p.prosrc ~* g.geste)
UNION ALL
SELECT format('garde : %%s a un déclencheur que rien n''explique, %%s', c.oid::regclass, t.tgname)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND NOT t.tgisinternal
  AND NOT (c.relnamespace = 'journal'::regnamespace
           AND (t.tgname = 'ajout_seul'
                OR EXISTS (SELECT FROM unnest(%(tables)s::text[], %(noms)s::text[]) AS g (tab, nom)
                           WHERE g.tab = c.relname AND g.nom = t.tgname)))
"""


def controler(conn: Connection[Any], rapport: Rapport) -> None:
    """Nomme chaque garde ôtée, désarmée ou détournée ; une table du journal qui n'est pas là n'a pas pu l'être."""
    for (table,) in conn.execute(_MANQUENT, (list(TABLES),)):
        rapport.non_controle(f"les gardes : journal.{table} n'est pas là")
    colonnes = {f"{champ}s": [getattr(garde, champ) for garde in GARDES] for champ in Garde._fields}
    for (phrase,) in conn.execute(_FAUTES, colonnes):
        rapport.ecart(phrase)
