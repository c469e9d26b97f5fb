"""La machine de l'exploitant : les commandes d'une fiche y tournent telles que la page les écrit, sous bash.

`creances` est la vraie commande, `psql`, `pg_dump` et les autres les vrais outils. Aucun moteur Docker ici : `docker
compose` lance, dans ce processus, les rôles que les commandes de `docker-compose.yml` nomment, sur les vrais serveurs.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from service import run
from service.composition import VIEWS
from service.embedded.postgres import postgres_binaries
from service.kafka import create_topics
from service.settings import Settings
from tests.outils import RACINE

SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load((RACINE / "docker-compose.yml").read_text("utf-8"))[
    "services"
]
ROLES: Final = {
    "api": ["api"],
    "consume-avis": ["consume:avis"],
    "consume-kiosque": ["consume:kiosque"],
    "project": [f"project:{vue}" for vue in VIEWS],
    "publish": ["publish"],
    "relance": ["relance"],
    "sceller": ["sceller"],
}
"""Les rôles de chaque service ; `tests/deploy/test_compose.py` tient ces commandes pour vraies."""

SORTIE: Final = re.compile(r"^(?P<commande>[^#\n]+?)\s+# sort avec (?P<code>\d+)\b.*$", re.MULTILINE)
AFFECTATION: Final = re.compile(r"^(?:export )?(?P<nom>[A-Z_]+)=.*$", re.MULTILINE)

DOCKER: Final = """#!{python}
import json, socket, sys
with socket.socket(socket.AF_UNIX) as prise:
    prise.connect({adresse!r})
    prise.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    reponse = json.loads(prise.makefile().readline())
sys.stdout.write(reponse["dit"])
sys.exit(reponse["code"])
"""


class Fini(NamedTuple):
    """Ce qu'un bloc a fait."""

    code: int
    dit: str


def blocs(fiche: str) -> dict[str, str]:
    """Les blocs de commandes d'une fiche, par leur nom : ```sh nom."""
    texte = (RACINE / "docs/runbooks" / fiche).read_text("utf-8")
    return dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", texte, re.MULTILINE | re.DOTALL))


class _Role:
    """Les rôles d'un service, tels que sa commande les lance."""

    def __init__(self, settings: Settings, noms: list[str]) -> None:
        self.arret = threading.Event()
        self.fil = threading.Thread(target=run.run_until, args=(settings, noms, self.arret), daemon=True)
        self.fil.start()

    def arreter(self) -> None:
        self.arret.set()
        self.fil.join(90)
        assert not self.fil.is_alive(), "un rôle ne s'arrête pas"


class Machine:
    """Un dossier de déploiement, un PATH, et les services qui tournent."""

    def __init__(self, dossier: Path, postgres: Mapping[str, Callable[[], None]] | None = None) -> None:
        """`postgres` : ce qui le démarre et ce qui l'arrête, s'il est à soi."""
        self.dossier = dossier
        self.postgres = postgres or {}
        self.en_marche: dict[str, _Role] = {}
        self.dits: list[str] = []
        self._adresse = str(dossier / "docker.sock")
        (dossier / "bin").mkdir()
        self._ecrire("docker", DOCKER.format(python=sys.executable, adresse=self._adresse))
        code = "from service.cli import main; main()"
        self._ecrire("creances", f'#!/bin/sh\nexec {sys.executable} -W ignore -c "{code}" "$@"\n')

        verifier = f'#!/bin/sh\nexec {sys.executable} -m tests.deploiement.verifier_une_copie "$@"\n'
        self._ecrire("pg_verifybackup", verifier)

    def _ecrire(self, nom: str, contenu: str) -> None:
        fichier = self.dossier / "bin" / nom
        fichier.write_text(contenu)
        fichier.chmod(0o755)

    # --- Les blocs ---------------------------------------------------------------------------------------------------

    def jouer(self, fiche: str, *noms: str, **valeurs: str) -> str:
        """Joue ces blocs d'une fiche, dans l'ordre ; rend ce qu'ils ont dit. Échoue si une commande finit autrement.

        `valeurs` remplace celles que la page donne en exemple : `ID=…`.
        """
        trouves = blocs(fiche)
        dit = ""
        for nom in noms:
            texte = trouves[nom]
            if nom != "variables" and "variables" in trouves:
                texte = trouves["variables"] + texte
            fini = self.lancer(AFFECTATION.sub(lambda m: _affecter(m, valeurs), texte))
            assert fini.code == 0, f"{fiche}, bloc {nom} : sort avec {fini.code}\n{fini.dit}"
            dit += fini.dit
        return dit

    def lancer(self, texte: str) -> Fini:
        """Lance ces lignes sous bash ; la première qui finit mal arrête tout, sauf si la page le dit d'avance."""
        script = SORTIE.sub(lambda m: f"code=0; {m['commande']} || code=$?; [ $code = {m['code']} ] || exit 99", texte)
        fini = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=self.dossier,
            env=os.environ | {"PATH": f"{self.dossier}/bin:{postgres_binaries()}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )
        self.dits.append(fini.stdout)
        return Fini(fini.returncode, fini.stdout)

    # --- docker compose ----------------------------------------------------------------------------------------------

    @contextmanager
    def ouverte(self) -> Iterator["Machine"]:
        """`docker` répond, le temps du bloc ; à la fin tout s'arrête."""
        with socket.socket(socket.AF_UNIX) as ecoute:
            ecoute.bind(self._adresse)
            ecoute.listen()
            fil = threading.Thread(target=self._servir, args=(ecoute,), daemon=True)
            fil.start()
            try:
                yield self
            finally:
                with suppress(OSError):
                    ecoute.shutdown(socket.SHUT_RDWR)
                fil.join(90)
                for nom in list(self.en_marche):
                    self._arreter(nom)

    def _servir(self, ecoute: socket.socket) -> None:
        while True:
            try:
                prise, _ = ecoute.accept()
            except OSError:
                return
            with prise:
                arguments = json.loads(prise.makefile().readline())
                try:
                    reponse = {"code": 0, "dit": self.docker(*arguments)}
                except Exception as faute:  # noqa: BLE001 (dite à qui a lancé la commande)
                    reponse = {"code": 1, "dit": f"docker : {type(faute).__name__} : {faute}\n"}
                prise.sendall(json.dumps(reponse).encode() + b"\n")

    def docker(self, *arguments: str) -> str:
        """Ce que font `docker compose up --detach`, `stop`, `restart` et `ps`, et rien d'autre."""
        match arguments:
            case ("compose", "up", "--detach", *noms):
                recreer = "--force-recreate" in noms
                for nom in _connus(n for n in noms if n != "--force-recreate"):
                    if recreer:
                        self._arreter(nom)
                    self._demarrer(nom)
            case ("compose", "stop", *noms):
                for nom in _connus(noms):
                    self._arreter(nom)
            case ("compose", "restart", *noms):
                for nom in _connus(noms):
                    self._arreter(nom)
                    self._demarrer(nom)
            case ("compose", "ps", *_):
                return "".join(f"{nom}\n" for nom, role in self.en_marche.items() if role.fil.is_alive())
            case autre:
                raise ValueError(f"docker {' '.join(autre)} : rien ici ne le joue")
        return ""

    def _demarrer(self, nom: str) -> None:
        if nom == "postgres":
            self.postgres["demarrer"]()
        elif nom == "topics":
            create_topics(Settings(_env_file=None))
        elif nom not in self.en_marche:
            self.en_marche[nom] = _Role(Settings(_env_file=None), ROLES[nom])

    def _arreter(self, nom: str) -> None:
        if nom == "postgres":
            self.postgres["arreter"]()
        elif (role := self.en_marche.pop(nom, None)) is not None:
            role.arreter()


def _connus(noms: Any) -> list[str]:
    demandes = list(noms)
    if not demandes or (inconnus := [nom for nom in demandes if nom not in SERVICES]):
        raise ValueError(f"services inconnus de docker-compose.yml : {inconnus if demandes else 'aucun nommé'}")
    return demandes


def _affecter(trouve: re.Match[str], valeurs: Mapping[str, str]) -> str:
    nom = trouve["nom"]
    return f"export {nom}={_cite(valeurs[nom])}" if nom in valeurs else trouve[0]


def _cite(valeur: str) -> str:
    return "'" + valeur.replace("'", "'\\''") + "'"


def regler(monkeypatch: pytest.MonkeyPatch, settings: Settings, **autres: object) -> None:
    """Donne à ce processus, donc aux rôles et aux commandes, ces réglages par l'environnement."""
    from tests.pannes.commande import environnement

    variables = {nom: valeur for nom, valeur in environnement(settings).items() if nom.startswith("CREANCES_")}
    variables |= {f"CREANCES_{nom.upper()}": str(valeur) for nom, valeur in autres.items()}
    for nom, valeur in variables.items():
        monkeypatch.setenv(nom, valeur)
    monkeypatch.setenv("PYTHONPATH", str(RACINE))
    monkeypatch.setenv("CREANCES_LOG_LEVEL", "ERROR")
