"""Ce qu'une page dit est vrai de l'instant où elle le dit, et son premier bouton peut réussir."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.assure import lecture
from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, chercher, devenir, fautes, lisible, payer, transaction_de, verifier

SANS_REPRISE = (
    "Un paiement de cette référence de courrier attend la réponse de la banque ; ne payez pas une seconde fois."
)
TROISIEME = "3811708600076602F"


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def un_paiement_ferme(service: Service) -> None:
    """Le paiement de 50,00 € sur REF est au kiosque ; un chèque arrive, et il ne se remet plus."""
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    transaction_de(payer(service, chercher(service), "50"))
    service.encaisser(REF, 30_00)


@pytest.mark.parametrize("cochees", [[REF], [REF, AUTRE]])
def test_un_refus_n_offre_pas_de_reprendre_un_paiement_que_plus_rien_ne_remet(
    service: Service, cochees: list[str]
) -> None:
    un_paiement_ferme(service)
    refusee = verifier(service, chercher(service), "20", references=cochees)
    assert refusee.status_code == httpx.codes.CONFLICT
    assert [phrase for _, phrase in fautes(refusee)] == [SANS_REPRISE]
    assert "reprendre" not in lisible(refusee)


def test_l_api_non_plus(service: Service) -> None:
    un_paiement_ferme(service)
    refuse = service.payer(REF, cle="une-autre", montant=30_00)
    assert (refuse.status_code, refuse.json()["code"]) == (409, "paiement_en_cours")
    assert refuse.json()["detail"] == SANS_REPRISE


def test_l_api_dit_de_reprendre_ce_qui_se_reprend(service: Service) -> None:
    service.avis(REF, 60_00)
    service.payer(REF, montant=50_00)
    assert "vous pouvez le reprendre" in service.payer(REF, cle="une-autre", montant=30_00).json()["detail"]
    service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
    assert service.payer(REF, cle="encore-une", montant=30_00).json()["detail"] == SANS_REPRISE


def test_sous_le_minimum_le_premier_bouton_est_celui_qui_peut_reussir(service: Service) -> None:
    for reference, montant in ((REF, 12_50), (AUTRE, 60_00)):
        service.avis(reference, montant, solde=90_00)
    devenir(service)
    page = chercher(service)
    assert premiers(page) == ["Cocher les autres et payer : 50,00 €"]
    cochees = verifier(service, page, "", action="ensemble")
    assert premiers(cochees) == ["Payer"]
    refusee = verifier(service, page, "12,50")
    assert premiers(refusee) == ["Cocher les autres et payer : 50,00 €"]
    assert [phrase for _, phrase in fautes(refusee)] == [
        (
            f"La référence cochée ne fait que {eur('12,50')} : cochez-en d'autres de la même caisse,"
            f" pour atteindre {eur('16,00')}."
        )
    ]


def premiers(page: httpx.Response) -> list[str]:
    """Les boutons qu'une personne voit d'abord : ceux qui ne sont ni seconds, ni cachés, ni de simples liens."""
    contenu = page.text.partition("<main")[2].partition("</main>")[0]
    corps = re.sub(r"<(template|noscript)[ >].*?</\1>", "", contenu, flags=re.DOTALL)
    boutons = re.findall(r"<button([^>]*)>([^<]*)</button>", corps)
    return [" ".join(texte.split()) for attributs, texte in boutons if "class=" not in attributs]


def eur(montant: str) -> str:
    return f"{montant}\N{NO-BREAK SPACE}€"


def test_une_verification_plus_ancienne_que_les_derniers_paiements_se_dit_encore(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lecture, "PAIEMENTS_RECENTS", 2)
    for reference in (REF, AUTRE):
        service.avis(reference, 45_00)
    devenir(service)
    service.repondre(transaction_de(payer(service, chercher(service))), 21_00)
    for rang in range(3):
        refuse = service.payer(AUTRE, cle=f"essai-{rang}").json()["transaction"]
        service.repondre(refuse, 20_00, "05")
    for adresse in ("/", "/creances", "/autres-moyens", f"/payer?reference={REF}"):
        page = service.client.get(adresse)
        assert "Nous vérifions votre paiement de 20,00 €" in lisible(page), adresse
        assert '<a class="bouton" href="/payer' not in page.text
