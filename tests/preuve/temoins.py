"""Des témoins en marche : le nôtre, et le `litewitness` de torchwood, que nous n'avons pas écrit."""

import hashlib
import os
import signal
import socket
import socketserver
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.notes import KeyType, Signer, Verifier
from tests.courtiers import port_libre
from tests.outils import RACINE, attendre
from tests.preuve.juges import LITEWITNESS, juge
from tests.serveurs import ecoute

CLE_DU_TEMOIN: Final = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
NOM: Final = "temoin.example/un"
DEMARRER_S: Final = 60.0
CONSTRUIRE_S: Final = 540.0
"""Il porte un SQLite entier, traduit en Go : deux minutes de processeur, la première fois."""


class TemoinEnMarche:
    """Un témoin dans son processus, que l'on tue et relance sur le même état."""

    def __init__(self, lancer: Callable[[int], Sequence[str]], verifieur: Verifier) -> None:
        """`lancer` : sa commande, d'après son port."""
        self.verifieur = verifieur
        self._port = port_libre()
        self._commande = list(lancer(self._port))
        self._processus: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def demarrer(self) -> None:
        lance = subprocess.Popen(
            self._commande, cwd=RACINE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        self._processus = lance

        def ecoute() -> bool:
            assert lance.poll() is None, (lance.stderr.read() if lance.stderr else b"").decode()
            with socket.socket() as essai:
                essai.settimeout(1)
                return essai.connect_ex(("127.0.0.1", self._port)) == 0

        attendre(ecoute, secondes=DEMARRER_S, quoi="le témoin écoute")

    def tuer(self) -> None:
        """SIGKILL : rien de ce qu'il n'a pas mis sur le disque ne reste."""
        if self._processus is not None:
            os.killpg(self._processus.pid, signal.SIGKILL)
            self._processus.communicate()
            self._processus = None


@contextmanager
def notre_temoin(dossier: Path, origine: str, publique: bytes) -> Iterator[TemoinEnMarche]:
    """Le nôtre, qui connaît ce journal et toutes ses époques."""
    (dossier / "cle").write_text(CLE_DU_TEMOIN.private_bytes_raw().hex())
    commande = [sys.executable, "-m", "preuve.witness", "--name", NOM, "--key-file", str(dossier / "cle")]
    commande += ["--state", str(dossier / "etat.db"), "--log", f"{origine}={publique.hex()}", "--listen"]
    temoin = TemoinEnMarche(
        lambda port: [*commande, f"127.0.0.1:{port}"], Signer(NOM, KeyType.COSIGNATURE, CLE_DU_TEMOIN).verifier
    )
    temoin.demarrer()
    try:
        yield temoin
    finally:
        temoin.tuer()


# --- litewitness -----------------------------------------------------------------------------------------------------

_TABLES: Final = """
CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));
"""
_ARBRE_VIDE: Final = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@contextmanager
def litewitness(dossier: Path, journaux: Sequence[Verifier]) -> Iterator[TemoinEnMarche]:
    """Celui de torchwood ; comme son exploitant le ferait, on lui dit chaque journal et sa clé."""
    programme = juge(LITEWITNESS, CONSTRUIRE_S)
    with closing(sqlite3.connect(dossier / "litewitness.db")) as etat:
        etat.executescript(_TABLES)
        for journal in journaux:
            etat.execute("INSERT INTO log VALUES (?, 0, ?)", (journal.name, _ARBRE_VIDE))
            etat.execute("INSERT INTO key VALUES (?, ?)", (journal.name, str(journal)))
        etat.commit()
    publique = CLE_DU_TEMOIN.public_key().public_bytes_raw()
    agent = dossier / "agent"
    commande = [programme, "-db", str(dossier / "litewitness.db"), "-name", NOM, "-ssh-agent", str(agent)]
    commande += ["-key", hashlib.sha256(publique).hexdigest(), "-listen"]
    with _agent(agent):
        temoin = TemoinEnMarche(
            lambda port: [*commande, f"127.0.0.1:{port}"], Signer(NOM, KeyType.COSIGNATURE, CLE_DU_TEMOIN).verifier
        )
        temoin.demarrer()
        try:
            yield temoin
        finally:
            temoin.tuer()


@contextmanager
def _agent(adresse: Path) -> Iterator[None]:
    """Un agent ssh qui tient la seule clé du témoin : litewitness n'en lit pas ailleurs."""

    def mot(contenu: bytes) -> bytes:
        return struct.pack(">I", len(contenu)) + contenu

    publique = mot(b"ssh-ed25519") + mot(CLE_DU_TEMOIN.public_key().public_bytes_raw())

    class Agent(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while entete := self.rfile.read(4):
                demande = self.rfile.read(int.from_bytes(entete, "big"))
                self.wfile.write(mot(self._repondre(demande)))

        def _repondre(self, demande: bytes) -> bytes:
            if demande[0] == 11:  # Les clés que tu as ?
                return b"\x0c" + struct.pack(">I", 1) + mot(publique) + mot(b"temoin")
            if demande[0] == 13:  # Signe.
                apres_la_cle = 5 + int.from_bytes(demande[1:5], "big")
                longueur = int.from_bytes(demande[apres_la_cle : apres_la_cle + 4], "big")
                contenu = demande[apres_la_cle + 4 : apres_la_cle + 4 + longueur]
                return b"\x0e" + mot(mot(b"ssh-ed25519") + mot(CLE_DU_TEMOIN.sign(contenu)))
            return b"\x05"

    with socketserver.ThreadingUnixStreamServer(str(adresse), Agent) as agent:
        agent.daemon_threads = True
        with ecoute(agent):
            yield
