"""Chaque refus a une suite : pourquoi, comment payer autrement, et un bouton qui peut réussir."""

import re
from datetime import date
from typing import Any

import httpx
import pytest

from api.socle.consignes import Consignes
from service.settings import Instructions, Settings
from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, champ, chercher, devenir, lisible, verifier

ORDRE = "À l'ordre de l'agent comptable de la CPAM de l'Isère."


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True, "consignes": {"381": Consignes(cheque=ORDRE, telephone="04 76 00 00 00")}}


def test_une_caisse_dit_comment_elle_se_paie_et_le_reste_renvoie_a_elle(service: Service) -> None:
    service.avis(REF)
    devenir(service)
    page = lisible(service.client.get("/autres-moyens"))
    assert ORDRE in page
    assert "Demandez à votre caisse ses coordonnées bancaires" in page
    assert 'href="tel:0476000000"' in service.client.get("/autres-moyens").text


def test_une_creance_exclue_dit_pourquoi_a_son_assure_et_a_lui_seul(service: Service) -> None:
    service.avis(REF, 30_00, solde=250_00)
    service.avis(AUTRE, assure="a-2")
    devenir(service)
    assert "vous deviez en tout 250,00 €" in lisible(service.client.get("/creances"))
    refus = [lisible(chercher(service, reference)) for reference in (REF, AUTRE, "3819999999999999Z")]
    assert all("250,00" not in page and "toutes mes créances" in page for page in refus)
    accueil = service.client.get("/").text
    assert '<a class="bouton" href="/payer">' not in accueil
    assert '<a class="bouton" href="/creances">' in accueil


def test_sans_script_une_touche_coche_les_petites_et_ecrit_le_montant(service: Service) -> None:
    service.avis(REF, 12_50, solde=40_00)
    service.avis(AUTRE, 10_36, solde=40_00)
    devenir(service)
    page = chercher(service)
    assert "Cocher les autres et payer : 22,86 €" in lisible(page)
    relue = verifier(service, page, "", action="ensemble")
    assert relue.status_code == httpx.codes.OK
    assert champ(relue, "montant") == "22,86"
    assert relue.text.count("checked>") == 2
    assert verifier(service, relue, "22,86", references=[REF, AUTRE]).status_code == httpx.codes.OK


def test_une_touche_garde_la_creance_cherchee_parmi_celles_qu_un_paiement_regle(service: Service) -> None:
    for rang in range(51):
        service.avis(f"38117012{rang:08d}F", 12_00, solde=40_00, emis=date(2026, 5, 1))
    service.avis(REF, 12_00, solde=40_00, emis=date(2026, 6, 1))
    devenir(service)
    relue = verifier(service, chercher(service), "", action="ensemble")
    assert "50 références sélectionnées" in lisible(relue)
    assert re.search(rf'id="r-{REF}"[^>]*checked', relue.text)


def test_une_touche_ne_coche_que_ce_que_la_caisse_peut_recevoir(service: Service) -> None:
    service.avis(REF, 12_50, solde=40_00)
    devenir(service)
    page = lisible(chercher(service))
    assert "Cocher les autres" not in page


def test_les_consignes_se_reglent_par_caisse() -> None:
    reglages = Settings(_env_file=None, caisse_instructions={"381": Instructions(cheque=ORDRE)})
    assert Consignes()._replace(**reglages.caisse_instructions["381"].model_dump(exclude_none=True)) == Consignes(ORDRE)


@pytest.mark.parametrize("moitie", [{"smtp_host": "127.0.0.1"}, {"smtp_sender": "recus@caisse.fr"}])
def test_un_serveur_de_courriel_va_avec_son_expediteur(moitie: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="SMTP_HOST et SMTP_SENDER"):
        Settings(_env_file=None, **moitie)


@pytest.mark.parametrize(
    ("colle", "statut", "dit"),
    [
        (f"Mme Durand, 2 55 08 14 168 025 38, référence {REF}, merci", 303, ""),
        (f"{REF} et {AUTRE}", 422, "plusieurs références"),
        (REF[:-1], 422, "Il manque la lettre"),
        ("3819999999999999Z", 404, "pas ouverte"),
        (" ", 422, "Saisissez la référence"),
    ],
)
def test_l_adresse_d_une_recherche_ne_porte_qu_une_reference(
    service: Service, colle: str, statut: int, dit: str
) -> None:
    service.avis(REF)
    devenir(service)
    trouvee = service.client.post("/payer/recherche", data={"reference": colle})
    assert trouvee.status_code == statut
    assert trouvee.headers.get("Location", "") == (f"/payer?reference={REF}" if statut == 303 else "")
    assert dit in lisible(trouvee)
    assert service.client.get("/payer/recherche").headers["Location"] == "/payer"


def test_une_recherche_apres_la_fin_de_la_session_revient_a_elle(service: Service) -> None:
    service.avis(REF)
    devenir(service)
    service.client.cookies.clear()
    finie = service.client.post("/payer/recherche", data={"reference": f"N° {REF}"})
    assert finie.status_code == 401
    assert f"/connexion?next=%2Fpayer%3Freference%3D{REF}" in finie.text
