"""The demonstration's witness: a process apart, with a key and a file of its own, that no restore turns back."""

import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.notes import KeyType, Signer
from service import composition
from service.embedded.child import Child
from service.settings import Settings, demo_witness_key
from service.settings.preuve import KEY_BYTES, Temoin

NAME: Final = "temoin.invalid/demonstration"


@contextmanager
def witness_of_demo(settings: Settings, port: int) -> Iterator[Temoin]:
    """Start it on this port, and say how it is reached; it ends with the block. Raises EmbeddedError."""
    kept = demo_witness_key(settings)
    folder = kept.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = folder / "cle"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(KEY_BYTES), "utf-8")
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key.read_text("utf-8")))
    public = str(Signer(NAME, KeyType.COSIGNATURE, private).verifier)
    kept.write_text(public, "utf-8")
    log = composition.sealing(settings)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "preuve.witness", "--name", NAME, "--key-file", str(key.absolute())]
    command += ["--state", str((folder / "etat.db").absolute()), "--listen", urlsplit(url).netloc]
    command += ["--log", f"{log.origin}={log.private.public_key().public_bytes_raw().hex()}"]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = Child.start(
        "Le témoin", command, folder / "temoin.log", death_signal=signal.SIGKILL, environment=environment
    )
    try:
        child.await_ready(partial(_listens, port))
        yield Temoin(cle=public, url=url)
    finally:
        child.stop((signal.SIGTERM, 5.0))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
