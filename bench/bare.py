"""A bare FastAPI endpoint, and a bare page, that read one row: what the service's own are compared with.

The same pool (kind, size, check of each connection lent) and the same uvicorn settings as the service's API. No token,
no middleware, no model, one statement. Run as `python -m bench.bare`, on CREANCES_API_PORT.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from engine.database import CONNECT_TIMEOUT_S, OPTIONS, POOL_TIMEOUT_S
from service.http import serve
from service.settings import Settings

_READ: Final = "SELECT reference, solde, en_cours FROM vues.restant_du WHERE reference = %s"


_PAGE: Final = Environment(autoescape=True).from_string(
    "<!doctype html><html lang=fr><title>{{ reference }}</title><p>{{ reference }} : {{ solde }}</html>"
)


def application(settings: Settings) -> FastAPI:
    """The application: `GET /creances/{reference}`, and the same as a page, `GET /pages/{reference}`."""
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        str(settings.database_url),
        min_size=1,
        max_size=settings.database_pool_max,
        timeout=POOL_TIMEOUT_S,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S, "options": OPTIONS},
        open=False,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    bare = FastAPI(lifespan=lifespan)

    async def row_of(reference: str) -> dict[str, Any]:
        async with pool.connection() as conn:
            row = await (await conn.execute(_READ, (reference,), prepare=True)).fetchone()
        if row is None:
            raise LookupError(reference)
        return {"reference": row[0], "solde": row[1], "en_cours": row[2]}

    @bare.get("/creances/{reference}")
    async def read(reference: str) -> dict[str, Any]:
        return await row_of(reference)

    @bare.get("/pages/{reference}", response_class=HTMLResponse)
    async def show(reference: str) -> str:
        return _PAGE.render(await row_of(reference))

    return bare


if __name__ == "__main__":
    _settings = Settings(_env_file=None)
    serve(application(_settings), _settings.api_host, _settings.api_port)(threading.Event())
