"""Le rôle qui scelle, devant un dossier de tuiles qui ne s'écrit pas."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from preuve.folder import TileFolder
from preuve.role import SealingRole
from tests.outils import attendre
from tests.preuve.test_sceau import SCEAU, noter, sceller


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


def _dossier_plein(_base: Any, dossier: Path) -> str:
    (dossier / "arbre").write_text("un fichier, où il faudrait un dossier")
    return "NotADirectoryError"


def _ligne_changee(base: Any, _dossier: Path) -> str:
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.notes DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.notes SET texte = 'fausse'")
    return "RowChanged"


def _point_illisible(_base: Any, dossier: Path) -> str:
    [epoque] = (dossier / "arbre").iterdir()
    (epoque / "checkpoint").write_bytes(b"\xff")
    return "CheckpointUnreadable"


@pytest.mark.parametrize("geste", [_dossier_plein, _ligne_changee, _point_illisible])
def test_un_dossier_qui_ne_s_ecrit_pas_ne_retarde_pas_le_sceau(
    base: Any, conn: psycopg.Connection[Any], tmp_path: Path, geste: Callable[[Any, Path], str]
) -> None:
    """Les tuiles attendent, et c'est dit ; ce qui est écrit se scelle."""
    noter(conn, "vraie")
    sceller(conn)
    if geste is not _dossier_plein:
        TileFolder(tmp_path / "arbre", SCEAU).follow(conn)
    noter(conn, "vraie aussi")
    sceller(conn)
    erreur = geste(base, tmp_path)
    dossier = TileFolder(tmp_path / "arbre", SCEAU)
    role = SealingRole(base.url, SCEAU, interval_s=0.01, after=dossier.follow)
    arret = threading.Event()
    fil = threading.Thread(target=role.run, args=(arret,))
    fil.start()
    try:
        for numero in range(5):
            noter(conn, f"n° {numero}")
            attendre(lambda: _tout_est_scelle(conn) or not fil.is_alive(), quoi=f"la note {numero} est scellée")
            assert fil.is_alive(), "le rôle est tombé"

        def dite() -> bool:
            etat = conn.execute("SELECT etat, derniere_erreur FROM vues.suiveurs WHERE nom = 'sceller'").fetchone()
            return etat is not None and etat[0] == "actif" and erreur in str(etat[1])

        attendre(dite, quoi="le rôle est là, et dit ce qui arrête le dossier")
    finally:
        arret.set()
        fil.join()


def _tout_est_scelle(conn: psycopg.Connection[Any]) -> bool:
    """Ce que `lag` en dit : plus rien n'attend."""
    (reste,) = conn.execute(
        "SELECT count(*) FROM journal.notes WHERE ecrit_par > (SELECT max(jusqu_a) FROM journal.sceaux)"
    ).fetchone() or (1,)
    return bool(reste == 0)
