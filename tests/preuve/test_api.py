"""`GET /api/v1/support/creances/{reference}/preuve` : la preuve par l'API, et la lecture qui en est écrite."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from preuve import verificateur
from tests.preuve.test_sceau import SCEAU, sceller
from tests.support.banc import AUTRE, MOTIF, REF, Service, acces, agent, paye, service

__all__ = ["paye", "service"]


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    return {"sel_de_preuve": SCEAU.secret}


def test_la_preuve_se_lit_se_verifie_et_la_lecture_est_ecrite(base: Any, paye: tuple[Service, str]) -> None:
    client = paye[0].client
    adresse, motif = f"/api/v1/support/creances/{REF}/preuve", {"motif": MOTIF}
    assert client.get(adresse, headers=agent(), params=motif).json()["code"] == "pas_encore_scelle"
    with psycopg.connect(base.url, autocommit=True) as conn:
        sceller(conn)
        (epoque,) = conn.execute("SELECT max(nom) FROM journal.epoques").fetchone() or ("",)
    rendue = client.get(adresse, headers=agent(), params=motif)
    assert (rendue.status_code, rendue.headers["Content-Type"]) == (200, "application/json")
    dit = verificateur.verifier(rendue.content, [str(SCEAU.signer(epoque).verifier)])
    assert dit.startswith(f"Oui : {REF} doit 67,09 €.")
    assert acces(paye[0])[-1] == ("claire", "api", "preuve", f"creance-{REF}", ["a-1"], MOTIF)

    assert client.get(adresse, headers=agent()).status_code == 422
    assert client.get(adresse, params=motif).status_code == 401
    inconnue = client.get(f"/api/v1/support/creances/{AUTRE}/preuve", headers=agent(), params=motif)
    assert (inconnue.status_code, inconnue.json()["code"]) == (404, "rien_de_scelle")
    assert client.get("/api/v1/support/creances/x/preuve", headers=agent(), params=motif).status_code == 404

    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.evenements SET cause = 'autre' WHERE flux = %s", (f"creance-{REF}",))
    altere = client.get(adresse, headers=agent(), params=motif)
    assert (altere.status_code, altere.json()["code"]) == (409, "fait_altere")
