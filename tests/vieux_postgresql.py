"""Le plus ancien PostgreSQL que nous servons (15, celui de Debian 12), pour ce qui en dépend."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from service.embedded.child import Child
from service.embedded.system_user import user_for

BINAIRES: Final = Path("/usr/lib/postgresql/15/bin")


def ce_qui_manque() -> str | None:
    """Ce qu'il faut installer ; None si rien ne manque."""
    return None if (BINAIRES / "postgres").exists() else "il manque PostgreSQL 15 (Debian : postgresql-15)"


@contextmanager
def vieux_postgresql(dossier: Path) -> Iterator[str]:
    """Un PostgreSQL 15 sur ce dossier, et l'URL de son propriétaire."""
    donnees = dossier / "pg15"
    donnees.mkdir(mode=0o700)
    utilisateur = user_for(donnees, BINAIRES)
    if utilisateur[0]:
        shutil.chown(donnees, *utilisateur)
    journal, env = dossier / "pg15.log", {"LC_ALL": "C"}
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(donnees)]
    initdb = Child.start(
        "initdb",
        [str(BINAIRES / "initdb"), *options],
        journal,
        death_signal=signal.SIGKILL,
        user=utilisateur,
        environment=env,
    )
    assert initdb.process.wait(60) == 0, initdb.output()
    reglages = {"listen_addresses": "", "unix_socket_directories": str(donnees), "fsync": "off"}
    commande = [
        str(BINAIRES / "postgres"),
        "-D",
        str(donnees),
        *(f"--{nom}={valeur}" for nom, valeur in reglages.items()),
    ]
    serveur = Child.start(
        "PostgreSQL 15", commande, journal, death_signal=signal.SIGINT, user=utilisateur, environment=env
    )
    url = f"postgresql://postgres@/postgres?host={donnees}"

    def repond() -> bool:
        try:
            with psycopg.connect(url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    try:
        serveur.await_ready(repond)
        yield url
    finally:
        serveur.stop((signal.SIGINT, 10.0))
