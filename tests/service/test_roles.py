"""Les rôles : la faute de l'un reste la sienne, et un signal les arrête tous, en rafale aussi."""

import os
import signal
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.role_state import RoleState
from service.composition import FOLLOWERS
from service.role_names import ALL, SIMULATOR, UnknownRole, role_named
from service.roles import Role, run
from service.run import run_until
from service.settings import Settings
from tests.outils import CREANCES, RACINE, attendre, environnement

RAFALES = int(os.environ.get("RAFALES", "6"))


class Panique(BaseException):
    """Ce que lève une bibliothèque écrite en Rust quand elle se trompe : aucun `except Exception` ne la voit."""


@pytest.mark.parametrize("faute", [RuntimeError, MemoryError, Panique, KeyboardInterrupt])
def test_un_role_qui_tombe_est_repris_et_les_autres_continuent(base: Any, faute: type[BaseException]) -> None:
    arret, essais, autre_arrete = threading.Event(), [], threading.Event()

    def tombe(_: threading.Event) -> None:
        essais.append(time.monotonic())
        raise faute("événement illisible")

    def continue_(stop: threading.Event) -> None:
        stop.wait()
        autre_arrete.set()

    roles = [Role("relance", tombe, RoleState(base.url, "relance")), Role("autre", continue_)]
    code: list[int] = []
    fil = threading.Thread(target=lambda: code.append(run(roles, arret, timedelta(seconds=10))))
    fil.start()
    try:
        attendre(lambda: len(essais) >= 3, quoi="trois essais")
        assert not autre_arrete.is_set(), "la faute d'un rôle n'arrête pas l'autre"
        with psycopg.connect(base.url) as conn:
            etat, dites, erreur = conn.execute(
                "SELECT etat, interruptions, derniere_erreur FROM vues.suiveurs WHERE nom = 'relance'"
            ).fetchone() or ("", 0, "")
        assert (etat, dites >= 2, erreur) == ("arrete", True, f"{faute.__name__}: événement illisible")
    finally:
        arret.set()
        fil.join()
    assert code == [0]


def test_un_role_qui_ne_peut_demarrer_finit_la_commande() -> None:
    def refuse(_: threading.Event) -> None:
        raise SystemExit(1)

    assert run([Role("api", refuse)], threading.Event(), timedelta(seconds=5)) == 1


@pytest.mark.lent
@pytest.mark.timeout(60 + 60 * RAFALES)
@pytest.mark.parametrize("commande", [["consume"], ["publish"]], ids=" ".join)
def test_une_rafale_de_sigterm_arrete_toujours(
    base: Any, kafka: str, prefixe: str, commande: list[str], tmp_path: Path
) -> None:
    variables = environnement(database_url=base.url, kafka_bootstrap=kafka, topic_prefix=prefixe, mode="demonstration")
    arrets_s: list[float] = []
    for rafale in range(RAFALES // 2):
        journal = tmp_path / f"{rafale}.log"
        with journal.open("wb") as sortie:
            lance = subprocess.Popen([*CREANCES, *commande], env=variables, cwd=RACINE, stdout=sortie, stderr=sortie)
        try:
            attendre(lambda lance=lance: _ecoute_sigterm(lance), secondes=240, quoi="le rôle écoute SIGTERM")  # type: ignore[misc]
            debut = time.monotonic()
            for _ in range(20):
                lance.send_signal(signal.SIGTERM)
            code = lance.wait(60)
            arrets_s.append(time.monotonic() - debut)
            dit = journal.read_text("utf-8", "replace")[-8000:]
            assert code == 0, f"rafale {rafale}, {arrets_s[-1]:.1f} s après {arrets_s} : {dit}"
        finally:
            lance.kill()
            lance.wait()
    mediane, pire = sorted(arrets_s)[len(arrets_s) // 2], max(arrets_s)
    print(f"{len(arrets_s)} arrêts de {commande[0]}, médiane {mediane:.1f} s, pire {pire:.1f} s")  # noqa: T201  (pytest -s)


def _ecoute_sigterm(lance: "subprocess.Popen[bytes]") -> bool:
    assert lance.poll() is None, "le rôle s'est arrêté de lui-même"
    with open(f"/proc/{lance.pid}/status") as statut:  # noqa: PTH123
        pris = next(ligne.split()[1] for ligne in statut if ligne.startswith("SigCgt"))
    return bool(int(pris, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("nom", ["typo", "consume", "consume:typo", "project:", "API", ""])
def test_un_role_inconnu_est_refuse_par_une_phrase_avant_que_rien_ne_demarre(nom: str) -> None:
    with pytest.raises(UnknownRole, match=r"rôle inconnu : .*consume:avis"):
        run_until(Settings(_env_file=None), [nom], threading.Event())


def test_chaque_role_se_retrouve_par_son_nom() -> None:
    assert [role_named(str(role)) for role in ALL] == list(ALL)
    menes = {*FOLLOWERS} - {"soldes"}  # Le rôle qui publie en mène deux, et signe du nom du premier.
    assert {role.signs for role in ALL} == {
        *menes,
        "api",
        "relance",
        "sceller",
        "consommateur_avis",
        "consommateur_kiosque",
    }
    assert SIMULATOR.signs is None
