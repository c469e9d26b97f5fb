"""Ce qu'un rôle dit de lui-même."""

from typing import Any

import psycopg

from engine.role_state import RoleState


def test_un_role_interrompu_ou_arrete_n_attend_pas_pour_se_redire_actif(base: Any) -> None:
    etat = RoleState(base.url, "essai")
    with psycopg.connect(base.url, autocommit=True) as conn:
        is_due = [etat.is_due]
        etat.dire(conn, "actif")
        is_due.append(etat.is_due)
        etat.interrupt(OSError("absent"))
        is_due.append(etat.is_due)
        etat.dire(conn, "actif")
        etat.dire(conn, "inactif")
        is_due.append(etat.is_due)
    assert is_due == [True, False, True, True]
