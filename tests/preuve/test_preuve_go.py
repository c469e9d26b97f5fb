"""Une preuve de solde jugée par Go : `golang.org/x/mod/sumdb/tlog`, `sumdb/note` et `transparency-dev/formats`."""

import json
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve import verificateur
from preuve.notes import KeyType, Signer
from tests.preuve.juges import PREUVE, juge
from tests.preuve.test_preuve import Scelle, preuve, scelle

__all__ = ["preuve", "scelle"]

pytestmark = [pytest.mark.lent, pytest.mark.timeout(900)]  # Le premier construit le juge.

TEMOIN = Signer("temoin.example/un", KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
AUTRE = Signer("temoin.example/deux", KeyType.COSIGNATURE, Ed25519PrivateKey.from_private_bytes(b"u" * 32))


def dit(preuve: bytes, *cles: str) -> tuple[bool, str]:
    """Le verdict du juge, et sa raison."""
    fini = subprocess.run([juge(PREUVE), *cles], input=preuve, capture_output=True, check=False, timeout=60)
    return fini.returncode == 0 and fini.stdout == b"oui\n", fini.stderr.decode()


def vue(preuve: bytes) -> bytes:
    """La même, cosignée par un témoin."""
    lue = json.loads(preuve)
    lue["point"] += TEMOIN.line(lue["point"].rpartition("\n\n")[0] + "\n", 1_800_000_000)
    return verificateur.ecrire(lue)


def change(preuve: bytes, **champs: Any) -> bytes:
    lue = json.loads(preuve)
    lue["faits"][4] |= champs
    return verificateur.ecrire(lue)


def test_une_preuve_est_acceptee_par_d_autres_que_nous(scelle: Scelle, preuve: bytes) -> None:
    assert dit(preuve, scelle.cle) == (True, "")
    assert dit(vue(preuve), scelle.cle, str(TEMOIN.verifier)) == (True, "")


def test_une_preuve_fausse_est_refusee_par_d_autres_que_nous(scelle: Scelle, preuve: bytes) -> None:
    lue = json.loads(preuve)
    autre = lue["faits"][3]
    etrangere = Signer(scelle.cle.partition("+")[0], KeyType.NOTE, Ed25519PrivateKey.generate())
    for fausse in (
        change(preuve, sel=autre["sel"]),
        change(preuve, ligne=autre["ligne"]),
        change(preuve, feuille=autre["feuille"]),
        change(preuve, chemin=autre["chemin"][:-1]),
        change(preuve, chemin=[]),
        verificateur.ecrire(lue | {"faits": []}),
        verificateur.ecrire(lue | {"point": lue["point"].replace("\n30", "\n31", 1)}),
        b"{}",
    ):
        oui, raison = dit(fausse, scelle.cle)
        assert (oui, raison.startswith("non : ")) == (False, True), raison
    for cles in ((str(etrangere.verifier),), (scelle.cle, str(TEMOIN.verifier)), ()):
        assert not dit(preuve, *cles)[0]
    assert not dit(vue(preuve), scelle.cle, str(AUTRE.verifier))[0]
