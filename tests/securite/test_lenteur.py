"""Mille connexions lentes : les paiements et les notifications de la banque passent ; les temps sont dits.

Sur demande (`LENTES=1000`) : il faut mille fichiers au processus. La suite en tient peu.
"""

import os
import resource
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Final

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.application import creer_api
from service.http import ConnectionLimits, serve
from tests.api.conftest import Service, notification, reglages_api, service  # noqa: F401
from tests.courtiers import port_libre
from tests.outils import attendre

pytestmark = pytest.mark.lent

LENTES: Final = int(os.environ.get("LENTES", "150"))
DEMANDES: Final = 40


@contextmanager
def _servi_pour_de_bon(service: Service) -> Iterator[int]:  # noqa: F811
    """L'API derrière le serveur du service, avec ses échéances et son plafond."""
    port = port_libre()
    application = creer_api(replace(service.dependances_api, metriques=CollectorRegistry()))
    arret = threading.Event()
    fil = threading.Thread(target=serve(application, "127.0.0.1", port, ConnectionLimits()), args=(arret,))
    fil.start()

    def repond() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        attendre(repond, quoi="le serveur")
        yield port
    finally:
        arret.set()
        fil.join()


@pytest.mark.timeout(600)
def test_mille_connexions_lentes_n_arretent_ni_les_paiements_ni_la_banque(service: Service) -> None:  # noqa: F811
    doux, dur = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(doux, min(dur, 3 * LENTES + 500)), dur))
    references = [service.avis(f"38117012{n:08d}F") for n in range(DEMANDES)]
    with ExitStack() as pile:
        port = pile.enter_context(_servi_pour_de_bon(service))
        service.client = pile.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        )
        for n in range(LENTES):
            prise = pile.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
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
