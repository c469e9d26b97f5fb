"""Ce que la comparaison continue garde : où elle en est de chaque vue, et les lignes qui diffèrent."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from engine.instants import age_s
from engine.shadow import Rows
from projections.parite import Constat, Tranche
from projections.parite_accords import garder_le_bloc
from projections.vues import VueSuivie

GARDEES_MAX: Final = 1_000
"""Différences d'une vue gardées, au plus."""

_ENTRER: Final = """
INSERT INTO vues.parite (vue, table_en_cours, apres) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_LIRE: Final = "SELECT table_en_cours, apres FROM vues.parite WHERE vue = %s"

_AVANCER: Final = f"""
UPDATE vues.parite SET table_en_cours = %(table)s, apres = %(apres)s, lignes = lignes + %(lignes)s, cause = NULL,
    tour_fini_le = CASE WHEN %(tour)s THEN clock_timestamp() ELSE tour_fini_le END,
    tour_secondes = CASE WHEN %(tour)s THEN {age_s("tour_commence_le")} ELSE tour_secondes END,
    tour_commence_le = CASE WHEN %(tour)s THEN clock_timestamp() ELSE tour_commence_le END
WHERE vue = %(vue)s
"""  # noqa: S608

_MANQUER: Final = "UPDATE vues.parite SET cause = %s WHERE vue = %s"

# Ce qui ne diffère plus, dans les flux de cette tranche.
_EFFACER: Final = """
DELETE FROM vues.differences
WHERE vue = %s AND flux > %s AND flux <= %s AND starts_with(cle, %s) AND cle <> ALL (%s)
"""

# Ce qui ne diffère plus dans les comptes, qui se comparent à la fin du tour.
_EFFACER_DES_COMPTES: Final = "DELETE FROM vues.differences WHERE vue = %s AND starts_with(cle, %s) AND cle <> ALL (%s)"

_GARDER: Final = """
INSERT INTO vues.differences AS d (vue, cle, flux, genre, position, phrase)
SELECT %s, n.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::int8[], %s::text[])
     AS n (cle, flux, genre, position, phrase)
WHERE (SELECT count(*) FROM vues.differences WHERE vue = %s) < %s
ON CONFLICT (vue, cle) DO UPDATE
SET flux = excluded.flux, genre = excluded.genre, position = excluded.position, phrase = excluded.phrase,
    vue_le = clock_timestamp()
"""

_DIFFERENCES: Final = """
SELECT vue, cle, flux, genre, position, phrase, trouvee_le FROM vues.differences ORDER BY trouvee_le, vue, cle LIMIT %s
"""

_MESURES: Final = f"""
SELECT p.vue, (SELECT count(*) FROM vues.differences d WHERE d.vue = p.vue), p.lignes, p.tour_secondes,
       {age_s("coalesce(p.tour_fini_le, p.commencee_le)")}, p.cause
FROM vues.parite p
"""  # noqa: S608


class Mesure(NamedTuple):
    """Où en est la comparaison d'une vue."""

    vue: str
    differences: int
    lignes: int
    """Comparées depuis toujours."""
    tour_s: float | None
    """La durée du dernier tour entier."""
    age_s: float
    """Depuis qu'il est fini ; du début de la comparaison s'il n'y en a pas eu."""
    cause: str | None
    """Pourquoi la dernière tranche n'a pu se comparer."""


class DifferenceGardee(NamedTuple):
    """Une ligne qui ne dit pas ce que dit le journal, telle qu'elle est gardée."""

    vue: str
    constat: Constat
    trouvee_le: datetime


def ou_en_est(conn: Connection[Any], vue: VueSuivie) -> tuple[Rows, str]:
    """La table à comparer, et le flux après lequel reprendre."""
    premiere = vue.tours[0]
    conn.execute(_ENTRER, (vue.nom, premiere.table, premiere.prefix))
    table, apres = conn.execute(_LIRE, (vue.nom,)).fetchone() or (premiere.table, premiere.prefix)
    trouvee = next((lignes for lignes in vue.tours if lignes.table == table), None)
    return (trouvee, apres) if trouvee is not None else (premiere, premiere.prefix)


def noter(conn: Connection[Any], vue: VueSuivie, lignes: Rows, tranche: Tranche) -> bool:
    """Garde ce qu'une tranche a trouvé, et avance ; dit si le tour de la vue est fini."""
    tables = vue.tours
    rang = tables.index(lignes)
    derniere = tranche.finie and rang == len(tables) - 1
    suivante = tables[(rang + 1) % len(tables)] if tranche.finie else lignes
    constats = tranche.constats
    cles = [constat.cle for constat in constats]
    with conn.transaction():
        for table in vue.avec(lignes):
            conn.execute(_EFFACER, (vue.nom, tranche.depuis, tranche.jusqu_a, f"{table.table}-", cles))
        if vue.comptes is not None and derniere:
            conn.execute(_EFFACER_DES_COMPTES, (vue.nom, f"{vue.comptes[0].table}-", cles))
        if constats:
            colonnes = [list(colonne) for colonne in zip(*constats, strict=True)]
            conn.execute(_GARDER, (vue.nom, *colonnes, vue.nom, GARDEES_MAX))
        if tranche.accord is not None:
            garder_le_bloc(conn, vue.nom, lignes, (tranche.depuis, tranche.jusqu_a), tranche.accord)
        apres = suivante.prefix if tranche.finie else tranche.jusqu_a
        valeurs = {"table": suivante.table, "apres": apres, "lignes": tranche.lignes, "tour": derniere}
        conn.execute(_AVANCER, valeurs | {"vue": vue.nom})
    return derniere


def noter_un_manque(conn: Connection[Any], vue: str, cause: str) -> None:
    """La tranche n'a pu se comparer."""
    conn.execute(_MANQUER, (cause[:2_000], vue))


def mesures_de_parite(conn: Connection[Any]) -> list[Mesure]:
    """Où en est la comparaison de chaque vue."""
    return [Mesure(*ligne) for ligne in conn.execute(_MESURES)]


def differences_gardees(conn: Connection[Any], limite: int | None) -> Iterator[DifferenceGardee]:
    """Les lignes qui diffèrent, la plus anciennement trouvée d'abord."""
    for vue, cle, flux, genre, position, phrase, trouvee_le in conn.execute(_DIFFERENCES, (limite,)):
        yield DifferenceGardee(vue, Constat(cle, flux, genre, position, phrase), trouvee_le)
