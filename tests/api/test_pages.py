"""Le parcours de l'assuré, page à page, sans script : un vrai serveur, une vraie base."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from io import BytesIO
from threading import Barrier
from typing import Any

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool
from pypdf import PdfReader

from domain.references import ReferenceTransaction
from service import samples
from tests.api.conftest import KIOSQUE, Service, notification
from tests.api.navigation import (
    AUTRE,
    EUR,
    NAVIGATEUR,
    REF,
    champ,
    chercher,
    devenir,
    fautes,
    lisible,
    ordinaire,
    payer,
    transaction_de,
    verifier,
)


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def test_la_demonstration_offre_chaque_situation_par_son_nom(service: Service) -> None:
    page = service.client.get("/", headers=NAVIGATEUR)
    offerts = [valeur for valeur in re.findall(r'name="assure" value="([^"]+)"', page.text) if valeur[:4] == "cas-"]
    assert offerts == list(samples.CASES)
    assert "Cinquante lignes" in lisible(page)


class TestLeParcours:
    def test_du_choix_de_l_assure_au_nouveau_restant_du(self, service: Service) -> None:
        service.avis(REF)
        service.avis(AUTRE, 50_00)
        assert REF in service.client.get("/").text
        devenir(service)
        assert "Où trouver la référence de votre avis ?" in ordinaire(service.client.get("/payer").text)
        page = chercher(service, "3811 7012 0001 0075f")
        assert page.status_code == 200
        for texte in ("CPAM DE L'ISÈRE", "87,09 €", AUTRE, "1 référence trouvée", "1 référence sélectionnée"):
            assert texte in lisible(page)
        assert "Vous pouvez payer en ligne entre 16 € et 50 € par paiement." in lisible(page)

        relue = verifier(service, page)
        assert relue.status_code == 200
        assert f"{REF} 20,00 € 67,09 €" in lisible(relue)
        depart = verifier(service, page, partage=champ(relue, "partage"))
        assert depart.status_code == 303
        kiosque = service.client.get(depart.headers["Location"])
        assert f'action="{KIOSQUE}"' in kiosque.text
        assert "form-action 'self' http://kiosque.test;" in kiosque.headers["Content-Security-Policy"]
        transaction = transaction_de(depart)
        assert f"transactionReference={transaction}" in champ(kiosque, "Data")
        assert champ(kiosque, "Seal")

        retour = service.client.post("/kiosque/retour", data=notification(transaction, 20_00))
        attente = service.client.get(retour.headers["Location"])
        assert "La banque a bien reçu votre paiement, nous attendons sa confirmation" in lisible(attente)
        assert "Nous vous remercions" not in attente.text  # Le retour du navigateur ne prouve rien.
        assert '<noscript><meta http-equiv="refresh"' in attente.text
        service.repondre(transaction, 20_00)
        merci = "Nous vous remercions pour votre paiement, nous le traitons dans les plus brefs délais."
        fin = service.client.get(retour.headers["Location"])
        assert merci in fin.text
        assert f"67,09{EUR}" in fin.text
        assert 'http-equiv="refresh"' not in fin.text
        assert merci in service.client.get("/").text
        assert (
            service.client.get(f"/paiements/{transaction}/kiosque").headers["Location"] == f"/paiements/{transaction}"
        )

    def test_un_paiement_sur_deux_lignes_dit_son_partage_et_ce_qui_ne_se_paierait_plus(self, service: Service) -> None:
        service.avis(REF, 40_00, emis=date(2026, 5, 12))
        service.avis(AUTRE, 25_00, solde=60_00, emis=date(2026, 6, 1))
        devenir(service)
        page = chercher(service)
        montre = verifier(service, page, "50", references=[REF, AUTRE], action="partage")
        assert "2 références sélectionnées" in lisible(montre)
        assert f"{REF} 40,00 € 0,00 €" in lisible(montre)
        assert f"{AUTRE} 10,00 € 15,00 €" in lisible(montre)
        assert "Il resterait 15,00 € en tout à cette caisse" in lisible(montre)
        assert "payez 49,00 € au plus" in lisible(montre)
        assert champ(montre, "montant") == "50"
        depart = payer(service, page, "50", references=[REF, AUTRE])
        assert f"{AUTRE} 10,00 €" in lisible(service.client.get(depart.headers["Location"]))

    def test_un_paiement_refuse_par_la_banque_se_dit_et_se_recommence(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.repondre(transaction, 20_00, "05")
        page = service.client.get(f"/paiements/{transaction}")
        assert "Votre transaction de paiement a échoué." in page.text
        assert "La banque a refusé ce paiement. Votre carte n'a pas été débitée." in lisible(page)
        assert f"87,09{EUR}" in page.text
        champs = {nom: champ(page, nom) for nom in ("jeton", "reference", "references", "montant")}
        reprise = service.client.post("/payer", data=champs | {"action": "modifier"})
        assert "1 référence sélectionnée" in lisible(reprise)
        assert champ(reprise, "montant") == "20,00"
        assert "Votre transaction de paiement a échoué." in service.client.get("/").text

    @pytest.mark.parametrize("montant", ["16€50", "16 € 50", "16,5", "16.50 €"])
    def test_un_montant_s_ecrit_de_plusieurs_facons(self, service: Service, montant: str) -> None:
        service.avis(REF)
        devenir(service)
        assert f"{REF} 16,50 € 70,59 €" in lisible(verifier(service, chercher(service), montant))

    @pytest.mark.parametrize(
        ("code", "cause", "debit"),
        [
            ("17", "Vous avez annulé ce paiement.", "Votre carte n'a pas été débitée."),
            ("97", "Le délai de paiement est passé.", "La banque ne nous a signalé aucun débit de votre carte."),
            ("34", "La banque a refusé ce paiement.", "Votre carte n'a pas été débitée."),
            ("40", "Un incident technique a interrompu ce paiement.", "aucun débit de votre carte."),
            ("77", "Un incident technique a interrompu ce paiement.", "aucun débit de votre carte."),
        ],
    )
    def test_un_echec_dit_sa_famille_le_debit_et_la_suite(
        self, service: Service, code: str, cause: str, debit: str
    ) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.repondre(transaction, 20_00, code)
        page = lisible(service.client.get(f"/paiements/{transaction}"))
        assert cause in page
        assert debit in page
        assert "Vous pouvez" in page
        for mot_de_banque in ("fraude", "marchand", "code"):
            assert mot_de_banque not in page

    def test_une_creance_soldee_le_dit_avec_ses_paiements_et_sans_bouton_payer(self, service: Service) -> None:
        service.avis(REF, 20_00, solde=60_00)
        service.avis(AUTRE, 87_09)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.repondre(transaction, 20_00)
        page = chercher(service)
        assert page.status_code == 200
        assert "Cette créance est soldée : vous n'avez plus rien à payer." in lisible(page)
        assert f'href="/paiements/{transaction}"' in page.text
        assert f'href="/payer?reference={AUTRE}"' in page.text
        assert 'value="payer"' not in page.text
        assert "autre moyen de paiement" not in page.text

    def test_un_trop_percu_dit_ce_qu_il_devient(self, service: Service) -> None:
        service.avis(REF, 20_00, solde=60_00)
        devenir(service)
        premiere = transaction_de(payer(service, chercher(service)))
        service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
        service.repondre(premiere, 20_00, "97")
        seconde = transaction_de(payer(service, chercher(service)))
        service.repondre(seconde, 20_00)
        service.repondre(premiere, 20_00)
        page = lisible(chercher(service))
        assert "votre caisse examine ce trop-perçu et vous le rembourse" in page
        assert "Trop-perçu 20,00 €" in page

    def test_apres_le_retour_scelle_de_la_banque_rien_n_invite_a_payer_de_nouveau(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.catch_up()
        assert f'href="/paiements/{transaction}/kiosque"' in service.client.get("/").text
        service.client.post("/kiosque/retour", data=notification(transaction, 20_00))
        for adresse in (f"/paiements/{transaction}", "/", f"/payer?reference={REF}"):
            page = service.client.get(adresse)
            assert "nous attendons sa confirmation ; ne payez pas une seconde fois" in lisible(page)
            assert "/kiosque" not in page.text
            assert "le reprendre" not in page.text
            assert 'value="payer"' not in page.text
        depart = service.client.get(f"/paiements/{transaction}/kiosque")
        assert (depart.status_code, depart.headers["Location"]) == (303, f"/paiements/{transaction}")

    def test_un_retour_refuse_ou_un_souvenir_forge_laisse_reprendre(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.client.post("/kiosque/retour", data=notification(transaction, 20_00, "05"))
        service.client.cookies.set(f"creances_retour_{transaction}", "forge")
        assert f'href="/paiements/{transaction}/kiosque"' in service.client.get(f"/paiements/{transaction}").text

    def test_sans_paiement_l_accueil_le_dit(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        accueil = lisible(service.client.get("/"))
        assert "Aucun nouveau paiement" in accueil
        assert "Vous avez 1 créance à payer en ligne. Montant restant dû 87,09 €" in accueil

    def test_l_accueil_ne_dit_pas_payable_en_ligne_ce_qui_ne_l_est_plus(self, service: Service) -> None:
        service.avis(REF, 12_50, solde=60_00)
        devenir(service)
        accueil = lisible(service.client.get("/"))
        assert "Vous n'avez aucune créance à payer en ligne. 1 créance se règle par un autre moyen" in accueil

    def test_de_petites_creances_se_paient_ensemble_et_la_page_dit_comment(self, service: Service) -> None:
        service.avis(REF, 7_00, solde=60_00)
        service.avis(AUTRE, 12_00, solde=60_00)
        devenir(service)
        accueil = lisible(service.client.get("/"))
        assert "Vous avez 2 créances à payer en ligne. Montant restant dû 19,00 €" in accueil
        page = chercher(service)
        assert "Il faut au moins 16 € par paiement : cochez d'autres références" in lisible(page)
        seule = verifier(service, page, "16", action="partage")
        ensemble = "La référence cochée ne fait que 7,00 € : cochez-en d'autres de la même caisse"
        assert any(ensemble in phrase.replace("\N{NO-BREAK SPACE}", " ") for _, phrase in fautes(seule))
        assert "autre moyen de paiement" not in lisible(seule)
        touchee = verifier(service, page, "", references=[REF, AUTRE], action="montant:1900")
        assert "Tout régler : 19,00 €" in lisible(touchee)
        assert champ(touchee, "montant") == "19,00"
        depart = payer(service, page, "19,00", references=[REF, AUTRE])
        assert depart.status_code == 303

    def test_ce_qui_resterait_bloque_se_dit_avec_son_remede(self, service: Service) -> None:
        service.avis(REF, 20_00, solde=60_00)
        service.avis(AUTRE, 10_00, solde=60_00)
        devenir(service)
        montre = lisible(verifier(service, chercher(service), "20", action="partage"))
        assert "Il resterait 10,00 € en tout à cette caisse" in montre
        assert "cochez toutes ses références et réglez 30,00 €" in montre

    def test_deux_restes_sous_le_minimum_qui_se_paient_ensemble_ne_sont_pas_bloques(self, service: Service) -> None:
        service.avis(REF, 40_00, solde=60_00)
        service.avis(AUTRE, 12_50, solde=60_00)
        devenir(service)
        montre = lisible(verifier(service, chercher(service), "30", action="partage"))
        assert f"{REF} 30,00 € 10,00 €" in montre
        assert "Il resterait 22,50" not in montre
        assert "Il resterait 10,00" not in montre

    def test_un_montant_accepte_autre_que_demande_dit_de_ne_pas_payer_une_seconde_fois(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.repondre(transaction, 21_00)
        for adresse in (f"/paiements/{transaction}", "/", f"/payer?reference={REF}"):
            page = lisible(service.client.get(adresse))
            assert "Nous vérifions votre paiement" in page
            assert "auprès de la banque ; ne payez pas une seconde fois" in page
            assert "a échoué" not in page
        etat = service.client.get(f"/paiements/{transaction}")
        assert "votre caisse le règle pour vous" in lisible(etat)
        assert "Montant demandé 20,00 €" in lisible(etat)
        assert "Montant annoncé par la banque 21,00 €" in lisible(etat)
        assert "Recommencer" not in etat.text

    def test_le_partage_ne_nomme_que_ce_qui_recoit(self, service: Service) -> None:
        service.avis(REF, 40_00, emis=date(2026, 5, 12))
        autres = [f"38117024{rang:08d}F" for rang in range(49)]
        for reference in autres:
            service.avis(reference, 50_00, emis=date(2026, 6, 1))
        devenir(service)
        montre = verifier(service, chercher(service), "50", references=[REF, *autres], action="partage")
        assert "48 autres références ne reçoivent rien." in lisible(montre)
        assert montre.text.partition('<table class="parts">')[2].partition("</table>")[0].count("<tr>") == 3
        assert f'aria-label="Référence {REF}, reste 40,00{EUR}"' in montre.text

    def test_payer_autrement_dit_par_qui_et_avec_quelle_reference(self, service: Service) -> None:
        service.avis(REF, 7_00, solde=60_00)
        devenir(service)
        assert 'href="/autres-moyens"' in chercher(service).text
        page = lisible(service.client.get("/autres-moyens"))
        for texte in ("CPAM DE L'ISÈRE", "Par chèque", "Par virement", REF, "7,00 €", "Je ne peux pas payer"):
            assert texte in page

    def test_chaque_paiement_a_son_recu_en_page_et_en_pdf_meme_a_la_microseconde(self, service: Service) -> None:
        service.maintenant = datetime.now(UTC).replace(microsecond=123456)
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.repondre(transaction, 20_00)
        assert f'href="/paiements/{transaction}"' in service.client.get("/paiements").text
        recu = lisible(service.client.get(f"/paiements/{transaction}"))
        for texte in ("Reçu de votre paiement", "Autorisation de la banque 761208", f"{REF} 20,00 €"):
            assert texte in recu
        pdf = service.client.get(f"/paiements/{transaction}/recu.pdf")
        assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
        ecrit = PdfReader(BytesIO(pdf.content)).pages[0].extract_text().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        for texte in ("20,00", REF, "761208", transaction, "CPAM DE L'ISÈRE"):
            assert texte in ecrit

    def test_le_recu_d_un_autre_ou_d_un_refus_n_existe_pas(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        assert service.client.get(f"/paiements/{transaction}/recu.pdf").status_code == 404
        service.repondre(transaction, 20_00)
        service.client.cookies.clear()
        devenir(service, "a-2")
        for suite in ("", "/recu.pdf"):
            assert service.client.get(f"/paiements/{transaction}{suite}").status_code == 404

    def test_le_titre_de_chaque_page_dit_ou_l_on_est(self, service: Service) -> None:
        service.avis(REF, 20_00, solde=60_00)
        devenir(service)
        depart = payer(service, chercher(service))
        pages = [service.client.get("/payer"), chercher(service), service.client.get(depart.headers["Location"])]
        service.repondre(transaction_de(depart), 20_00)
        titres = [re.findall(r"<h1.*?</h1>", page.text) for page in (*pages, chercher(service))]
        dits = [re.sub("<[^>]+>", "", ordinaire(un)) for (un,) in titres]
        assert dits == [
            "Payer une créance : étape 1 sur 3, référence de l'avis",
            "Payer une créance : étape 2 sur 3, montant",
            "Payer une créance : étape 3 sur 3, paiement par carte",
            "Payer une créance : créance soldée",
        ]

    def test_aucun_montant_ne_se_separe_de_son_symbole(self, service: Service) -> None:
        service.avis(REF)
        choix = service.client.get("/", headers=NAVIGATEUR)
        devenir(service)
        pages = [choix, chercher(service), *(service.client.get(ou) for ou in ("/", "/comprendre", "/autres-moyens"))]
        assert [separe for page in pages for separe in re.findall(r"[^\n]{12}[0-9] €", page.text)] == []

    def test_modifier_revient_a_l_etape_2_avec_la_saisie(self, service: Service) -> None:
        service.avis(REF)
        service.avis(AUTRE)
        devenir(service)
        page = verifier(service, chercher(service), "33,50", references=[AUTRE], action="modifier")
        assert champ(page, "montant") == "33,50"
        cochees = re.findall(r'value="(\w+)" id="r-\w+"[^>]*checked', page.text)
        assert cochees == [AUTRE]

    def test_la_page_des_creances_les_montre_toutes_avec_leur_histoire(self, service: Service) -> None:
        service.avis(REF)
        service.avis(AUTRE, 30_00, solde=250_00)
        devenir(service)
        refusee = transaction_de(payer(service, chercher(service)))
        service.repondre(refusee, 20_00, "05")
        acceptee = transaction_de(payer(service, chercher(service), "25"))
        service.repondre(acceptee, 25_00)
        en_cours = transaction_de(payer(service, chercher(service), "16"))
        service.catch_up()
        page = lisible(service.client.get("/creances"))
        assert "Montant initial dû 87,09 € Payé 25,00 € En cours de paiement 16,00 € Montant restant dû 62,09 €" in page
        assert f"Paiement en ligne {refusee} Échoué −20,00 €" in page
        assert f"Paiement en ligne {acceptee} Accepté, affiché le" in page
        assert f"Paiement en ligne {en_cours} En attente de la banque −16,00 €" in page
        assert "Montant restant dû 30,00 € Elle ne se paie pas en ligne : quand cet avis vous a été envoyé" in page


class TestLesRefus:
    @pytest.mark.parametrize("reference", [REF, "3819999999999999Z"])
    def test_une_reference_non_ouverte_se_dit_avec_la_phrase_du_pas_a_pas(
        self, service: Service, reference: str
    ) -> None:
        service.avis(REF, assure="a-2")
        devenir(service)
        page = chercher(service, reference)
        phrase = "Cette référence de courrier n'est pas ouverte au paiement en ligne."
        assert (page.status_code, fautes(page)) == (404, [("reference", phrase)])
        assert champ(page, "reference") == reference
        assert 'aria-invalid="true"' in page.text

    @pytest.mark.parametrize(
        ("tapee", "dit"),
        [
            ("381", "ne compte que 3 chiffres : il en manque 13 et il manque la lettre"),
            ("3811701200010075", "Il manque la lettre à la fin"),
            ("381170120001007F", "ne compte que 15 chiffres : il en manque 1."),
            ("38117012000100755F", "compte 17 chiffres : il y en a 1 de trop."),
            ("' OR 1=1 --", "Nous n'avons pas reconnu de référence"),
            (f"{REF} et {AUTRE}", "plusieurs références"),
        ],
    )
    def test_une_reference_mal_tapee_dit_ce_qui_manque(self, service: Service, tapee: str, dit: str) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service, tapee)
        [(cible, phrase)] = fautes(page)
        assert (page.status_code, cible) == (422, "reference")
        assert dit in phrase
        assert "pas ouverte" not in page.text
        assert champ(page, "reference") == tapee if "'" not in tapee else True

    @pytest.mark.parametrize(
        "tapee",
        ["N° 3811-7012-0001-0075-f", "3811.7012.0001.0075F.", "38117O12OOO1OO75F", f"Référence : {REF} du 12/05/2026"],
    )
    def test_une_reference_que_rien_ne_rend_douteuse_est_trouvee(self, service: Service, tapee: str) -> None:
        service.avis(REF)
        devenir(service)
        assert "Étape 2 sur 3" in chercher(service, tapee).text

    def test_une_reference_vide_se_demande(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service, " ")
        assert page.status_code == 422
        assert fautes(page) == [("reference", "Saisissez la référence de l'avis : 16 chiffres et 1 lettre.")]

    def test_un_restant_du_sous_le_minimum_se_dit_en_tete_et_ne_se_coche_pas(self, service: Service) -> None:
        service.avis(REF, 7_00, solde=60_00)
        devenir(service)
        page = chercher(service)
        assert page.status_code == 200
        phrase = (
            "Le montant restant dû pour cette référence de courrier est inférieur au montant minimum de paiement en"
            " ligne : merci d'utiliser un autre moyen de paiement."
        )
        assert lisible(page).count(phrase) == 1
        assert re.search(rf'id="r-{REF}"[^>]*disabled', page.text)
        assert "0 référence sélectionnée" in lisible(page)
        forcee = verifier(service, page)
        assert forcee.status_code == 409
        assert fautes(forcee) == [(f"ligne-{REF}", phrase)]

    @pytest.mark.parametrize(
        ("montant", "statut", "phrase"),
        [
            ("10", 409, f"Vous pouvez payer entre 16,00{EUR} et 50,00{EUR} par paiement."),
            ("50,01", 409, f"Vous pouvez payer entre 16,00{EUR} et 50,00{EUR} par paiement."),
            ("48", 409, "Le montant saisi est supérieur au solde total à payer des références sélectionnées"),
            ("", 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
            ("vingt", 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
            ("9" * 40, 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
            ("2€5", 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
            ("1 6,00", 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
            ("-20", 422, "Saisissez le montant de votre paiement en euros, par exemple 20,00."),
        ],
    )
    def test_un_montant_refuse_se_dit_a_son_champ_et_en_tete_et_garde_la_saisie(
        self, service: Service, montant: str, statut: int, phrase: str
    ) -> None:
        service.avis(REF, 45_00)
        devenir(service)
        page = verifier(service, chercher(service), montant)
        assert page.status_code == statut
        [(cible, dite)] = fautes(page)
        assert cible == "montant"
        assert dite.startswith(phrase)
        assert 'id="faute-montant"' in page.text
        assert champ(page, "montant") == montant
        assert re.search(rf'id="r-{REF}"[^>]*checked', page.text)
        assert "Erreur : " in ordinaire(page.text).partition("<title>")[2].partition("</title>")[0]

    def test_deux_fautes_se_disent_ensemble(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = verifier(service, chercher(service), "abc", references=[])
        assert [cible for cible, _ in fautes(page)] == ["selection", "montant"]

    def test_deux_caisses_cochees_ensemble_se_refusent(self, service: Service) -> None:
        service.avis(REF)
        autre_caisse = service.avis("0111702400012980F")
        devenir(service)
        page = chercher(service)
        assert "Les références de caisses différentes se paient séparément" in lisible(page)
        refuse = verifier(service, page, references=[REF, autre_caisse])
        assert fautes(refuse) == [
            (
                "selection",
                "Les références sélectionnées relèvent de caisses différentes : merci de les payer séparément.",
            )
        ]

    def test_un_partage_qui_n_est_plus_celui_que_la_personne_a_lu_se_relit(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        for invente in (f"{REF}:1999", "n'importe quoi", f"{AUTRE}:2000"):
            relue = verifier(service, page, partage=invente)
            assert relue.status_code == 409
            assert "Le partage de votre paiement entre vos références a changé" in relue.text
            assert champ(relue, "partage") == f"{REF}:2000"
        assert verifier(service, page, partage=f"{REF}:2000").status_code == 303


class TestJamaisDeuxPaiements:
    def test_le_meme_formulaire_envoye_deux_fois_n_ouvre_qu_un_paiement(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        assert (
            payer(service, page).headers["Location"]
            == verifier(service, page, partage=f"{REF}:2000").headers["Location"]
        )
        assert paiements_ouverts(service) == 1

    def test_deux_onglets_n_ouvrent_qu_un_paiement_et_l_offrent_a_la_reprise(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        premier, second = chercher(service), chercher(service)
        adresse = payer(service, premier).headers["Location"]
        service.catch_up()
        refuse = payer(service, second)
        assert refuse.status_code == 409
        assert [cible for cible, _ in fautes(refuse)] == ["reprendre"]
        assert f'href="{adresse}"' in refuse.text
        assert paiements_ouverts(service) == 1
        assert f'href="{adresse}"' in service.client.get("/").text

    def test_deux_onglets_au_meme_instant_n_ouvrent_qu_un_paiement(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        pages = [chercher(service) for _ in range(4)]
        depart = Barrier(len(pages))

        def ouvrir(page: httpx.Response) -> int:
            depart.wait()
            return verifier(service, page, partage=f"{REF}:2000").status_code

        with ThreadPoolExecutor(len(pages)) as fils:
            assert sorted(fils.map(ouvrir, pages)) == [303, 409, 409, 409]
        assert paiements_ouverts(service) == 1

    def test_reprendre_rend_le_meme_formulaire_scelle(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        adresse = payer(service, chercher(service)).headers["Location"]
        assert champ(service.client.get(adresse), "Data") == champ(service.client.get(adresse), "Data")

    def test_un_formulaire_deja_servi_pour_autre_chose_le_dit(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        payer(service, page)
        autre = verifier(service, page, "25", partage=f"{REF}:2500")
        assert autre.status_code == 422
        assert paiements_ouverts(service) == 1

    def test_revenir_en_arriere_apres_un_refus_de_la_banque_mene_a_son_etat(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        transaction = transaction_de(payer(service, page))
        service.repondre(transaction, 20_00, "05")
        encore = verifier(service, page, partage=f"{REF}:2000")
        assert transaction_de(encore) == transaction
        kiosque = service.client.get(encore.headers["Location"])
        assert kiosque.headers["Location"] == f"/paiements/{transaction}"

    def test_passe_le_delai_le_paiement_ne_se_reprend_plus_et_dit_d_attendre(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
        page = service.client.get(f"/paiements/{transaction}")
        assert "Ne payez pas une seconde fois" in page.text
        assert "/kiosque" not in page.text

    @pytest.mark.parametrize("annule", [False, True])
    def test_une_dette_devenue_moindre_ou_annulee_ne_laisse_pas_reprendre_et_le_dit(
        self, service: Service, *, annule: bool
    ) -> None:
        service.avis(REF)
        service.avis(AUTRE)
        devenir(service)
        transaction = transaction_de(payer(service, chercher(service)))
        service.catch_up()
        assert f"/paiements/{transaction}/kiosque" in service.client.get("/").text
        if annule:
            service.annuler(REF)
        else:
            service.encaisser(REF, 80_00)
        assert (
            service.client.get(f"/paiements/{transaction}/kiosque").headers["Location"] == f"/paiements/{transaction}"
        )
        page = service.client.get(f"/paiements/{transaction}")
        assert ("annulé par votre caisse" if annule else "votre dette a baissé") in ordinaire(page.text)
        for adresse in (f"/paiements/{transaction}", "/", f"/payer?reference={AUTRE}"):
            assert f"/paiements/{transaction}/kiosque" not in service.client.get(adresse).text, adresse
        if not annule:
            for adresse in ("/creances", f"/payer?reference={AUTRE}"):
                dite = lisible(service.client.get(adresse))
                assert ("vous pouvez le reprendre" in dite, "repris jusqu'à" in dite) == (False, False), adresse
            encore = verifier(service, chercher(service, AUTRE), reference=AUTRE, references=[REF, AUTRE])
            assert encore.status_code == 409
            dite = lisible(encore)
            assert ("vous pouvez le reprendre" in dite, "repris jusqu'à" in dite) == (False, False), "à l'envoi aussi"
            assert "attend la réponse de la banque ; ne payez pas une seconde fois" in dite

    def test_passe_le_delai_l_etape_2_et_la_liste_disent_d_attendre_et_menent_a_son_etat(
        self, service: Service
    ) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        transaction = transaction_de(payer(service, page))
        service.catch_up()
        service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
        encore = chercher(service)
        assert "Nous attendons la réponse de la banque pour votre paiement de 20,00 €" in lisible(encore)
        assert f'href="/paiements/{transaction}"' in encore.text
        refuse = verifier(service, encore, partage=f"{REF}:2000")
        [(cible, phrase)] = fautes(refuse)
        assert f'id="{cible}"' in refuse.text
        for dite in (lisible(encore), lisible(service.client.get("/creances")), phrase):
            assert "ne payez pas une seconde fois" in dite
            assert "reprendre" not in dite
            assert "repris jusqu'à" not in dite


class TestMauvaisesEntrees:
    @pytest.mark.parametrize("nom", ["reference", "references", "montant", "cle", "partage", "action", "jeton"])
    def test_un_script_dans_un_champ_ressort_inerte_et_ne_change_rien(self, service: Service, nom: str) -> None:
        service.avis(REF)
        devenir(service)
        page = verifier(service, chercher(service), **{nom: "<script>alert(1)</script>\"'>"})
        assert page.status_code in {200, 403, 404, 409, 422}
        assert "<script>alert" not in page.text
        assert page.headers["Content-Type"].startswith("text/html")
        assert paiements_ouverts(service) == 0

    def test_la_reference_d_un_autre_glissee_dans_le_formulaire_ne_dit_rien_de_lui(self, service: Service) -> None:
        service.avis(REF)
        service.avis(AUTRE, 33_33, assure="a-2")
        devenir(service)
        page = chercher(service)
        cochee = verifier(service, page, references=[REF, AUTRE])
        inconnue = verifier(service, page, references=[REF, "3819999999999999Z"])
        assert cochee.status_code == inconnue.status_code == 409
        assert fautes(cochee) == fautes(inconnue)
        assert "33,33" not in cochee.text
        cherchee = verifier(service, page, reference=AUTRE, references=[AUTRE])
        assert cherchee.status_code == 404
        assert "33,33" not in cherchee.text
        assert paiements_ouverts(service) == 0

    @pytest.mark.parametrize("jeton", ["0" * 64, "", "é"])
    def test_un_formulaire_venu_d_ailleurs_est_refuse_par_une_page(self, service: Service, jeton: str) -> None:
        service.avis(REF)
        devenir(service)
        page = verifier(service, chercher(service), jeton=jeton)
        assert page.status_code == 403
        assert "<h1" in page.text
        assert "Ce formulaire a expiré" in page.text
        assert paiements_ouverts(service) == 0

    def test_le_jeton_d_une_autre_session_est_refuse(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        devenir(service)
        assert verifier(service, page).status_code == 403

    def test_une_session_finie_demande_de_se_connecter(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        page = chercher(service)
        service.client.cookies.clear()
        for reponse in (chercher(service), service.client.get("/creances")):
            assert reponse.headers["Location"].startswith("/connexion?next=%2F")
        finie = verifier(service, page, "33,50", references=[REF])
        assert (finie.status_code, "rien n'a été payé" in unescape(finie.text)) == (401, True)
        [suite] = re.findall(r'href="(/connexion\?next=[^"]+)"', finie.text)
        choix = service.client.get(unescape(suite))
        donnees = {nom: champ(choix, nom) for nom in ("jeton", "suite")} | {"assure": "a-1"}
        retour = service.client.post("/demonstration/assure", data=donnees).headers["Location"]
        etape_2 = service.client.get(retour)
        assert champ(etape_2, "montant") == "33,50"
        assert re.findall(r'value="(\w+)" id="r-\w+"[^>]*checked', etape_2.text) == [REF]

    def test_un_lien_profond_ne_mene_jamais_ailleurs(self, service: Service) -> None:
        service.avis(REF)
        choix = service.client.get("/connexion", params={"next": "//ailleurs.test/"}, headers=NAVIGATEUR)
        assert champ(choix, "suite") == "/"
        donnees = {"jeton": champ(choix, "jeton"), "suite": "https://ailleurs.test/", "assure": "a-1"}
        assert service.client.post("/demonstration/assure", data=donnees).headers["Location"] == "/"

    def test_le_paiement_d_un_autre_reste_inconnu(self, service: Service) -> None:
        service.avis(REF)
        transaction = service.payer(REF).json()["transaction"]
        devenir(service, "a-2")
        for adresse in (f"/paiements/{transaction}", f"/paiements/{transaction}/kiosque", "/paiements/%00"):
            reponse = service.client.get(adresse)
            assert reponse.status_code == 404
            assert "Paiement introuvable" in reponse.text

    @pytest.mark.parametrize(
        ("corps", "en_tetes", "statut"),
        [
            (b"a=%ff", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
            (b"{}", {"Content-Type": "application/json"}, 415),
            (b"a" * 70_000, {"Content-Type": "application/x-www-form-urlencoded"}, 413),
            (
                b"&".join(b"references=1" for _ in range(300)),
                {"Content-Type": "application/x-www-form-urlencoded"},
                400,
            ),
        ],
    )
    def test_un_corps_impossible_a_une_page_claire(
        self, service: Service, corps: bytes, en_tetes: dict[str, str], statut: int
    ) -> None:
        service.avis(REF)
        devenir(service)
        reponse = service.client.post("/payer", content=corps, headers=en_tetes)
        assert reponse.status_code == statut
        assert 'lang="fr"' in reponse.text
        assert "Traceback" not in reponse.text

    def test_une_adresse_inconnue_a_une_page_et_l_api_garde_ses_problemes(self, service: Service) -> None:
        page = service.client.get("/nulle-part", headers=NAVIGATEUR)
        assert (page.status_code, "Page introuvable" in page.text) == (404, True)
        assert service.client.get("/api/v1/nulle-part", headers=NAVIGATEUR).json()["code"] == "introuvable"

    def test_une_erreur_garde_le_menu_et_offre_la_suite(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        for statut, reponse in (
            (404, service.client.get("/nulle-part")),
            (405, service.client.get("/deconnexion")),
            (403, service.client.post("/payer", data={"jeton": "faux"})),
            (404, service.client.get("/paiements/T1")),
        ):
            assert reponse.status_code == statut
            assert 'aria-label="Rubriques"' in reponse.text
            assert '<a class="bouton" href="/payer">Payer une créance</a>' in reponse.text
        service.client.cookies.clear()
        sans_session = service.client.post("/messagerie/T1/suppression", data={"jeton": "faux"})
        assert (sans_session.status_code, 'href="/connexion?next=' in sans_session.text) == (401, True)

    def test_une_panne_garde_le_menu_et_dit_que_faire(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        etape_2 = chercher(service)
        with panne_de_la_base(service):
            lue, envoyee = chercher(service), verifier(service, etape_2)
        for reponse, recommencer in ((lue, f"/payer?reference={REF}"), (envoyee, "/payer")):
            assert (reponse.status_code, "Retry-After" in reponse.headers) == (503, True)
            assert 'aria-label="Rubriques"' in reponse.text
            assert f'<a class="bouton" href="{recommencer}">Recommencer</a>' in reponse.text
            assert "Cette page ne débite jamais votre carte" in reponse.text

    def test_un_pseudonyme_impossible_ne_nomme_personne(self, service: Service) -> None:
        service.avis(REF)
        choix = service.client.get("/", headers=NAVIGATEUR)
        donnees = {"jeton": champ(choix, "jeton"), "assure": "\x00"}
        refuse = service.client.post("/demonstration/assure", data=donnees)
        assert refuse.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert "n'est pas un pseudonyme" in unescape(refuse.text)
        assert "Qui êtes-vous" in service.client.get("/").text


class TestLaSureteDesPages:
    def test_les_pages_n_admettent_que_nos_scripts_et_le_cookie_n_est_pas_lisible(self, service: Service) -> None:
        service.avis(REF)
        page = service.client.get("/", headers=NAVIGATEUR)
        politique = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in politique
        assert "unsafe" not in politique
        assert "frame-ancestors 'none'" in politique
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert "HttpOnly" in page.headers["Set-Cookie"]
        assert "SameSite=lax" in page.headers["Set-Cookie"]

    def test_aucune_page_ne_porte_de_script_ni_de_style_en_ligne(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        etape_2 = chercher(service)
        adresse = payer(service, etape_2).headers["Location"]
        for page in (etape_2, *(service.client.get(a) for a in ("/", "/payer", "/creances", adresse))):
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son\w+=", page.text)
            for lien in re.findall(r'(?:src|href)="(/statique/[^"]+)"', page.text):
                assert service.client.get(lien).status_code == 200


def test_l_etape_2_d_un_assure_de_50_creances_lit_la_base_en_une_requete(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg import AsyncCursor

    for rang in range(50):
        service.avis(f"3812612000{rang:06d}F")
    devenir(service)
    requetes: list[str] = []
    executer = AsyncCursor.execute

    async def compter(curseur: Any, requete: Any, *arguments: Any, **options: Any) -> Any:
        requetes.append(str(requete).strip())
        return await executer(curseur, requete, *arguments, **options)

    monkeypatch.setattr(AsyncCursor, "execute", compter)
    page = chercher(service, "3812612000000007F")
    assert "49 références trouvées" in lisible(page)
    # La vérification du pool est une requête vide ; la session et le compte se lisent ensemble.
    assert len([requete for requete in requetes if requete]) == 1


class TestLesCanaux:
    @pytest.mark.parametrize("canal", ["web", "application", "bms"])
    def test_le_canal_est_retenu_dans_le_paiement(self, service: Service, canal: str) -> None:
        service.avis(REF)
        devenir(service, canal=canal)
        transaction = transaction_de(payer(service, chercher(service)))
        with service.guichet.base.transaction() as conn:
            paiement = service.guichet.charger_paiement(conn, ReferenceTransaction(transaction))
        assert paiement is not None
        assert paiement.canal is not None
        assert paiement.canal.value == canal
        assert f'class="canal-{canal}"' in service.client.get("/").text

    def test_un_canal_invente_ou_un_cookie_forge_est_le_site(self, service: Service) -> None:
        service.avis(REF)
        service.client.cookies.set("creances_canal", "forgé".encode().hex())
        assert 'class="canal-web"' in service.client.get("/", params={"canal": "minitel"}).text

    def test_une_borne_laissee_deux_minutes_est_fermee_et_n_a_rien_garde(self, service: Service) -> None:
        service.avis(REF)
        devenir(service, canal="bms")
        etape_2 = chercher(service)
        service.maintenant = datetime.now(UTC) + timedelta(seconds=119)
        assert chercher(service).status_code == 200
        service.maintenant += timedelta(seconds=121)
        for reponse in (chercher(service), verifier(service, etape_2)):
            assert (reponse.status_code, reponse.headers["Location"]) == (303, "/inactivite")
        du_script = service.client.get("/accueil/suivi", headers={"Sec-Fetch-Dest": "empty"})
        assert (du_script.status_code, "Set-Cookie" in du_script.headers) == (401, False)
        fin = service.client.get("/inactivite")
        assert "Votre session est terminée" in fin.text
        assert '"cookies"' in fin.headers["Clear-Site-Data"]
        assert fin.headers["Cache-Control"] == "no-store"
        assert not service.client.cookies
        assert REF not in fin.text
        assert chercher(service).headers["Location"].startswith("/connexion")

    def test_suivre_un_paiement_ne_prolonge_pas_la_session_d_une_borne(self, service: Service) -> None:
        service.avis(REF)
        devenir(service, canal="bms")
        assert "Set-Cookie" not in service.client.get("/accueil/suivi").headers

    def test_une_presence_prolonge_la_session_d_une_borne(self, service: Service) -> None:
        service.avis(REF)
        devenir(service, canal="bms")
        jeton = champ(service.client.get("/"), "jeton")
        for _ in range(3):
            service.maintenant = (service.maintenant or datetime.now(UTC)) + timedelta(seconds=100)
            assert service.client.post("/presence", data={"jeton": jeton}).status_code == 204
        assert chercher(service).status_code == 200
        assert service.client.post("/presence", data={"jeton": "faux"}).status_code == 403

    def test_le_site_ne_ferme_pas_au_bout_de_deux_minutes(self, service: Service) -> None:
        service.avis(REF)
        devenir(service)
        service.maintenant = datetime.now(UTC) + timedelta(minutes=10)
        assert chercher(service).status_code == 200
        assert service.client.get("/inactivite").headers["Location"] == "/"


def test_se_deconnecter_ferme_la_session(service: Service) -> None:
    service.avis(REF)
    devenir(service)
    jeton = champ(service.client.get("/"), "jeton")
    assert service.client.get("/deconnexion").status_code == 405
    assert service.client.post("/deconnexion", data={"jeton": "faux"}).status_code == 403
    assert service.client.post("/deconnexion", data={"jeton": jeton}).headers["Location"] == "/"
    assert chercher(service).headers["Location"].startswith("/connexion")


@contextmanager
def panne_de_la_base(service: Service) -> Iterator[None]:
    """Les pages ne joignent plus la base : leur pool est fermé, puis rendu."""
    moyens = service.application.state.moyens
    sans_base = AsyncConnectionPool(service.url_base, open=False)
    service.application.state.moyens = replace(moyens, pool=sans_base)
    try:
        yield
    finally:
        service.application.state.moyens = moyens


def paiements_ouverts(service: Service) -> int:
    with service.guichet.base.transaction() as conn:
        [(nombre,)] = conn.execute(
            "SELECT count(*) FROM journal.evenements WHERE topic = 'paiement.PaiementOuvert'"
        ).fetchall()
    return int(nombre)


class TestHorsDemonstration:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {}

    def test_la_page_demande_de_passer_par_le_compte(self, service: Service) -> None:
        service.client.headers.update(NAVIGATEUR)
        formulaire = {"assure": "a-1"}
        for reponse in (
            service.client.get("/"),
            service.client.get("/paiements/T1"),
            service.client.post("/payer", data=formulaire),
            service.client.post("/demonstration/assure", data=formulaire),
        ):
            assert reponse.status_code == httpx.codes.UNAUTHORIZED
            assert "Connectez-vous à votre compte ameli" in reponse.text
