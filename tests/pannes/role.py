"""Un consommateur dans son processus : python -m tests.pannes.role RÔLE GROUPE [FIGÉ_AU_LOT].

Il s'arrête proprement sur SIGTERM. Figé : au lot de ce rang, décidé et pas encore inscrit, il s'arrête net (SIGSTOP) et
attend qu'on le ranime (SIGCONT), comme après une longue pause de la machine.
"""

import os
import signal
import sys
import threading

import structlog

from service import composition
from service.logs import configure_logs
from service.settings import Settings
from tests.consumers.banc import MAINTENANT


def main() -> None:
    """Consomme jusqu'à SIGTERM."""
    rôle, groupe, figé = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    lots = 0

    def étape(nom: str) -> None:
        nonlocal lots
        if nom == "inscrire":
            lots += 1
            if lots == figé:
                structlog.get_logger().info("fige")
                os.kill(os.getpid(), signal.SIGSTOP)

    arrêt = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: arrêt.set())
    configure_logs("INFO", "json")
    guichet = composition.guichet(Settings(_env_file=None), application="role")
    lisant = composition.consumer(Settings(_env_file=None), guichet, rôle, étape)
    lisant.groupe, lisant.horloge = groupe, lambda: MAINTENANT
    lisant.tourner(arrêt)
    lisant.rebuts.fermer()
    guichet.base.fermer()


if __name__ == "__main__":
    main()
