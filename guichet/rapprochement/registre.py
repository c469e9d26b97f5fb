"""Le SQL des rapports : les lignes de la banque, ce que chaque rapport couvre, et les écarts ; tout en ajout seul."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.ecart import GenreEcart
from engine.clocks import AT_MOST, latest
from engine.database import SILENCE_S
from guichet.rapprochement.cotes import TRANCHE
from guichet.rapprochement.ecarts import Ecart
from kiosque.rapports import LIBELLES, Genre, LigneDeRapport, RapportRefuse

VERROU: Final = 0x726170706F727473
"""Verrou consultatif (« rapports ») : deux rapprochements ne se jugent pas l'un sur l'autre."""

PAQUET: Final = 5_000
"""Lignes par instruction : chacune reste loin de sa durée maximale, et tient en mémoire."""

DUREE_MAX: Final = "10min"

_COLONNES: Final = (
    "cle, numero, genre, transaction, marchand, operation, sequence, montant, frais, pris, rendu, etat, code,"
    " autorisation, survenu_le"
)

# Les lignes du fichier, le temps de la transaction.
_CREER_LUES: Final = """
CREATE TEMP TABLE lues ON COMMIT DROP AS SELECT %s FROM journal.lignes_de_rapport WITH NO DATA
""".replace("%s", _COLONNES)

# Pas COPY : tant qu'il attend son client, PostgreSQL n'y regarde aucun délai, et un client figé n'en sort jamais.
_DEPOSER: Final = f"""
INSERT INTO pg_temp.lues ({_COLONNES})
SELECT * FROM unnest(%b::bytea[], %b::int8[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int8[],
                     %b::int8[], %b::int8[], %b::int8[], %b::text[], %b::text[], %b::text[], %b::timestamptz[])
"""  # noqa: S608

# Ce que le fichier couvre : de quels marchands, depuis quand, en combien de lignes distinctes.
_RESUMER: Final = """
SELECT count(*), count(DISTINCT cle), min(survenu_le),
       coalesce(array_agg(DISTINCT marchand) FILTER (WHERE marchand IS NOT NULL), '{}')
FROM pg_temp.lues
"""

LIGNES_PAR_TRANSACTION_MAX: Final = 1_000
"""Lignes différentes d'une transaction dans un rapport : les comparer entre elles ne doit pas durer."""

_TROP_DITE: Final = """
SELECT max(numero) FROM pg_temp.lues GROUP BY transaction HAVING count(DISTINCT cle) > %s LIMIT 1
"""

_INSCRIRE_RAPPORT: Final = f"""
INSERT INTO journal.rapports (empreinte, genre, genere_le, marchands, couvre_depuis, couvre_jusqua, position, fichier,
                              lignes)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s FROM {AT_MOST} RETURNING rang
"""  # noqa: S608

_INSCRIRE_LIGNES: Final = f"""
INSERT INTO journal.lignes_de_rapport (rapport, {_COLONNES})
SELECT %s, {_COLONNES} FROM pg_temp.lues, {AT_MOST} ORDER BY numero
ON CONFLICT (cle, rapport) DO NOTHING
"""  # noqa: S608

_LIRE_RAPPORT: Final = """
SELECT rang, genre, genere_le, marchands, couvre_depuis, couvre_jusqua, position FROM journal.rapports
"""

# Le rapport précédent du même genre qui parle d'un de ces marchands.
_PRECEDENT: Final = f"""
{_LIRE_RAPPORT} WHERE genre = %s AND genere_le < %s AND marchands && %s::text[]
ORDER BY genere_le DESC, rang DESC LIMIT 1
"""

# La première position enregistrée à un instant ou après se cherche par dichotomie : le journal est dans l'ordre.
_HEURE_DE: Final = """
SELECT position, enregistre_le FROM journal.evenements WHERE position >= %s ORDER BY position LIMIT 1
"""

# Les flux qui portent un de ces faits dans une tranche du journal.
_FLUX_DEPUIS: Final = """
SELECT position, flux FROM journal.evenements WHERE position > %s AND position <= %s AND topic = ANY (%s)
ORDER BY position LIMIT %s
"""

_OUVERTS: Final = """
SELECT rang, genre_de_rapport, genre, transaction, marchand, jour, montant, montant_banque, montant_chez_nous,
       etat_banque, etat_chez_nous, cause
FROM vues.ecarts_ouverts
"""

_INSCRIRE_ECART: Final = f"""
INSERT INTO journal.ecarts_de_rapport (clot, rapport, genre_de_rapport, genre, transaction, marchand, jour, montant,
                                       montant_banque, montant_chez_nous, etat_banque, etat_chez_nous, cause)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM {AT_MOST}
"""  # noqa: S608


# Celles qu'aucun rapport n'avait dites.
_NOUVELLES: Final = """
SELECT count(DISTINCT u.cle) FROM pg_temp.lues u
WHERE NOT EXISTS (SELECT FROM journal.lignes_de_rapport l WHERE l.cle = u.cle)
"""


class RapportInscrit(NamedTuple):
    """Un rapport du journal."""

    rang: int
    genre: Genre
    genere_le: datetime
    marchands: tuple[str, ...]
    couvre_depuis: datetime
    couvre_jusqua: datetime
    position: int


class Resume(NamedTuple):
    """Ce que le fichier contient."""

    lignes: int
    distinctes: int
    premier: datetime | None
    marchands: tuple[str, ...]


def commencer(conn: Connection[Any]) -> None:
    """Prépare la table des lignes lues, jusqu'à la fin de la transaction ; rien n'est encore tenu."""
    conn.execute(f"SET LOCAL statement_timeout = '{DUREE_MAX}'")
    conn.execute(_CREER_LUES)


def prendre_le_verrou(conn: Connection[Any]) -> None:
    """Prend le verrou jusqu'à la fin de la transaction ; qui se tait plus longtemps que `SILENCE_S` le perd."""
    conn.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{SILENCE_S}s'")
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (VERROU,))


def cle_de(ligne: LigneDeRapport) -> bytes:
    """L'empreinte de ce que la ligne affirme ; son état n'en est pas, qui change d'un rapport à l'autre."""
    affirme = (
        ligne.genre.value, ligne.transaction, ligne.marchand, ligne.operation, ligne.sequence, ligne.montant,
        ligne.frais, ligne.code, ligne.autorisation, ligne.survenu_le.isoformat(),
    )  # fmt: skip
    return sha256(repr(affirme).encode()).digest()


def deposer(conn: Connection[Any], lignes: Iterable[LigneDeRapport], avancer: Callable[[int], None]) -> Resume:
    """Met les lignes dans la table des lues, par paquets ; `avancer` reçoit leur compte ; lève RapportRefuse."""
    suite = iter(lignes)
    lues = 0
    while paquet := list(islice(suite, PAQUET)):
        rangees = [
            (
                cle_de(ligne), ligne.numero, ligne.genre.value, ligne.transaction, ligne.marchand,
                ligne.operation, ligne.sequence, ligne.montant, ligne.frais, ligne.pris, ligne.rendu,
                ligne.etat, ligne.code, ligne.autorisation, ligne.survenu_le,
            )
            for ligne in paquet
        ]  # fmt: skip
        conn.execute(_DEPOSER, [list(colonne) for colonne in zip(*rangees, strict=True)])
        lues += len(paquet)
        avancer(lues)
    conn.execute("ANALYZE pg_temp.lues")
    total, distinctes, premier, marchands = conn.execute(_RESUMER).fetchone() or (0, 0, None, [])
    if (trop := conn.execute(_TROP_DITE, (LIGNES_PAR_TRANSACTION_MAX,)).fetchone()) is not None:
        cause = f"plus de {LIGNES_PAR_TRANSACTION_MAX} lignes différentes d'une même transaction"
        raise RapportRefuse(cause, ligne=trop[0])
    return Resume(total, distinctes, premier, tuple(marchands))


def rapport_connu(conn: Connection[Any], empreinte: bytes) -> RapportInscrit | None:
    """Le rapport de cette empreinte, s'il a été lu."""
    return _rapport(conn.execute(_LIRE_RAPPORT + "WHERE empreinte = %s", (empreinte,)).fetchone())


def rapport_precedent(
    conn: Connection[Any], genre: Genre, genere_le: datetime, marchands: Sequence[str]
) -> RapportInscrit | None:
    """Le dernier rapport d'avant, du même genre, qui parle d'un de ces marchands."""
    return _rapport(conn.execute(_PRECEDENT, (genre.value, genere_le, list(marchands))).fetchone())


def dernier_rapport(conn: Connection[Any], genre: Genre, marchand: str) -> RapportInscrit | None:
    """Le rapport de ce genre qui couvre ce marchand le plus loin."""
    requete = _LIRE_RAPPORT + "WHERE genre = %s AND %s = ANY (marchands) ORDER BY couvre_jusqua DESC LIMIT 1"
    return _rapport(conn.execute(requete, (genre.value, marchand)).fetchone())


def rapports_couvrant(conn: Connection[Any], genre: Genre, depuis: datetime) -> list[RapportInscrit]:
    """Les rapports de ce genre qui couvrent quelque chose après cet instant."""
    lignes = conn.execute(_LIRE_RAPPORT + "WHERE genre = %s AND couvre_jusqua > %s", (genre.value, depuis))
    return [rapport for ligne in lignes if (rapport := _rapport(ligne))]


def _rapport(ligne: tuple[Any, ...] | None) -> RapportInscrit | None:
    if ligne is None:
        return None
    rang, genre, genere_le, marchands, depuis, jusqua, position = ligne
    return RapportInscrit(rang, Genre(genre), genere_le, tuple(marchands), depuis, jusqua, position)


def inscrire_rapport(
    conn: Connection[Any], rapport: RapportInscrit, empreinte: bytes, fichier: str, lignes: int
) -> tuple[RapportInscrit, int]:
    """Inscrit le rapport (son rang est donné ici) et ses lignes ; rend aussi le nombre des nouvelles."""
    (nouvelles,) = conn.execute(_NOUVELLES).fetchone() or (0,)
    (rang,) = conn.execute(
        _INSCRIRE_RAPPORT,
        (
            empreinte, rapport.genre.value, rapport.genere_le, list(rapport.marchands), rapport.couvre_depuis,
            rapport.couvre_jusqua, rapport.position, fichier, lignes, latest(),
        ),
    ).fetchone() or (0,)  # fmt: skip
    conn.execute(_INSCRIRE_LIGNES, (rang, latest()))
    return rapport._replace(rang=rang), nouvelles


def bout_du_journal(conn: Connection[Any]) -> int:
    """La dernière position du journal, 0 s'il est vide."""
    (position,) = conn.execute("SELECT coalesce(max(position), 0) FROM journal.evenements").fetchone() or (0,)
    return int(position)


def position_avant(conn: Connection[Any], instant: datetime, bout: int) -> int:
    """Une position telle que tout ce qui a été enregistré depuis cet instant est après elle."""
    bas, haut = 0, bout
    while bas < haut:
        milieu = (bas + haut) // 2
        trouve = conn.execute(_HEURE_DE, (milieu + 1,)).fetchone()
        if trouve is None or trouve[1] >= instant:
            haut = milieu
        else:
            bas = int(trouve[0])
    return bas


def flux_depuis(conn: Connection[Any], depuis: int, bout: int, topics: Sequence[str]) -> Iterator[list[str]]:
    """Les flux qui portent un de ces faits après cette position et jusqu'au bout, par tranches."""
    position = depuis
    while lignes := conn.execute(_FLUX_DEPUIS, (position, bout, list(topics), TRANCHE)).fetchall():
        yield list(dict.fromkeys(flux for _, flux in lignes))
        position = lignes[-1][0]


def ecarts_ouverts(conn: Connection[Any]) -> Iterator[list[tuple[int, Ecart]]]:
    """Les écarts encore ouverts, chacun avec son rang, par tranches : ceux d'une transaction sont dans la même."""
    with conn.cursor(name="ecarts_ouverts") as curseur:
        curseur.itersize = TRANCHE
        curseur.execute(_OUVERTS + "ORDER BY transaction, rang")
        par_transaction = (list(lignes) for _, lignes in groupby(curseur, key=itemgetter(3)))
        while groupes := list(islice(par_transaction, TRANCHE)):
            yield [
                (rang, Ecart(Genre(rapport), GenreEcart(genre), *reste))
                for rang, rapport, genre, *reste in chain.from_iterable(groupes)
            ]


def inscrire_ecarts(conn: Connection[Any], rapport: int | None, ecarts: Iterable[tuple[int | None, Ecart]]) -> None:
    """Inscrit des écarts : ouverts (None), ou qui closent celui de ce rang."""
    with conn.cursor() as curseur:
        curseur.executemany(
            _INSCRIRE_ECART,
            (
                (
                    clot, rapport, ecart.genre_de_rapport.value, ecart.genre.value, ecart.transaction, ecart.marchand,
                    ecart.jour, ecart.montant, *ecart.cotes, _cause_gardee(clot, ecart), latest(),
                )
                for clot, ecart in ecarts
            ),
        )  # fmt: skip


def _cause_gardee(clot: int | None, ecart: Ecart) -> str:
    """La cause, précédée du rapport qui le montre : plusieurs peuvent montrer le même écart, chacun a son anomalie."""
    if clot is not None:
        return ecart.cause
    return f"rapport des {LIBELLES[ecart.genre_de_rapport]}, {ecart.jour:%d/%m/%Y} : {ecart.cause}"
