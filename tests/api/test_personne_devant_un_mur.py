"""Chaque refus a une suite : pourquoi, comment payer autrement, et un bouton qui peut réussir."""

import re
from datetime import date
from typing import Any

import httpx
import psycopg
import pytest

from api.socle.consignes import Consignes
from service.settings import Instructions, Settings
from tests.api.conftest import Service
from tests.api.navigation import AUTRE, REF, champ, chercher, devenir, fautes, lisible, payer, transaction_de, verifier

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


AILLEURS = "0111701200010075F"
VERIFIE = "Nous vérifions votre paiement de 20,00 € auprès de la banque ; ne payez pas une seconde fois."


def en_verification(service: Service, *autres: str) -> None:
    """Un paiement de REF pour lequel la banque a pris un autre montant."""
    for reference in (REF, *autres):
        service.avis(reference, 45_00)
    devenir(service)
    service.repondre(transaction_de(payer(service, chercher(service))), 21_00)


@pytest.mark.parametrize("adresse", ["/", "/creances", "/autres-moyens", f"/payer?reference={REF}"])
def test_un_paiement_en_verification_se_dit_partout_et_nulle_part_on_n_invite_a_payer(
    service: Service, adresse: str
) -> None:
    en_verification(service, AUTRE)
    page = service.client.get(adresse)
    assert VERIFIE in lisible(page)
    assert '<a class="bouton" href="/payer' not in page.text
    assert 'id="payer">' not in page.text
    assert " checked" not in page.text
    assert not any(touche in lisible(page) for touche in ("Tout régler", "Le maximum", "Cocher les autres"))


@pytest.mark.parametrize("adresse", ["/", "/creances", "/autres-moyens"])
def test_une_verification_se_dit_encore_apres_vingt_autres_paiements(service: Service, adresse: str) -> None:
    en_verification(service, AUTRE)
    service.catch_up()
    with psycopg.connect(service.url_base) as conn:
        conn.execute(
            "INSERT INTO vues.paiements"
            " (transaction, assure, caisse, canal, montant, statut, ouvert_le, expire_le, conclu_le, version)"
            " SELECT 'APRES' || n, assure, caisse, canal, montant, 'expire', ouvert_le + n * interval '1 second',"
            " expire_le, conclu_le, version FROM vues.paiements, generate_series(1, 20) AS n"
        )
    page = service.client.get(adresse)
    assert VERIFIE in lisible(page)
    assert '<a class="bouton" href="/payer' not in page.text


def test_une_autre_caisse_se_paie_pendant_une_verification(service: Service) -> None:
    en_verification(service, AILLEURS)
    assert '<a class="bouton" href="/payer">' in service.client.get("/").text
    liste = service.client.get("/creances").text
    assert f'<a class="bouton" href="/payer?reference={AILLEURS}">' in liste
    assert f'<a class="bouton second" href="/payer?reference={REF}">Payer quand même' in liste
    etape = chercher(service, AILLEURS)
    assert "Tout régler : 45,00 €" in lisible(etape)
    assert re.search(rf'id="r-{AILLEURS}"[^>]*checked', etape.text)
    assert not re.search(rf'id="r-{REF}"[^>]*checked', etape.text)


@pytest.mark.parametrize("partage", ["", f"{REF}:2000"])
def test_payer_quand_meme_pendant_une_verification_se_relit_toujours(service: Service, partage: str) -> None:
    en_verification(service)
    relue = verifier(service, chercher(service), "20", partage=partage)
    assert relue.status_code == httpx.codes.OK
    assert VERIFIE in lisible(relue)
    assert '<a class="bouton" href="/">Attendre, sans payer</a>' in relue.text
    depart = verifier(service, relue, "20", partage=champ(relue, "partage"), action="confirmer")
    assert transaction_de(depart)


def test_la_touche_tout_cocher_suit_la_caisse_des_lignes_cochees(service: Service) -> None:
    service.avis(REF, 12_50, solde=40_00)
    for reference in (AILLEURS, "0111701200010076F"):
        service.avis(reference, 10_00, solde=40_00)
    devenir(service)
    relue = verifier(service, chercher(service), "", references=[AILLEURS], action="ensemble")
    assert champ(relue, "montant") == "20,00"
    assert not re.search(rf'id="r-{REF}"[^>]*checked', relue.text)


def test_la_ou_rien_ne_se_paie_il_n_y_a_ni_champ_ni_bouton(service: Service) -> None:
    service.avis(REF, 7_00, solde=60_00)
    devenir(service)
    page = chercher(service)
    for absent in ('id="montant"', 'value="payer"', 'value="partage"', "partage.js"):
        assert absent not in page.text
    assert '<a class="bouton" href="/autres-moyens">Payer autrement</a>' in page.text
    forge = verifier(service, page, "x")
    assert all(f'id="{cible}"' in forge.text for cible, _ in fautes(forge))


def test_deux_creances_qui_se_paient_toutes_en_ligne_le_disent_sans_se_compter_deux_fois(service: Service) -> None:
    service.avis(REF)
    service.avis(AUTRE)
    devenir(service)
    assert "2 créances restent dues, toutes deux à payer en ligne." in lisible(service.client.get("/creances"))


@pytest.mark.parametrize(
    ("tapee", "dit"),
    [
        (
            "381170X20001007",
            "il en manque 1, « X » est à la place d'un chiffre et il manque la lettre à la fin de votre référence.",
        ),
        ("3811701200010075FF", "Votre référence se termine par plusieurs lettres : gardez celle de votre courrier."),
    ],
)
def test_plusieurs_fautes_d_une_reference_se_disent_en_une_phrase(service: Service, tapee: str, dit: str) -> None:
    devenir(service)
    assert dit in lisible(service.client.post("/payer/recherche", data={"reference": tapee}))


def test_une_adresse_ouverte_seule_dit_a_la_personne_que_rien_n_est_arrive(service: Service) -> None:
    devenir(service)
    page = service.client.get("/deconnexion")
    assert page.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert "Cette page ne s'ouvre pas ainsi" in lisible(page)
    assert "Rien n'a été payé ni changé" in lisible(page)
    assert "méthode" not in lisible(page).lower()
