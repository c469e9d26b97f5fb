"""Un fichier qui ne s'ouvre pas se dit en français, par son chemin et sa cause, de chaque commande qui en ouvre un."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from service.files import CAUSES, reason, unreadable
from tests.outils import commande

COMMANDES: dict[str, Callable[[str], list[str]]] = {
    "rapprocher": lambda fichier: ["rapprocher", "--no-ask", fichier],
    "import-avis": lambda fichier: ["import-avis", fichier],
    "verify": lambda fichier: ["verify", fichier, "--key", "x+1+y"],
    "verify-key": lambda fichier: ["verify", os.devnull, "--key", fichier],
}


def lancer(arguments: list[str], **reglages: object) -> "CompletedProcess[str]":
    appuis = {"database_url": "postgresql://x@127.0.0.1:1/x", "kafka_bootstrap": "127.0.0.1:1"}
    return commande(*arguments, **appuis, **reglages)


def manquant(dossier: Path) -> tuple[Path, str]:
    return dossier / "absent.jsonl", "il n'existe pas"


def dossier_a_sa_place(dossier: Path) -> tuple[Path, str]:
    (dossier / "dossier.jsonl").mkdir()
    return dossier / "dossier.jsonl", "c'est un dossier"


def sous_un_fichier(dossier: Path) -> tuple[Path, str]:
    (dossier / "fichier").write_text("x")
    return dossier / "fichier" / "avis.jsonl", "n'est pas celui d'un dossier"


def en_rond(dossier: Path) -> tuple[Path, str]:
    (dossier / "rond.jsonl").symlink_to(dossier / "rond.jsonl")
    return dossier / "rond.jsonl", "tournent en rond"


def trop_long(dossier: Path) -> tuple[Path, str]:
    return dossier / ("x" * 300 + ".jsonl"), "son nom est trop long"


CAS = [manquant, dossier_a_sa_place, sous_un_fichier, en_rond, trop_long]


@pytest.mark.parametrize("cas", CAS)
@pytest.mark.parametrize("nom", COMMANDES)
def test_chaque_commande_nomme_le_fichier_et_la_cause(
    tmp_path: Path, nom: str, cas: Callable[[Path], tuple[Path, str]]
) -> None:
    fichier, cause = cas(tmp_path)
    finie = lancer(COMMANDES[nom](str(fichier)))
    dit = finie.stderr.replace("│", "").replace("\n", "").replace(" ", "")
    assert finie.returncode == 2
    assert str(fichier) in dit
    assert cause.replace(" ", "") in dit
    assert all(mot not in dit for mot in ("Errno", "Nosuch", "directory", "Traceback"))


def test_en_json_aussi(tmp_path: Path) -> None:
    finie = lancer(["rapprocher", "--no-ask", "--json", str(tmp_path / "absent")])
    assert json.loads(finie.stdout)["refuse"] == unreadable(tmp_path / "absent", OSError(errno.ENOENT, ""))


def test_un_secret_dont_le_fichier_manque_aussi(tmp_path: Path) -> None:
    finie = lancer(["settings"], kiosque_secret_key_file=str(tmp_path / "absent"))
    assert (finie.returncode, "il n'existe pas" in finie.stderr) == (2, True)


def test_aucune_cause_n_est_dans_la_langue_de_la_machine() -> None:
    for numero in errno.errorcode:
        dite = reason(OSError(numero, os.strerror(numero)))
        assert os.strerror(numero) not in dite
        assert dite == CAUSES.get(numero, f"le système le refuse (erreur {numero})")
    assert "le système le refuse" in reason(OSError("sans numéro"))


def test_un_chemin_ne_fait_rien_executer_au_terminal() -> None:
    assert "\x1b" not in unreadable("a\x1b[31m", OSError(errno.ENOENT, ""))
