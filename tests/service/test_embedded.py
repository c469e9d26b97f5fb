import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from service.embedded import (
    EmbeddedError,
    FolderInUseError,
    embedded_broker,
    embedded_postgres,
    embedded_stack,
    throwaway_folder,
)
from service.embedded.postgres import SOCKET_NAME, SOCKET_PATH_BYTES_MAX
from tests.outils import attendre

pytestmark = pytest.mark.lent

DEPART = """
import sys, time
from pathlib import Path
from service.embedded import embedded_stack
from service.logs import configure_logs
configure_logs("INFO", "json")  # stderr
with embedded_stack(Path(sys.argv[1])) as pile:
    print(*(s.process.pid for s in pile.servers), pile.owner_database_url, pile.kafka_bootstrap, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def dossier() -> Iterator[Path]:
    """Un dossier au nom court."""
    with throwaway_folder() as dossier:
        yield dossier


@contextmanager
def pere_tue(dossier: Path) -> Iterator[tuple[int, int, int, str]]:
    """Lance les serveurs depuis un autre processus, tué par SIGKILL à la fin du bloc ; donne les numéros et l'URL."""
    with subprocess.Popen([sys.executable, "-c", DEPART, str(dossier)], stdout=subprocess.PIPE, text=True) as pere:
        try:
            assert pere.stdout is not None
            postgres, courtier, url, _ = pere.stdout.readline().split()
            yield pere.pid, int(postgres), int(courtier), url
        finally:
            pere.kill()


def vivant(pid: int) -> bool:
    """Un processus existe, et n'est pas qu'un reste que son père n'a pas encore relevé."""
    try:
        etat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return etat != "Z"


def test_la_base_et_le_role_du_service_sont_prets_sans_privilege(dossier: Path) -> None:
    with embedded_stack(dossier) as pile:
        pile.ensure_running()
        with psycopg.connect(pile.database_url) as connexion:
            assert connexion.execute(
                "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, current_database()"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchone() == ("creances", False, False, False, "creances")
        with psycopg.connect(pile.owner_database_url) as connexion:
            superutilisateur = connexion.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            assert superutilisateur.fetchone() == (True,)
        hote, port = pile.kafka_bootstrap.split(":")
        assert hote == "127.0.0.1"
        assert int(port) > 0


def test_seul_son_utilisateur_peut_ouvrir_la_socket_de_postgresql(dossier: Path) -> None:
    with embedded_postgres(dossier) as postgres:
        assert (dossier / "postgres").stat().st_mode & 0o777 == 0o700
        assert (dossier / "postgres" / SOCKET_NAME).stat().st_mode & 0o777 == 0o700
        with psycopg.connect(postgres.owner_database_url) as connexion:
            assert connexion.execute("SHOW listen_addresses").fetchone() == ("",)


def test_les_donnees_restent_d_une_fois_a_l_autre_et_les_serveurs_s_arretent(dossier: Path) -> None:
    with embedded_stack(dossier) as pile:
        pids = [serveur.process.pid for serveur in pile.servers]
        with psycopg.connect(pile.owner_database_url) as connexion:
            connexion.execute("CREATE TABLE gardee AS SELECT 42 AS valeur")
    assert [pid for pid in pids if vivant(pid)] == []
    with embedded_postgres(dossier) as postgres, psycopg.connect(postgres.owner_database_url) as connexion:
        assert connexion.execute("SELECT valeur FROM gardee").fetchone() == (42,)


def test_les_serveurs_s_arretent_quand_leur_pere_est_tue_et_rien_de_valide_n_est_perdu(dossier: Path) -> None:
    with pere_tue(dossier) as (_, postgres, courtier, url), psycopg.connect(url) as connexion:
        connexion.execute("CREATE TABLE gardee AS SELECT 42 AS valeur")
    # Repartir aussitôt : le départ attend lui-même la fin des serveurs laissés.
    with embedded_postgres(dossier) as suivant, psycopg.connect(suivant.owner_database_url) as connexion:
        assert not vivant(postgres)
        assert connexion.execute("SELECT valeur FROM gardee").fetchone() == (42,)
    attendre(lambda: not vivant(courtier), quoi="la fin du courtier")


def test_tout_tue_d_un_coup_postgresql_reprend_meme_si_personne_n_a_releve_les_morts(dossier: Path) -> None:
    with pere_tue(dossier) as (pere, postgres, _, url):
        with psycopg.connect(url) as connexion:
            connexion.execute("CREATE TABLE gardee AS SELECT 42 AS valeur")
        os.kill(postgres, signal.SIGKILL)
        os.kill(pere, signal.SIGKILL)
        with embedded_postgres(dossier) as suivant, psycopg.connect(suivant.owner_database_url) as connexion:
            assert connexion.execute("SELECT valeur FROM gardee").fetchone() == (42,)


def test_un_reste_de_postmaster_dont_le_numero_a_ete_repris_n_empeche_pas_de_repartir(dossier: Path) -> None:
    with embedded_postgres(dossier):
        contenu = (dossier / "postgres" / "postmaster.pid").read_text()
    reste = contenu.splitlines()
    reste[0] = str(os.getpid())
    (dossier / "postgres" / "postmaster.pid").write_text("\n".join(reste) + "\n")
    with embedded_postgres(dossier) as postgres, psycopg.connect(postgres.database_url):
        pass


def test_un_second_utilisateur_du_dossier_est_refuse_clairement(dossier: Path) -> None:
    with embedded_postgres(dossier) as premier:
        with (
            pytest.raises(FolderInUseError, match=f"déjà utilisé par le processus {os.getpid()}"),
            embedded_stack(dossier),
        ):
            pytest.fail("deux serveurs sur un même dossier")
        ailleurs = subprocess.run(
            [sys.executable, "-c", DEPART, str(dossier)], capture_output=True, text=True, check=False, timeout=60
        )
        assert ailleurs.returncode == 1
        assert "FolderInUseError" in ailleurs.stderr
        psycopg.connect(premier.database_url).close()


def test_un_dossier_profond_a_sa_socket_dans_un_dossier_court(dossier: Path) -> None:
    profond = dossier / ("p" * 60) / ("q" * 60)
    with embedded_postgres(profond, throwaway=True) as postgres:
        hote = str(psycopg.conninfo.conninfo_to_dict(postgres.database_url)["host"])
        assert len(os.fsencode(f"{hote}/{SOCKET_NAME}")) <= SOCKET_PATH_BYTES_MAX
        psycopg.connect(postgres.database_url).close()
    assert not Path(hote).exists()


def test_un_dossier_au_nom_difficile_convient(dossier: Path) -> None:
    with embedded_postgres(dossier / 'été, "à" 100 % #1', throwaway=True) as postgres:
        psycopg.connect(postgres.database_url).close()


def test_un_courtier_qui_meurt_au_depart_dit_pourquoi(
    dossier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    casse = tmp_path / "tansu"
    casse.write_text("#!/bin/sh\necho 'plus de mémoire' >&2\nexit 3\n")
    casse.chmod(0o755)
    monkeypatch.setattr("service.embedded.broker.broker_binary", lambda: str(casse))
    with pytest.raises(EmbeddedError, match=r"(?s)code 3.*plus de mémoire"), embedded_broker(dossier):
        pytest.fail("un courtier mort passe pour vivant")


def test_un_serveur_mort_en_route_se_voit(dossier: Path) -> None:
    with embedded_broker(dossier) as courtier:
        courtier.server.process.kill()
        courtier.server.process.wait()
        with pytest.raises(EmbeddedError, match="Tansu s'est arrêté"):
            courtier.server.ensure_running()


@pytest.mark.skipif(os.geteuid() != 0, reason="n'a de sens que pour root")
def test_lance_par_root_postgresql_ne_tourne_pas_en_root(dossier: Path) -> None:
    with embedded_postgres(dossier) as postgres:
        assert Path(f"/proc/{postgres.server.process.pid}").stat().st_uid != 0
