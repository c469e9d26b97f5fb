"""La ligne de commande, comme une personne la lance, sur les serveurs d'un banc."""

import os
import subprocess
import sys
from pathlib import Path

from service.settings import Settings

RACINE = Path(__file__).resolve().parents[2]
CREANCES = [sys.executable, "-c", "from service.cli import main; main()"]


def environnement(settings: Settings) -> dict[str, str]:
    """Les variables qui mènent un processus aux serveurs de ce banc."""
    réglages = settings.model_dump(
        include={
            "database_url",
            "kafka_bootstrap",
            "topic_prefix",
            "batch_size",
            "kafka_metadata_max_age",
            "kafka_session_timeout",
            "kafka_max_poll_interval",
        },
        mode="json",
    )
    propre = {nom: valeur for nom, valeur in os.environ.items() if not nom.startswith("CREANCES_")}
    return propre | {f"CREANCES_{nom.upper()}": str(valeur) for nom, valeur in réglages.items()} | {
        "PYTHONPATH": str(RACINE)
    }  # fmt: skip


def creances(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Lance une commande jusqu'à sa fin."""
    return subprocess.run(
        [*CREANCES, *arguments],
        capture_output=True,
        text=True,
        cwd=RACINE,
        env=environnement(settings),
        timeout=60,
        check=False,
    )
