"""Une autorité d'horodatage pour les tests : `openssl ts -reply` derrière un petit serveur HTTP, sur cette machine."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from tests.serveurs import ecoute

REGLAGES: Final = """
[req]
distinguished_name = nom
prompt = no
[nom]
CN = {cn}
[racine]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
default_tsa = essai
[essai]
serial = {dossier}/numero
signer_cert = {dossier}/tsa.pem
signer_key = {dossier}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
[feuille]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass
class Autorite:
    """Son adresse, et ses racines."""

    url: str
    racines: Path
    muette: bool = False
    """Vrai : elle répond 503."""
    autre: bytes | None = None
    """Ce qu'elle répond à la place."""


def _openssl(dossier: Path, *mots: object) -> None:
    subprocess.run(["openssl", *map(str, mots)], cwd=dossier, check=True, capture_output=True)  # noqa: S607


def creer(dossier: Path, cn: str = "Autorite d'essai") -> None:
    """Une racine, et le certificat d'une autorité sous elle."""
    dossier.mkdir(parents=True, exist_ok=True)
    (dossier / "numero").write_text("01")
    (dossier / "reglages.cnf").write_text(REGLAGES.format(dossier=dossier, cn=cn))
    cle = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "reglages.cnf")
    _openssl(dossier, "req", "-x509", *cle, "-keyout", "racine.key", "-out", "racine.pem", "-extensions", "racine",
             "-days", "3650", "-subj", f"/CN={cn} racine")  # fmt: skip
    _openssl(dossier, "req", *cle, "-keyout", "tsa.key", "-out", "tsa.csr")
    _openssl(dossier, "x509", "-req", "-in", "tsa.csr", "-CA", "racine.pem", "-CAkey", "racine.key", "-CAcreateserial",
             "-out", "tsa.pem", "-days", "3650", "-extfile", "reglages.cnf", "-extensions", "feuille")  # fmt: skip


@contextmanager
def autorite(dossier: Path) -> Iterator[Autorite]:
    """L'autorité, servie sur un port libre."""
    creer(dossier)
    verrou = threading.Lock()

    class Reponse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            demande = self.rfile.read(int(self.headers["Content-Length"]))
            if ici.muette:
                self.send_error(503)
                return
            with verrou:
                (dossier / "demande.tsq").write_bytes(demande)
                _openssl(dossier, "ts", "-reply", "-queryfile", "demande.tsq", "-out", "reponse.tsr", "-config",
                         "reglages.cnf", "-section", "essai")  # fmt: skip
                corps = ici.autre or (dossier / "reponse.tsr").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(corps)))
            self.end_headers()
            self.wfile.write(corps)

        def log_message(self, *_: object) -> None:
            """Rien."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Reponse) as serveur:
        ici = Autorite(f"http://127.0.0.1:{serveur.server_address[1]}", dossier / "racine.pem")
        with ecoute(serveur):
            yield ici
