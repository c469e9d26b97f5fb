"""L'audit d'un grand journal, dans un processus à lui : net, en peu de temps et de mémoire."""

import json
import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from tests.audit.grand import remplir

PAIEMENTS = int(os.environ.get("AUDIT_PAIEMENTS", "5000"))
"""Six événements chacun ; 333 334 donnent les deux millions des mesures."""

MEMOIRE_MAX_MO = 300
UNE_FOIS = """
import json, re, sys, time
from pathlib import Path
import psycopg
from datetime import datetime, UTC
from projections.audit import auditer
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    depart, processeur = time.monotonic(), time.process_time()
    rapport = auditer(conn, maintenant=datetime(2026, 6, 2, tzinfo=UTC))
    print(json.dumps({
        "secondes": time.monotonic() - depart, "processeur": time.process_time() - processeur,
        # Et non `ru_maxrss`, qui compte aussi ce que tenait le processus qui a lancé celui-ci.
        "mo": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
        "evenements": rapport.evenements,
        "ecarts": rapport.ecarts[:5], "non_controles": rapport.non_controles,
        "totaux": rapport.totaux.en_json(),
    }))
"""


@pytest.mark.timeout(3600)
def test_un_grand_journal_s_audite_net_en_memoire_bornee(base: Any) -> None:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        evenements = remplir(proprietaire, PAIEMENTS)
    fini = subprocess.run([sys.executable, "-c", UNE_FOIS, base.url], capture_output=True, text=True, check=True)
    mesure = json.loads(fini.stdout)
    sys.stderr.write(f"{mesure}\n")
    assert (mesure["ecarts"], mesure["non_controles"], mesure["evenements"]) == ([], [], evenements)
    assert mesure["totaux"]["preleve_par_la_banque"] == 2000 * PAIEMENTS
    assert mesure["mo"] < MEMOIRE_MAX_MO
