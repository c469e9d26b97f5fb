"""Ce qu'une commande dit reste lisible et exact où qu'elle tourne : un vieux terminal, un port pris."""

import os
import socket
import subprocess
import sys

import pytest

from service.demo.stack import _port
from service.embedded import EmbeddedError
from tests.outils import RACINE

DEUX_COMMANDES = """
import contextlib, sys
from service.cli import main
for arguments in (["settings", "--json"], ["check"]):
    sys.argv[1:] = arguments
    print("----", *arguments, flush=True)
    with contextlib.suppress(SystemExit):
        main()
    sys.stdout.flush()
"""
"""Importer le service prend dix fois ce qu'elles prennent : elles le partagent."""


@pytest.mark.parametrize("encodage", ["latin-1", "ascii"])
def test_une_commande_survit_a_un_terminal_qui_ne_sait_pas_tout_ecrire(encodage: str) -> None:
    entourage = os.environ | {"PYTHONIOENCODING": encodage, "PYTHONUTF8": "0", "LC_ALL": "C"}
    entourage = {nom: valeur for nom, valeur in entourage.items() if not nom.startswith("CREANCES_")}
    commande = [sys.executable, "-c", DEUX_COMMANDES]
    fini = subprocess.run(commande, env=entourage, cwd=RACINE, capture_output=True, timeout=240, check=False)
    dit = fini.stdout.decode(encodage) + fini.stderr.decode(encodage)
    assert fini.returncode == 0, dit
    assert dit.count("----") == 2
    assert "Traceback" not in dit
    assert "UnicodeEncodeError" not in dit
    assert len(dit) > 200


def test_un_port_pris_est_dit_et_n_est_pas_remplace_en_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as pris:
        port = pris.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"Le port {port} ne peut être pris"):
            _port(port)
