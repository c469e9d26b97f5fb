"""Une session finie l'est pour tous ceux qui en tiennent le cookie."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.application import creer_api
from tests.api.conftest import Service
from tests.api.navigation import NAVIGATEUR, champ, devenir
from tests.outils import commande
from tests.serveurs import servi


@pytest.fixture
def reglages_api() -> Mapping[str, Any]:
    return {"demo": True}


def ouvre(service: Service, cookies: dict[str, str]) -> bool:
    """Dit si ces cookies, copiés ailleurs, ouvrent la page de paiement."""
    with httpx.Client(base_url=service.client.base_url, trust_env=False, cookies=cookies) as copie:
        return copie.get("/payer", headers=NAVIGATEUR).status_code == httpx.codes.OK


def copier(service: Service) -> dict[str, str]:
    return {nom: valeur for nom, valeur in service.client.cookies.items() if valeur}


def test_apres_la_deconnexion_l_ancien_cookie_n_ouvre_plus_rien(service: Service) -> None:
    devenir(service)
    cookies = copier(service)
    assert ouvre(service, cookies)
    page = service.client.get("/payer")
    fin = service.client.post("/deconnexion", data={"jeton": champ(page, "jeton")})
    assert '"storage"' in fin.headers["Clear-Site-Data"]
    assert not ouvre(service, cookies)


@pytest.mark.parametrize("detour", ["/?canal=web", None], ids=["par le canal", "sans le cookie du canal"])
def test_a_la_borne_la_personne_partie_ne_revient_pas(service: Service, detour: str | None) -> None:
    service.maintenant = datetime.now(UTC)
    devenir(service, canal="bms")
    cookies = copier(service)
    service.maintenant += timedelta(minutes=3)
    if detour is None:
        cookies.pop("creances_canal")
    else:
        service.client.get(detour)
        cookies |= {"creances_canal": service.client.cookies["creances_canal"]}
    assert not ouvre(service, cookies)


def test_a_la_borne_changer_de_canal_finit_la_session_meme_active(service: Service) -> None:
    devenir(service, canal="bms")
    cookies = copier(service)
    service.client.get("/?canal=web")
    assert not ouvre(service, cookies)


def test_un_cookie_jamais_prolonge_ne_dure_pas_plus_que_le_repos(service: Service) -> None:
    service.maintenant = datetime.now(UTC)
    devenir(service)
    service.maintenant += timedelta(minutes=20)
    assert service.client.get("/payer").status_code == 200
    service.maintenant += timedelta(minutes=20)
    assert service.client.get("/payer").status_code == 200
    cookies = copier(service)
    service.maintenant += timedelta(minutes=31)
    assert not ouvre(service, cookies)


def test_l_administrateur_voit_les_sessions_et_les_finit(service: Service) -> None:
    devenir(service)
    cookies = copier(service)

    def sessions(*arguments: str) -> subprocess.CompletedProcess[str]:
        return commande("sessions", *arguments, database_url=service.url_base)

    assert '"assure": "a-1"' in sessions("list", "--json").stdout
    assert sessions("end").returncode == 2
    assert sessions("end", "--assure", "a-2").returncode == 1
    assert ouvre(service, cookies)
    assert sessions("end", "--assure", "a-1").returncode == 0
    assert not ouvre(service, cookies)


def test_la_base_ne_dit_pas_de_quoi_ouvrir_une_session(service: Service) -> None:
    devenir(service)
    with service.guichet.base.transaction() as conn:
        [(ligne,)] = conn.execute("SELECT sessions::text FROM acces.sessions").fetchall()
    assert not any(valeur in ligne for valeur in copier(service).values())


def test_sous_https_les_cookies_sont_lies_a_cet_hote(service: Service) -> None:
    guichet = replace(
        service.guichet, adresses=replace(service.guichet.adresses, retour="https://service.test/kiosque/retour")
    )
    dependances = replace(service.dependances_api, guichet=guichet, metriques=CollectorRegistry())
    with servi(creer_api(dependances)) as url:
        poses = httpx.get(url, headers=NAVIGATEUR, trust_env=False).headers.get_list("Set-Cookie")
        poses += httpx.get(f"{url}/?canal=bms", headers=NAVIGATEUR, trust_env=False).headers.get_list("Set-Cookie")
    assert len(poses) == 2
    for pose in poses:
        assert pose.startswith("__Host-creances_")
        assert "; Secure" in pose
        assert "; Path=/;" in pose
        assert "Domain" not in pose


def test_une_page_ne_pose_un_cookie_neuf_qu_une_minute_apres_le_dernier(service: Service) -> None:
    service.maintenant = datetime.now(UTC)
    devenir(service)
    poses = []
    for secondes in (1, 58, 61, 30):
        service.maintenant += timedelta(seconds=secondes)
        page = service.client.get("/payer")
        assert "Se déconnecter" in page.text
        poses.append("creances_session=" in page.headers.get("Set-Cookie", ""))
    assert poses == [False, False, True, False]
