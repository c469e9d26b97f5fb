"""La question posée à la banque au retour d'un paiement : elle peut se taire sans arrêter personne."""

import socket
import socketserver
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api import relance_au_retour
from api.application import creer_api
from api.socle.dependances import FILS_DE_LA_BANQUE
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from tests.api.conftest import KIOSQUE, MARCHAND, Service, notification
from tests.outils import attendre
from tests.serveurs import ecoute, servi

RETOURS = 44
"""Plus que le service n'a de fils communs."""

DELAI_S = 20.0


def test_une_banque_muette_ne_tient_pas_les_fils_des_paiements(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elle se tait à la question quand sa réponse tarde : les deux vont ensemble, et tous les retours avec."""
    monkeypatch.setattr(relance_au_retour, "LAISSE_S", 0.0)
    references = [service.avis(f"38117012{n:08d}F") for n in range(RETOURS + 1)]
    transactions = [
        service.payer(reference, montant=20_00, cle=f"k-{reference}").json()["transaction"]
        for reference in references[:RETOURS]
    ]
    tenues: list[socket.socket] = []

    class Muette(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            tenues.append(self.request)
            while self.request.recv(4096):
                pass

    with ExitStack() as pile:
        banque = pile.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Muette))
        pile.enter_context(ecoute(banque))
        office = f"http://127.0.0.1:{banque.server_address[1]}"
        reglages = ReglagesSips(url=KIOSQUE, office=office, marchands={"": MARCHAND}, delai_s=2 * DELAI_S)
        guichet = replace(service.guichet, kiosque=pile.enter_context(Sips(reglages)))
        application = creer_api(replace(service.dependances_api, guichet=guichet, metriques=CollectorRegistry()))
        url = pile.enter_context(servi(application))
        service.client = pile.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60))
        for transaction in transactions:
            assert service.client.post("/kiosque/retour", data=notification(transaction, 20_00)).status_code == 303
        attendre(lambda: len(tenues) >= FILS_DE_LA_BANQUE, quoi="des questions sans réponse")
        debut = time.monotonic()
        assert service.payer(references[RETOURS], montant=20_00, cle="k-apres").status_code == 201
        assert time.monotonic() - debut < DELAI_S / 2  # Bien avant que la première question ne renonce.
        assert len(tenues) == FILS_DE_LA_BANQUE
        for tenue in tenues:
            with suppress(OSError):
                tenue.shutdown(socket.SHUT_RDWR)
