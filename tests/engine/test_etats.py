"""Ce qu'un rôle dit de lui-même."""

from typing import Any

import psycopg

from engine.role_state import RoleState


def test_un_role_interrompu_ou_arrete_n_attend_pas_pour_se_redire_actif(base: Any) -> None:
    etat = RoleState(base.url, "essai")
    with psycopg.connect(base.url, autocommit=True) as conn:
        a_redire = [etat.a_redire]
        etat.dire(conn, "actif")
        a_redire.append(etat.a_redire)
        etat.interrompre(OSError("absent"))
        a_redire.append(etat.a_redire)
        etat.dire(conn, "actif")
        etat.dire(conn, "inactif")
        a_redire.append(etat.a_redire)
    assert a_redire == [True, False, True, True]
