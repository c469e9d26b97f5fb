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

from api.application import créer_api
from api.assure.connexion import suite_locale
from api.client_oidc import ClientOIDC
from api.emetteur import Émetteur
from tests.api.conftest import SECRET as SECRET_LONG
from tests.api.conftest import Service
from tests.api.emetteur import AUTRE_CLÉ, CLIENT, RETOUR, SECRET, ÉmetteurDEssai, émetteur_d_essai
from tests.serveurs import servi

RÉF = "3811701200010075F"


@pytest.fixture
def émetteur() -> Iterator[ÉmetteurDEssai]:
    with émetteur_d_essai() as servi:
        yield servi


@pytest.fixture
def réglages_api(émetteur: ÉmetteurDEssai) -> dict[str, Any]:
    client = ClientOIDC(Émetteur(émetteur.url), CLIENT, SECRET, RETOUR, "http://service.test/deconnecte")
    return {"connexion": client, "secret_de_session": SECRET_LONG}


def partir(service: Service, suite: str | None = None) -> str:
    """Demande à se connecter ; rend l'adresse chez l'émetteur."""
    départ = service.client.get("/connexion", params={"next": suite} if suite else {})
    assert départ.status_code == 303, départ.text
    return str(départ.headers["Location"])


def accepter(adresse: str) -> str:
    """La personne accepte chez l'émetteur ; rend le chemin du retour."""
    retour = urlsplit(httpx.get(adresse, trust_env=False).headers["Location"])
    return f"{retour.path}?{retour.query}"


def se_connecter(service: Service, suite: str | None = None) -> httpx.Response:
    return service.client.get(accepter(partir(service, suite)))


def jeton_de(page: httpx.Response) -> str:
    trouvé = re.search(r'name="jeton" value="([^"]+)"', page.text)
    assert trouvé is not None
    return unescape(trouvé[1])


def connecté(service: Service) -> bool:
    return service.client.get("/messagerie").status_code == 200


def test_on_se_connecte_et_l_on_arrive_où_l_on_allait(service: Service) -> None:
    service.avis(RÉF)
    refusée = service.client.get("/messagerie?x=1")
    assert (refusée.status_code, refusée.headers["Location"]) == (303, "/connexion?next=%2Fmessagerie%3Fx%3D1")
    assert service.client.get("/messagerie", headers={"Sec-Fetch-Dest": "empty"}).status_code == 401, "un script"
    départ = service.client.get(refusée.headers["Location"])
    arrivée = service.client.get(accepter(adresse := départ.headers["Location"]))
    assert (arrivée.status_code, arrivée.headers["Location"]) == (303, "/messagerie?x=1")
    assert connecté(service)
    assert "87,09" in service.client.get("/", params={"reference": RÉF}).text
    demande = parse_qs(urlsplit(adresse).query)
    assert {"state", "nonce", "code_challenge"} <= set(demande)
    assert SECRET not in adresse


def test_le_cookie_est_chiffré_illisible_et_ne_survit_pas_au_navigateur(service: Service) -> None:
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
    avant = jeton_de(service.client.get("/", params={"reference": RÉF}))
    service.client.cookies.clear()
    se_connecter(service)
    assert jeton_de(service.client.get("/", params={"reference": RÉF})) != avant


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
    "/" + "a" * 600,
    "http:///x",
    "//[",
]


@pytest.mark.parametrize("suite", AILLEURS)
def test_une_suite_d_ailleurs_est_l_accueil(suite: str) -> None:
    assert suite_locale(suite) == "/"


def test_se_connecter_ne_mène_jamais_ailleurs(service: Service) -> None:
    for suite in ("https://ailleurs.test/", "//ailleurs.test/", "/\\ailleurs.test"):
        assert se_connecter(service, suite).headers["Location"] == "/"
        assert service.client.get("/connexion", params={"next": suite}).headers["Location"] == "/", "déjà connecté"
        service.client.cookies.clear()


def test_la_suite_de_chez_nous_est_gardée() -> None:
    for suite in ("/", "/messagerie", "/payer?reference=3811701200010075F", "/a//b", "/x?u=https://ailleurs.test"):
        assert suite_locale(suite) == suite


def test_un_état_fabriqué_est_refusé(service: Service, émetteur: ÉmetteurDEssai) -> None:
    retour = accepter(partir(service))
    réponse = service.client.get(re.sub("state=[^&]*", "state=autre", retour))
    assert réponse.status_code == 400
    assert "Connexion interrompue" in réponse.text
    assert "/jeton" not in émetteur.lues, "le code d'un inconnu n'est pas échangé"
    assert not connecté(service)


def test_un_retour_sans_demande_est_refusé(service: Service) -> None:
    retour = accepter(partir(service))
    service.client.cookies.clear()
    assert service.client.get(retour).status_code == 400
    assert not connecté(service)


def test_un_cookie_altéré_ne_vaut_rien(service: Service) -> None:
    se_connecter(service)
    le_sien = service.client.cookies["creances_session"]
    service.client.cookies.clear()
    for cookie in ("x", "é", "gAAAA", "a" * 4000, le_sien[:-4] + "AAAA", le_sien[1:]):
        en_tête = {b"Cookie": f"creances_session={cookie}; creances_connexion={cookie}".encode()}
        assert service.client.get("/connexion/retour?code=x&state=x", headers=en_tête).status_code == 400
        assert service.client.get("/messagerie", headers=en_tête).status_code == 303
    en_tête = {b"Cookie": f"creances_connexion={le_sien}".encode()}
    assert service.client.get("/connexion/retour?code=x&state=x", headers=en_tête).status_code == 400, "autre usage"


def test_un_retour_rejoué_est_refusé(service: Service) -> None:
    retour = accepter(partir(service))
    cookie = service.client.cookies["creances_connexion"]
    assert service.client.get(retour).status_code == 303
    service.client.cookies.clear()
    assert service.client.get(retour).status_code == 400, "la demande a été ôtée"
    service.client.cookies["creances_connexion"] = cookie
    réponse = service.client.get(retour)
    assert réponse.status_code == 400, "l'émetteur refuse un code déjà servi"
    assert "déjà servi" in réponse.text
    assert not connecté(service)


def test_le_vérifieur_d_une_autre_demande_ne_convient_pas(service: Service, émetteur: ÉmetteurDEssai) -> None:
    retour = accepter(partir(service))
    [demande] = émetteur.demandes.values()
    demande["code_challenge"] = "un autre défi"
    assert service.client.get(retour).status_code == 400
    assert not connecté(service)


def test_une_demande_vieille_de_plus_de_dix_minutes_est_refusée(service: Service) -> None:
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


def test_un_jeton_d_identité_qui_n_est_pas_le_nôtre_n_ouvre_rien(service: Service, émetteur: ÉmetteurDEssai) -> None:
    for faute in FAUTES:
        émetteur.jeton_en_plus = faute
        assert se_connecter(service).status_code == 403, faute
        assert "creances_session" not in service.client.cookies, faute
        assert not connecté(service), faute


def test_une_autre_signature_n_ouvre_rien(service: Service, émetteur: ÉmetteurDEssai) -> None:
    for clé in (AUTRE_CLÉ, "un secret de trente-deux octets ou plus"):
        émetteur.clé = clé
        assert se_connecter(service).status_code == 403
        assert not connecté(service)


def test_plusieurs_audiences_avec_la_nôtre_pour_demandeur_passent(service: Service, émetteur: ÉmetteurDEssai) -> None:
    émetteur.jeton_en_plus = {"aud": [CLIENT, "autre"], "azp": CLIENT}
    assert se_connecter(service).status_code == 303
    assert connecté(service)


def test_une_réponse_qui_se_dit_d_un_autre_émetteur_est_refusée(service: Service) -> None:
    retour = accepter(partir(service))
    assert service.client.get(f"{retour}&iss=http://ailleurs.test").status_code == 400
    assert not connecté(service)


def test_un_émetteur_qui_promet_de_se_nommer_doit_le_faire(service: Service, émetteur: ÉmetteurDEssai) -> None:
    émetteur.annonce_en_plus = {"authorization_response_iss_parameter_supported": True}
    assert service.client.get(accepter(partir(service))).status_code == 400
    assert service.client.get(f"{accepter(partir(service))}&iss={émetteur.url}").status_code == 303


def test_la_personne_qui_renonce_le_lit(service: Service) -> None:
    état = parse_qs(urlsplit(partir(service)).query)["state"][0]
    réponse = service.client.get("/connexion/retour", params={"error": "access_denied", "state": état})
    assert réponse.status_code == 401
    assert "n&#39;a pas abouti" in réponse.text


@pytest.mark.parametrize("où", ["/.well-known/openid-configuration", "/jeton", "/cles"])
def test_un_émetteur_en_panne_est_une_page_503(service: Service, émetteur: ÉmetteurDEssai, où: str) -> None:
    émetteur.en_panne = {où}
    réponse = service.client.get("/connexion")
    if réponse.status_code == 303:
        réponse = service.client.get(accepter(réponse.headers["Location"]))
    assert réponse.status_code == 503
    assert réponse.headers["Retry-After"] == "5"
    assert "Connexion momentanément impossible" in réponse.text
    émetteur.en_panne = set()
    assert se_connecter(service).status_code == 303, "rétabli, il sert de nouveau"


def test_une_annonce_qui_ne_tient_pas_est_une_page_503(service: Service, émetteur: ÉmetteurDEssai) -> None:
    fausses: list[dict[str, Any]] = [
        {"issuer": "http://ailleurs.test"},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
        {"authorization_endpoint": None},
    ]
    for annonce in fausses:
        émetteur.annonce_en_plus = annonce
        assert service.client.get("/connexion").status_code == 503, annonce


def test_un_client_que_l_émetteur_refuse_est_une_panne_pas_une_faute_de_la_personne(
    service: Service, émetteur: ÉmetteurDEssai
) -> None:
    émetteur.secret = "changé"
    assert se_connecter(service).status_code == 503


@pytest.mark.parametrize("rôle", ["support", "exploitation", "partenaire"])
def test_un_agent_ne_voit_aucune_page_d_assuré(service: Service, émetteur: ÉmetteurDEssai, rôle: str) -> None:
    émetteur.personne = {"role": rôle, "assure": "a-1"}
    assert se_connecter(service).status_code == 303
    for adresse in ("/", "/messagerie", "/messagerie/T1", "/messagerie/T1/accuse.pdf", "/messagerie/T1/suppression"):
        page = service.client.get(adresse)
        assert page.status_code == 403, adresse
        assert "réservée aux assurés" in page.text
    jeton = jeton_de(service.client.get("/messagerie"))
    assert service.client.post("/messagerie/T1/suppression", data={"jeton": jeton}).status_code == 403
    assert service.client.post("/payer", data={"jeton": jeton}).status_code == 403
    assert service.client.post("/deconnexion", data={"jeton": jeton}).status_code == 200


def test_une_session_finit_au_repos_et_de_toute_façon_après_deux_heures(service: Service) -> None:
    service.maintenant = début = datetime.now(UTC)
    se_connecter(service)
    service.maintenant = début + timedelta(minutes=30)
    assert connecté(service)
    service.maintenant += timedelta(minutes=30, seconds=1)
    assert not connecté(service), "trente minutes sans rien voir"

    service.client.cookies.clear()
    service.maintenant = début
    se_connecter(service)
    for minutes in (25, 50, 75, 100, 120):
        service.maintenant = début + timedelta(minutes=minutes)
        assert connecté(service), minutes
    service.maintenant = début + timedelta(minutes=120, seconds=1)
    assert not connecté(service)


def test_deux_instances_de_même_secret_se_connaissent(service: Service) -> None:
    se_connecter(service)
    cookies = dict(service.client.cookies)
    communes = service.dépendances_api
    for secret, attendu in ((SECRET_LONG, 200), (SECRET_LONG + "!", 303)):
        autre = replace(communes, secret_de_session=secret, métriques=CollectorRegistry())
        with servi(créer_api(autre)) as url:
            réponse = httpx.get(f"{url}/messagerie", cookies=cookies, trust_env=False)
            assert réponse.status_code == attendu


def test_un_formulaire_venu_d_un_autre_site_est_refusé(service: Service) -> None:
    se_connecter(service)
    jeton = jeton_de(service.client.get("/", params={"reference": RÉF}))
    for en_têtes, données in (
        ({"Sec-Fetch-Site": "cross-site"}, {"jeton": jeton}),
        ({"Sec-Fetch-Site": "same-site"}, {"jeton": jeton}),
        ({}, {"jeton": "0" * 64}),
        ({}, {"jeton": "é"}),
        ({}, {"autre": "x"}),
    ):
        réponse = service.client.post("/deconnexion", data=données, headers=en_têtes)
        assert réponse.status_code == 403
    assert connecté(service)


def test_se_déconnecter_finit_la_session_ici_et_chez_l_émetteur(service: Service, émetteur: ÉmetteurDEssai) -> None:
    se_connecter(service)
    page = service.client.post(
        "/deconnexion",
        data={"jeton": jeton_de(service.client.get("/", params={"reference": RÉF}))},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert page.status_code == 200
    attendue = f"{émetteur.url}/fin?client_id={CLIENT}&post_logout_redirect_uri=http%3A%2F%2Fservice.test%2Fdeconnecte"
    assert attendue in unescape(page.text)
    assert "creances_session" not in service.client.cookies
    assert not connecté(service)
    assert service.client.get("/deconnecte").status_code == 200


@pytest.mark.parametrize("sans", ["fin_de_session", "émetteur"])
def test_se_déconnecter_marche_aussi_quand_l_émetteur_n_y_aide_pas(
    service: Service, émetteur: ÉmetteurDEssai, réglages_api: dict[str, Any], sans: str
) -> None:
    if sans == "fin_de_session":
        émetteur.annonce_en_plus = {"end_session_endpoint": None}
    se_connecter(service)
    if sans == "émetteur":
        émetteur.en_panne = {"/.well-known/openid-configuration"}
        réglages_api["connexion"].émetteur._annonce = None
    page = service.client.post(
        "/deconnexion", data={"jeton": jeton_de(service.client.get("/", params={"reference": RÉF}))}
    )
    assert page.status_code == 200
    assert "http-equiv" not in page.text
    assert not connecté(service)


def test_se_déconnecter_ne_se_fait_pas_par_un_lien(service: Service) -> None:
    se_connecter(service)
    assert service.client.get("/deconnexion").status_code == 405
    service.client.get("/deconnecte")
    assert connecté(service)


class TestClientPublic:
    @pytest.fixture
    def réglages_api(self, émetteur: ÉmetteurDEssai) -> dict[str, Any]:
        émetteur.secret = None
        return {"connexion": ClientOIDC(Émetteur(émetteur.url), CLIENT, None, RETOUR, "http://service.test/")}

    def test_sans_secret_pkce_suffit(self, service: Service) -> None:
        assert se_connecter(service).status_code == 303
        assert connecté(service)


def test_sous_https_les_cookies_ne_partent_que_sous_https(service: Service) -> None:
    communes = service.dépendances_api
    adresses = replace(communes.guichet.adresses, retour="https://s.test/kiosque/retour")
    guichet = replace(communes.guichet, adresses=adresses)
    with servi(créer_api(replace(communes, guichet=guichet, métriques=CollectorRegistry()))) as url:
        assert "; Secure" in httpx.get(f"{url}/connexion", trust_env=False).headers["Set-Cookie"]


class TestSansÉmetteur:
    @pytest.fixture
    def réglages_api(self) -> dict[str, Any]:
        return {}

    def test_les_pages_renvoient_au_compte(self, service: Service) -> None:
        for adresse in ("/connexion", "/connexion/retour?code=x&state=y", "/messagerie"):
            réponse = service.client.get(adresse)
            assert réponse.status_code == 401
            assert "Connectez-vous à votre compte ameli" in réponse.text
