"""Un avis annulé se dit à la personne qui l'avait reçu, et à elle seule : elle ne cherche pas une faute de frappe."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, chercher, devenir, lisible, payer, transaction_de, verifier

ANNULE = "Votre caisse a annulé cet avis : vous n'avez rien à payer pour cette référence."
REFUS = "Cette référence de courrier n'est pas ouverte au paiement en ligne."


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def annule(service: Service, *, paye: int = 0) -> httpx.Response:
    """REF, annulée ; la page de l'étape 2, ouverte avant."""
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    ouverte = chercher(service)
    if paye:
        service.encaisser(REF, paye)
    service.annuler(REF)
    return ouverte


def test_chercher_un_avis_annule_dit_qu_il_l_est(service: Service) -> None:
    annule(service)
    cherchee = service.client.post("/payer/recherche", data={"reference": REF})
    assert cherchee.headers["Location"] == f"/payer?reference={REF}"
    lue = lisible(chercher(service))
    assert ANNULE in lue
    assert REFUS not in lue
    assert ANNULE in lisible(service.client.get("/creances"))


def test_payer_un_avis_annule_entre_temps_dit_qu_il_l_est(service: Service) -> None:
    ouverte = annule(service)
    assert ANNULE in lisible(verifier(service, ouverte, "20"))


def test_ce_qui_en_avait_ete_paye_sera_rendu(service: Service) -> None:
    annule(service, paye=20_00)
    for page in (chercher(service), service.client.get("/creances")):
        assert "votre caisse examine ce trop-perçu et vous le rembourse" in lisible(page)


def test_un_paiement_en_cours_s_y_dit_encore(service: Service) -> None:
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    transaction_de(payer(service, chercher(service)))
    service.annuler(REF)
    assert "pour votre paiement de 20,00 € ; ne payez pas une seconde fois" in lisible(chercher(service))


def test_une_autre_personne_et_l_api_n_en_apprennent_rien(service: Service) -> None:
    annule(service)
    assert (service.chercher(REF).status_code, service.chercher(REF).json()["detail"]) == (404, REFUS)
    devenir(service, "a-2")
    pages = [chercher(service, reference) for reference in (REF, "3819999999999999Z")]
    assert [page.status_code for page in pages] == [404, 404]
    assert all(REFUS in lisible(page) and ANNULE not in lisible(page) for page in pages)
