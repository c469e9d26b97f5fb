"""Le pool de lecture : une connexion que PostgreSQL a fermée n'est jamais prêtée."""

import asyncio
import select

import psycopg
from psycopg_pool import AsyncConnectionPool

from api.socle.pool import verifier
from tests.conftest import Database


def test_une_connexion_fermee_par_le_serveur_est_remplacee_avant_d_etre_pretee(base: Database) -> None:
    async def tenter() -> tuple[int, int]:
        async with AsyncConnectionPool(
            base.url, min_size=1, max_size=1, check=verifier, kwargs={"autocommit": True}, open=False
        ) as pool:
            async with pool.connection() as conn:
                avant, prise = conn.info.backend_pid, conn.fileno()
            with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
                proprietaire.execute("SELECT pg_terminate_backend(%s)", (avant,))
            await asyncio.to_thread(select.select, [prise], [], [], 10)  # La fin est arrivée jusqu'ici.
            async with pool.connection() as conn:
                (apres,) = await (await conn.execute("SELECT pg_backend_pid()")).fetchone() or (0,)
            return avant, apres

    avant, apres = asyncio.run(tenter())
    assert apres not in {0, avant}
