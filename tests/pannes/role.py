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
    role, groupe, fige = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    lots = 0

    def etape(nom: str) -> None:
        nonlocal lots
        if nom == "inscrire":
            lots += 1
            if lots == fige:
                structlog.get_logger().info("fige")
                os.kill(os.getpid(), signal.SIGSTOP)

    arret = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: arret.set())
    configure_logs("INFO", "json")
    guichet = composition.guichet(Settings(_env_file=None), application="role")
    lisant = composition.consumer(Settings(_env_file=None), guichet, role, etape)
    lisant.groupe, lisant.horloge = groupe, lambda: MAINTENANT
    lisant.run(arret)
    lisant.rebuts.fermer()
    guichet.base.fermer()


if __name__ == "__main__":
    main()
