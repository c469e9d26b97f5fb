"""Les connexions : chacune a ses délais, et elles ne prennent jamais tous les fichiers du processus."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from tests.courtiers import port_libre
from tests.outils import attendre

SERVEUR = """
import asyncio, resource, sys, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from service.http import ConnectionLimits, serve
async def vivant(requete: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{requete.client.host} {len(await requete.body())}")
async def muet(requete: Request) -> PlainTextResponse:
    await asyncio.sleep(60)
async def sourd(requete: Request) -> PlainTextResponse:
    return PlainTextResponse("pas lu")
async def morceaux():
    for _ in range(400):  # 25 Mio : bien plus que le noyau n'en garde pour qui ne lit pas.
        yield bytes(64 * 1024)
async def long(requete: Request) -> StreamingResponse:
    return StreamingResponse(morceaux())
application = Starlette(
    routes=[Route("/livez", vivant, methods=["GET", "POST"]), Route("/muet", muet), Route("/long", long)]
    + [Route("/sourd", sourd, methods=["POST"])]
)
delai_s = float(sys.argv[2])
limites = ConnectionLimits(
    header_s=delai_s, body_s=delai_s, wait_s=delai_s, answer_s=600, keep_alive_s=1, connections=int(sys.argv[3]),
    trusted_proxies=sys.argv[4] or None,
)
serve(application, "127.0.0.1", int(sys.argv[1]), limites)(threading.Event())
"""


Adresse = tuple[str, int]


@contextmanager
def serveur(delai_s: float, connexions: int = 2_000, mandataire: str = "") -> Iterator[Adresse]:
    """Un processus de 256 fichiers, servi comme le service l'est."""
    adresse = ("127.0.0.1", port_libre())
    arguments = map(str, (adresse[1], delai_s, connexions, mandataire))
    processus = subprocess.Popen([sys.executable, "-c", SERVEUR, *arguments])
    try:
        attendre(lambda: _repond(adresse), secondes=60, quoi="serveur démarré")
        yield adresse
    finally:
        processus.kill()  # Poliment, il attendrait cinq secondes celles qui ne répondent jamais.
        processus.wait(timeout=60)


@pytest.fixture(scope="module")
def patient() -> Iterator[Adresse]:
    """Celui qui laisse une minute, sauf à une connexion dont la réponse est partie."""
    with serveur(delai_s=60) as adresse:
        yield adresse


@pytest.fixture(scope="module")
def presse() -> Iterator[Adresse]:
    """Celui qui ne laisse qu'une seconde."""
    with serveur(delai_s=1) as adresse:
        yield adresse


def _repond(adresse: tuple[str, int]) -> bool:
    try:
        return _vivant(adresse).is_success
    except httpx.TransportError:
        return False


def _vivant(adresse: tuple[str, int], **en_tetes: str) -> httpx.Response:
    url = f"http://{adresse[0]}:{adresse[1]}/livez"
    with httpx.Client(trust_env=False, timeout=LARGE_S) as client:
        return client.get(url, headers=en_tetes)


def _a_moitie(adresse: tuple[str, int], envoi: bytes, pile: ExitStack) -> socket.socket:
    prise = pile.enter_context(socket.create_connection(adresse, timeout=LARGE_S))
    prise.sendall(envoi)
    return prise


EN_TETE = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-"
LARGE_S = 30.0
"""Bien plus que chaque échéance essayée, bien moins que le silence qui la laisserait passer (secondes)."""

MUET = b"GET /muet HTTP/1.1\r\nHost: x\r\n\r\n"
CORPS = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nData="


@pytest.mark.parametrize("envoi", [b"", EN_TETE, CORPS], ids=["rien", "en-tête", "corps"])
def test_trois_cents_requetes_a_moitie_envoyees_n_arretent_pas_un_processus_de_256_fichiers(
    patient: Adresse, envoi: bytes
) -> None:
    with ExitStack() as pile:
        for _ in range(300):
            _a_moitie(patient, envoi, pile)
        debut = time.monotonic()
        assert _vivant(patient).is_success
        assert time.monotonic() - debut < LARGE_S


def test_qui_ne_lit_pas_sa_reponse_fait_place_a_un_autre() -> None:
    with serveur(delai_s=60, connexions=8) as adresse, ExitStack() as pile:
        for _ in range(8):
            prise = _a_moitie(adresse, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", pile)
            assert prise.recv(9) == b"HTTP/1.1 "  # Commencée, et jamais lue plus loin.
        attendre(lambda: _repond(adresse), quoi="la place de celui qui lit")


def test_qui_prend_toutes_les_places_avec_des_requetes_entieres_en_rend_une_a_un_autre() -> None:
    with serveur(delai_s=60, connexions=8) as adresse, ExitStack() as pile:
        # Tant qu'une requête n'est pas lue, sa connexion fait place : il en vient plus qu'il n'y a de places.
        attendre(lambda: _a_moitie(adresse, MUET, pile).fileno() > 0 and not _repond(adresse), quoi="plus une place")
        autre = pile.enter_context(socket.create_connection(adresse, LARGE_S, source_address=("127.0.0.2", 0)))
        autre.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert _tout(autre).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("ailleurs", ["203.0.113.9", "2001:db8::1", "rien:qui:soit"])
def test_derriere_un_mandataire_ses_clients_ne_sont_pas_un_seul(ailleurs: str) -> None:
    muet = MUET.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {ailleurs}\r\n\r\n".encode())
    with serveur(delai_s=60, connexions=8, mandataire="127.0.0.1") as adresse, ExitStack() as pile:
        for _ in range(24):
            prise = _a_moitie(adresse, muet, pile)
            prise.settimeout(0.05)
            with suppress(TimeoutError, OSError):  # Lue, et sans réponse : sa place est prise.
                prise.recv(1)
        assert _vivant(adresse, **{"X-Forwarded-For": "198.51.100.1"}).is_success


@pytest.mark.parametrize("envoi", [EN_TETE, CORPS], ids=["en-tête", "corps"])
def test_une_requete_a_moitie_envoyee_est_close_a_l_echeance_meme_octet_par_octet(
    presse: Adresse, envoi: bytes
) -> None:
    with ExitStack() as pile:
        debut, recu = time.monotonic(), b""
        prise = _a_moitie(presse, envoi, pile)
        prise.settimeout(0.2)
        while time.monotonic() - debut < LARGE_S:
            try:
                prise.sendall(b"a")
                if not (lu := prise.recv(4096)):
                    break
                recu += lu
            except TimeoutError:
                continue
            except OSError:
                break
        assert 0.5 < time.monotonic() - debut < LARGE_S
        assert recu.startswith(b"HTTP/1.1 408") or recu == b""


def test_une_connexion_muette_apres_sa_reponse_est_close(patient: Adresse) -> None:
    with ExitStack() as pile:
        prise = _a_moitie(patient, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", pile)
        debut, recu = time.monotonic(), b""
        while lu := prise.recv(4096):
            recu += lu
        assert recu.startswith(b"HTTP/1.1 200")
        assert time.monotonic() - debut < LARGE_S


ATTENDUS = {
    b"x-content-type-options",
    b"x-frame-options",
    b"content-security-policy",
    b"cache-control",
    b"referrer-policy",
}


@pytest.mark.parametrize(
    ("envoi", "statut"),
    [(EN_TETE, b"408"), (CORPS, b"408"), (b"\x00\r\n\r\n", b"400"), (MUET, b"503")],
    ids=["en-tête", "corps", "illisible", "sans réponse"],
)
def test_ce_que_le_serveur_repond_lui_meme_porte_les_en_tetes_de_surete(
    presse: Adresse, envoi: bytes, statut: bytes
) -> None:
    with ExitStack() as pile:
        recu = _tout(_a_moitie(presse, envoi, pile))
    premiere, *en_tetes = recu.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert premiere.split()[1] == statut
    noms = [ligne.partition(b":")[0].lower() for ligne in en_tetes]
    assert set(noms) >= ATTENDUS | {b"content-length", b"connection"}
    assert b"server" not in noms
    assert len(set(noms)) == len(noms)


MORCELE = b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CACHEE = b"GET /livez HTTP/1.1\r\nHost: cachee\r\n\r\n"


@pytest.mark.parametrize(
    "envoi",
    [
        # Qui la précède compte l'une des longueurs, et nous l'autre : la suite serait la requête d'un autre.
        MORCELE[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + CACHEE,
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 15_000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        MORCELE + b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n",
    ],
    ids=["deux longueurs", "quinze mille en-têtes", "un en-tête sans fin", "un octet par morceau"],
)
def test_ce_qui_coute_plus_qu_il_ne_dit_est_refuse_et_la_connexion_finit(patient: Adresse, envoi: bytes) -> None:
    with ExitStack() as pile:
        recu = _tout(_a_moitie(patient, envoi, pile))
    assert recu.startswith(b"HTTP/1.1 400"), recu[:200]
    assert recu.count(b"HTTP/1.1 ") == 1


def test_apres_la_reponse_un_corps_sans_fin_n_est_plus_lu(patient: Adresse) -> None:
    """Répondue sans que le corps soit lu (un jeton manque), la requête le laisserait couler jusqu'à l'échéance."""
    with ExitStack() as pile:
        prise = _a_moitie(patient, MORCELE.replace(b"/livez", b"/sourd"), pile)
        assert prise.recv(12) == b"HTTP/1.1 200"
        with pytest.raises(OSError, match=r"reset|pipe"):
            prise.sendall(4_096 * (b"10000\r\n" + bytes(0x10000) + b"\r\n"))


def _tout(prise: socket.socket) -> bytes:
    recu = b""
    with suppress(ConnectionResetError):
        while lu := prise.recv(4096):
            recu += lu
    return recu


def test_rien_ne_dit_quel_serveur_repond_et_personne_ne_choisit_son_adresse(patient: Adresse) -> None:
    reponse = _vivant(patient, **{"X-Forwarded-For": "203.0.113.9"})
    assert reponse.text == "127.0.0.1 0"
    assert "server" not in reponse.headers
