"""Un grand rapport : sans que la mémoire grandisse avec lui ; ce qu'il prend est dit (`pytest -s`), non jugé.

`LIGNES_DE_RAPPORT=200000 pytest -s --timeout 0 tests/rapports/test_en_grand.py` : les chiffres de docs/argent.md.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.paiement import Fin
from tests.outils import RACINE, environnement
from tests.rapports.banc import JOUR, MARCHAND, Banc, banc, rapport

pytestmark = pytest.mark.lent

LIGNES = int(os.environ.get("LIGNES_DE_RAPPORT", "20000"))
OCTETS_MAX = 300 * 1024 * 1024
LOT = 5_000

# La commande, qui dit à la fin la mémoire qu'elle a tenue au plus.
COMMANDE = """
import sys
from service.cli import main
try:
    main()
finally:
    # Pas `ru_maxrss` : un processus y garde celle de qui l'a lancé.
    [au_plus] = [ligne.split()[1] for ligne in open("/proc/self/status") if ligne.startswith("VmHWM")]
    import os
    calcul_s = sum(os.times()[:2])
    sys.stderr.write(f"\\n{int(au_plus) * 1024} {calcul_s:.1f}")
"""


def _transaction(numero: int) -> str:
    return f"G{numero:07d}"


def _chez_nous(b: Banc) -> None:
    for debut in range(0, LIGNES, LOT):
        b.payer_tous(
            (_transaction(n), 16_00 + n % 3_000, Fin.ACCEPTE, MARCHAND, JOUR + timedelta(milliseconds=n % 10_000))
            for n in range(debut, min(debut + LOT, LIGNES))
            if n != 7
        )


def _rapport(chemin: Path) -> None:
    with chemin.open("w") as fichier:
        fichier.write("TITLE;TRANSACTIONS;20260602;TAB20_V1\nHEADER;merchantId;transactionReference;")
        fichier.write("transactionDateTime;amount;currencyCode;responseCode;authorisationId\n")
        for n in range(LIGNES):
            if n != 8:
                montant = 16_00 + n % 3_000
                ligne = (MARCHAND, _transaction(n), f"2026-06-01T12:{n % 60:02d}:{n // 60 % 60:02d}+02:00", montant)
                fichier.write(f"TRANSACTION;{';'.join(map(str, ligne))};978;00;{n % 1_000_000:06d}\n")
        fichier.write("END\n")


def _commande(base: Any, chemin: Path) -> tuple[int, Any, int]:
    """Rapproche ce fichier ; rend le code, ce qui est dit, et les octets tenus au plus."""
    debut = time.monotonic()
    fini = subprocess.run(
        [sys.executable, "-c", COMMANDE, "rapprocher", str(chemin), "--json", "--no-ask"],
        env=environnement(database_url=base.url), cwd=RACINE, capture_output=True, timeout=900, check=False,
    )  # fmt: skip
    secondes = time.monotonic() - debut
    dit = json.loads(fini.stdout)
    octets, calcul_s = fini.stderr.decode().splitlines()[-1].split()
    mo = int(octets) / 1024 / 1024
    print(f"{chemin.name} : {LIGNES} lignes en {secondes:.1f} s dont {calcul_s} s de calcul, {mo:.0f} Mo")  # noqa: T201  (pytest -s)
    return fini.returncode, dit, int(octets)


def test_un_grand_rapport_tient_dans_300_mo(base: Any, tmp_path: Path) -> None:
    with banc(base.url) as b:
        _chez_nous(b)
    chemin = tmp_path / "grand.csv"
    _rapport(chemin)
    code, dit, octets = _commande(base, chemin)
    trouves = {(ecart["genre"], ecart["transaction"]) for ecart in dit["ecarts"]}
    assert (code, trouves) == (1, {("manque_ici", _transaction(7)), ("manque_la_bas", _transaction(8))})
    assert dit["accordees"] == LIGNES - 2
    assert octets < OCTETS_MAX


def test_autant_d_ecarts_ouverts_n_alourdissent_ni_le_rapport_qui_les_ouvre_ni_le_suivant(
    base: Any, tmp_path: Path
) -> None:
    grand, suivant = tmp_path / "grand.csv", tmp_path / "suivant.csv"
    _rapport(grand)
    suivant.write_bytes(rapport([], genere="20260603"))
    code, dit, octets = _commande(base, grand)
    assert (code, dit["ouverts"], len(dit["ecarts"]), octets < OCTETS_MAX) == (1, LIGNES - 1, LIGNES - 1, True)
    code, dit, octets = _commande(base, suivant)
    assert (code, dit["ouverts"], dit["leves"], octets < OCTETS_MAX) == (0, 0, 0, True)
