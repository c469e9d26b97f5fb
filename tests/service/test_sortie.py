"""Ce qu'une commande dit reste lisible et exact où qu'elle tourne : un vieux terminal, un port pris."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from domain.delai import PARIS
from domain.geste import Geste
from domain.monnaie import euros
from service.cli import anomaly_tables, tables
from service.cli.application import _of_running_demo
from service.demo.stack import _port
from service.embedded import EmbeddedError
from service.settings import Settings
from service.terminal import DataConsole
from tests.outils import RACINE, commande

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
    fini = subprocess.run(
        [sys.executable, "-c", DEUX_COMMANDES], env=entourage, cwd=RACINE, capture_output=True, timeout=240, check=False
    )
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


def test_sans_courtier_les_topics_le_disent_en_une_phrase(tmp_path: Path) -> None:
    dit = commande("topics", "--verify", "--json", "--data-dir", str(tmp_path))
    assert (dit.returncode, dit.stdout) == (2, "")
    assert "Aucun courtier : donnez CREANCES_KAFKA_BOOTSTRAP" in dit.stderr


def test_ce_qui_consulte_une_demonstration_parle_a_sa_banque(tmp_path: Path) -> None:
    ou = {"database_url": "postgresql:///x", "owner_database_url": "postgresql:///x", "kafka_bootstrap": "127.0.0.1:1"}
    ou |= {"api_url": "http://127.0.0.1:2", "kiosque_url": "http://127.0.0.1:3"}
    (tmp_path / "stack.json").write_text(json.dumps(ou), "utf-8")
    lus = _of_running_demo(Settings(_env_file=None), tmp_path)
    assert (lus.kiosque_url, lus.public_url) == ("http://127.0.0.1:3", "http://127.0.0.1:2")


def test_sur_un_terminal_etroit_rien_n_est_coupe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Une histoire avec un trop-perçu, et la liste des anomalies, en quatre-vingts colonnes."""
    maintenant = datetime.now(UTC)
    etroit = DataConsole(width=80)
    for module in (tables, anomaly_tables):
        monkeypatch.setattr(module, "console", etroit)
    etape = SimpleNamespace(
        version=12,
        type="PaiementContrepassé",
        enregistre_le=maintenant,
        survenu_le=maintenant - timedelta(hours=3),
        restant_du=876_54,
        en_cours=20_00,
        trop_percu=12_00,
        cause="kafka:creances.kiosque.notifications/2@12345",
    )
    etroit.print(tables.history_table([cast("Any", etape)]))
    dit = capsys.readouterr().out
    assert "…" not in dit
    a_l_heure = f"{maintenant.astimezone(PARIS):%H:%M:%S}"
    assert {"PaiementContrepassé", "876,54", "20,00", "12,00", a_l_heure} <= set(dit.split())
    ligne = SimpleNamespace(
        id="trop_percu-3812601500000059C",
        genre="trop_percu",
        etat="ouverte",
        montant=12_00,
        depuis=maintenant,
        cause="La créance a reçu 12,00 € de trop : ils sont à rendre.",
        reference="3812601500000059C",
        transaction="PCLCB263310000001",
        caisse="381",
        assure="a-7c1e",
        gestes=(Geste.REMBOURSER, Geste.FAUSSE_ALERTE),
    )
    anomaly_tables.tell_list([cast("Any", ligne)], as_json=False)
    dit = capsys.readouterr().out
    assert f"trop_percu-3812601500000059C : trop_percu, ouverte, {euros(12_00)}" in dit
    assert ligne.cause in dit
    assert "créance 3812601500000059C, paiement PCLCB263310000001, caisse 381, assuré a-7c1e" in dit
    assert "gestes : rembourser, fausse_alerte" in dit
