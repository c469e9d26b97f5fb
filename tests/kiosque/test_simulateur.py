"""Le simulateur de bout en bout : un vrai serveur, un vrai marchand, et le client Sips entre les deux."""

from collections.abc import Iterator

import httpx
import pytest

from domain.reponse import Issue
from kiosque.interface import KiosqueInjoignable
from kiosque.reglages import RéglagesSips
from kiosque.sceau import Algorithme, Marchand
from kiosque.simulateur.etat import Demande, Registre
from kiosque.sips import Sips
from tests.kiosque.banc import Banc, Montre, banc, cachés
from tests.outils import attendre

MARCHAND = "002001000000001"


@pytest.fixture
def b() -> Iterator[Banc]:
    with banc() as monté:
        yield monté


def test_un_paiement_accepté_est_notifié_et_montre_son_reçu(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    for texte in (
        'lang="fr"',
        "CPAM Test (SIMULATION)",
        "20,00\u00a0€",
        "T1",
        MARCHAND,
        '<label for="numero">Numéro de carte :</label>',
        "Cryptogramme visuel :",
        "Valider",
        "Annuler",
    ):
        assert texte in saisie.text
    fin = b.valider(saisie)
    for texte in (
        "Votre paiement a été accepté.",
        "1 juin 2026",
        "5017##########00",
        "Imprimer le reçu du paiement",
        "Continuer",
        f'action="{b.marchand_url}/kiosque/retour"',
    ):
        assert texte in fin.text
    (automatique,) = b.reçues(1)
    assert (automatique.issue, automatique.montant) == (Issue.ACCEPTÉE, 20_00)
    assert automatique.autorisation is not None
    assert automatique.autorisation in fin.text
    assert automatique.transaction_le == b.montre.heure
    assert b.kiosque.lire(cachés(fin)) == automatique == b.état("T1")
    reçu = b.navigateur.post("/paypage/recu", data={"jeton": cachés(fin)["jeton"]})
    assert "Reçu du paiement" in reçu.text


def test_les_pages_n_admettent_ni_script_ni_tiers(b: Banc) -> None:
    politique = b.ouvrir("T1").headers["content-security-policy"]
    assert politique.startswith("default-src 'none'; style-src 'self'; form-action 'self' ")
    assert b.marchand_url in politique
    assert b.navigateur.get("/statique/kiosque.css").status_code == 200
    assert b.navigateur.get("/livez").status_code == 200


@pytest.mark.parametrize("code", ["05", "17", "34", "42", "54", "60", "75", "99"])
def test_les_deux_derniers_chiffres_de_la_carte_sont_le_code(b: Banc, code: str) -> None:
    fin = b.payer("T1", f"49700000000000{code}")
    assert "Votre paiement n'a pas abouti." in fin.text
    (automatique,) = b.reçues(1)
    assert automatique.code == code
    assert automatique.autorisation is None


def test_annuler_conclut_par_17(b: Banc) -> None:
    fin = b.navigateur.post("/paypage/annuler", data=cachés(b.ouvrir("T1")))
    assert "annulé par la personne" in fin.text
    assert [réponse.code for réponse in b.reçues(1)] == ["17"]


def test_une_saisie_fautive_se_corrige_sans_conclure_ni_répéter_la_carte(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    reprise = b.valider(saisie, "4970 12")
    assert reprise.status_code == 422
    assert "de 13 à 19 chiffres" in reprise.text
    assert "4970" not in reprise.text
    assert "accepté" in b.valider(reprise).text


def test_le_numéro_de_la_carte_ne_reste_nulle_part(b: Banc) -> None:
    carte = "4970123456789000"
    assert carte not in b.payer("T1", carte).text
    b.reçues(1)
    assert carte not in b.navigateur.get("/simulateur").text + str(b.receveur.reçus)


def test_rafraîchir_la_page_de_fin_ne_conclut_pas_deux_fois(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    première = b.valider(saisie)
    assert cachés(b.valider(saisie, "4970000000000005")) == cachés(première)
    b.reçues(1)
    b.payer("T2")
    assert [réponse.transaction for réponse in b.reçues(2)] == ["T1", "T2"]


def test_le_même_formulaire_rend_la_même_page_tant_que_la_session_est_ouverte(b: Banc) -> None:
    première = b.ouvrir("T1")
    b.montre.avancer(minutes=14)
    assert cachés(b.ouvrir("T1")) == cachés(première)


def test_une_référence_déjà_conclue_répond_94_et_garde_son_issue(b: Banc) -> None:
    b.payer("T1")
    reprise = b.ouvrir("T1")
    assert "déjà utilisée" in reprise.text
    assert b.kiosque.lire(cachés(reprise)).code == "94"
    assert sorted(réponse.code for réponse in b.reçues(2)) == ["00", "94"]
    état = b.état("T1")
    assert état is not None
    assert état.code == "00"


def test_une_même_référence_pour_un_autre_montant_répond_94(b: Banc) -> None:
    saisie = b.ouvrir("T1", 20_00)
    assert b.kiosque.lire(cachés(b.ouvrir("T1", 30_00))).code == "94"
    assert "accepté" in b.valider(saisie).text


def test_une_session_de_plus_de_quinze_minutes_conclut_par_97(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    b.montre.avancer(minutes=15)
    assert "session expirée" in b.valider(saisie).text
    assert [réponse.code for réponse in b.reçues(1)] == ["97"]


def test_une_session_abandonnée_s_interroge_60_puis_97(b: Banc) -> None:
    b.ouvrir("T1")
    en_cours = b.état("T1")
    b.montre.avancer(minutes=15)
    expirée = b.état("T1")
    assert en_cours is not None
    assert expirée is not None
    assert (en_cours.issue, en_cours.code) == (Issue.EN_ATTENTE, "60")
    assert (expirée.issue, expirée.code) == (Issue.REFUSÉE, "97")


def test_une_transaction_inconnue_du_kiosque_n_est_rien(b: Banc) -> None:
    assert b.état("T404") is None


def test_un_doublon_est_livré_autant_de_fois_que_demandé(b: Banc) -> None:
    b.régler(doublons=2)
    b.payer("T1")
    réponses = b.reçues(3)
    assert réponses == [réponses[0]] * 3
    b.payer("T2")
    assert [réponse.transaction for réponse in b.reçues(4)] == ["T1", "T1", "T1", "T2"]


def test_une_réponse_en_retard_arrive_après_le_retour_du_navigateur(b: Banc) -> None:
    b.régler(transaction="T1", retard_s=120)
    assert "accepté" in b.payer("T1").text
    attendre(lambda: b.vanne.demandées == [120.0], quoi="le facteur attend")
    assert b.receveur.reçus == []
    b.vanne.ouverte.set()
    assert b.reçues(1)[0].transaction == "T1"


def test_une_réponse_perdue_n_arrive_jamais_mais_s_interroge(b: Banc) -> None:
    b.régler(perdue=True)
    b.payer("T1")
    b.payer("T2")
    assert [réponse.transaction for réponse in b.reçues(1)] == ["T2"]
    état = b.état("T1")
    assert état is not None
    assert état.issue is Issue.ACCEPTÉE
    assert "perdue" in b.navigateur.get("/simulateur").text


def test_une_réponse_inversée_arrive_après_celle_de_la_transaction_suivante(b: Banc) -> None:
    b.régler(inversee=True)
    b.payer("T1")
    b.payer("T2")
    assert [réponse.transaction for réponse in b.reçues(2)] == ["T2", "T1"]


def test_un_code_forcé_l_emporte_sur_la_carte_puis_dénoue_l_attente(b: Banc) -> None:
    b.régler(prochaines=1, code_force="60")
    b.payer("T1")
    assert b.reçues(1)[0].issue is Issue.EN_ATTENTE
    b.régler(transaction="T1", code_force="00")
    état = b.état("T1")
    assert état is not None
    assert état.issue is Issue.ACCEPTÉE
    assert b.état("T1") == état


def test_zéro_prochaine_efface_les_consignes_qui_attendaient(b: Banc) -> None:
    b.régler(prochaines=3, perdue=True)
    b.régler(prochaines=0)
    b.payer("T1")
    assert len(b.reçues(1)) == 1


def test_un_marchand_en_panne_est_rappelé_jusqu_à_ce_qu_il_prenne(b: Banc) -> None:
    b.receveur.statuts = [503, 500, 200]
    b.vanne.ouverte.set()
    b.payer("T1")
    réponses = b.reçues(3)
    assert réponses == [réponses[0]] * 3
    assert len(b.vanne.demandées) == 2


def test_un_refus_du_marchand_n_est_pas_retenté(b: Banc) -> None:
    b.receveur.statuts = [400]
    b.payer("T1")
    attendre(lambda: "refusée" in b.navigateur.get("/simulateur").text, quoi="l'envoi est refusé")
    assert len(b.receveur.reçus) == 1


def test_les_nouveaux_essais_sont_bornés_et_de_plus_en_plus_espacés() -> None:
    with banc(essais_max=4, attente_initiale_s=1.0, attente_s_max=3.0) as b:
        b.vanne.ouverte.set()
        b.receveur.statuts = [503] * 9
        b.payer("T1")
        attendre(lambda: "abandonnée" in b.navigateur.get("/simulateur").text, quoi="l'envoi est abandonné")
        assert len(b.receveur.reçus) == 4
        assert b.vanne.demandées == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("algorithme", list(Algorithme))
@pytest.mark.parametrize("encodage", ["", "base64", "base64url"])
def test_les_deux_bouts_s_entendent_sous_chaque_sceau_et_encodage(algorithme: Algorithme, encodage: str) -> None:
    with banc(algorithme=algorithme, encodage=encodage) as b:
        b.payer("T1")
        assert b.reçues(1)[0].issue is Issue.ACCEPTÉE


@pytest.mark.parametrize(
    "changement", [{"Seal": "0" * 64}, {"Seal": ""}, {"Data": "amount=1"}, {"Encode": "rot13"}, {"Data": "é"}]
)
def test_une_demande_au_mauvais_sceau_ou_illisible_rend_une_page_400(b: Banc, changement: dict[str, str]) -> None:
    champs = dict(b.kiosque.formulaire(b.demander("T1")).champs) | changement
    page = b.navigateur.post("/paypage", data=champs)
    assert page.status_code == 400
    assert "ne peut pas être traitée" in page.text
    assert b.navigateur.post("/interrogation", data=champs).status_code == 400
    assert b.état("T1") is None


@pytest.mark.parametrize(
    ("corps", "genre"),
    [
        (b"Data=a&Data=b", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"Data=%ff", "application/x-www-form-urlencoded"),
        (b"a" * 200_000, "application/x-www-form-urlencoded"),
        (b"a&" * 100, "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ],
)
def test_un_corps_quelconque_est_refusé_par_un_400(b: Banc, corps: bytes, genre: str) -> None:
    for adresse in ("/paypage", "/paypage/valider", "/paypage/annuler", "/paypage/recu", "/interrogation"):
        assert b.navigateur.post(adresse, content=corps, headers={"content-type": genre}).status_code == 400


@pytest.mark.parametrize(
    "consigne",
    [{"doublons": -1}, {"doublons": 1000}, {"retard_s": "1"}, {"perdue": "oui"}, {"code_force": "000"}, {"autre": 1}],
)
def test_une_consigne_impossible_est_refusée(b: Banc, consigne: dict[str, object]) -> None:
    assert b.navigateur.post("/simulateur/reglages", json=consigne).status_code == 422
    assert b.navigateur.post("/simulateur/reglages", data={"doublons": "1"}).status_code == 415
    assert b.navigateur.get("/simulateur/reglages").json() == {"prochaines": []}


def test_le_registre_oublie_la_plus_ancienne_transaction() -> None:
    registre = Registre(Montre(), session_s=900, transactions_max=2)
    for transaction in ("T1", "T2", "T3"):
        registre.ouvrir(Demande(transaction, 20_00, "http://a.test/", None, {}))
    assert len(registre) == 2
    assert registre.par_transaction("T1") is None
    assert registre.par_transaction("T3") is not None


def test_une_interrogation_sous_une_autre_clé_ne_conclut_rien(b: Banc) -> None:
    autre = Marchand.model_validate({"id": MARCHAND, "clés": {1: "une autre clé"}, "version_courante": 1})
    réglages = RéglagesSips(url=b.url, url_interrogation=f"{b.url}/interrogation", marchands={"": autre})
    with Sips(réglages) as kiosque, pytest.raises(KiosqueInjoignable):
        kiosque.interroger("T1", MARCHAND)


CHAMPS = {"Data": "transactionReference=T1", "Seal": "0" * 64}


@pytest.mark.parametrize(
    "réponse",
    [
        httpx.Response(404),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(404, json=CHAMPS),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"Data": 1, "Seal": "x"}),
        httpx.Response(200, content=b"[" * 10_000),
        httpx.Response(200, content=b" " * 100_000),
        httpx.Response(302, headers={"location": "http://ailleurs.test/"}),
        httpx.Response(500),
        httpx.ConnectError("absent"),
        httpx.ReadTimeout("lent"),
    ],
    ids=repr,
)
def test_une_réponse_inexploitable_ne_vaut_jamais_transaction_inconnue(
    réponse: httpx.Response | httpx.HTTPError,
) -> None:
    def répondre(_: httpx.Request) -> httpx.Response:
        if isinstance(réponse, httpx.Response):
            return réponse
        raise réponse

    marchand = Marchand.model_validate({"id": MARCHAND, "clés": {1: "x"}, "version_courante": 1})
    réglages = RéglagesSips(url="http://k.test/p", url_interrogation="http://k.test/i", marchands={"": marchand})
    with httpx.Client(transport=httpx.MockTransport(répondre)) as client, pytest.raises(KiosqueInjoignable):
        Sips(réglages, client).interroger("T1", MARCHAND)


CARTE_AUTHENTIFIÉE = "5017000000003300"


def authentifier(b: Banc, page: httpx.Response, code: str) -> httpx.Response:
    return b.navigateur.post("/paypage/authentifier", data=cachés(page) | {"code": code})


def test_le_détour_3d_secure_ne_conclut_qu_une_fois_le_code_donné(b: Banc) -> None:
    détour = b.payer("T1", CARTE_AUTHENTIFIÉE)
    assert "Authentification de votre banque" in détour.text
    assert CARTE_AUTHENTIFIÉE not in détour.text
    assert b.receveur.reçus == []
    faux = authentifier(b, détour, "000000")
    assert faux.status_code == 422
    assert 'aria-invalid="true"' in faux.text
    fin = authentifier(b, faux, "123456")
    assert "Votre paiement a été accepté." in fin.text
    assert "5017##########00" in fin.text
    assert [réponse.code for réponse in b.reçues(1)] == ["00"]
    assert cachés(authentifier(b, détour, "123456")) == cachés(fin)  # Rafraîchir ne conclut pas deux fois.


def test_trois_codes_d_authentification_faux_concluent_par_75(b: Banc) -> None:
    détour = b.payer("T1", CARTE_AUTHENTIFIÉE)
    faux = [authentifier(b, détour, "1") for _ in range(3)]
    assert [page.status_code for page in faux] == [422, 422, 200]
    assert "essais dépassé" in faux[-1].text
    assert [réponse.code for réponse in b.reçues(1)] == ["75"]


def test_le_détour_3d_secure_s_annule(b: Banc) -> None:
    détour = b.payer("T1", CARTE_AUTHENTIFIÉE)
    assert "annulé" in b.navigateur.post("/paypage/annuler", data=cachés(détour)).text
    assert [réponse.code for réponse in b.reçues(1)] == ["17"]


def test_une_page_abandonnée_se_remplace_au_bout_de_quinze_minutes_et_la_banque_le_dit(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    b.montre.avancer(minutes=5)
    reprise = b.ouvrir("T1")
    secondes, _, adresse = reprise.headers["Refresh"].partition("; url=")
    assert saisie.headers["Refresh"].startswith("901;")
    assert int(secondes) == 601
    assert "Informations de la carte" in b.navigateur.get(adresse).text
    b.montre.avancer(minutes=10)
    assert "session expirée" in b.navigateur.get(adresse).text
    assert [réponse.code for réponse in b.reçues(1)] == ["97"]
    assert b.navigateur.get("/paypage/session/inconnue").status_code == 400
