"""Le `fsck` de Tessera, que nous n'avons pas écrit : oui à l'arbre que nous servons, non à chacun de ses dommages."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from preuve.folder import OtherBranch, RowChanged, TileFolder
from preuve.seal import Sealing, sign
from tests.conftest import Serveurs, nouvelle_base
from tests.preuve.juges import FSCK, juge
from tests.preuve.test_sceau import SCEAU, dernier_point, noter, sceller

pytestmark = pytest.mark.timeout(900)  # Le premier construit le juge.

OUI_S: Final = 120.0
NON_S: Final = 20.0
"""Devant certains dommages il demande sans fin : son silence est un non, qu'il dirait bien avant."""
FEUILLES: Final = 700


@pytest.fixture(scope="module")
def servi(serveurs: Serveurs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Le dossier d'un journal scellé en plusieurs fois."""
    dossier = tmp_path_factory.mktemp("arbre")
    with nouvelle_base(serveurs) as base, psycopg.connect(base.url, autocommit=True) as conn:
        suiveur = TileFolder(dossier, SCEAU)
        for combien in (3, 252, 1, 300, FEUILLES - 557):
            conn.execute(
                "INSERT INTO journal.notes (objet, texte, auteur)"
                " SELECT 'o', 'n° ' || n, 'moi' FROM generate_series(1, %s) AS n",
                (combien,),
            )
            sceller(conn)
            suiveur.follow(conn)
    [log] = dossier.iterdir()
    return log


@pytest.fixture
def log(servi: Path, tmp_path: Path) -> Path:
    """Une copie, à abîmer."""
    return Path(shutil.copytree(servi, tmp_path / "log"))


def dit_oui(log: Path, secondes: float) -> bool:
    """Le verdict de fsck : sa ligne de réussite, car il sort avec 0 quand il échoue ; un silence est un non."""
    commande = [juge(FSCK), f"-storage_url=file://{log}/", f"-public_key={log / 'vkey'}", "-N=8", "-ui=false"]
    lance = subprocess.Popen(
        commande, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        dit, _ = lance.communicate(timeout=secondes)
    except subprocess.TimeoutExpired:
        os.killpg(lance.pid, signal.SIGKILL)
        lance.communicate()
        return False
    return "Successfully" in dit


def retourner(fichier: Path, octet: int) -> None:
    contenu = bytearray(fichier.read_bytes())
    contenu[octet] ^= 1
    fichier.write_bytes(contenu)


def _lot(log: Path) -> Path:
    return log / "tile/entries/001"


def _echanger(un: Path, autre: Path) -> None:
    contenus = un.read_bytes(), autre.read_bytes()
    un.write_bytes(contenus[1])
    autre.write_bytes(contenus[0])


def _point(log: Path, taille: int, racine: bytes, scelle: Sealing = SCEAU) -> None:
    epoque = (log / "checkpoint").read_text().split("\n")[0].removeprefix(f"{SCEAU.origin}/")
    (log / "checkpoint").write_text(sign(scelle, epoque, taille, racine))


def _partiel(log: Path, ou: str) -> Path:
    return max((log / ou).iterdir(), key=lambda fichier: int(fichier.name))


DOMMAGES: Final[dict[str, Callable[[Path], object]]] = {
    "un bit d'une ligne": lambda log: retourner(_lot(log), 40),
    "la longueur d'une ligne": lambda log: retourner(_lot(log), 1),
    "deux lots échangés": lambda log: _echanger(log / "tile/entries/000", _lot(log)),
    "un lot effacé": lambda log: _lot(log).unlink(),
    "un lot coupé": lambda log: _lot(log).write_bytes(_lot(log).read_bytes()[:-30]),
    "le dernier lot, partiel, altéré": lambda log: retourner(_partiel(log, "tile/entries/002.p"), 20),
    "un bit d'une tuile": lambda log: retourner(log / "tile/0/001", 100),
    "deux tuiles échangées": lambda log: _echanger(log / "tile/0/000", log / "tile/0/001"),
    "une tuile effacée": lambda log: (log / "tile/0/000").unlink(),
    "la tuile d'en haut altérée": lambda log: retourner(_partiel(log, "tile/1/000.p"), 5),
    "un point d'une autre racine, signé": lambda log: _point(log, FEUILLES, b"\x01" * 32),
    "un point d'une autre clé": lambda log: _point(
        log, FEUILLES, b"\x01" * 32, Sealing(SCEAU.origin, Ed25519PrivateKey.generate(), SCEAU.secret)
    ),
    "un bit de la signature": lambda log: retourner(log / "checkpoint", -10),
}


@pytest.mark.lent
def test_un_arbre_servi_est_accepte_par_un_autre_que_nous(log: Path) -> None:
    assert dit_oui(log, OUI_S)


@pytest.mark.lent
@pytest.mark.parametrize("dommage", DOMMAGES)
def test_un_arbre_abime_est_refuse_par_un_autre_que_nous(log: Path, dommage: str) -> None:
    DOMMAGES[dommage](log)
    assert not dit_oui(log, NON_S)


@pytest.fixture
def conn(base: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(base.url, autocommit=True) as ouverte:
        yield ouverte


def test_le_dossier_perdu_est_refait_et_le_meme(conn: psycopg.Connection[Any], tmp_path: Path) -> None:
    un = TileFolder(tmp_path / "un", SCEAU)
    for numero in range(3):
        noter(conn, f"note {numero}")
        sceller(conn)
        un.follow(conn)
    TileFolder(tmp_path / "autre", SCEAU).follow(conn)
    refaits = [f for f in (tmp_path / "autre").rglob("*") if f.is_file()]
    assert len(refaits) >= 4
    for fichier in refaits:
        assert (tmp_path / "un" / fichier.relative_to(tmp_path / "autre")).read_bytes() == fichier.read_bytes()


def test_une_ligne_changee_apres_le_sceau_arrete_le_dossier(
    base: Any, conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    noter(conn, "vraie")
    sceller(conn)
    with psycopg.connect(base.url_proprietaire, autocommit=True) as proprietaire:
        proprietaire.execute("ALTER TABLE journal.notes DISABLE TRIGGER ajout_seul")
        proprietaire.execute("UPDATE journal.notes SET texte = 'fausse'")
    with pytest.raises(RowChanged):
        TileFolder(tmp_path, SCEAU).follow(conn)


def restaurer(url_proprietaire: str, taille: int) -> None:
    """Rend la base telle qu'elle était à cette taille : les lignes et les sceaux d'après n'y sont plus."""
    with psycopg.connect(url_proprietaire, autocommit=True) as proprietaire:
        for table in ("notes", "sceaux", "noeuds", "points"):
            proprietaire.execute(f"ALTER TABLE journal.{table} DISABLE TRIGGER ajout_seul".encode())
        proprietaire.execute(
            "DELETE FROM journal.notes WHERE ecrit_par > (SELECT jusqu_a FROM journal.sceaux WHERE taille = %s)",
            (taille,),
        )
        proprietaire.execute("DELETE FROM journal.points WHERE taille > %s", (taille,))
        proprietaire.execute("DELETE FROM journal.sceaux WHERE taille > %s", (taille,))


@pytest.mark.parametrize("ensuite", [0, 1, 2, 3, 9])
def test_une_base_restauree_sans_epoque_ne_prolonge_pas_l_ancien_dossier(
    base: Any, conn: psycopg.Connection[Any], tmp_path: Path, ensuite: int
) -> None:
    """Plus courte, de même taille ou plus longue que ce que le dossier tient : il reste tel qu'il fut publié."""
    dossier = tmp_path / "arbre"
    noter(conn, "gardée")
    sceller(conn)
    gardee = dernier_point(conn)
    for numero in range(2):
        noter(conn, f"perdue {numero}")
        sceller(conn)
    suiveur = TileFolder(dossier, SCEAU)
    suiveur.follow(conn)
    publie = {fichier: fichier.read_bytes() for fichier in dossier.rglob("*") if fichier.is_file()}
    restaurer(base.url_proprietaire, gardee.size)
    for numero in range(ensuite):
        noter(conn, f"autre {numero}")
        sceller(conn)
    for celui in (suiveur, TileFolder(dossier, SCEAU)):
        with pytest.raises(OtherBranch, match="creances epoch --open"):
            celui.follow(conn)
    assert {fichier: fichier.read_bytes() for fichier in dossier.rglob("*") if fichier.is_file()} == publie
    # L'époque ouverte, son journal a son dossier ; l'ancien reste, et se lit encore.
    conn.execute("INSERT INTO journal.epoques (nom, raison) VALUES ('29990101T000000Z', 'essai')")
    sceller(conn)
    suiveur.follow(conn)
    assert (dossier / "29990101T000000Z" / "checkpoint").exists()
    assert publie.items() <= {f: f.read_bytes() for f in dossier.rglob("*") if f.is_file()}.items()
