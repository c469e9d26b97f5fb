"""Se connecter aux pages : par un vrai émetteur OIDC, et tout ce qui peut mal se passer."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.application import creer_api
from api.socle.client_oidc import ClientOIDC
from api.socle.emetteur import Emetteur
from api.socle.suite import suite_locale
from tests.api.conftest import SECRET as SECRET_LONG
from tests.api.conftest import Service
from tests.api.emetteur import AUTRE_CLE, CLIENT, RETOUR, SECRET, EmetteurDEssai, emetteur_d_essai
from tests.serveurs import servi

REF = "3811701200010075F"


@pytest.fixture
def emetteur() -> Iterator[EmetteurDEssai]:
    with emetteur_d_essai() as servi:
        yield servi


@pytest.fixture
def reglages_api(emetteur: EmetteurDEssai) -> dict[str, Any]:
    client = ClientOIDC(Emetteur(emetteur.url), CLIENT, SECRET, RETOUR, "http://service.test/deconnecte")
    return {"connexion": client, "secret_de_session": SECRET_LONG}


def partir(service: Service, suite: str | None = None) -> str:
    """Demande à se connecter ; rend l'adresse chez l'émetteur."""
    depart = service.client.get("/connexion", params={"next": suite} if suite else {})
    assert depart.status_code == 303, depart.text
    return str(depart.headers["Location"])


def test_le_nom_et_la_connexion_precedente_viennent_de_l_emetteur_et_ne_sont_gardes_nulle_part(
    service: Service, emetteur: EmetteurDEssai
) -> None:
    emetteur.jeton_en_plus = {"name": "Camille  <b>Durand</b>", "last_login": 1_764_000_000}
    se_connecter(service)
    page = service.client.get("/")
    assert "Bonjour Camille &lt;b&gt;Durand&lt;/b&gt;" in page.text
    assert "Votre connexion précédente\N{NO-BREAK SPACE}: le 24/11/2025 à 17" in page.text
    assert "Durand" not in "".join(service.client.cookies.values())
    with service.guichet.base.transaction() as conn:
        [(tenue,)] = conn.execute("SELECT to_jsonb(s)::text FROM acces.sessions s").fetchall()
    assert "Durand" not in tenue


@pytest.mark.parametrize("dit", [{"name": 7}, {"name": "\x00"}, {"last_login": "hier"}, {"last_login": 10**18}])
def test_un_nom_ou_un_instant_etrange_n_empeche_pas_de_se_connecter(
    service: Service, emetteur: EmetteurDEssai, dit: dict[str, Any]
) -> None:
    emetteur.jeton_en_plus = dit
    se_connecter(service)
    page = service.client.get("/")
    assert page.status_code == httpx.codes.OK
    assert "connexion précédente" not in page.text


def accepter(adresse: str) -> str:
    """La personne accepte chez l'émetteur ; rend le chemin du retour."""
    retour = urlsplit(httpx.get(adresse, trust_env=False).headers["Location"])
    return f"{retour.path}?{retour.query}"


def se_connecter(service: Service, suite: str | None = None) -> httpx.Response:
    return service.client.get(accepter(partir(service, suite)))


def jeton_de(page: httpx.Response) -> str:
    trouve = re.search(r'name="jeton" value="([^"]+)"', page.text)
    assert trouve is not None
    return unescape(trouve[1])


def connecte(service: Service) -> bool:
    return service.client.get("/messagerie").status_code == 200


def test_on_se_connecte_et_l_on_arrive_ou_l_on_allait(service: Service) -> None:
    service.avis(REF)
    refusee = service.client.get("/messagerie?x=1")
    assert (refusee.status_code, refusee.headers["Location"]) == (303, "/connexion?next=%2Fmessagerie%3Fx%3D1")
    assert service.client.get("/messagerie", headers={"Sec-Fetch-Dest": "empty"}).status_code == 401, "un script"
    depart = service.client.get(refusee.headers["Location"])
    arrivee = service.client.get(accepter(adresse := depart.headers["Location"]))
    assert (arrivee.status_code, arrivee.headers["Location"]) == (303, "/messagerie?x=1")
    assert connecte(service)
    assert "87,09" in service.client.get("/", params={"reference": REF}).text
    demande = parse_qs(urlsplit(adresse).query)
    assert {"state", "nonce", "code_challenge"} <= set(demande)
    assert SECRET not in adresse


def test_le_cookie_est_chiffre_illisible_et_ne_survit_pas_au_navigateur(service: Service) -> None:
    cookies = se_connecter(service).headers.get_list("Set-Cookie")
    [session] = [cookie for cookie in cookies if cookie.startswith("creances_session=")]
    assert "HttpOnly" in session
    assert "SameSite=lax" in session
    assert "Max-Age" not in session
    assert "Secure" not in session, "le service de ces tests est en http"
    assert len(session) < 500
    [aller] = [cookie for cookie in cookies if cookie.startswith("creances_connexion=")]
    assert "Max-Age=0" in aller


def test_se_connecter_change_le_jeton_des_formulaires(service: Service) -> None:
    se_connecter(service)
    avant = jeton_de(service.client.get("/", params={"reference": REF}))
    service.client.cookies.clear()
    se_connecter(service)
    assert jeton_de(service.client.get("/", params={"reference": REF})) != avant


AILLEURS = [
    "https://ailleurs.test/",
    "//ailleurs.test/",
    "///ailleurs.test",
    "/\\ailleurs.test",
    "\\\\ailleurs.test",
    "javascript:alert(1)",
    "/x\r\nSet-Cookie: a=b",
    "messagerie",
    "",
    "/é",
    "/" + "a" * 2000,
    "http:///x",
    "//[",
]


@pytest.mark.parametrize("suite", AILLEURS)
def test_une_suite_d_ailleurs_est_l_accueil(suite: str) -> None:
    assert suite_locale(suite) == "/"


def test_se_connecter_ne_mene_jamais_ailleurs(service: Service) -> None:
    for suite in ("https://ailleurs.test/", "//ailleurs.test/", "/\\ailleurs.test"):
        assert se_connecter(service, suite).headers["Location"] == "/"
        assert service.client.get("/connexion", params={"next": suite}).headers["Location"] == "/", "déjà connecté"
        service.client.cookies.clear()


def test_la_suite_de_chez_nous_est_gardee() -> None:
    for suite in ("/", "/messagerie", "/payer?reference=3811701200010075F", "/a//b", "/x?u=https://ailleurs.test"):
        assert suite_locale(suite) == suite


def test_un_etat_fabrique_est_refuse(service: Service, emetteur: EmetteurDEssai) -> None:
    retour = accepter(partir(service))
    reponse = service.client.get(re.sub("state=[^&]*", "state=autre", retour))
    assert reponse.status_code == 400
    assert "Connexion interrompue" in reponse.text
    assert "/jeton" not in emetteur.lues, "le code d'un inconnu n'est pas échangé"
    assert not connecte(service)


def test_un_retour_sans_demande_est_refuse(service: Service) -> None:
    retour = accepter(partir(service))
    service.client.cookies.clear()
    assert service.client.get(retour).status_code == 400
    assert not connecte(service)


def test_un_cookie_altere_ne_vaut_rien(service: Service) -> None:
    se_connecter(service)
    le_sien = service.client.cookies["creances_session"]
    service.client.cookies.clear()
    for cookie in ("x", "é", "gAAAA", "a" * 4000, le_sien[:-4] + "AAAA", le_sien[1:]):
        en_tete = {b"Cookie": f"creances_session={cookie}; creances_connexion={cookie}".encode()}
        assert service.client.get("/connexion/retour?code=x&state=x", headers=en_tete).status_code == 400
        assert service.client.get("/messagerie", headers=en_tete).status_code == 303
    en_tete = {b"Cookie": f"creances_connexion={le_sien}".encode()}
    assert service.client.get("/connexion/retour?code=x&state=x", headers=en_tete).status_code == 400, "autre usage"


def test_un_retour_rejoue_est_refuse(service: Service) -> None:
    retour = accepter(partir(service))
    cookie = service.client.cookies["creances_connexion"]
    assert service.client.get(retour).status_code == 303
    service.client.cookies.clear()
    assert service.client.get(retour).status_code == 400, "la demande a été ôtée"
    service.client.cookies["creances_connexion"] = cookie
    reponse = service.client.get(retour)
    assert reponse.status_code == 400, "l'émetteur refuse un code déjà servi"
    assert "déjà servi" in reponse.text
    assert not connecte(service)


def test_le_verifieur_d_une_autre_demande_ne_convient_pas(service: Service, emetteur: EmetteurDEssai) -> None:
    retour = accepter(partir(service))
    [demande] = emetteur.demandes.values()
    demande["code_challenge"] = "un autre défi"
    assert service.client.get(retour).status_code == 400
    assert not connecte(service)


def test_une_demande_vieille_de_plus_de_dix_minutes_est_refusee(service: Service) -> None:
    service.maintenant = datetime.now(UTC)
    retour = accepter(partir(service))
    service.maintenant += timedelta(minutes=10, seconds=1)
    assert service.client.get(retour).status_code == 400


FAUTES: list[dict[str, Any]] = [
    {"nonce": "autre"},
    {"nonce": None},
    {"aud": "creances"},
    {"aud": [CLIENT, "autre"]},
    {"aud": [CLIENT, "autre"], "azp": "autre"},
    {"azp": "autre"},
    {"iss": "http://ailleurs.test"},
    {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
    {"role": "roi"},
    {"role": None},
    {"assure": None},
    {"assure": "255081416802538"},
]
"""Ce qu'un jeton d'identité pourrait porter de faux."""


def test_un_jeton_d_identite_qui_n_est_pas_le_notre_n_ouvre_rien(service: Service, emetteur: EmetteurDEssai) -> None:
    for faute in FAUTES:
        emetteur.jeton_en_plus = faute
        assert se_connecter(service).status_code == 403, faute
        assert "creances_session" not in service.client.cookies, faute
        assert not connecte(service), faute


def test_une_autre_signature_n_ouvre_rien(service: Service, emetteur: EmetteurDEssai) -> None:
    for cle in (AUTRE_CLE, "un secret de trente-deux octets ou plus"):
        emetteur.cle = cle
        assert se_connecter(service).status_code == 403
        assert not connecte(service)


def test_plusieurs_audiences_avec_la_notre_pour_demandeur_passent(service: Service, emetteur: EmetteurDEssai) -> None:
    emetteur.jeton_en_plus = {"aud": [CLIENT, "autre"], "azp": CLIENT}
    assert se_connecter(service).status_code == 303
    assert connecte(service)


def test_une_reponse_qui_se_dit_d_un_autre_emetteur_est_refusee(service: Service) -> None:
    retour = accepter(partir(service))
    assert service.client.get(f"{retour}&iss=http://ailleurs.test").status_code == 400
    assert not connecte(service)


def test_un_emetteur_qui_promet_de_se_nommer_doit_le_faire(service: Service, emetteur: EmetteurDEssai) -> None:
    emetteur.annonce_en_plus = {"authorization_response_iss_parameter_supported": True}
    assert service.client.get(accepter(partir(service))).status_code == 400
    assert service.client.get(f"{accepter(partir(service))}&iss={emetteur.url}").status_code == 303


def test_la_personne_qui_renonce_le_lit(service: Service) -> None:
    etat = parse_qs(urlsplit(partir(service)).query)["state"][0]
    reponse = service.client.get("/connexion/retour", params={"error": "access_denied", "state": etat})
    assert reponse.status_code == 401
    assert "n&#39;a pas abouti" in reponse.text


@pytest.mark.parametrize("ou", ["/.well-known/openid-configuration", "/jeton", "/cles"])
def test_un_emetteur_en_panne_est_une_page_503(service: Service, emetteur: EmetteurDEssai, ou: str) -> None:
    emetteur.en_panne = {ou}
    reponse = service.client.get("/connexion")
    if reponse.status_code == 303:
        reponse = service.client.get(accepter(reponse.headers["Location"]))
    assert reponse.status_code == 503
    assert reponse.headers["Retry-After"] == "5"
    assert "Connexion momentanément impossible" in reponse.text
    emetteur.en_panne = set()
    assert se_connecter(service).status_code == 303, "rétabli, il sert de nouveau"


def test_une_annonce_qui_ne_tient_pas_est_une_page_503(service: Service, emetteur: EmetteurDEssai) -> None:
    fausses: list[dict[str, Any]] = [
        {"issuer": "http://ailleurs.test"},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
        {"authorization_endpoint": None},
    ]
    for annonce in fausses:
        emetteur.annonce_en_plus = annonce
        assert service.client.get("/connexion").status_code == 503, annonce


def test_un_client_que_l_emetteur_refuse_est_une_panne_pas_une_faute_de_la_personne(
    service: Service, emetteur: EmetteurDEssai
) -> None:
    emetteur.secret = "changé"
    assert se_connecter(service).status_code == 503


@pytest.mark.parametrize("role", ["support", "exploitation", "partenaire"])
def test_un_agent_ne_voit_aucune_page_d_assure(service: Service, emetteur: EmetteurDEssai, role: str) -> None:
    emetteur.personne = {"role": role, "assure": "a-1"}
    assert se_connecter(service).status_code == 303
    for adresse in ("/", "/messagerie", "/messagerie/T1", "/messagerie/T1/accuse.pdf", "/messagerie/T1/suppression"):
        page = service.client.get(adresse)
        assert page.status_code == 403, adresse
        assert "réservée aux assurés" in page.text
    jeton = jeton_de(service.client.get("/messagerie"))
    assert service.client.post("/messagerie/T1/suppression", data={"jeton": jeton}).status_code == 403
    assert service.client.post("/payer", data={"jeton": jeton}).status_code == 403
    assert service.client.post("/deconnexion", data={"jeton": jeton}).status_code == 200


def test_une_session_finit_au_repos_et_de_toute_facon_apres_deux_heures(service: Service) -> None:
    service.maintenant = debut = datetime.now(UTC)
    se_connecter(service)
    service.maintenant = debut + timedelta(minutes=30)
    assert connecte(service)
    service.maintenant += timedelta(minutes=30, seconds=1)
    assert not connecte(service), "trente minutes sans rien voir"

    service.client.cookies.clear()
    service.maintenant = debut
    se_connecter(service)
    for minutes in (25, 50, 75, 100, 120):
        service.maintenant = debut + timedelta(minutes=minutes)
        assert connecte(service), minutes
    service.maintenant = debut + timedelta(minutes=120, seconds=1)
    assert not connecte(service)


def test_deux_instances_de_meme_secret_se_connaissent(service: Service) -> None:
    se_connecter(service)
    cookies = dict(service.client.cookies)
    communes = service.dependances_api
    for secret, attendu in ((SECRET_LONG, 200), (SECRET_LONG + "!", 303)):
        autre = replace(communes, secret_de_session=secret, metriques=CollectorRegistry())
        with servi(creer_api(autre)) as url:
            reponse = httpx.get(f"{url}/messagerie", cookies=cookies, trust_env=False)
            assert reponse.status_code == attendu


def test_un_formulaire_venu_d_un_autre_site_est_refuse(service: Service) -> None:
    se_connecter(service)
    jeton = jeton_de(service.client.get("/", params={"reference": REF}))
    for en_tetes, donnees in (
        ({"Sec-Fetch-Site": "cross-site"}, {"jeton": jeton}),
        ({"Sec-Fetch-Site": "same-site"}, {"jeton": jeton}),
        ({}, {"jeton": "0" * 64}),
        ({}, {"jeton": "é"}),
        ({}, {"autre": "x"}),
    ):
        reponse = service.client.post("/deconnexion", data=donnees, headers=en_tetes)
        assert reponse.status_code == 403
    assert connecte(service)


def test_se_deconnecter_finit_la_session_ici_et_chez_l_emetteur(service: Service, emetteur: EmetteurDEssai) -> None:
    se_connecter(service)
    page = service.client.post(
        "/deconnexion",
        data={"jeton": jeton_de(service.client.get("/", params={"reference": REF}))},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert page.status_code == 200
    attendue = f"{emetteur.url}/fin?client_id={CLIENT}&post_logout_redirect_uri=http%3A%2F%2Fservice.test%2Fdeconnecte"
    assert attendue in unescape(page.text)
    assert "creances_session" not in service.client.cookies
    assert not connecte(service)
    assert service.client.get("/deconnecte").status_code == 200


@pytest.mark.parametrize("sans", ["fin_de_session", "emetteur"])
def test_se_deconnecter_marche_aussi_quand_l_emetteur_n_y_aide_pas(
    service: Service, emetteur: EmetteurDEssai, reglages_api: dict[str, Any], sans: str
) -> None:
    if sans == "fin_de_session":
        emetteur.annonce_en_plus = {"end_session_endpoint": None}
    se_connecter(service)
    if sans == "emetteur":
        emetteur.en_panne = {"/.well-known/openid-configuration"}
        reglages_api["connexion"].emetteur._annonce = None
    page = service.client.post(
        "/deconnexion", data={"jeton": jeton_de(service.client.get("/", params={"reference": REF}))}
    )
    assert page.status_code == 200
    assert "http-equiv" not in page.text
    assert not connecte(service)


def test_se_deconnecter_ne_se_fait_pas_par_un_lien(service: Service) -> None:
    se_connecter(service)
    assert service.client.get("/deconnexion").status_code == 405
    service.client.get("/deconnecte")
    assert connecte(service)


class TestClientPublic:
    @pytest.fixture
    def reglages_api(self, emetteur: EmetteurDEssai) -> dict[str, Any]:
        emetteur.secret = None
        return {"connexion": ClientOIDC(Emetteur(emetteur.url), CLIENT, None, RETOUR, "http://service.test/")}

    def test_sans_secret_pkce_suffit(self, service: Service) -> None:
        assert se_connecter(service).status_code == 303
        assert connecte(service)


def test_sous_https_les_cookies_ne_partent_que_sous_https(service: Service) -> None:
    communes = service.dependances_api
    adresses = replace(communes.guichet.adresses, retour="https://s.test/kiosque/retour")
    guichet = replace(communes.guichet, adresses=adresses)
    with servi(creer_api(replace(communes, guichet=guichet, metriques=CollectorRegistry()))) as url:
        assert "; Secure" in httpx.get(f"{url}/connexion", trust_env=False).headers["Set-Cookie"]


class TestSansEmetteur:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {}

    def test_les_pages_renvoient_au_compte(self, service: Service) -> None:
        for adresse in ("/connexion", "/connexion/retour?code=x&state=y", "/messagerie"):
            reponse = service.client.get(adresse)
            assert reponse.status_code == 401
            assert "Connectez-vous à votre compte ameli" in reponse.text


def test_se_connecter_de_nouveau_finit_la_session_d_avant(service: Service) -> None:
    adresse = partir(service)
    aller = dict(service.client.cookies)
    service.client.get(accepter(adresse))
    copie = dict(service.client.cookies)
    service.client.cookies.update(aller)
    service.client.get(accepter(adresse))
    assert connecte(service)
    service.client.cookies.clear()
    service.client.cookies.update(copie)
    assert not connecte(service)
