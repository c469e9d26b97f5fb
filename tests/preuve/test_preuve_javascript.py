"""Le vérificateur des pages dit ce que dit celui de Python, mot pour mot : le même fichier, joué par Node."""

import base64
import json
import os
import random
import shutil
import subprocess
from typing import Any, Final

import pytest

from preuve import verificateur
from tests.outils import RACINE
from tests.preuve.test_preuve import FAUX, Scelle, preuve, scelle

__all__ = ["preuve", "scelle"]

BITS_RETOURNES: Final = 600
JUGER: Final = """
import { readFileSync } from "node:fs";
import { verifier } from %s;
const { cles, preuves } = JSON.parse(readFileSync(0, "utf-8"));
const dits = [];
for (const preuve of preuves) {
  const contenu = new Uint8Array(Buffer.from(preuve, "base64"));
  try { dits.push([true, await verifier(contenu, cles)]); }
  catch (cause) { dits.push([false, `${cause.constructor.name}: ${cause.message}`]); }
}
console.log(JSON.stringify(dits));
"""


def node() -> str:
    """Node 20 ou plus récent ; sans lui le test est passé, et échoue en CI."""
    trouve = shutil.which("node")
    if trouve is not None:
        version = subprocess.run([trouve, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.removeprefix("v").partition(".")[0]) >= 20:
            return trouve
    absent = "il manque Node 20 (Debian : apt-get install nodejs) : le vérificateur des pages n'est pas joué ici"
    if os.environ.get("CI"):
        pytest.fail(absent)
    pytest.skip(absent)


def juger(preuves: list[bytes], cles: list[str]) -> list[tuple[bool, str]]:
    """Ce que le vérificateur des pages dit de chacune."""
    module = json.dumps(str(RACINE / "api/socle/statique/preuve-verificateur.mjs"))
    demande = json.dumps({"cles": cles, "preuves": [base64.b64encode(une).decode() for une in preuves]})
    fini = subprocess.run(
        [node(), "--no-warnings", "--input-type=module", "--eval", JUGER % module],
        input=demande,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert fini.returncode == 0, fini.stderr
    return [(bool(oui), str(dit)) for oui, dit in json.loads(fini.stdout)]


def test_oui_dans_les_memes_mots(scelle: Scelle, preuve: bytes) -> None:
    assert juger([preuve], [scelle.cle]) == [(True, verificateur.verifier(preuve, [scelle.cle]))]


def test_ce_qui_est_faux_l_est_ici_aussi(scelle: Scelle, preuve: bytes) -> None:
    faux = [geste(preuve) for geste, _ in FAUX]
    dits = juger(faux, [scelle.cle])
    for (oui, dit), (_, attendu) in zip(dits, FAUX, strict=True):
        assert (oui, dit.startswith("PreuveFausse: ")) == (False, True), dit
        assert attendu in dit or "pas une preuve" in attendu, (dit, attendu)


def test_sans_la_cle_du_journal_ou_sous_celle_d_un_autre_c_est_non(preuve: bytes) -> None:
    autre = "un.autre/journal+00000000+AQ=="
    for cles in ([], [autre], ["rien"]):
        [(oui, _)] = juger([preuve], cles)
        assert not oui


def test_des_bits_retournes_ne_le_convainquent_pas(scelle: Scelle, preuve: bytes) -> None:
    hasard = random.Random(18)  # noqa: S311  a test's
    changees = []
    for bit in hasard.sample(range(8 * len(preuve)), BITS_RETOURNES):
        autre = bytearray(preuve)
        autre[bit // 8] ^= 1 << bit % 8
        changees.append(bytes(autre))
    assert [dit for oui, dit in juger(changees, [scelle.cle]) if oui] == []


def test_ce_qui_n_est_pas_pareil_en_javascript_l_est_pourtant(scelle: Scelle, preuve: bytes) -> None:
    """Les nombres, les textes et les objets n'y ont pas les mêmes pièges : chacun est refusé, ou dit la même chose."""
    lue: dict[str, Any] = json.loads(preuve)
    pieges = [
        preuve.replace(b'"version": 7', b'"version": 7.0'),
        preuve.replace(b'"version": 7', b'"version": 9007199254740993'),
        preuve.replace(b'"version": 7', b'"version": 1e400'),
        preuve.replace(b'"version": 7', b'"version": 8,\n "version": 7'),
        preuve.replace(b"{\n", b'{\n "__proto__": {},\n', 1),
        b"\xef\xbb\xbf" + preuve,
        preuve.decode().encode("utf-16"),
        verificateur.ecrire(lue | {"faits": [None]}),
        verificateur.ecrire(lue | {"faits": {"0": lue["faits"][0]}}),
        verificateur.ecrire(lue | {"point": None}),
        b"null\n",
        b"[]\n",
    ]
    assert [dit for oui, dit in juger(pieges, [scelle.cle]) if oui] == []
