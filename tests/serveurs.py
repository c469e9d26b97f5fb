"""Servir pour de bon, sur un port libre de la boucle locale : une application ASGI, ou un serveur de `socketserver`."""

import asyncio
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn

from tests.outils import attendre


@contextmanager
def ecoute(serveur: socketserver.BaseServer) -> Iterator[None]:
    """Il sert, le temps du bloc. Ce qu'il tient est fermé par qui l'a ouvert."""
    # Il ne regarde s'il doit s'arrêter que toutes les demi-secondes, si on ne lui dit rien.
    fil = threading.Thread(target=serveur.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    fil.start()
    try:
        yield
    finally:
        serveur.shutdown()
        fil.join(60)


class _Serveur(uvicorn.Server):
    """Celui d'uvicorn, qui s'arrête dès qu'on le lui dit et non au prochain dixième de seconde."""

    reveiller: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        fin = asyncio.Event()
        self.reveiller = partial(asyncio.get_running_loop().call_soon_threadsafe, fin.set)
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(fin.wait(), timeout=1.0)  # Sa seconde : l'heure de ses en-têtes.

    def arreter(self) -> None:
        self.should_exit = True  # D'abord : sa boucle, si elle ne fait que commencer, le voit d'elle-même.
        if self.reveiller is not None:
            self.reveiller()


@contextmanager
def servi(application: Any) -> Iterator[str]:
    """Son URL, le temps du bloc."""
    with servies(application) as (url,):
        yield url


@contextmanager
def servies(*applications: Any) -> Iterator[tuple[str, ...]]:
    """L'URL de chacune, le temps du bloc ; elles s'arrêtent ensemble, car chacune y met un dixième de seconde."""
    with ExitStack() as prises:
        servis = [_demarrer(application, prises) for application in applications]
        try:
            attendre(lambda: all(serveur.started for _, serveur, _ in servis), quoi="uvicorn démarré")
            yield tuple(url for url, _, _ in servis)
        finally:
            for _, serveur, _ in servis:
                serveur.arreter()
            for _, _, fil in servis:
                fil.join(timeout=60)  # Les gabarits se compilent encore, peut-être, sur une machine occupée.
                assert not fil.is_alive()


def _demarrer(application: Any, prises: ExitStack) -> tuple[str, _Serveur, threading.Thread]:
    # Le protocole est nommé : sans lui, asyncio ne pose pas TCP_NODELAY, et chaque réponse attend 40 ms un accusé.
    prise = prises.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
    prise.bind(("127.0.0.1", 0))
    # Une connexion gardée l'est plus longtemps qu'une machine occupée ne se tait : fermée d'ici, elle le serait au
    # moment même où le client la reprend. L'arrêt ferme celles qui ne font rien.
    configuration = uvicorn.Config(
        application, log_config=None, ws="none", timeout_keep_alive=60, timeout_graceful_shutdown=2
    )
    serveur = _Serveur(configuration)
    fil = threading.Thread(target=serveur.run, kwargs={"sockets": [prise]}, daemon=True)
    fil.start()
    return f"http://127.0.0.1:{prise.getsockname()[1]}", serveur, fil


@contextmanager
def goutte_a_goutte(debut: bytes, *, pause_s: float = 0.02) -> Iterator[int]:
    """Le port d'un serveur qui accepte, et envoie un octet de temps à autre, sans jamais finir."""
    arret = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as ecoutee:

        def servir() -> None:
            while not arret.is_set():
                try:
                    prise, _ = ecoutee.accept()
                except OSError:
                    return
                threading.Thread(target=egrener, args=(prise,), daemon=True).start()

        def egrener(prise: socket.socket) -> None:
            with prise:
                for octet in debut + b"a" * 10_000:
                    if arret.wait(pause_s):
                        return
                    try:
                        prise.sendall(bytes([octet]))
                    except OSError:
                        return

        fil = threading.Thread(target=servir, daemon=True)
        fil.start()
        try:
            yield ecoutee.getsockname()[1]
        finally:
            arret.set()
            ecoutee.shutdown(socket.SHUT_RDWR)
            fil.join(10)
