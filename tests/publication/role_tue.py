"""Un publieur, qui se tue par SIGKILL à sa n-ième étape : python -m tests.publication.role_tue N [soldes]."""

import os
import signal
import sys
import threading

from service import composition
from service.settings import Settings


def main() -> None:
    """Lit les réglages dans l'environnement, et publie jusqu'à l'étape fatale."""
    fatale = int(sys.argv[1])
    faites = 0

    def etape(_: str) -> None:
        nonlocal faites
        faites += 1
        if faites == fatale:
            os.kill(os.getpid(), signal.SIGKILL)

    mener = composition.balances if sys.argv[2:] == ["soldes"] else composition.publication
    suiveur, _ = mener(Settings(_env_file=None), etape)
    suiveur.run(threading.Event())


if __name__ == "__main__":
    main()
