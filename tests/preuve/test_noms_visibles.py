"""Les noms que les réglages donnent au journal et aux témoins sont de ceux que les vérificateurs acceptent."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from preuve.notes import KeyType, Signer
from service.settings import Settings

CLE = Ed25519PrivateKey.from_private_bytes(b"n" * 32)


def temoin(nom: str) -> dict[str, Any]:
    return {"preuve_temoins": ({"cle": str(Signer(nom, KeyType.COSIGNATURE, CLE).verifier), "url": "https://un"},)}


@pytest.mark.parametrize("nom", ["journal.example\u200b", "journal\u202e.example", "journal\x7f.example", "j\ue000"])
def test_un_signe_qui_ne_se_voit_pas_est_refuse(nom: str) -> None:
    for reglages in ({"preuve_origin": nom}, temoin(nom)):
        with pytest.raises(ValidationError):
            Settings(_env_file=None, **reglages)


def test_un_nom_accentue_se_voit() -> None:
    for reglages in ({"preuve_origin": "journal.example/créances"}, temoin("témoin.example")):
        Settings(_env_file=None, **reglages)
