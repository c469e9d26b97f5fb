"""Un paiement accepté puis repris (impayé, annulation) ne se lit plus nulle part comme un paiement qui compte."""

import io
from typing import Any

import pytest
from pypdf import PdfReader

from domain.references import ReferenceTransaction
from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, chercher, devenir, lisible, payer, transaction_de

MERCI = "Nous vous remercions pour votre paiement"


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def paye(service: Service) -> str:
    """50,00 € acceptés sur REF, et un autre paiement sur AUTRE qui, lui, compte encore."""
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    autre = service.payer(AUTRE, cle="autre", montant=20_00).json()["transaction"]
    service.repondre(autre, 20_00)
    transaction = transaction_de(payer(service, chercher(service), "50"))
    service.repondre(transaction, 50_00)
    return transaction


def reprendre(service: Service, transaction: str) -> None:
    """La banque reprend l'argent, et deux personnes l'enregistrent."""
    service._changer(
        REF,
        lambda creance: creance.contrepasser(
            ReferenceTransaction(transaction),
            "impayé",
            saisi_par="claire",
            approuve_par="paul",
            maintenant=service.heure(),
        ),
    )


def test_tant_qu_il_compte_il_se_lit_accepte(service: Service) -> None:
    transaction = paye(service)
    for adresse in ("/", f"/paiements/{transaction}"):
        assert MERCI in lisible(service.client.get(adresse))
    assert lisible(service.client.get("/paiements")).count("Reçu du paiement") == 2


def test_repris_il_ne_se_lit_plus_accepte(service: Service) -> None:
    transaction = paye(service)
    reprendre(service, transaction)
    accueil, etat = (lisible(service.client.get(adresse)) for adresse in ("/", f"/paiements/{transaction}"))
    assert MERCI not in accueil + etat
    assert "Votre paiement a été repris : 50,00 € ne comptent plus, et sont de nouveau dus." in accueil
    assert "Ce paiement a été repris : 50,00 € ne comptent plus, et sont de nouveau dus." in etat
    assert "Reçu de votre paiement" not in etat
    assert "Paiement repris – Mon compte" in etat
    liste = lisible(service.client.get("/paiements"))
    assert (liste.count("Reçu du paiement"), liste.count("Repris")) == (1, 1)


def test_son_recu_en_pdf_le_dit(service: Service) -> None:
    transaction = paye(service)
    reprendre(service, transaction)
    octets = service.client.get(f"/paiements/{transaction}/recu.pdf").content
    lu = " ".join(PdfReader(io.BytesIO(octets)).pages[0].extract_text().split())
    assert "Repris depuis, et de nouveau dû : 50,00" in lu.replace("\N{NO-BREAK SPACE}", " ")
