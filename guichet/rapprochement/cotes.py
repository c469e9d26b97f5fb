"""Ce que la banque a dit de chaque transaction, tous fichiers réunis, et ce que le fichier déposé en dit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.redite import Dite, affirmees, retenir
from kiosque.rapports import Genre

TRANCHE: Final = 5_000
"""Transactions jugées ensemble."""

_LIGNES: Final = """
(SELECT l.*, r.genere_le FROM journal.lignes_de_rapport l JOIN journal.rapports r ON r.rang = l.rapport) AS l
"""
_COLONNES: Final = ", ".join(f"l.{champ}" for champ in Dite._fields)

# Tout ce que la banque a dit de ces transactions, et si le fichier le dit.
_DITES: Final = f"""
SELECT {_COLONNES}, l.etat, (l.survenu_le AT TIME ZONE 'Europe/Paris')::date, u.cle IS NOT NULL
FROM {_LIGNES}
LEFT JOIN (SELECT DISTINCT cle FROM pg_temp.lues) u ON u.cle = l.cle
WHERE l.genre = %s AND l.transaction IN (SELECT transaction FROM pg_temp.touchees)
ORDER BY l.transaction
"""  # noqa: S608

_CONNUES: Final = """
SELECT l.transaction, max(l.survenu_le), bool_or(u.cle IS NOT NULL)
FROM journal.lignes_de_rapport l LEFT JOIN pg_temp.lues u ON u.cle = l.cle
WHERE l.genre = %s AND l.transaction = ANY (%s) GROUP BY 1
"""

_RENDUS: Final = f"""
SELECT {_COLONNES} FROM {_LIGNES} WHERE l.genre = %s AND l.transaction = ANY (%s)
"""  # noqa: S608


class JourDit(NamedTuple):
    """Ce que la banque dit d'une transaction un jour de Paris, sous un marchand ; en centimes.

    `…_lu` : ce qu'en dit le fichier déposé.
    """

    transaction: str
    marchand: str | None
    le: date
    pris: int
    rendu: int
    codes: Sequence[str]
    etats: Sequence[str]
    lue: bool
    pris_lu: int
    rendu_lu: int
    frais_lus: int
    instants: Sequence[datetime]
    montants: Sequence[int]
    corrigees: int
    """Lignes d'autres rapports que de plus tardifs ont corrigées ; de toute la transaction, à son premier jour."""
    depassees: int
    """De même, celles du fichier."""
    rendu_corrige: int
    """Ce que les lignes corrigées disaient rendu ; de même."""


def cotes(conn: Connection[Any], genre: Genre, transactions: Sequence[str] | None) -> Iterator[JourDit]:
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
        curseur.execute(_DITES, (genre.value,))
        for transaction, lignes in groupby(curseur, key=itemgetter(1)):
            yield from _par_jour(transaction, list(lignes))


def _par_jour(transaction: str, lignes: Sequence[tuple[Any, ...]]) -> Iterator[JourDit]:
    """Ce que la banque dit d'une transaction, par marchand et jour de Paris : chaque chose une fois, et datée."""
    jours: dict[tuple[date, str | None], _Jour] = {}
    dites = [Dite(*ligne[: len(Dite._fields)]) for ligne in lignes]
    retenues = retenir(dites)
    for dite, rangs, _ in retenues.affirmees:
        siennes = [lignes[rang] for rang in rangs]
        lues = [ligne for ligne in siennes if ligne[-1]]
        dernier = max(dites[rang].tour for rang in rangs)
        derniers = [lignes[rang] for rang in rangs if dites[rang].tour == dernier]
        # Celle du fichier date ce que les autres redisent : les sommes d'un fichier sont de ses jours.
        retenue = min(lues or siennes, key=itemgetter(2))
        jour = jours.setdefault((retenue[-2], dite.marchand), _Jour())
        jour.codes |= {dite.code} if dite.code is not None else set()
        jour.etats |= {ligne[-3] for ligne in derniers} - {None}
        jour.ajouter(dite._replace(survenu_le=retenue[2]), [Dite(*ligne[: len(Dite._fields)]) for ligne in lues])
    depassees = sum(any(lignes[rang][-1] for rang in rangs) for _, rangs, _ in retenues.remplacees)
    corrigees = len(retenues.remplacees) - depassees
    rendu_corrige = sum(dite.rendu for dite, *_ in retenues.remplacees)
    for (le, marchand), jour in sorted(jours.items(), key=lambda item: (item[0][0], item[0][1] or "\U0010ffff")):
        yield JourDit(
            transaction, marchand, le, jour.pris, jour.rendu, sorted(jour.codes), sorted(jour.etats), jour.lue,
            jour.pris_lu, jour.rendu_lu, jour.frais_lus, jour.instants, jour.montants, corrigees, depassees,
            rendu_corrige,
        )  # fmt: skip
        corrigees = depassees = rendu_corrige = 0


@dataclass(slots=True)
class _Jour:
    """Les sommes d'un jour et d'un marchand, en centimes ; `lu` : ce que le fichier déposé en dit."""

    pris: int = 0
    rendu: int = 0
    pris_lu: int = 0
    rendu_lu: int = 0
    frais_lus: int = 0
    lue: bool = False
    codes: set[str] = field(default_factory=set)
    etats: set[str] = field(default_factory=set)
    instants: list[datetime] = field(default_factory=list)
    montants: list[int] = field(default_factory=list)

    def ajouter(self, dite: Dite, lues: Sequence[Dite]) -> None:
        """Ajoute ce que la banque affirme une fois, et que ces lignes du fichier disent."""
        self.pris += dite.pris
        self.rendu += dite.rendu
        if dite.pris:
            self.instants.append(dite.survenu_le)
            self.montants.append(dite.pris)
        if lues:
            self.lue = True
            self.pris_lu += dite.pris
            self.rendu_lu += dite.rendu
            self.frais_lus += next((ligne.frais for ligne in lues if ligne.frais is not None), 0)


def connues(conn: Connection[Any], genre: Genre, transactions: Sequence[str]) -> dict[str, tuple[datetime, bool]]:
    """Celles dont un rapport de ce genre a parlé : la plus tardive de leurs lignes, et s'il y en a dans celui-ci."""
    lignes = conn.execute(_CONNUES, (genre.value, list(transactions)))
    return {transaction: (dernier, ici) for transaction, dernier, ici in lignes}


def rendus(conn: Connection[Any], genre: Genre, transactions: Sequence[str]) -> dict[str, int]:
    """Ce qu'un genre de rapport dit rendu de chacune de ces transactions, en centimes ; absente : rien."""
    sommes: Counter[str] = Counter()
    for dite, *_ in affirmees(map(Dite._make, conn.execute(_RENDUS, (genre.value, list(transactions))))):
        sommes[dite.transaction] += dite.rendu
    return dict(sommes)
