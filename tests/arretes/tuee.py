"""Arrête trois journées et se tue en écrivant la deuxième : `python -m tests.arretes.tuee URL`."""

import os
import signal
import sys
from typing import Any

from engine.database import Database
from service import closing
from service.composition import recorder_on

ecrire = closing._write
ecrites = 0


def ecrire_puis_mourir(conn: Any, *arrete: Any) -> bool:
    """La première s'écrit ; au milieu de la deuxième, plus rien."""
    global ecrites  # noqa: PLW0603
    if ecrites == 1:
        with conn.transaction():
            ecrire(conn, *arrete)
            os.kill(os.getpid(), signal.SIGKILL)
    ecrites += 1
    return ecrire(conn, *arrete)


if __name__ == "__main__":
    setattr(closing, "_write", ecrire_puis_mourir)  # noqa: B010
    with Database(sys.argv[1]) as base:
        closing.close_days(base, recorder_on(base))
