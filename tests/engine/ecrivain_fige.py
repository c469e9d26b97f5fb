"""Un écrivain qui se fige (SIGSTOP) en tenant l'ordre d'écriture : python -m tests.engine.ecrivain_fige URL DUREE."""

import os
import signal
import sys
from typing import Any

from engine.batch import Batch
from engine.database import Database
from engine.recorder import Recorder, collect
from tests.engine.epreuve import MAPPER
from tests.engine.test_ordre import creance


def main() -> None:
    url, tenu_s = sys.argv[1:]
    with Database(url) as base:
        recorder = Recorder(base, MAPPER, order_held_max_s=float(tenu_s))
        prendre = recorder.take_order

        def se_figer(*arguments: Any) -> None:
            prendre(*arguments)
            os.kill(os.getpid(), signal.SIGSTOP)

        recorder.take_order = se_figer  # type: ignore[assignment,method-assign]
        with base.transaction() as conn:
            recorder.record(conn, Batch(entries=collect([creance(9)], "essai")))


if __name__ == "__main__":
    main()
