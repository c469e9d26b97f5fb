"""The service's API without its doors: what they cost is measured beside it.

Gone are the deadlines and the ceiling of connections, the security headers, the bound on a body and the rates of each
caller; tokens, seals and answers are the same. Run as `python -m bench.unguarded`, on CREANCES_API_PORT.
"""

from dataclasses import replace
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.socle.debits import Debit, Debits, GenreDeDebit
from api.socle.en_tetes import EnTetes
from api.socle.taille import TailleBornee
from service import composition, web
from service.publisher import Publisher
from service.settings import Settings

GONE: Final[tuple[object, ...]] = (EnTetes, TailleBornee)
NONE: Final = Debit(0.0, 0)


class _NoLimit(Debits):
    """Counts nothing."""

    def exiger(self, genre: GenreDeDebit, appelant: str) -> None:
        """Admit."""


def application(settings: Settings) -> FastAPI:
    """The API, its doors taken off."""
    counter = composition.guichet(settings, application="creances")
    served = web.api(settings, counter, Publisher(settings, None), demo=False)
    served.user_middleware = [layer for layer in served.user_middleware if layer.cls not in GONE]
    served.state.moyens = replace(served.state.moyens, debits=_NoLimit(NONE, NONE, NONE, NONE))
    return served


if __name__ == "__main__":
    _settings = Settings(_env_file=None)
    uvicorn.run(
        application(_settings),
        host=_settings.api_host,
        port=_settings.api_port,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )
