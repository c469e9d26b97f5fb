"""Un suiveur qui se tue, par SIGKILL, à sa n-ième étape : python -m tests.engine.suiveur_tue URL VUE N LOT."""

import os
import signal
import sys

from engine.follower import Follower
from tests.engine.epreuve import MAPPER, Trace


def main() -> None:
    """Rattrape le journal jusqu'à l'étape fatale."""
    url, vue, fatale, lot_max = sys.argv[1:]
    faites = 0

    def etape(_: str) -> None:
        nonlocal faites
        faites += 1
        if faites == int(fatale):
            os.kill(os.getpid(), signal.SIGKILL)

    Follower(url, Trace(vue), lot_max=int(lot_max), etape=etape, mapper=MAPPER).catch_up()


if __name__ == "__main__":
    main()
