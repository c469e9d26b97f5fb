"""Une créance que le journal ne sait plus rendre : elle seule attend, et cela se dit ; tout le reste est servi."""

from typing import Any

import psycopg

from domain.creance import Créance
from domain.references import ReferenceCreance
from tests.api.conftest import Service
from tests.api.conftest import service as service  # noqa: PLC0414 (une fixture)

GATEE, SAINE = "3811701200010075F", "3811702400012980F"


def gater(url: str, reference: str) -> None:
    """Fait de l'avis de cette créance des octets qui ne se lisent plus."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        fait = conn.execute(
            "UPDATE journal.evenements SET etat = %s WHERE flux = %s",
            (b"{}", Créance.flux(ReferenceCreance(reference))),
        )
        conn.execute("ALTER TABLE journal.evenements ENABLE ALWAYS TRIGGER ajout_seul")
        assert fait.rowcount == 1


def test_payer_une_creance_illisible_est_un_503_qui_la_nomme_et_les_autres_se_paient(
    service: Service, base: Any
) -> None:
    service.avis(GATEE)
    service.avis(SAINE)
    gater(base.url_proprietaire, GATEE)
    refus = service.payer(GATEE, cle="k-1")
    assert (refus.status_code, refus.json()["code"]) == (503, "creance_illisible")
    assert int(refus.headers["Retry-After"]) > 0
    ensemble = service.payer(GATEE, SAINE, cle="k-2")
    assert (ensemble.status_code, ensemble.json()["code"]) == (503, "creance_illisible")
    assert service.payer(SAINE, cle="k-3").status_code == 201
    with psycopg.connect(service.url_base) as conn:
        ouverts = conn.execute("SELECT count(*) FROM journal.evenements WHERE topic = 'paiement.PaiementOuvert'")
        assert ouverts.fetchone() == (1,)
