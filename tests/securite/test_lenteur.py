"""Mille connexions lentes : les paiements et les notifications de la banque passent ; les temps sont dits.

Sur demande (`LENTES=1000`) : il faut mille fichiers au processus. La suite en tient peu.
"""

import os
import resource
import socket
import statistics
import time
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Service, notification, reglages_api, service  # noqa: F401

LENTES: Final = int(os.environ.get("LENTES", "150"))
DEMANDES: Final = 40


@pytest.mark.timeout(600)
def test_mille_connexions_lentes_n_arretent_ni_les_paiements_ni_la_banque(service: Service) -> None:  # noqa: F811
    doux, dur = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(doux, min(dur, 3 * LENTES + 500)), dur))
    partie = urlsplit(str(service.client.base_url))
    references = [service.avis(f"38117012{n:08d}F") for n in range(DEMANDES)]
    with ExitStack() as pile:
        for n in range(LENTES):
            prise = pile.enter_context(socket.create_connection((partie.hostname or "", partie.port or 0), timeout=20))
            debut = (
                b"POST /kiosque/notification HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nD"
                if n % 2
                else b"GET / HT"
            )
            prise.sendall(debut)
        paiements_ms, banque_ms = [], []
        for n, reference in enumerate(references):
            debut_s = time.perf_counter()
            ouvert = service.payer(reference, montant=20_00, cle=f"k-{n}")
            paiements_ms.append(1000 * (time.perf_counter() - debut_s))
            assert ouvert.status_code == 201, ouvert.text
            debut_s = time.perf_counter()
            prise_en_charge = service.client.post("/kiosque/notification", data=notification(f"T{n}", 20_00))
            banque_ms.append(1000 * (time.perf_counter() - debut_s))
            assert prise_en_charge.status_code == 200
    for quoi, temps in (("paiements", paiements_ms), ("banque", banque_ms)):
        print(f"{LENTES} lentes, {quoi} : médiane {statistics.median(temps):.1f} ms, pire {max(temps):.0f} ms")  # noqa: T201
    assert len(service.webhook_sender.messages) == DEMANDES
