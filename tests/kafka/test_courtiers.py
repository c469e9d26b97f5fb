"""Les courtiers des tests eux-mêmes : ce qu'ils gardent, comment ils finissent, et ce qui leur manque."""

import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from service.embedded import throwaway_folder
from tests import courtiers
from tests.courtiers import Courtier, ce_qui_manque_pour_apache
from tests.outils import RACINE, attendre

pytestmark = pytest.mark.serveur  # Ses commandes démarrent les leurs.

DEPART = """
import sys, time
from pathlib import Path
from tests.courtiers import COURTIERS
with COURTIERS[sys.argv[1]](Path(sys.argv[2])) as courtier:
    print(courtier.serveur.process.pid, flush=True)
    time.sleep(600)
"""


def topics(courtier: Courtier) -> dict[str, object]:
    """L'identifiant de chaque topic."""
    with KafkaAdminClient(bootstrap_servers=courtier.bootstrap) as admin:
        return {dit["name"]: dit["topic_id"] for dit in admin.describe_topics()}


def test_tue_il_revient_sur_le_meme_port_avec_son_journal_s_il_en_garde_un(courtier_a_soi: Courtier) -> None:
    adresse = courtier_a_soi.bootstrap
    with KafkaAdminClient(bootstrap_servers=adresse) as admin:
        admin.create_topics({"t": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    avant = topics(courtier_a_soi)
    assert "t" in avant
    courtier_a_soi.tuer()
    courtier_a_soi.demarrer()
    assert courtier_a_soi.bootstrap == adresse
    assert topics(courtier_a_soi) == (avant if courtier_a_soi.garde_son_journal else {})


@pytest.mark.lent
@pytest.mark.kafka
def test_il_meurt_avec_qui_l_a_demarre(pytestconfig: pytest.Config) -> None:
    with (
        throwaway_folder() as dossier,
        subprocess.Popen(
            [sys.executable, "-c", DEPART, pytestconfig.getoption("--courtier"), str(dossier)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=RACINE,
        ) as pere,
    ):
        assert pere.stdout is not None
        pid = int(pere.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        pere.kill()
        attendre(lambda: not vivant(pid), quoi="la fin du courtier")


def vivant(pid: int) -> bool:
    """Un processus existe, et n'est pas qu'un reste que personne n'a encore relevé."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ce_qui_manque_a_apache_est_dit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setattr(courtiers, "JARS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "il faut Java 17 ou plus récent" in (ce_qui_manque_pour_apache() or "")
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    assert ce_qui_manque_pour_apache() == "il manque les jars d'Apache Kafka : make kafka"
    (tmp_path / ".fetched").touch()
    assert ce_qui_manque_pour_apache() is None
    java.unlink()
    assert "il manque Java 17" in (ce_qui_manque_pour_apache() or "")
