"""Qui l'on croit : un journal d'une autre origine n'a pas de clé ici, quoi qu'il dise de lui-même."""

import json
from pathlib import Path

import pytest

from preuve import verificateur
from preuve.notes import KeyType, Signer
from preuve.trust import Trusted
from tests.outils import RACINE, commande
from tests.preuve.test_sceau import PUBLIQUE, SCEAU

EXEMPLE = (RACINE / "docs/preuve-exemple.json").read_bytes()
TEMOIN = Signer("temoin.example/un", KeyType.COSIGNATURE, SCEAU.private).verifier


def preuve_de(origine: object) -> bytes:
    """L'exemple de la page, sous une autre origine."""
    lue = json.loads(EXEMPLE)
    point = lue["point"]
    lue["point"] = origine if not isinstance(origine, str) else point.replace(point.partition("\n")[0], origine)
    return verificateur.ecrire(lue)


def test_notre_origine_a_nos_cles_d_hier_et_d_aujourd_hui_et_nos_temoins() -> None:
    connus = Trusted(SCEAU.origin, (PUBLIQUE, b"h" * 32), [TEMOIN])
    nom = f"{SCEAU.origin}/20260101T000000Z"
    cles = connus.vkeys(preuve_de(nom))
    assert [cle.partition("+")[0] for cle in cles] == [nom, nom, TEMOIN.name]


@pytest.mark.parametrize(
    "autre",
    [
        preuve_de("ailleurs.example/journal/20260101T000000Z"),
        preuve_de(SCEAU.origin),  # Sans époque : ce n'est pas un de nos journaux.
        preuve_de(f"{SCEAU.origin}bis/20260101T000000Z"),
        preuve_de(f"https://{SCEAU.origin}/20260101T000000Z"),
        preuve_de(f"{SCEAU.origin}/20260101T000000Z+00000000"),
        preuve_de(None),
        b"[]\n",
        b"{}\n",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_une_autre_origine_et_ce_qui_n_est_pas_une_preuve_n_ont_pas_de_cle(autre: bytes, tmp_path: Path) -> None:
    cles = Trusted(SCEAU.origin, (PUBLIQUE,), [TEMOIN]).vkeys(autre)
    assert cles == []
    with pytest.raises(verificateur.PreuveFausse):
        verificateur.verifier(autre, cles)
    fichier = tmp_path / "preuve.json"
    fichier.write_bytes(autre)
    dite = commande("verify", fichier, preuve_origin=SCEAU.origin, preuve_public_key=PUBLIQUE.hex())
    assert (dite.returncode, dite.stderr.startswith("Non : ")) == (1, True), dite.stdout + dite.stderr


def test_la_preuve_de_l_exemple_n_est_pas_signee_de_la_cle_d_un_autre_journal(tmp_path: Path) -> None:
    """Même origine, même époque, une autre clé : le point d'un autre n'est pas cru pour un nom."""
    fichier = tmp_path / "preuve.json"
    fichier.write_bytes(EXEMPLE)
    dite = commande("verify", fichier, preuve_origin="creances.example/essai", preuve_public_key="0b" * 32)
    assert (dite.returncode, "dont la clé n'est pas donnée" in dite.stderr) == (1, True), dite.stdout + dite.stderr
