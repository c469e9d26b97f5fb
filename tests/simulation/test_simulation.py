"""Des histoires par graine : tout tombe juste, la même graine rejoue la même, et sans une sûreté cela se voit."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.connection import UnknownStatement
from tests.simulation.safeties import SAFETIES
from tests.simulation.scheduler import Scheduler
from tests.simulation.seams import silent
from tests.simulation.tables import unique_keys
from tests.simulation.world import World

HISTOIRES = 50
"""Par bloc."""
JUSQU_A = 150
"""Histoires en lesquelles une sûreté ôtée doit s'être vue : moins d'une minute."""


@pytest.fixture(autouse=True)
def _muet() -> Iterator[None]:
    with silent():
        yield


@pytest.mark.parametrize(
    "bloc", ["bleu", "blanc", *(pytest.param(bloc, marks=pytest.mark.lent) for bloc in ("rouge", "vert"))]
)
def test_apres_chaque_histoire_tout_tombe_juste(bloc: str) -> None:
    for numero in range(HISTOIRES):
        monde = World(f"{bloc}:{numero}")
        assert not monde.live(), monde.seed


def test_les_histoires_sont_assez_mouvementees() -> None:
    mondes = [World(f"mouvement:{numero}") for numero in range(30)]
    for monde in mondes:
        assert not monde.live(), monde.seed
    fautes = {faute for monde in mondes for faute in monde.faults.struck}
    envois = {envoi for monde in mondes for envoi in monde.books.sent}
    assert {"killed", "frozen", "connection cut", "reply lost", "lead lost", "backup restored"} <= fautes
    assert {"avis", "encaissement_recu", "avis_rectifie", "answer", "duplicate", "contradiction", "poison"} <= envois


def test_la_meme_graine_rejoue_la_meme_histoire_octet_pour_octet() -> None:
    def trace(hachage: str) -> bytes:
        commande = [sys.executable, "-m", "tests.simulation", "--seed", "rejeu:3"]
        return subprocess.run(
            commande, env=os.environ | {"PYTHONHASHSEED": hachage}, capture_output=True, check=True
        ).stdout

    premiere = trace("1")
    assert premiere.count(b"\n") > 200
    assert premiere == trace("2")


def test_une_autre_graine_raconte_une_autre_histoire() -> None:
    un, autre = World("une:1"), World("une:2")
    un.live()
    autre.live()
    assert un.scheduler.digest != autre.scheduler.digest


@pytest.mark.parametrize("nom", sorted(SAFETIES))
def test_sans_une_surete_cela_se_voit(nom: str) -> None:
    assert any(World(f"sans:{numero}", SAFETIES[nom]).live() for numero in range(JUSQU_A))


def test_une_instruction_inconnue_se_voit() -> None:
    monde = World("inconnue:1", peaceful=True)
    vues: list[BaseException] = []

    def demander() -> None:
        try:
            monde.connect().execute("SELECT 1")
        except UnknownStatement as inconnue:
            vues.append(inconnue)

    monde.scheduler.spawn("curieux", demander)
    monde.scheduler.run(lambda: bool(vues))
    assert vues


def test_les_cles_uniques_sont_celles_des_migrations() -> None:
    cles = {cle.constraint: cle.columns for cles in unique_keys().values() for cle in cles}
    assert cles["sorts_message"] == ("topic_id", "partition", "decalage")
    assert cles["positions_depuis"] == ("topic_id", "partition", "depuis")
    assert cles["evenements_flux_version"] == ("flux", "version")
    assert cles["restant_du_pkey"] == ("reference",)
    assert cles["ecartes_pkey"] == ("suiveur", "position")


def test_un_processus_gele_ne_s_eveille_pas_avant_l_heure() -> None:
    ordre: list[str] = []
    horloge = Scheduler("gel")

    def gele() -> None:
        horloge.sleep(1.0)
        ordre.append("gelé")

    def autre() -> None:
        horloge.sleep(2.0)
        ordre.append("autre")

    acteur = horloge.spawn("gelé", gele)
    horloge.spawn("autre", autre)
    horloge.freeze(acteur, 5.0)
    horloge.run(lambda: len(ordre) == 2)
    assert ordre == ["autre", "gelé"]
