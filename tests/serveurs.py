"""Une application ASGI servie pour de bon, sur un port libre de la boucle locale."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.outils import attendre


@contextmanager
def servi(application: Any) -> Iterator[str]:
    """Son URL, le temps du bloc."""
    # Le protocole est nommé : sans lui, asyncio ne pose pas TCP_NODELAY, et chaque réponse attend 40 ms un accusé.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as prise:
        prise.bind(("127.0.0.1", 0))
        # Une connexion gardée l'est plus longtemps qu'une machine occupée ne se tait : fermée d'ici, elle le serait au
        # moment même où le client la reprend. L'arrêt ferme celles qui ne font rien.
        configuration = uvicorn.Config(
            application, log_config=None, ws="none", timeout_keep_alive=60, timeout_graceful_shutdown=2
        )
        serveur = uvicorn.Server(configuration)
        fil = threading.Thread(target=serveur.run, kwargs={"sockets": [prise]}, daemon=True)
        fil.start()
        attendre(lambda: serveur.started, quoi="uvicorn démarré")
        try:
            yield f"http://127.0.0.1:{prise.getsockname()[1]}"
        finally:
            serveur.should_exit = True
            fil.join(timeout=60)  # Les gabarits se compilent encore, peut-être, sur une machine occupée.
            assert not fil.is_alive()
