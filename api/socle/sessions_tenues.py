"""Les sessions que la base tient (`acces.sessions`) : ouvertes, vues, finies."""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from psycopg import AsyncConnection

from domain.avis import Canal

GARDE: Final = timedelta(days=30)
"""Temps pendant lequel une session passée se retrouve, pour l'assistance."""

SIGNE_DE_VIE: Final = timedelta(seconds=5)
"""Écart en deçà duquel un signe de vie ne s'écrit pas de nouveau."""

FinDeSession = Literal["deconnexion", "inactivite", "canal", "administrateur", "emetteur"]


class Tenue(NamedTuple):
    """Une session qui n'a pas été finie ; le temps peut l'avoir passée."""

    canal: Canal
    vue_le: datetime


def empreinte(numero: str) -> bytes:
    """Sous quoi la base connaît ce numéro."""
    return hashlib.sha256(numero.encode()).digest()


def nom_de(numero: str) -> str:
    """Sous quoi les commandes la nomment."""
    return empreinte(numero).hex()[:16]


async def finir_chez_l_emetteur(
    conn: AsyncConnection[Any], sujet: bytes | None, sid: bytes | None, ouvertes_avant: datetime, maintenant: datetime
) -> int:
    """Finit la session que l'émetteur nomme, ou toutes celles du sujet s'il n'en nomme pas ; rend leur nombre.

    `ouvertes_avant` : ce qui a été ouvert depuis n'est pas ce qu'il finit.
    """
    curseur = await conn.execute(
        "UPDATE acces.sessions SET finie_le = %s, fin = 'emetteur' WHERE finie_le IS NULL AND ouverte_le <= %s"
        " AND (%s::bytea IS NULL OR sid = %s) AND (%s::bytea IS NULL OR sujet = %s)"
        " AND (%s::bytea IS NOT NULL OR %s::bytea IS NOT NULL)",
        (maintenant, ouvertes_avant, sid, sid, sujet, sujet, sid, sujet),
    )
    return curseur.rowcount


async def ouvrir(
    conn: AsyncConnection[Any],
    numero: str,
    *,
    role: str,
    assure: str | None,
    canal: Canal,
    maintenant: datetime,
    chez_l_emetteur: tuple[bytes | None, bytes | None] = (None, None),
) -> None:
    """Inscrit une session neuve, et oublie celles de plus de trente jours."""
    await conn.execute(
        "INSERT INTO acces.sessions (empreinte, role, assure, canal, ouverte_le, vue_le, sujet, sid)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (empreinte(numero), role, assure, canal.value, maintenant, maintenant, *chez_l_emetteur),
    )
    await conn.execute("DELETE FROM acces.sessions WHERE ouverte_le < %s", (maintenant - GARDE,))


async def lire(conn: AsyncConnection[Any], numero: str) -> Tenue | None:
    """La session de ce numéro, si elle n'a pas été finie."""
    ligne = await lire_avec(conn, numero)
    return tenue_de(*ligne) if ligne else None


async def lire_avec(conn: AsyncConnection[Any], numero: str, colonnes: str = "", **parametres: Any) -> Any:
    """La ligne de cette session si elle n'a pas été finie, et ces colonnes de plus, en une requête ; sinon None."""
    curseur = await conn.execute(
        f"SELECT canal, vue_le{colonnes and ', '}{colonnes} FROM acces.sessions"  # noqa: S608 (constantes)
        " WHERE empreinte = %(empreinte)s AND finie_le IS NULL",
        {"empreinte": empreinte(numero), **parametres},
        prepare=True,
    )
    return await curseur.fetchone()


def tenue_de(canal: str, vue_le: datetime) -> Tenue:
    """La session, des deux premières colonnes de sa ligne."""
    return Tenue(Canal(canal), vue_le)


async def voir(conn: AsyncConnection[Any], numero: str, maintenant: datetime) -> None:
    """Note un signe de vie."""
    await conn.execute("UPDATE acces.sessions SET vue_le = %s WHERE empreinte = %s", (maintenant, empreinte(numero)))


async def changer_de_canal(conn: AsyncConnection[Any], numero: str, canal: Canal) -> None:
    """La même session, venue d'ailleurs ; jamais d'une borne, dont la session se finit."""
    await conn.execute(
        "UPDATE acces.sessions SET canal = %s WHERE empreinte = %s AND canal <> %s",
        (canal.value, empreinte(numero), Canal.BMS.value),
    )


async def finir(conn: AsyncConnection[Any], numero: str, fin: FinDeSession, maintenant: datetime) -> None:
    """Finit une session ; sans effet si elle l'est déjà."""
    await conn.execute(
        "UPDATE acces.sessions SET finie_le = %s, fin = %s WHERE empreinte = %s AND finie_le IS NULL",
        (maintenant, fin, empreinte(numero)),
    )
