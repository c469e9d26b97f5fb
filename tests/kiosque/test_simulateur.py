"""Le simulateur de bout en bout : un vrai serveur, un vrai marchand, et le client Sips entre les deux."""

from collections.abc import Iterator

import httpx
import pytest

from domain.reponse import Issue
from kiosque.operation import Indeterminee
from kiosque.simulateur.etat import Demande, Registre
from kiosque.sips.office.sceau import sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Algorithme, Marchand
from tests.kiosque.banc import Banc, Montre, banc, caches
from tests.outils import attendre

MARCHAND = "002001000000001"


@pytest.fixture
def b() -> Iterator[Banc]:
    with banc() as monte:
        yield monte


def test_un_paiement_accepte_est_notifie_et_montre_son_recu(b: Banc) -> None:
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
    (automatique,) = b.recues(1)
    assert (automatique.issue, automatique.montant) == (Issue.ACCEPTEE, 20_00)
    assert automatique.autorisation is not None
    assert automatique.autorisation in fin.text
    assert automatique.transaction_le == b.montre.heure
    assert b.kiosque.reponse(caches(fin)) == automatique
    assert automatique.jeton_retour == "381-web"
    assert b.etat("T1") == automatique._replace(jeton_retour=None, demandee=True)
    recu = b.navigateur.post("/paypage/recu", data={"jeton": caches(fin)["jeton"]})
    assert "Reçu du paiement" in recu.text


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
    (automatique,) = b.recues(1)
    assert automatique.code == code
    assert automatique.autorisation is None


def test_annuler_conclut_par_17(b: Banc) -> None:
    fin = b.navigateur.post("/paypage/annuler", data=caches(b.ouvrir("T1")))
    assert "annulé par la personne" in fin.text
    assert [reponse.code for reponse in b.recues(1)] == ["17"]


def test_une_saisie_fautive_se_corrige_sans_conclure_ni_repeter_la_carte(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    reprise = b.valider(saisie, "4970 12")
    assert reprise.status_code == 422
    assert "de 13 à 19 chiffres" in reprise.text
    assert "4970" not in reprise.text
    assert "accepté" in b.valider(reprise).text


def test_le_numero_de_la_carte_ne_reste_nulle_part(b: Banc) -> None:
    carte = "4970123456789000"
    assert carte not in b.payer("T1", carte).text
    b.recues(1)
    assert carte not in b.navigateur.get("/simulateur").text + str(b.receveur.recus)


def test_rafraichir_la_page_de_fin_ne_conclut_pas_deux_fois(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    premiere = b.valider(saisie)
    assert caches(b.valider(saisie, "4970000000000005")) == caches(premiere)
    b.recues(1)
    b.payer("T2")
    assert [reponse.transaction for reponse in b.recues(2)] == ["T1", "T2"]


def test_le_meme_formulaire_rend_la_meme_page_tant_que_la_session_est_ouverte(b: Banc) -> None:
    premiere = b.ouvrir("T1")
    b.montre.avancer(minutes=14)
    assert caches(b.ouvrir("T1")) == caches(premiere)


def test_une_reference_deja_conclue_repond_94_et_garde_son_issue(b: Banc) -> None:
    b.payer("T1")
    reprise = b.ouvrir("T1")
    assert "déjà utilisée" in reprise.text
    assert b.kiosque.reponse(caches(reprise)).code == "94"
    assert sorted(reponse.code for reponse in b.recues(2)) == ["00", "94"]
    etat = b.etat("T1")
    assert etat is not None
    assert etat.code == "00"


def test_une_meme_reference_pour_un_autre_montant_repond_94(b: Banc) -> None:
    saisie = b.ouvrir("T1", 20_00)
    assert b.kiosque.reponse(caches(b.ouvrir("T1", 30_00))).code == "94"
    assert "accepté" in b.valider(saisie).text


def test_une_session_de_plus_de_quinze_minutes_conclut_par_97(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    b.montre.avancer(minutes=15)
    assert "session expirée" in b.valider(saisie).text
    assert [reponse.code for reponse in b.recues(1)] == ["97"]


def test_une_session_abandonnee_s_interroge_60_puis_97(b: Banc) -> None:
    b.ouvrir("T1")
    en_cours = b.etat("T1")
    b.montre.avancer(minutes=15)
    expiree = b.etat("T1")
    assert en_cours is not None
    assert expiree is not None
    assert (en_cours.issue, en_cours.code) == (Issue.EN_ATTENTE, "60")
    assert (expiree.issue, expiree.code) == (Issue.REFUSEE, "97")


def test_une_transaction_inconnue_du_kiosque_n_est_rien(b: Banc) -> None:
    assert b.etat("T404") is None


def test_un_doublon_est_livre_autant_de_fois_que_demande(b: Banc) -> None:
    b.regler(doublons=2)
    b.payer("T1")
    reponses = b.recues(3)
    assert reponses == [reponses[0]] * 3
    b.payer("T2")
    assert [reponse.transaction for reponse in b.recues(4)] == ["T1", "T1", "T1", "T2"]


def test_une_reponse_en_retard_arrive_apres_le_retour_du_navigateur(b: Banc) -> None:
    b.regler(transaction="T1", retard_s=120)
    assert "accepté" in b.payer("T1").text
    attendre(lambda: b.vanne.demandees == [120.0], quoi="le facteur attend")
    assert b.receveur.recus == []
    b.vanne.ouverte.set()
    assert b.recues(1)[0].transaction == "T1"


def test_une_reponse_perdue_n_arrive_jamais_mais_s_interroge(b: Banc) -> None:
    b.regler(perdue=True)
    b.payer("T1")
    b.payer("T2")
    assert [reponse.transaction for reponse in b.recues(1)] == ["T2"]
    etat = b.etat("T1")
    assert etat is not None
    assert etat.issue is Issue.ACCEPTEE
    assert "perdue" in b.navigateur.get("/simulateur").text


def test_une_reponse_inversee_arrive_apres_celle_de_la_transaction_suivante(b: Banc) -> None:
    b.regler(inversee=True)
    b.payer("T1")
    b.payer("T2")
    assert [reponse.transaction for reponse in b.recues(2)] == ["T2", "T1"]


def test_un_code_force_l_emporte_sur_la_carte_puis_denoue_l_attente(b: Banc) -> None:
    b.regler(prochaines=1, code_force="60")
    b.payer("T1")
    assert b.recues(1)[0].issue is Issue.EN_ATTENTE
    b.regler(transaction="T1", code_force="00")
    etat = b.etat("T1")
    assert etat is not None
    assert etat.issue is Issue.ACCEPTEE
    assert b.etat("T1") == etat


def test_zero_prochaine_efface_les_consignes_qui_attendaient(b: Banc) -> None:
    b.regler(prochaines=3, perdue=True)
    b.regler(prochaines=0)
    b.payer("T1")
    assert len(b.recues(1)) == 1


def test_un_marchand_en_panne_est_rappele_jusqu_a_ce_qu_il_prenne(b: Banc) -> None:
    b.receveur.statuts = [503, 500, 200]
    b.vanne.ouverte.set()
    b.payer("T1")
    reponses = b.recues(3)
    assert reponses == [reponses[0]] * 3
    assert len(b.vanne.demandees) == 2


def test_un_refus_du_marchand_n_est_pas_retente(b: Banc) -> None:
    b.receveur.statuts = [400]
    b.payer("T1")
    attendre(lambda: "refusée" in b.navigateur.get("/simulateur").text, quoi="l'envoi est refusé")
    assert len(b.receveur.recus) == 1


def test_les_nouveaux_essais_sont_bornes_et_de_plus_en_plus_espaces() -> None:
    with banc(essais_max=4, attente_initiale_s=1.0, attente_s_max=3.0) as b:
        b.vanne.ouverte.set()
        b.receveur.statuts = [503] * 9
        b.payer("T1")
        attendre(lambda: "abandonnée" in b.navigateur.get("/simulateur").text, quoi="l'envoi est abandonné")
        assert len(b.receveur.recus) == 4
        assert b.vanne.demandees == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("algorithme", list(Algorithme))
@pytest.mark.parametrize("encodage", ["", "base64", "base64url"])
def test_les_deux_bouts_s_entendent_sous_chaque_sceau_et_encodage(algorithme: Algorithme, encodage: str) -> None:
    with banc(algorithme=algorithme, encodage=encodage) as b:
        b.payer("T1")
        assert b.recues(1)[0].issue is Issue.ACCEPTEE


@pytest.mark.parametrize("changement", [{"Seal": "0" * 64}, {"Seal": ""}, {"Data": "amount=1"}, {"Data": "é"}])
def test_une_demande_au_mauvais_sceau_ou_illisible_rend_une_page_400(b: Banc, changement: dict[str, str]) -> None:
    champs = dict(b.kiosque.formulaire(b.request("T1")).champs) | changement
    page = b.navigateur.post("/paypage", data=champs)
    assert page.status_code == 400
    assert "ne peut pas être traitée" in page.text
    assert b.etat("T1") is None


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
def test_un_corps_quelconque_est_refuse_par_un_400(b: Banc, corps: bytes, genre: str) -> None:
    for adresse in ("/paypage", "/paypage/valider", "/paypage/annuler", "/paypage/recu"):
        assert b.navigateur.post(adresse, content=corps, headers={"content-type": genre}).status_code == 400


@pytest.mark.parametrize(
    "consigne",
    [{"doublons": -1}, {"doublons": 1000}, {"retard_s": "1"}, {"perdue": "oui"}, {"code_force": "000"}, {"autre": 1}],
)
def test_une_consigne_impossible_est_refusee(b: Banc, consigne: dict[str, object]) -> None:
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


def test_une_interrogation_sous_une_autre_cle_ne_conclut_rien(b: Banc) -> None:
    autre = Marchand.model_validate({"id": MARCHAND, "cles": {1: "une autre clé"}, "version_courante": 1})
    reglages = ReglagesSips(url=b.url, office=f"{b.url}", marchands={"": autre})
    with Sips(reglages) as kiosque:
        assert isinstance(kiosque.interroger("T1", MARCHAND), Indeterminee)


INCONNUE = {"getTransDataResponseCode": "25", "transactionReference": "T1", "merchantId": MARCHAND, "keyVersion": "1"}


@pytest.mark.parametrize(
    "reponse",
    [
        httpx.Response(404),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(404, json=INCONNUE | {"seal": sceller_json(INCONNUE, b"x")}),
        httpx.Response(200, json=INCONNUE),
        httpx.Response(200, json=INCONNUE | {"seal": "0" * 64}),
        httpx.Response(200, json=INCONNUE | {"seal": "é"}),
        httpx.Response(200, json=INCONNUE | {"seal": sceller_json(INCONNUE, b"une autre")}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"seal": 1}),
        httpx.Response(200, content=b'{"seal":"a","seal":"b"}'),
        httpx.Response(200, content=b"[" * 10_000),
        httpx.Response(200, content=b" " * 100_000),
        httpx.Response(302, headers={"location": "http://ailleurs.test/"}),
        httpx.Response(500),
        httpx.ConnectError("absent"),
        httpx.ReadTimeout("lent"),
    ],
    ids=repr,
)
def test_une_reponse_inexploitable_ne_vaut_jamais_transaction_inconnue(
    reponse: httpx.Response | httpx.HTTPError,
) -> None:
    def repondre(_: httpx.Request) -> httpx.Response:
        if isinstance(reponse, httpx.Response):
            return reponse
        raise reponse

    marchand = Marchand.model_validate({"id": MARCHAND, "cles": {1: "x"}, "version_courante": 1})
    reglages = ReglagesSips(url="http://k.test/p", office="http://k.test", marchands={"": marchand})
    with httpx.Client(transport=httpx.MockTransport(repondre)) as client:
        assert isinstance(Sips(reglages, client).interroger("T1", MARCHAND), Indeterminee)


CARTE_AUTHENTIFIEE = "5017000000003300"


def authentifier(b: Banc, page: httpx.Response, code: str) -> httpx.Response:
    return b.navigateur.post("/paypage/authentifier", data=caches(page) | {"code": code})


def test_le_detour_3d_secure_ne_conclut_qu_une_fois_le_code_donne(b: Banc) -> None:
    detour = b.payer("T1", CARTE_AUTHENTIFIEE)
    assert "Authentification de votre banque" in detour.text
    assert CARTE_AUTHENTIFIEE not in detour.text
    assert b.receveur.recus == []
    faux = authentifier(b, detour, "000000")
    assert faux.status_code == 422
    assert 'aria-invalid="true"' in faux.text
    fin = authentifier(b, faux, "123456")
    assert "Votre paiement a été accepté." in fin.text
    assert "5017##########00" in fin.text
    assert [reponse.code for reponse in b.recues(1)] == ["00"]
    assert caches(authentifier(b, detour, "123456")) == caches(fin)  # Rafraîchir ne conclut pas deux fois.


def test_trois_codes_d_authentification_faux_concluent_par_75(b: Banc) -> None:
    detour = b.payer("T1", CARTE_AUTHENTIFIEE)
    faux = [authentifier(b, detour, "1") for _ in range(3)]
    assert [page.status_code for page in faux] == [422, 422, 200]
    assert "essais dépassé" in faux[-1].text
    assert [reponse.code for reponse in b.recues(1)] == ["75"]


def test_le_detour_3d_secure_s_annule(b: Banc) -> None:
    detour = b.payer("T1", CARTE_AUTHENTIFIEE)
    assert "annulé" in b.navigateur.post("/paypage/annuler", data=caches(detour)).text
    assert [reponse.code for reponse in b.recues(1)] == ["17"]


def test_une_page_abandonnee_se_remplace_au_bout_de_quinze_minutes_et_la_banque_le_dit(b: Banc) -> None:
    saisie = b.ouvrir("T1")
    b.montre.avancer(minutes=5)
    reprise = b.ouvrir("T1")
    secondes, _, adresse = reprise.headers["Refresh"].partition("; url=")
    assert saisie.headers["Refresh"].startswith("901;")
    assert int(secondes) == 601
    assert "Informations de la carte" in b.navigateur.get(adresse).text
    b.montre.avancer(minutes=10)
    assert "session expirée" in b.navigateur.get(adresse).text
    assert [reponse.code for reponse in b.recues(1)] == ["97"]
    assert b.navigateur.get("/paypage/session/inconnue").status_code == 400
