"""La porte de la banque, éprouvée au hasard : jamais de 5xx, et rien ne passe que la banque n'ait scellé.

`FORMULAIRES=20000` les fait tous ; par défaut peu, pour que la suite reste courte. `DEPUIS=10000` reprend là.
"""

import base64
import json
import os
import random
from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from api.application import Limites
from kiosque.interface import Verifiee
from kiosque.sips.sceau import Algorithme, sceller
from tests.api.conftest import Service, notification, service  # noqa: F401

COMBIEN: Final = int(os.environ.get("FORMULAIRES", "400"))
DEPUIS: Final = int(os.environ.get("DEPUIS", "0"))
GRAINE: Final = 20261126
CLE: Final = b"002001000000001_KEY1"
ETRANGES: Final = [
    "",
    "\0",
    "é",
    "💶",
    "|",
    "=",
    "%",
    "&",
    "null",
    "0" * 40,
    "-1",
    "9" * 400,
    "\ud7ff",
    "<b>",
    "[/b]",
    "\x9b",
]


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {
        "limites": Limites(
            refus_par_minute=10**9,
            plausibles_par_minute=10**9,
            rebuts_en_rafale=10**9,
            rebuts_par_adresse_octets_par_jour=10**12,
            rebuts_octets_par_jour=10**12,
            rebuts_de_la_banque_octets_par_jour=10**12,
            rebuts_plausibles_par_adresse_octets_par_jour=10**12,
        )
    }


def au_hasard(hasard: random.Random, numero: int) -> tuple[bytes, dict[str, str] | None]:
    """Un corps, et le formulaire que la banque aurait scellé s'il en est un."""
    champs = notification(f"T{numero}", hasard.randrange(1, 10**6), hasard.choice(["00", "05", "60", "zz"]))
    match hasard.randrange(9):
        case 0:
            return urlencode(champs).encode(), champs
        case 1:  # Un signe changé dans Data.
            place = hasard.randrange(len(champs["Data"]))
            champs["Data"] = champs["Data"][:place] + hasard.choice(ETRANGES) + champs["Data"][place + 1 :]
        case 2:  # Scellé tout de même : la banque peut dire n'importe quoi.
            nom = hasard.choice(["amount", "currencyCode", "transactionReference", "customerEmail", "maskedPan", "x"])
            champs["Data"] += f"|{nom}={hasard.choice(ETRANGES)}"
            champs["Seal"] = sceller(champs["Data"].encode(), CLE, Algorithme.SHA_256)
            return urlencode(champs).encode(), champs
        case 3:
            champs["Seal"] = hasard.choice([*ETRANGES, champs["Seal"].upper(), champs["Seal"][:-1]])
        case 4:
            champs["Encode"] = hasard.choice(["base64", "base64url", "rot13", *ETRANGES])
        case 5:
            del champs[hasard.choice(sorted(champs))]
        case 6:
            corps = urlencode(champs).encode() + b"&" + urlencode({hasard.choice(sorted(champs)): "x"}).encode()
            return corps, None
        case 7:
            return hasard.randbytes(hasard.randrange(400)), None
        case _:
            data = base64.b64encode(hasard.randbytes(60)).decode()
            champs |= {"Data": data, "Encode": "base64", "Seal": sceller(data.encode(), CLE, Algorithme.SHA_256)}
            return urlencode(champs).encode(), champs
    return urlencode(champs, errors="replace").encode(), champs


def est_scelle(champs: dict[str, str] | None) -> bool:
    """L'oracle, écrit à part : le sceau est celui des octets de Data sous la clé publiée."""
    if champs is None or not champs.get("Data"):
        return False
    return sceller(champs["Data"].encode(), CLE, Algorithme.SHA_256) == champs.get("Seal")


def poster(service: Service, chemin: str, corps: bytes) -> httpx.Response:  # noqa: F811
    entete = {"Content-Type": "application/x-www-form-urlencoded"}
    # Chaque retour accepté pose un cookie, que le navigateur ne rend pas ici (`SameSite=Lax`, venu d'ailleurs).
    # Gardés par le client, 530 font 64 Kio : l'en-tête peut alors se lire en deux fois, et h11 le refuse (400).
    service.client.cookies.clear()
    try:
        return service.client.post(chemin, content=corps, headers=entete)
    except httpx.RemoteProtocolError:  # La connexion gardée s'est fermée entre deux requêtes, sur une machine lente.
        return service.client.post(chemin, content=corps, headers=entete)


@pytest.mark.timeout(3600)
def test_rien_ne_tombe_et_rien_ne_passe_que_la_banque_n_ait_scelle(service: Service) -> None:  # noqa: F811
    hasard = random.Random(GRAINE)  # noqa: S311
    statuts: Counter[int] = Counter()
    gardes: list[str] = []
    pris = 0
    for numero in range(COMBIEN):
        corps, champs = au_hasard(hasard, numero)
        if numero < DEPUIS:
            continue
        avant = len(service.webhook_sender.messages)
        reponse = poster(service, "/kiosque/notification", corps)
        statuts[reponse.status_code] += 1
        assert reponse.status_code in {200, 400, 413}, (corps, reponse.text)
        nouveaux = service.webhook_sender.messages[avant:]
        notifications = [valeur for genre, _, valeur, _ in nouveaux if genre == "notifications"]
        assert len(notifications) == (reponse.status_code == 200), corps
        if notifications:
            pris += 1
            assert est_scelle(champs), corps
            assert isinstance(service.guichet.kiosque.relire(json.loads(notifications[0])), Verifiee)
        else:
            gardes += [genre for genre, *_ in nouveaux]  # Une copie exacte n'est pas gardée deux fois.
        retour = poster(service, "/kiosque/retour", corps)
        assert retour.status_code == 303, (numero, corps, retour.headers, retour.text)
    assert set(gardes) == {"rebuts"}
    assert len(gardes) > 0.95 * statuts[400]
    assert pris > (COMBIEN - DEPUIS) / 20, statuts
    assert statuts[400] > (COMBIEN - DEPUIS) / 4, statuts
    with psycopg.connect(service.url_base) as conn:
        assert conn.execute("SELECT count(*) FROM journal.evenements").fetchone() == (0,)
