"""Des milliers de paiements sans réponse devant une banque muette : chacun est demandé dans le quart d'heure promis.

`RELANCES=5000 pytest -s --timeout 0 tests/service/test_relance_en_grand.py` : les chiffres de docs/argent.md, avec les
réglages de la production. Sans cela, moins de paiements et une banque dont on se lasse plus vite ; ce que cela prend
est dit, non jugé.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from socket import create_server
from typing import Any

from projections.vues.paiements import sans_reponse
from service import composition
from service.relance import RelanceRole
from service.settings import Settings
from tests.outils import attendre
from tests.rapports.banc import MARCHAND, banc

RELANCES = int(os.environ.get("RELANCES", "60"))
EN_GRAND = RELANCES > 1_000
PROMIS = timedelta(minutes=15)
LOT = 1_000
TENUES = 200
"""Connexions que la banque muette garde : plus qu'il n'en est ouvert à la fois."""


@contextmanager
def banque_muette() -> Iterator[str]:
    """Une adresse qui prend les connexions et ne répond jamais."""
    with create_server(("127.0.0.1", 0), backlog=1024) as prise:
        tenues: list[Any] = []

        def prendre() -> None:
            with suppress(OSError):
                while True:
                    tenues.append(prise.accept()[0])
                    if len(tenues) > TENUES:
                        tenues.pop(0).close()  # Celui qui attendait sa réponse s'est lassé depuis longtemps.

        threading.Thread(target=prendre, daemon=True).start()
        yield f"http://127.0.0.1:{prise.getsockname()[1]}"
    for tenue in tenues:
        tenue.close()


def test_chaque_paiement_est_demande_a_son_tour_devant_une_banque_muette(base: Any) -> None:
    delais: dict[str, Any] = {} if EN_GRAND else {"kiosque_timeout": timedelta(milliseconds=100)}
    il_y_a = datetime.now(UTC) - timedelta(minutes=21)
    with banque_muette() as url, banc(base.url) as b:
        for debut in range(0, RELANCES, LOT):
            rangs = range(debut, min(debut + LOT, RELANCES))
            b.payer_tous((f"R{n:06d}", 20_00, None, MARCHAND, il_y_a + timedelta(milliseconds=n)) for n in rangs)
        reglages = Settings(_env_file=None, database_url=base.url, kiosque_url=url, **delais)
        composition.follower(reglages, b.guichet.recorder, "paiements").catch_up()
        with b.guichet.base.transaction() as conn:
            assert len(sans_reponse(conn, datetime.now(UTC), RELANCES)) == RELANCES
        guichet = composition.guichet(reglages, application="relance")
        role = RelanceRole(reglages, guichet, lambda _transaction, _valeur: None)
        demandes: dict[str, float] = {}
        questions = 0
        debut_s = time.monotonic()

        def noter(transaction: str) -> Any:
            nonlocal questions
            issue = un(transaction)
            questions += 1
            demandes.setdefault(transaction, time.monotonic() - debut_s)
            return issue

        un, role._one = role._one, noter  # type: ignore[method-assign]
        arret = threading.Event()
        fil = threading.Thread(target=role.run, args=(arret,))
        fil.start()
        try:
            attendre(lambda: len(demandes) == RELANCES, secondes=3 * PROMIS.total_seconds(), quoi="tous demandés")
        finally:
            arret.set()
            fil.join(30)
            guichet.base.fermer()
        dernier = max(demandes.values())
        print(f"{RELANCES} paiements, le dernier demandé après {dernier:.0f} s, {questions} questions")  # noqa: T201  (pytest -s)
        assert questions < 2 * RELANCES, "aucun n'est redemandé avant que tous l'aient été une fois"
