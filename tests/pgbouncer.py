"""Un vrai PgBouncer (celui de Debian) devant un PostgreSQL des tests."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from service.embedded.child import Child
from service.embedded.system_user import user_for
from tests.courtiers import port_libre
from tests.relais import serveur_postgresql

BINAIRE: Final = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


def ce_qui_manque() -> str | None:
    """Ce qu'il faut installer ; None si rien ne manque."""
    return None if Path(BINAIRE).exists() else "il manque PgBouncer (Debian : pgbouncer)"


@contextmanager
def pgbouncer(dossier: Path, url: str, mode: str) -> Iterator[str]:
    """Un PgBouncer en ce mode devant cette base, et l'URL de la même base par lui."""
    donnees = dossier / f"pgbouncer-{mode}"
    donnees.mkdir(mode=0o700)
    utilisateur = user_for(donnees, Path(BINAIRE).parent)
    if utilisateur[0]:
        shutil.chown(donnees, *utilisateur)
    parties, port = urlsplit(url), port_libre()
    famille, adresse = serveur_postgresql(url)
    hote = Path(adresse).parent if famille == socket.AF_UNIX else adresse[0]
    port_du_serveur = parties.port or 5432
    mot_de_passe = f" password={parties.password}" if parties.password else ""
    reglages = donnees / "pgbouncer.ini"
    reglages.write_text(
        f"[databases]\n* = host={hote} port={port_du_serveur} user={parties.username}{mot_de_passe}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = {mode}\nignore_startup_parameters = options\ndefault_pool_size = 20\n",
        "utf-8",
    )
    if utilisateur[0]:
        shutil.chown(reglages, *utilisateur)
    serveur = Child.start(
        "PgBouncer",
        [BINAIRE, str(reglages)],
        dossier / "pgbouncer.log",
        death_signal=signal.SIGINT,
        user=utilisateur,
        environment={"PATH": os.environ["PATH"]},
    )
    par_lui = f"postgresql://{parties.username}@127.0.0.1:{port}{parties.path}?sslmode=disable&gssencmode=disable"

    def repond() -> bool:
        try:
            with psycopg.connect(par_lui, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    try:
        serveur.await_ready(repond)
        yield par_lui
    finally:
        serveur.stop((signal.SIGTERM, 5.0))
