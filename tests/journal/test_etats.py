"""Ce qu'un rôle dit de lui-même."""

from typing import Any

import psycopg

from journal.etats import ÉtatDuRôle


def test_un_rôle_interrompu_ou_arrêté_n_attend_pas_pour_se_redire_actif(base: Any) -> None:
    état = ÉtatDuRôle(base.url, "essai")
    with psycopg.connect(base.url, autocommit=True) as conn:
        à_redire = [état.à_redire]
        état.dire(conn, "actif")
        à_redire.append(état.à_redire)
        état.interrompre(OSError("absent"))
        à_redire.append(état.à_redire)
        état.dire(conn, "actif")
        état.dire(conn, "inactif")
        à_redire.append(état.à_redire)
    assert à_redire == [True, False, True, True]
