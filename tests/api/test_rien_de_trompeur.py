"""Ce qu'une page dit est vrai de l'instant où elle le dit, et son premier bouton peut réussir."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from api.assure import lecture
from engine.follower import Follower
from projections.vues.anomalies import Anomalies
from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, champ, chercher, devenir, fautes, lisible, payer, transaction_de, verifier
from tests.mapper import MAPPER

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
    dit = "La référence cochée ne fait que 12,50 € : cochez-en d'autres de la même caisse, pour atteindre 16,00 €."
    assert [phrase.replace("\N{NO-BREAK SPACE}", " ") for _, phrase in fautes(refusee)] == [dit]


def premiers(page: httpx.Response) -> list[str]:
    """Les boutons qu'une personne voit d'abord : ceux qui ne sont ni seconds, ni cachés, ni de simples liens."""
    contenu = page.text.partition("<main")[2].partition("</main>")[0]
    corps = re.sub(r"<(template|noscript)[ >].*?</\1>", "", contenu, flags=re.DOTALL)
    boutons = re.findall(r"<button([^>]*)>([^<]*)</button>", corps)
    return [" ".join(texte.split()) for attributs, texte in boutons if "class=" not in attributs]


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


PERIME = "Ce formulaire a expiré : rien n'a été envoyé ni payé. Merci de recommencer."


def test_un_formulaire_d_avant_la_reconnexion_remontre_ce_qui_etait_coche_et_saisi(service: Service) -> None:
    for reference in (REF, AUTRE):
        service.avis(reference, 60_00)
    devenir(service)
    ancienne = chercher(service)
    devenir(service)
    relue = verifier(service, ancienne, "42,50", references=[REF, AUTRE])
    assert relue.status_code == httpx.codes.FORBIDDEN
    assert fautes(relue) == [("selection", PERIME)]
    assert (relue.text.count("checked>"), champ(relue, "montant")) == (2, "42,50")
    assert transaction_de(payer(service, relue, "42,50", references=[REF, AUTRE]))


@pytest.mark.parametrize(("suivant", "canal"), [("a-2", None), ("a-1", "bms")])
def test_rien_n_en_est_remontre_a_une_autre_personne_ni_a_la_borne(
    service: Service, suivant: str, canal: str | None
) -> None:
    service.avis(REF, 60_00)
    devenir(service)
    ancienne = chercher(service)
    devenir(service, suivant, canal)
    refusee = verifier(service, ancienne, "42,50")
    assert (refusee.status_code, REF in refusee.text, "42,50" in refusee.text) == (403, False, False)


def test_d_un_autre_site_rien_n_est_remontre(service: Service) -> None:
    service.avis(REF, 60_00)
    devenir(service)
    page = chercher(service)
    donnees = {"jeton": champ(page, "jeton"), "cle": champ(page, "cle"), "reference": REF, "references": REF}
    venue = service.client.post("/payer", data=donnees, headers={"Sec-Fetch-Site": "cross-site"})
    assert (venue.status_code, 'id="montant"' in venue.text) == (403, False)


@pytest.mark.parametrize(
    "adresse", ["/presence", "/paiements/PCLCB000000000001/courriel", "/messagerie/T1/suppression"]
)
def test_un_formulaire_expire_ne_parle_de_recherche_a_personne(service: Service, adresse: str) -> None:
    devenir(service)
    refuse = service.client.post(adresse, data={"jeton": "faux"})
    assert refuse.status_code in {403, 404}
    assert "recherche" not in lisible(refuse)


def test_se_deconnecter_d_une_session_deja_finie_n_est_pas_une_erreur(service: Service) -> None:
    devenir(service)
    jeton = champ(service.client.get("/"), "jeton")
    for _ in range(2):
        assert service.client.post("/deconnexion", data={"jeton": jeton}).headers["Location"] == "/"
    ailleurs = service.client.post("/deconnexion", data={"jeton": jeton}, headers={"Sec-Fetch-Site": "cross-site"})
    assert ailleurs.status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("adresse", "statut"), [("/messagerie/T1", 404), ("/messagerie/T1/accuse.pdf", 404), ("/support", 403)]
)
def test_ce_qui_n_est_pas_a_la_personne_lui_laisse_son_menu(service: Service, adresse: str, statut: int) -> None:
    devenir(service)
    page = service.client.get(adresse)
    assert page.status_code == statut
    assert 'aria-label="Rubriques"' in page.text
    assert page.text.count(">Se déconnecter<") == 1


PRIS_DEUX_FOIS = "La banque annonce avoir pris 21,00 € de plus que ce paiement ; ne payez pas une seconde fois."


def pris_deux_fois(service: Service, code: str = "00") -> str:
    """Un paiement conclu, dont la banque annonce ensuite, sous son sceau, avoir pris 21,00 € de plus."""
    for reference in (REF, AUTRE):
        service.avis(reference, 45_00)
    devenir(service)
    transaction = transaction_de(payer(service, chercher(service)))
    service.repondre(transaction, 20_00, code)
    service.repondre(transaction, 21_00)
    Follower(service.url_base, Anomalies(), mapper=MAPPER).catch_up()
    return transaction


@pytest.mark.parametrize("adresse", ["/", "/creances", "/autres-moyens", f"/payer?reference={REF}"])
def test_une_seconde_prise_apres_l_accord_arrete_l_invitation_jusqu_a_son_reglement(
    service: Service, adresse: str
) -> None:
    pris_deux_fois(service)
    page = service.client.get(adresse)
    assert "Nous vérifions votre paiement de 20,00 € auprès de la banque ; ne payez pas" in lisible(page)
    assert '<a class="bouton" href="/payer' not in page.text
    assert 'id="payer">' not in page.text
    with service.guichet.base.transaction() as conn:
        conn.execute("UPDATE vues.argent SET reste = 0")  # Deux personnes l'ont réglé.
    page = service.client.get(adresse)
    assert "Nous vérifions" not in lisible(page)


def test_la_page_du_paiement_dit_la_seconde_prise(service: Service) -> None:
    page = lisible(service.client.get(f"/paiements/{pris_deux_fois(service)}"))
    assert PRIS_DEUX_FOIS in page
    assert "Nous vous remercions pour votre paiement" in page


def test_le_recu_porte_la_meme_heure_sur_la_page_dans_les_listes_et_en_pdf(service: Service) -> None:
    service.maintenant = datetime(2026, 7, 5, 21, 58, tzinfo=UTC)
    service.avis(REF, 45_00)
    devenir(service)
    transaction = transaction_de(payer(service, chercher(service)))
    service.maintenant += timedelta(minutes=7)
    service.repondre(transaction, 20_00)
    service.maintenant = datetime(2026, 7, 5, 22, 6, tzinfo=UTC)
    pdf = PdfReader(io.BytesIO(service.client.get(f"/paiements/{transaction}/recu.pdf").content))
    assert "06/07/2026 à 00 h 05" in pdf.pages[0].extract_text().replace("\N{NO-BREAK SPACE}", " ")
    for adresse in (f"/paiements/{transaction}", "/paiements", "/"):
        page = lisible(service.client.get(adresse))
        assert "06/07/2026 à 00 h 05" in page, adresse
        assert "05/07/2026" not in page, adresse
