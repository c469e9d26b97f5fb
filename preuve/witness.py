"""A witness of our own (C2SP tlog-witness), for the demonstration and for whoever wants to be one: a process apart.

It keeps, in a file of its own, the last state that it cosigned of each log, and cosigns only what continues it. The
state is on the disk before the answer leaves. Run it where the log's operators are not: on their own machine it proves
only that the machine was not turned back.

    python -m preuve.witness --name temoin.example/un --key-file cle --state temoin.db --log ORIGIN=KEY --listen :7380
"""

import argparse
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.checkpoints import Checkpoint, is_size
from preuve.merkle import EMPTY_ROOT, verify_consistency
from preuve.notes import KeyType, NoteRefused, Signer, Verifier, read, split
from preuve.witness_protocol import PATH, REQUEST_MAX, SIZE_TYPE, Request

READ_WITHIN_S: Final = 5.0
"""How long who asks may take to send what it asks (seconds)."""

_TABLE: Final = "CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL)"
_SEEN: Final = "SELECT size, root FROM seen WHERE origin = ?"
_KEEP: Final = (
    "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root"
)


class Told(NamedTuple):
    """An answer."""

    status: int
    text: str
    type: str = "text/plain"


class Witness:
    """Cosigns what continues what it cosigned; may be asked by several threads at once."""

    def __init__(self, state: Path, signer: Signer, logs: Mapping[str, Sequence[bytes]]) -> None:
        """`logs`: the public keys of each log, by its origin; an epoch of it is the log `origin/epoch`."""
        self._signer = signer
        self._logs = logs
        self._one_at_a_time = threading.Lock()
        self._db = sqlite3.connect(state, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = EXTRA")  # The disk has it, its folder too, before COMMIT returns.
        self._db.execute(_TABLE)

    def add_checkpoint(self, body: bytes) -> Told:
        """Judge one request; what it cosigns is kept first."""
        try:
            request = Request.parse(body)
            text, _ = split(request.note)
            point = Checkpoint.parse(text)
        except NoteRefused as refused:
            return Told(400, str(refused))
        keys = self._logs.get(point.origin) or self._logs.get(point.origin.rpartition("/")[0])
        if keys is None:
            return Told(404, "unknown log")
        try:
            read(request.note, [Verifier(point.origin, KeyType.NOTE, key) for key in keys])
        except NoteRefused as refused:
            return Told(403, str(refused))
        if request.old > point.size:
            return Told(400, "old is beyond the checkpoint")
        with self._one_at_a_time:
            return self._cosign(request, point)

    def close(self) -> None:
        """Close its file."""
        self._db.close()

    def _cosign(self, request: Request, point: Checkpoint) -> Told:
        # IMMEDIATE: another process on the same file waits until this one has decided.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            size, root = self._db.execute(_SEEN, (point.origin,)).fetchone() or (0, EMPTY_ROOT)
            if request.old != size:
                return Told(409, f"{size}\n", SIZE_TYPE)
            if not verify_consistency(size, root, point.size, point.root, request.proof):
                return Told(422, "this does not continue what was cosigned")
            self._db.execute(_KEEP, (point.origin, point.size, point.root))
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        return Told(200, self._signer.line(point.text, int(time.time())))


def handler(witness: Witness) -> type[BaseHTTPRequestHandler]:
    """What answers over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_WITHIN_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != PATH:
                told = Told(404, "not here")
            elif not is_size(length) or int(length) > REQUEST_MAX:
                told = Told(413, "too long")
            else:
                told = witness.add_checkpoint(self.rfile.read(int(length)))
            content = told.text.encode()
            self.send_response(told.status)
            self.send_header("Content-Type", told.type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing: who asks says what it was answered."""

    return Handler


def arguments() -> argparse.ArgumentParser:
    """What it takes on its command line."""
    given = argparse.ArgumentParser(prog="python -m preuve.witness", description="A C2SP witness.")
    given.add_argument("--name", required=True, help="the witness's name, as a URL without its scheme")
    given.add_argument("--key-file", required=True, type=Path, help="its Ed25519 key, 32 bytes in hexadecimal")
    given.add_argument("--state", required=True, type=Path, help="its own file (SQLite), that no backup turns back")
    given.add_argument("--log", required=True, action="append", help="ORIGIN=HEX: a log, and its public key")
    given.add_argument("--listen", default="127.0.0.1:7380", help="host:port")
    return given


def main(words: Sequence[str] | None = None) -> None:
    """Serve until it is killed; it first prints its verifier key, and its address."""
    told = arguments().parse_args(words)
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told.key_file.read_text("utf-8")))
    signer = Signer(told.name, KeyType.COSIGNATURE, private)
    logs: dict[str, list[bytes]] = {}
    for origin, _, key in (log.rpartition("=") for log in told.log):
        logs.setdefault(origin, []).append(bytes.fromhex(key))
    host, _, port = told.listen.rpartition(":")
    with closing(Witness(told.state, signer, logs)) as witness:
        server = ThreadingHTTPServer((host, int(port)), handler(witness))
        sys.stdout.write(f"{signer.verifier}\nhttp://{host}:{server.server_port}\n")
        sys.stdout.flush()
        with server:
            server.serve_forever()


if __name__ == "__main__":
    main()
