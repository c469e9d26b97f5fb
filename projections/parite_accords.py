"""Ce qui était d'accord et n'a pas bougé l'est encore : la comparaison continue ne rejoue que le reste.

Là où chaque ligne ne suit que des faits de son flux, rejouer deux fois les mêmes faits donne deux fois les mêmes
lignes. PostgreSQL fait une empreinte des faits d'un flux et de ses lignes, bien moins chère qu'un rejeu : si elle
est celle du dernier accord, ni les uns ni les autres n'ont changé. Elle trouve ce qui s'abîme, non ce qui se falsifie
(64 bits) : le sceau trouve cela. Un bloc est pourtant rejoué en entier une fois par jour environ.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from psycopg import Connection, sql

from engine import shadow
from engine.shadow import Rows

APRES_TOUT: Final = "\U0010ffff"
"""Après tout nom de flux d'un même préfixe."""

BLOC_MAX: Final = 2
"""Un bloc où naissent des flux est coupé quand il en a tant de fois plus qu'une tranche."""

# Le dernier des flux qui suivent, et combien ils sont.
_SUIVANTS: Final = """
SELECT max(flux), count(*) FROM (
    SELECT flux FROM journal.evenements WHERE flux > %s AND flux <= %s AND version = 1 ORDER BY flux LIMIT %s
) AS suivants
"""

# Ni une date qu'une horloge fausse a mise trop loin, ni une borne abîmée ne se croient.
_LIRE: Final = """
SELECT jusqu_a,
       CASE WHEN refaire_le BETWEEN clock_timestamp() AND clock_timestamp() + interval '36 hours' THEN marques
            ELSE '{}' END
FROM vues.accords WHERE vue = %s AND nom_table = %s AND apres = %s AND jusqu_a > apres
"""

# Le premier bloc qui commence plus loin : un bloc nouveau ne le chevauche pas.
_SUIVANT: Final = "SELECT min(apres) FROM vues.accords WHERE vue = %s AND nom_table = %s AND apres > %s"

# Ceux qui commencent dans le bloc comparé, il les remplace.
_REMPLACER: Final = "DELETE FROM vues.accords WHERE vue = %s AND nom_table = %s AND apres > %s AND apres < %s"

# Chacun à son heure, entre une demi-journée et un jour et demi : jamais tous au même tour.
_GARDER: Final = """
INSERT INTO vues.accords AS a (vue, nom_table, apres, jusqu_a, marques, refaire_le)
VALUES (%(vue)s, %(table)s, %(apres)s, %(jusqu_a)s, %(marques)s,
        clock_timestamp() + interval '12 hours' + random() * interval '24 hours')
ON CONFLICT (vue, nom_table, apres) DO UPDATE
SET jusqu_a = excluded.jusqu_a, marques = excluded.marques,
    refaire_le = CASE WHEN %(entier)s THEN excluded.refaire_le ELSE a.refaire_le END
"""


class Bloc(NamedTuple):
    """Les flux qui se comparent ensemble, et ceux dont on sait l'accord."""

    jusqu_a: str | None
    """Le dernier, compris ; None : ce bloc n'a jamais été comparé."""
    avant: str | None
    """Où commence le bloc suivant, s'il y en a un."""
    marques: list[int]


INCONNU: Final = Bloc(None, None, [])
"""Rien n'en est su : tout s'y rejoue."""


class Marques(NamedTuple):
    """Les flux d'une tranche, les uns restés d'accord, les autres à rejouer."""

    tenues: list[int]
    """Marques de ceux qui n'ont pas bougé."""
    lignes: int
    """Combien de lignes les vues en ont."""
    flux: list[str]
    """Ceux qui sont à rejouer."""
    nouvelles: list[int]
    """Leurs marques, dans le même ordre."""


class Accord(NamedTuple):
    """Ce qu'une tranche laisse à la suivante du même bloc."""

    marques: list[int]
    entier: bool
    """Tout le bloc a été rejoué."""


def lire_le_bloc(conn: Connection[Any], vue: str, lignes: Rows, apres: str) -> Bloc:
    """Le bloc qui commence après ce flux."""
    jusqu_a, marques = conn.execute(_LIRE, (vue, lignes.table, apres), binary=True).fetchone() or (None, [])
    (avant,) = conn.execute(_SUIVANT, (vue, lignes.table, apres)).fetchone() or (None,)
    return Bloc(jusqu_a, avant, marques)


def garder_le_bloc(conn: Connection[Any], vue: str, lignes: Rows, bornes: tuple[str, str], accord: Accord) -> None:
    """Garde ce bloc ; ceux qu'il recouvre s'effacent."""
    apres, jusqu_a = bornes
    conn.execute(_REMPLACER, (vue, lignes.table, apres, jusqu_a))
    valeurs = {"vue": vue, "table": lignes.table, "apres": apres, "jusqu_a": jusqu_a}
    conn.execute(_GARDER, valeurs | {"marques": accord.marques, "entier": accord.entier})


def edition_du_code(dossiers: Iterable[Path] | None = None) -> str:
    """Une empreinte de ce code : celui du domaine, de la machine et des vues, dont suivent les lignes refaites.

    Deux livraisons peuvent porter le même numéro ; elles n'ont pas la même édition.
    """
    racine = Path(__file__).parent.parent
    empreinte = sha256()
    for dossier in dossiers or [racine / piece for piece in ("domain", "engine", "projections")]:
        for fichier in sorted(dossier.rglob("*.py")):
            empreinte.update(f"{fichier.relative_to(dossier)}\0".encode() + fichier.read_bytes())
    return empreinte.hexdigest()


def graine(edition: str) -> int:
    """D'une édition du code à l'autre, aucune marque n'est la même : un code qui change rejoue tout."""
    return int.from_bytes(sha256(edition.encode()).digest()[:8], "big", signed=True)


def borne_de(conn: Connection[Any], lignes: Rows, depuis: str, flux_max: int, bloc: Bloc) -> str:
    """Le dernier flux de la tranche : celui du bloc s'il n'a pas trop grandi, jamais au-delà du bloc suivant."""
    if bloc.jusqu_a is not None and _suivants(conn, depuis, bloc.jusqu_a, BLOC_MAX * flux_max) is None:
        return bloc.jusqu_a
    limite = bloc.jusqu_a or bloc.avant or lignes.prefix + APRES_TOUT
    return _suivants(conn, depuis, limite, flux_max) or limite


def _suivants(conn: Connection[Any], depuis: str, limite: str, flux_max: int) -> str | None:
    """Le dernier d'autant de flux ; None s'il n'y en a pas autant jusqu'à `limite`."""
    dernier, combien = conn.execute(_SUIVANTS, (depuis, limite, flux_max)).fetchone() or (None, 0)
    return str(dernier) if combien >= flux_max else None


def accord_de(marques: Marques, differents: AbstractSet[str]) -> Accord:
    """Les flux restés d'accord, et ceux qui, rejoués, le sont."""
    nouvelles = [marque for flux, marque in zip(marques.flux, marques.nouvelles, strict=True) if flux not in differents]
    return Accord(marques.tenues + nouvelles, entier=not marques.tenues)


def marquer(  # noqa: PLR0917  (ce qui se compare, et jusqu'où)
    conn: Connection[Any],
    tables: tuple[Rows, ...],
    bornes: tuple[str, str],
    topics: list[str],
    position: int,
    bloc: Bloc,
    grain: int,
) -> Marques:
    """Les flux de ces bornes, par ce que le journal et les vues en disent dans l'instantané de la connexion."""
    sources = [
        sql.SQL(
            "SELECT flux, 0 AS lignes, hash_record_extended(ROW(position, flux, version, topic, etat, cause,"
            " enregistre_le), {grain}) AS empreinte FROM journal.evenements"
            " WHERE flux > %(depuis)s AND flux <= %(jusqu_a)s AND topic = ANY (%(topics)s) AND position <= %(position)s"
        ).format(grain=sql.Literal(grain))
    ]
    for lignes in tables:
        comparees = lignes.compared(list(shadow.columns(conn, lignes.table)))
        sources.append(
            sql.SQL(
                "SELECT {prefixe} || r.{colonne}, 1, hash_record_extended(ROW({table}::text, {comparees}), {grain})"
                " FROM {vue} AS r WHERE r.{colonne} > {depuis} AND r.{colonne} <= {jusqu_a}"
            ).format(
                prefixe=sql.Literal(lignes.prefix),
                colonne=sql.Identifier(lignes.column),
                table=sql.Literal(lignes.table),
                comparees=sql.SQL(", ").join(sql.Identifier("r", colonne) for colonne in comparees),
                grain=sql.Literal(grain),
                vue=sql.Identifier(shadow.LIVE, lignes.table),
                depuis=sql.Literal(bornes[0].removeprefix(lignes.prefix)),
                jusqu_a=sql.Literal(bornes[1].removeprefix(lignes.prefix)),
            )
        )
    requete = sql.SQL(
        "SELECT coalesce(array_agg(marque) FILTER (WHERE tenue), '{{}}'),"
        " coalesce(sum(lignes) FILTER (WHERE tenue), 0),"
        " coalesce(array_agg(flux) FILTER (WHERE NOT tenue), '{{}}'),"
        " coalesce(array_agg(marque) FILTER (WHERE NOT tenue), '{{}}')"
        " FROM (SELECT flux, lignes, marque, marque = ANY (%(marques)s::int8[]) AS tenue FROM ("
        " SELECT flux, sum(lignes) AS lignes, hash_record_extended(ROW(flux, bit_xor(empreinte)), {grain}) AS marque"
        " FROM ({sources}) AS tout GROUP BY flux) AS par_flux) AS marques"
    ).format(grain=sql.Literal(grain), sources=sql.SQL(" UNION ALL ").join(sources))
    valeurs = {
        "depuis": bornes[0], "jusqu_a": bornes[1], "topics": topics, "position": position, "marques": bloc.marques,
    }  # fmt: skip
    tenues, combien, flux, nouvelles = conn.execute(requete, valeurs, binary=True).fetchone() or ([], 0, [], [])
    return Marques(tenues, int(combien), flux, nouvelles)
