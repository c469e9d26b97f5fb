"""Ce qu'un paiement en cours retient ne dépasse pas, à lire, ce qui reste dû ; un lien vers une preuve y mène."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, chercher, devenir, lisible, payer, transaction_de

DE_TROP = "Votre paiement en cours dépasse ce restant dû de 20,00 € : s'il est accepté"
ADRESSES = ("/creances", "/autres-moyens", f"/payer?reference={REF}")


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def un_cheque_pendant_le_paiement(service: Service, recu: int) -> str:
    """Le paiement de 50,00 € sur REF (60,00 €) est au kiosque, et la caisse reçoit ce chèque."""
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    transaction = transaction_de(payer(service, chercher(service), "50"))
    service.encaisser(REF, recu)
    return transaction


@pytest.mark.parametrize("adresse", ADRESSES)
def test_ce_qui_est_en_cours_ne_depasse_pas_le_restant_du(service: Service, adresse: str) -> None:
    un_cheque_pendant_le_paiement(service, 30_00)
    lue = lisible(service.client.get(adresse))
    assert DE_TROP in lue
    assert "en cours de paiement 50,00" not in lue
    assert "dont 50,00 € en cours" not in lue


def test_une_rangee_le_dit_aussi(service: Service) -> None:
    un_cheque_pendant_le_paiement(service, 30_00)
    lue = lisible(chercher(service, AUTRE))
    assert "dont 30,00 € en cours 20,00 € de plus que ce restant dû" in lue


@pytest.mark.parametrize("recu", [60_00, 70_00])
def test_une_creance_soldee_dit_le_paiement_encore_en_cours(service: Service, recu: int) -> None:
    un_cheque_pendant_le_paiement(service, recu)
    lue = lisible(chercher(service))
    assert (
        "Nous attendons la réponse de la banque pour votre paiement de 50,00 € ; ne payez pas une seconde fois" in lue
    )
    assert "Votre paiement en cours dépasse ce restant dû de 50,00 €" in lue
    assert "(en attente de la banque, ne compte pas encore) −50,00 €" in lue


def test_sans_paiement_en_cours_rien_n_en_est_dit(service: Service) -> None:
    service.avis(REF, 60_00)
    service.encaisser(REF, 30_00)
    devenir(service)
    for adresse in ADRESSES:
        assert "dépasse" not in lisible(service.client.get(adresse))


def test_la_ou_aucune_preuve_n_est_remise_rien_n_y_mene(service: Service) -> None:
    """Sans le sel des preuves, chacune répondrait 503, toujours."""
    transaction = un_cheque_pendant_le_paiement(service, 60_00)
    for adresse in (*ADRESSES, f"/payer?reference={AUTRE}", f"/paiements/{transaction}"):
        page = service.client.get(adresse)
        assert page.status_code == httpx.codes.OK
        assert "/preuve" not in page.text, adresse
