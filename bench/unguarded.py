"""The service's API without its doors: what they cost is measured beside it.

Gone are the deadlines and the ceiling of connections, the bounds on what a request may cost to read, the security
headers, the bound on a body and the rates of each caller. Everything else is the role's own, from its threads to its
logs: `python -m bench.unguarded` is the command `creances api`.
"""

import sys
from dataclasses import replace
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from api.socle.debits import Debit, Debits, GenreDeDebit
from api.socle.en_tetes import EnTetes
from api.socle.taille import TailleBornee
from service import http, web
from service.cli import main

GONE: Final[tuple[object, ...]] = (EnTetes, TailleBornee)
NONE: Final = Debit(0.0, 0)
GUARDED, GUARDED_CONFIG = web.api, http.config


class _NoLimit(Debits):
    """Counts nothing."""

    def exiger(self, genre: GenreDeDebit, appelant: str) -> None:
        """Admit."""


def application(*arguments: Any, **named: Any) -> FastAPI:
    """The API, its doors taken off."""
    served = GUARDED(*arguments, **named)
    served.user_middleware = [layer for layer in served.user_middleware if layer.cls not in GONE]
    served.state.moyens = replace(served.state.moyens, debits=_NoLimit(NONE, NONE, NONE, NONE))
    return served


def config(application: object, host: str, port: int, limits: http.ConnectionLimits) -> uvicorn.Config:
    """The same, with uvicorn's own protocol."""
    bare = GUARDED_CONFIG(application, host, port, limits)
    bare.http = "h11"
    return bare


if __name__ == "__main__":
    web.api, http.config = application, config
    sys.argv[1:] = ["api"]
    main()
