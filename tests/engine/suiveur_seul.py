"""Un suiveur dans un processus à lui : python -m tests.engine.suiveur_seul URL VUE BAIL LOT [ETAPE N].

Il peut se figer (SIGSTOP) à la N-ième fois qu'il passe par une étape.
"""

import os
import signal
import sys

from engine.follower import Follower
from service.stopping import stop_on_signals
from tests.engine.epreuve import MAPPER, Trace


def main() -> None:
    url, vue, bail_s, lot_max, *fatale = sys.argv[1:]
    passages = 0

    def etape(nom: str) -> None:
        nonlocal passages
        if fatale and nom == fatale[0]:
            passages += 1
            if passages == int(fatale[1]):
                os.kill(os.getpid(), signal.SIGSTOP)

    with stop_on_signals() as arret:
        Follower(
            url, Trace(vue), wake_max_s=0.1, lease_s=float(bail_s), lot_max=int(lot_max), etape=etape, mapper=MAPPER
        ).run(arret)


if __name__ == "__main__":
    main()
