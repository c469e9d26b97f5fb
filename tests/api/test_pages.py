import re
from html import unescape
from typing import Any

import httpx
import pytest

from tests.api.conftest import KIOSQUE, Service, notification

RÉF = "3811701200010075F"
AUTRE = "3811702400012980F"


@pytest.fixture
def réglages_api() -> dict[str, Any]:
    return {"démo": True}


def champ(page: httpx.Response, nom: str) -> str:
    trouvé = re.search(rf'name="{nom}" value="([^"]*)"', page.text)
    assert trouvé is not None, f"{nom} absent de la page"
    return unescape(trouvé[1])


def devenir(service: Service, assuré: str = "a-1") -> None:
    accueil = service.client.get("/")
    réponse = service.client.post("/demonstration/assure", data={"jeton": champ(accueil, "jeton"), "assure": assuré})
    assert (réponse.status_code, réponse.headers["Location"]) == (303, "/")


def chercher(service: Service, référence: str = RÉF) -> httpx.Response:
    return service.client.get("/", params={"reference": référence})


def payer(service: Service, page: httpx.Response, montant: str = "20,00", **plus: Any) -> httpx.Response:
    données = {nom: champ(page, nom) for nom in ("jeton", "cle")}
    return service.client.post(
        "/payer", data=données | {"reference": RÉF, "references": [RÉF], "montant": montant} | plus
    )


def test_le_parcours_entier_du_choix_de_l_assuré_au_nouveau_restant_dû(service: Service) -> None:
    service.avis(RÉF)
    service.avis(AUTRE, 50_00)
    assert RÉF in service.client.get("/").text
    devenir(service)
    page = chercher(service, "3811 7012 0001 0075f")
    assert page.status_code == 200
    assert "87,09\N{NO-BREAK SPACE}€" in page.text
    assert AUTRE in page.text

    départ = payer(service, page)
    assert départ.status_code == 303
    kiosque = service.client.get(départ.headers["Location"])
    assert f'action="{KIOSQUE}"' in kiosque.text
    assert "form-action 'self' http://kiosque.test;" in kiosque.headers["Content-Security-Policy"]
    assert champ(kiosque, "Seal")
    transaction = départ.headers["Location"].split("/")[2]
    assert f"transactionReference={transaction}" in champ(kiosque, "Data")

    retour = service.client.post("/kiosque/retour", data=notification(transaction, 20_00))
    attente = service.client.get(retour.headers["Location"])
    assert "en cours" in attente.text
    assert 'http-equiv="refresh"' in attente.text
    service.répondre(transaction, 20_00)
    fin = service.client.get(retour.headers["Location"])
    assert "Nous vous remercions pour votre paiement, nous le traitons dans les plus brefs délais." in fin.text
    assert "67,09\N{NO-BREAK SPACE}€" in fin.text
    assert 'http-equiv="refresh"' not in fin.text
    assert service.client.get(f"/paiements/{transaction}/kiosque").headers["Location"] == f"/paiements/{transaction}"


def test_un_paiement_refusé_par_la_banque_se_dit(service: Service) -> None:
    service.avis(RÉF)
    devenir(service)
    transaction = payer(service, chercher(service)).headers["Location"].split("/")[2]
    service.répondre(transaction, 20_00, "05")
    page = service.client.get(f"/paiements/{transaction}").text
    assert "Votre transaction de paiement a échoué." in page
    assert "87,09\N{NO-BREAK SPACE}€" in page


@pytest.mark.parametrize(
    ("montant", "phrase"),
    [
        ("10", "Vous pouvez payer entre 16,00\N{NO-BREAK SPACE}€ et 50,00\N{NO-BREAK SPACE}€ par paiement."),
        ("vingt <b>", "Saisissez le montant de votre paiement en euros"),
    ],
)
def test_un_refus_s_affiche_en_tête_et_garde_la_saisie(service: Service, montant: str, phrase: str) -> None:
    service.avis(RÉF)
    devenir(service)
    page = payer(service, chercher(service), montant)
    assert page.status_code == 409
    assert phrase in page.text.partition('role="alert"')[2].partition("</div>")[0]
    assert champ(page, "montant") == montant
    assert "<b>" not in page.text
    assert "checked" in page.text


def test_une_référence_non_ouverte_se_dit_avec_la_phrase_du_pas_à_pas(service: Service) -> None:
    service.avis(RÉF, assuré="a-2")
    devenir(service)
    page = chercher(service)
    assert "Cette référence de courrier n&#39;est pas ouverte au paiement en ligne." in page.text
    assert champ(page, "reference") == RÉF


def test_rien_de_coché_se_dit(service: Service) -> None:
    service.avis(RÉF)
    devenir(service)
    assert "Sélectionnez au moins une référence" in payer(service, chercher(service), references=[]).text


def test_le_même_formulaire_envoyé_deux_fois_n_ouvre_qu_un_paiement(service: Service) -> None:
    service.avis(RÉF)
    devenir(service)
    page = chercher(service)
    assert payer(service, page).headers["Location"] == payer(service, page).headers["Location"]


def test_un_paiement_en_cours_s_offre_à_la_reprise(service: Service) -> None:
    service.avis(RÉF, 60_00)
    devenir(service)
    adresse = payer(service, chercher(service), "50").headers["Location"]
    refusé = payer(service, chercher(service), "20")
    assert f'href="{adresse}"' in refusé.text


def test_un_formulaire_venu_d_ailleurs_est_refusé(service: Service) -> None:
    service.avis(RÉF)
    devenir(service)
    réponse = payer(service, chercher(service), jeton="0" * 64)
    assert (réponse.status_code, réponse.json()["code"]) == (403, "formulaire_perime")


def test_les_pages_interdisent_tout_script_et_le_cookie_n_est_pas_lisible(service: Service) -> None:
    page = service.client.get("/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "<script" not in page.text
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "SameSite=lax" in page.headers["Set-Cookie"]
    assert 'lang="fr"' in page.text
    assert service.client.get("/statique/pages.css").status_code == 200


def test_le_paiement_d_un_autre_reste_inconnu(service: Service) -> None:
    service.avis(RÉF)
    transaction = service.payer(RÉF).json()["transaction"]
    devenir(service, "a-2")
    for adresse in (f"/paiements/{transaction}", f"/paiements/{transaction}/kiosque", "/paiements/%00"):
        assert service.client.get(adresse).status_code == 404


def test_un_pseudonyme_impossible_ne_nomme_personne(service: Service) -> None:
    service.avis(RÉF)
    devenir(service, "\x00")
    assert "Qui êtes-vous" in service.client.get("/").text


class TestHorsDémonstration:
    @pytest.fixture
    def réglages_api(self) -> dict[str, Any]:
        return {}

    def test_la_page_demande_de_passer_par_le_compte(self, service: Service) -> None:
        for réponse in (
            service.client.get("/"),
            service.client.get("/paiements/T1"),
            service.client.post("/payer", data={}),
            service.client.post("/demonstration/assure", data={"assure": "a-1"}),
        ):
            assert réponse.status_code == 401
            assert "Connectez-vous à votre compte ameli" in réponse.text
