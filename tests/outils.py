"""Ce que plusieurs tests utilisent."""

import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

T = TypeVar("T")

RACINE = Path(__file__).resolve().parents[1]
CREANCES = [sys.executable, "-c", "from service.cli import main; main()"]
"""La commande, telle que cette installation la lance."""

SONDAGE_SECONDES = 0.02
PATIENCE_S = 120.0
"""Ce que l'on attend au moins, avant de dire qu'une chose n'arrive pas : le quart suffit à une machine occupée."""


def attendre(condition: Callable[[], T], *, secondes: float = PATIENCE_S, quoi: str = "") -> T:
    """Attend que la condition soit vraie et rend sa valeur ; échoue, avec la dernière valeur vue, passé le délai.

    Le délai ne sert qu'à échouer : une machine libre ne l'attend jamais, une machine occupée peut y venir ; il n'est
    donc jamais plus court que `PATIENCE_S`. Un délai qui est ce que l'on prouve : `attendre_au_plus`.
    """
    return attendre_au_plus(condition, max(secondes, PATIENCE_S), quoi=quoi)


def attendre_au_plus(condition: Callable[[], T], secondes: float, *, quoi: str = "") -> T:
    """Comme `attendre`, en ce délai-là : il est ce que l'on prouve."""
    limite = time.monotonic() + secondes
    while True:
        if valeur := condition():
            return valeur
        if time.monotonic() > limite:
            nom = quoi or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"Pas arrivé en {secondes:g} s : {nom} (dernière valeur : {valeur!r})")
        time.sleep(SONDAGE_SECONDES)


def en_moins_de(secondes: float, mesurer: Callable[[], float], *, essais: int = 5) -> None:
    """Mesure jusqu'à ce qu'une fois tienne sous la borne : les voisins ne font que ralentir, la meilleure est la nôtre.

    `mesurer` rend des secondes. Échoue avec toutes les mesures, si aucune ne tient.
    """
    vues: list[float] = []
    while not vues or vues[-1] >= secondes:
        assert len(vues) < essais, f"{vues} : jamais en moins de {secondes:g} s"
        vues.append(mesurer())


def exemples(vite: int, lent: int) -> int:
    """Combien d'exemples essaie une loi : `lent` sous `--hypothesis-profile=lent` (`make thorough`), sinon `vite`."""
    from hypothesis import settings

    return lent if settings.get_current_profile_name() == "lent" else vite


def environnement(**reglages: object) -> dict[str, str]:
    """Celui d'un processus que lance un test : ses variables `CREANCES_…` sont `reglages`, dits sans préfixe.

    Le mode est celui de la démonstration, sauf à en dire un autre.
    """
    propre = {nom: valeur for nom, valeur in os.environ.items() if not nom.startswith("CREANCES_")}
    donnees = {f"CREANCES_{nom.upper()}": str(valeur) for nom, valeur in ({"mode": "demonstration"} | reglages).items()}
    return propre | donnees | {"PYTHONPATH": str(RACINE)}


def commande(*arguments: object, **reglages: object) -> "subprocess.CompletedProcess[str]":
    """La commande `creances`, dans ce processus-ci : rien n'est importé de nouveau ; `reglages` : voir `environnement`.

    Ce qui journalise est remis ensuite comme il était.
    """
    from typer.testing import CliRunner

    import service.cli  # noqa: F401 (inscrit ses commandes)
    from service.cli.application import app
    from service.logs import REPEATERS

    voulu: dict[str, str | None] = dict.fromkeys((nom for nom in os.environ if nom.startswith("CREANCES_")), None)
    voulu |= {nom: valeur for nom, valeur in environnement(**reglages).items() if nom.startswith("CREANCES_")}
    mots = list(map(str, arguments))
    racine, structure = logging.getLogger(), structlog.get_config()
    prises, niveau = racine.handlers[:], racine.level
    niveaux = {nom: logging.getLogger(nom).level for nom in REPEATERS}
    try:
        fini = CliRunner().invoke(app, mots, env=voulu)
    finally:
        structlog.configure(**structure)
        racine.handlers[:] = prises
        racine.setLevel(niveau)
        for nom, avant in niveaux.items():
            logging.getLogger(nom).setLevel(avant)
    imprevu = fini.exception if not isinstance(fini.exception, SystemExit) else None
    dit = "".join(traceback.format_exception(imprevu)) if imprevu else ""
    return subprocess.CompletedProcess(mots, fini.exit_code, fini.stdout, fini.stderr + dit)


def se_tuer(module: str, *arguments: object, **reglages: object) -> None:
    """Lance un module de tests qui se tue par SIGKILL ; échoue s'il finit autrement, avec ce qu'il en a dit.

    `reglages` : voir `environnement`.
    """
    fini = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environnement(**reglages),
        cwd=RACINE,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert fini.returncode == -signal.SIGKILL, fini.stderr.decode()[-2000:]
