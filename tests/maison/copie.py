"""Une copie jetable du dépôt, où une recette d'ARCHITECTURE.md se joue."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.outils import RACINE


class RecetteFausse(Exception):
    """Une étape n'a pas dit ce que la page annonce."""


@dataclass
class Copie:
    """Une copie du dépôt, et les fichiers du produit qui y ont été touchés."""

    dossier: Path
    touches: set[str] = field(default_factory=set)
    sortie: str = ""
    """Ce que les derniers tests ont dit."""

    def changer(self, nom: str, *paires: tuple[str, str], produit: bool = True) -> None:
        """Remplace chaque motif, la première fois qu'il vient."""
        fichier = self.dossier / nom
        texte = fichier.read_text("utf-8")
        for avant, apres in paires:
            if not re.search(avant, texte):
                raise RecetteFausse(f"{nom} : rien ne ressemble à {avant!r}")
            texte = re.sub(avant, apres.replace("\\", r"\\"), texte, count=1)
        fichier.write_text(texte, "utf-8")
        if produit:
            self.touches.add(nom)

    def creer(self, nom: str, texte: str, *, produit: bool = True) -> None:
        """Écrit un fichier nouveau."""
        fichier = self.dossier / nom
        fichier.parent.mkdir(exist_ok=True)
        fichier.write_text(texte, "utf-8")
        if produit:
            self.touches.add(nom)

    def lancer(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Un module de Python, dans la copie."""
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.dossier, capture_output=True, text=True, check=False
        )

    def creances(self, *arguments: str) -> int:
        """Notre ligne de commande, telle que la copie la contient ; son code de sortie."""
        code = "import sys; from service.cli import main; sys.argv = ['creances', *sys.argv[1:]]; main()"
        return subprocess.run([sys.executable, "-c", code, *arguments], cwd=self.dossier, check=False).returncode

    def mypy(self) -> set[str]:
        """Les fichiers dont mypy se plaint."""
        sortie = self.lancer("mypy").stdout
        return {ligne.partition(":")[0] for ligne in sortie.splitlines() if ": error:" in ligne}

    def ruff(self) -> str:
        """Ce que ruff reproche aux fichiers du produit qui y ont été touchés."""
        modules = sorted(nom for nom in self.touches if nom.endswith(".py"))
        return self.lancer("ruff", "check", "--quiet", "--no-cache", *modules).stdout

    def tests(self, *quoi: str) -> bool:
        """Dit si ces tests passent."""
        fini = self.lancer("pytest", "-q", "-x", "-p", "no:cacheprovider", *quoi)
        self.sortie = fini.stdout
        return fini.returncode == 0


def exiger(dit: object, attendu: object, quoi: str) -> None:
    """Écrit l'étape ; lève RecetteFausse si elle dit autre chose."""
    print(f"  {quoi} : {dit}", flush=True)
    if dit != attendu:
        raise RecetteFausse(f"{quoi} : {dit} au lieu de {attendu}")


def jouer(recette: Callable[[Copie], None], fichiers_max: int) -> None:
    """Joue une recette sur une copie neuve ; lève RecetteFausse si elle touche plus de fichiers du produit."""
    print(recette.__name__, flush=True)
    suivis = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=RACINE, capture_output=True, check=True,
    ).stdout.decode().split("\0")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="recette-") as dossier:
        for nom in filter(None, suivis):
            cible = Path(dossier) / nom
            cible.parent.mkdir(parents=True, exist_ok=True)
            if (RACINE / nom).is_file():
                shutil.copy2(RACINE / nom, cible)
        copie = Copie(Path(dossier))
        try:
            recette(copie)
            exiger(copie.ruff(), "", "ruff dit de ce qui y a été touché")
        except RecetteFausse:
            print(copie.sortie, file=sys.stderr)
            raise
        touches = sorted(copie.touches)
        print(f"  fichiers du produit : {len(touches)} ({', '.join(touches)})", flush=True)
        if len(touches) > fichiers_max:
            raise RecetteFausse(f"{len(touches)} fichiers au lieu de {fichiers_max}")
