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
        self._ecoute: socket.socket | None = None

    def retablir(self) -> None:
        """Tout passe de nouveau."""
        self._passe.set()
        if self._ecoute is None:
            self._ecoute = socket.create_server(("127.0.0.1", self.port), backlog=64)
            threading.Thread(target=self._accueillir, args=(self._ecoute,), daemon=True).start()

    def couper(self) -> None:
        """Raccroche toutes les connexions, et refuse les nouvelles."""
        ecoute, self._ecoute = self._ecoute, None
        if ecoute is not None:
            with suppress(OSError):  # Réveille l'accueil, que fermer la prise ne réveille pas.
                ecoute.shutdown(socket.SHUT_RDWR)
            ecoute.close()
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
        self.retablir()
        return self

    def __exit__(self, *_: object) -> None:
        self.couper()
        self._passe.set()

    def _accueillir(self, ecoute: socket.socket) -> None:
        while True:
            try:
                client, _ = ecoute.accept()
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
            for d_ou, ou in ((client, serveur), (serveur, client)):
                threading.Thread(target=self._relayer, args=(d_ou, ou), daemon=True).start()

    def _relayer(self, d_ou: socket.socket, ou: socket.socket) -> None:
        with suppress(OSError):
            while octets := d_ou.recv(65536):
                self._passe.wait()
                ou.sendall(octets)
        for prise in (d_ou, ou):
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
    hote = parse_qs(parties.query).get("host", [parties.hostname or "127.0.0.1"])[0]
    port = parties.port or 5432
    return (socket.AF_UNIX, f"{hote}/.s.PGSQL.{port}") if hote.startswith("/") else (socket.AF_INET, (hote, port))


def par_le_relais(url: str, relais: Relais) -> str:
    """La même base, par ce relais."""
    parties = urlsplit(url)
    identite = f"{parties.username}:{parties.password}" if parties.password else parties.username
    base = parties.path.lstrip("/")
    return f"postgresql://{identite}@127.0.0.1:{relais.port}/{base}?sslmode=disable&gssencmode=disable"
