"""Une transaction inconnue et celle d'une autre personne demandent le même travail : la durée ne dit rien."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.api.conftest import Service, porteur
from tests.api.navigation import REF

INCONNUE = "PCLCB990010000001"


@contextmanager
def requetes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Ce qui est demandé à la base, dans l'ordre, quel que soit le fil."""
    vues: list[str] = []
    asynchrone, synchrone = psycopg.AsyncCursor.execute, psycopg.Cursor.execute

    async def demander(curseur: Any, requete: Any, *arguments: Any, **options: Any) -> Any:
        vues.append(str(requete).strip())
        return await asynchrone(curseur, requete, *arguments, **options)

    def demander_ici(curseur: Any, requete: Any, *arguments: Any, **options: Any) -> Any:
        vues.append(str(requete).strip())
        return synchrone(curseur, requete, *arguments, **options)

    with monkeypatch.context() as posee:
        posee.setattr(psycopg.AsyncCursor, "execute", demander)
        posee.setattr(psycopg.Cursor, "execute", demander_ici)
        yield vues


def test_une_transaction_inconnue_et_une_etrangere_se_lisent_pareil(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.avis(REF)
    etrangere = service.payer(REF).json()["transaction"]
    service.catch_up()
    lues, reponses = [], []
    for transaction in (etrangere, INCONNUE):
        with requetes(monkeypatch) as vues:
            reponse = service.client.get(f"/api/v1/paiements/{transaction}", headers=porteur("a-2"))
        # Un rôle d'un autre test de ce processus peut encore donner signe de vie.
        lues.append(
            [requete for requete in vues if requete and "suiveurs" not in requete and "attentes" not in requete]
        )
        reponses.append((reponse.status_code, reponse.json()))
    assert reponses[0] == reponses[1]
    assert lues[0] == lues[1]
