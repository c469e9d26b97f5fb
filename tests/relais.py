"""Un relais devant un vrai serveur, PostgreSQL ou Kafka : ce qu'un réseau fait de pire, sans arrêter le serveur."""

import socket
import threading
from contextlib import suppress
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.courtiers import port_libre


class Relais:
    """Relaie 127.0.0.1:port vers un serveur ; on le coupe, on le fait taire, on le rétablit."""

    def __init__(self, vers: tuple[int, Any] | None = None) -> None:
        """`vers` : famille et adresse du serveur, données plus tard au besoin. Rien n'écoute encore."""
        self.vers = vers
        self.port = port_libre()
        self._passe = threading.Event()
        self._passe.set()
        self._verrou = threading.Lock()
        self._ouvertes: set[socket.socket] = set()
        self._écoute: socket.socket | None = None

    def rétablir(self) -> None:
        """Tout passe de nouveau."""
        self._passe.set()
        if self._écoute is None:
            self._écoute = socket.create_server(("127.0.0.1", self.port), backlog=64)
            threading.Thread(target=self._accueillir, args=(self._écoute,), daemon=True).start()

    def couper(self) -> None:
        """Raccroche toutes les connexions, et refuse les nouvelles."""
        écoute, self._écoute = self._écoute, None
        if écoute is not None:
            with suppress(OSError):  # Réveille l'accueil, que fermer la prise ne réveille pas.
                écoute.shutdown(socket.SHUT_RDWR)
            écoute.close()
        self.raccrocher()

    def raccrocher(self) -> None:
        """Raccroche les connexions ouvertes ; les nouvelles passent."""
        with self._verrou:
            ouvertes, self._ouvertes = self._ouvertes, set()
        for prise in ouvertes:
            _fermer(prise)

    def faire_taire(self) -> None:
        """Plus rien ne passe, et personne ne raccroche : le pire, puisque seul un délai s'en aperçoit."""
        self._passe.clear()

    def __enter__(self) -> Self:
        self.rétablir()
        return self

    def __exit__(self, *_: object) -> None:
        self.couper()
        self._passe.set()

    def _accueillir(self, écoute: socket.socket) -> None:
        while True:
            try:
                client, _ = écoute.accept()
            except OSError:
                return
            assert self.vers is not None, "un relais sans serveur"
            famille, adresse = self.vers
            serveur = socket.socket(famille)
            try:
                serveur.connect(adresse)
            except OSError:
                _fermer(client)
                serveur.close()
                continue
            with self._verrou:
                self._ouvertes |= {client, serveur}
            for d_où, où in ((client, serveur), (serveur, client)):
                threading.Thread(target=self._relayer, args=(d_où, où), daemon=True).start()

    def _relayer(self, d_où: socket.socket, où: socket.socket) -> None:
        with suppress(OSError):
            while octets := d_où.recv(65536):
                self._passe.wait()
                où.sendall(octets)
        for prise in (d_où, où):
            _fermer(prise)
            with self._verrou:
                self._ouvertes.discard(prise)


def _fermer(prise: socket.socket) -> None:
    with suppress(OSError):  # L'autre bout a pu raccrocher avant.
        prise.shutdown(socket.SHUT_RDWR)
    prise.close()


def serveur_postgresql(url: str) -> tuple[int, Any]:
    """Où joindre ce PostgreSQL, pour un relais."""
    parties = urlsplit(url)
    hôte = parse_qs(parties.query).get("host", [parties.hostname or "127.0.0.1"])[0]
    port = parties.port or 5432
    return (socket.AF_UNIX, f"{hôte}/.s.PGSQL.{port}") if hôte.startswith("/") else (socket.AF_INET, (hôte, port))


def par_le_relais(url: str, relais: Relais) -> str:
    """La même base, par ce relais."""
    parties = urlsplit(url)
    identité = f"{parties.username}:{parties.password}" if parties.password else parties.username
    base = parties.path.lstrip("/")
    return f"postgresql://{identité}@127.0.0.1:{relais.port}/{base}?sslmode=disable&gssencmode=disable"
