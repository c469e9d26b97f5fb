"""La commande démarre vite : la liste se dit sans rien importer de ce que font les commandes."""

import inspect
import subprocess
import sys

import pytest

from service.cli.entry import command
from service.cli.listing import COMMANDS

LOURDES = ("kafka", "psycopg", "pydantic", "structlog", "domain", "engine", "projections", "guichet", "api")


def importes(code: str) -> set[str]:
    """Les paquets chargés, dans un processus neuf, une fois ce code exécuté."""
    dit = f"{code}\nimport sys; print(*{{nom.partition('.')[0] for nom in sys.modules}})"
    fini = subprocess.run([sys.executable, "-c", dit], capture_output=True, text=True, check=True, timeout=60)
    return set(fini.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("nom", COMMANDS)
def test_la_liste_dit_de_chaque_commande_ce_que_la_commande_dit_d_elle(nom: str) -> None:
    vraie = command(nom)
    assert inspect.cleandoc(vraie.help).partition("\n\n")[0] == COMMANDS[nom].sentence
    assert not vraie.hidden


def test_aucune_commande_ne_manque_a_la_liste_et_l_ordre_est_le_sien() -> None:
    for nom in COMMANDS:
        command(nom)
    import service.cli.entry as entree

    commandes = [un.name for un in entree.app.registered_commands]
    inscrites = {un.name or (un.callback.__name__ if un.callback else "") for un in entree.app.registered_commands}
    assert len(commandes) + len(entree.app.registered_groups) == len(COMMANDS), sorted(inscrites ^ set(COMMANDS))


def test_la_liste_des_commandes_n_importe_rien_de_ce_qu_elles_font() -> None:
    aide = "import contextlib, sys; sys.argv = ['creances', '--help']\nfrom service.cli import main"
    aide += "\nwith contextlib.suppress(SystemExit): main()"
    assert importes(aide).isdisjoint(LOURDES)


def test_une_commande_qui_lit_la_base_ne_charge_ni_kafka_ni_les_pages() -> None:
    charges = importes("import service.cli.partitions\nfrom service.settings import Settings; Settings(_env_file=None)")
    assert charges.isdisjoint({"kafka", "api", "guichet", "projections", "fastapi"})
