"""La ligne de commande, comme une personne la lance, sur les serveurs d'un banc."""

import subprocess

from service.settings import Settings
from tests import outils
from tests.outils import CREANCES, RACINE


def environnement(settings: Settings) -> dict[str, str]:
    """Les variables qui mènent un processus aux serveurs de ce banc."""
    reglages = settings.model_dump(
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
    return outils.environnement(**reglages)


def creances(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Lance une commande jusqu'à sa fin."""
    return subprocess.run(
        [*CREANCES, *arguments],
        capture_output=True,
        text=True,
        cwd=RACINE,
        env=environnement(settings),
        timeout=240,
        check=False,
    )
