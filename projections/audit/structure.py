"""Ce qui garde le journal : tables, colonnes, contraintes, déclencheurs, fonctions, suites.

`structure.txt` dit ce que les migrations y mettent, une ligne par garde. Ce qui manque ou a changé est un écart ; ce
qui est de trop aussi, sauf une colonne, une table ou une fonction, qu'une version plus récente peut avoir ajoutée. Une
fonction est dite par son empreinte : qui en change le corps en garde le nom.
"""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from psycopg import Connection

from projections.audit.rapport import Rapport

FICHIER: Final = "structure.txt"

# Une ligne par garde : sa relation, ce qu'elle est, ce qu'elle dit. Les index n'y sont pas : ce qu'ils gardent est une
# contrainte. Des vues, il n'y a que ce qui n'est pas une simple table, et les déclencheurs : leur contenu entier est
# comparé au journal. De qui écrit une ligne, la génération change à chaque époque ; d'une version de
# PostgreSQL à l'autre, les colonnes d'une vue nomment leur table ou non.
_STRUCTURE: Final = r"""
WITH relations AS (
    SELECT c.*, c.oid::regclass::text AS nom, c.relnamespace = 'journal'::regnamespace AS du_journal
    FROM pg_class c
    WHERE c.relnamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND c.relkind NOT IN ('i', 'S', 'I', 't')
)
SELECT nom, 'la relation',
       CASE relkind WHEN 'r' THEN 'une table'
                    WHEN 'v' THEN 'une vue : ' || regexp_replace(regexp_replace(pg_get_viewdef(oid), '\s+', ' ', 'g'),
                                                                '\m(?!journal\M|vues\M)\w+\.', '', 'g')
                    ELSE 'autre chose qu''une table' END
       || CASE relpersistence WHEN 'p' THEN '' ELSE ', perdue si le serveur tombe' END
       || CASE WHEN EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = relations.oid)
               THEN ', où se lisent aussi les lignes d''une autre' ELSE '' END
FROM relations
WHERE du_journal OR relkind <> 'r' OR relpersistence <> 'p'
   OR EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = relations.oid)
UNION ALL
SELECT r.nom, 'la colonne ' || a.attname,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ', requise' ELSE '' END
       || CASE a.attidentity WHEN 'a' THEN ', numérotée' WHEN 'd' THEN ', numérotée ou choisie' ELSE '' END
       || coalesce(', défaut ' || CASE a.attname
              WHEN 'ecrit_par' THEN regexp_replace(pg_get_expr(d.adbin, d.adrelid), '''\d+''', 'génération')
              ELSE pg_get_expr(d.adbin, d.adrelid) END, '')
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.du_journal
UNION ALL
SELECT r.nom, 'la contrainte ' || k.conname,
       pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ', non validée' END
FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('p', 'u', 'c', 'f')
WHERE r.du_journal
UNION ALL
SELECT r.nom, 'le déclencheur ' || t.tgname,
       pg_get_triggerdef(t.oid) || CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ', désarmé' END
FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT p.oid::regprocedure::text, 'la fonction',
       'empreinte ' || encode(sha256(convert_to(
           regexp_replace(pg_get_functiondef(p.oid), '\s+', ' ', 'g'), 'UTF8')), 'hex')
FROM pg_proc p WHERE p.pronamespace IN ('journal'::regnamespace, 'vues'::regnamespace) AND p.prokind = 'f'
UNION ALL
SELECT c.oid::regclass::text, 'la suite',
       format('de %s à %s, par %s', s.seqmin, s.seqmax, s.seqincrement)
       || CASE WHEN s.seqcycle THEN ', en boucle' ELSE '' END
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid AND c.relnamespace = 'journal'::regnamespace
"""

_ENTIERES: Final = frozenset({"la relation", "la fonction", "la suite"})

_Nom = tuple[str, str]
"""Une relation, une fonction ou une suite ; et ce dont il s'agit."""


def lire_la_structure(conn: Connection[Any]) -> dict[_Nom, str]:
    """Ce que la base porte."""
    return {(ou, quoi): " ".join(dit.split()) for ou, quoi, dit in conn.execute(_STRUCTURE)}


def tables_du_journal() -> list[str]:
    """Les tables du journal, telles que les migrations les font : toutes sont en ajout seul."""
    return [ou for ou, quoi in _attendue() if quoi == "la relation" and ou.startswith("journal.")]


def en_texte(structure: dict[_Nom, str]) -> str:
    """La forme du fichier : une garde par ligne."""
    return "".join(f"{ou}\t{quoi}\t{dit}\n" for (ou, quoi), dit in sorted(structure.items()))


def comparer_la_structure(conn: Connection[Any], rapport: Rapport) -> None:
    """Compare ce que la base porte à ce que les migrations y mettent."""
    la, attendue = lire_la_structure(conn), _attendue()
    entieres = {ou for ou, quoi in la.keys() ^ attendue.keys() if quoi in _ENTIERES}
    for ou, quoi in sorted(la.keys() | attendue.keys()):
        dite, voulue = la.get((ou, quoi)), attendue.get((ou, quoi))
        entiere = quoi in _ENTIERES
        if dite == voulue or (ou in entieres and not entiere):
            continue  # Ce qui manque ou est de trop en entier n'est dit qu'une fois.
        nom = f"{quoi} {ou}" if entiere else f"{quoi} de {ou}"
        if dite is None:
            rapport.ecart(f"garde : il manque {nom}")
        elif voulue is None:
            if not _d_une_version_plus_recente(ou, quoi, attendue):
                rapport.ecart(f"garde : {nom} est de trop : {dite}")
        else:
            rapport.ecart(f"garde : {nom} a changé : {dite} ; les migrations font {voulue}")


def _d_une_version_plus_recente(ou: str, quoi: str, attendue: dict[_Nom, str]) -> bool:
    """Ce qu'une version plus récente peut avoir ajouté, pendant qu'elle prend la suite : seul, cela ne garde rien.

    Un déclencheur ou une contrainte de plus sur ce qui est connu n'en est pas, ni un déclencheur sur une vue.
    """
    inconnue = ou.startswith("journal.") and (ou, "la relation") not in attendue
    return quoi in _ENTIERES or quoi.startswith("la colonne ") or inconnue


@cache
def _attendue() -> dict[_Nom, str]:
    texte = files("projections.audit").joinpath(FICHIER).read_text(encoding="utf-8")
    lignes = (ligne.split("\t") for ligne in texte.splitlines())
    return {(ou, quoi): dit for ou, quoi, dit in lignes}
