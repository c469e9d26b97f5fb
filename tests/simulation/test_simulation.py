"""Des histoires par graine : tout tombe juste, la même graine rejoue la même, et sans une sûreté cela se voit."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from tests.simulation.__main__ import _one as rejouer
from tests.simulation.connection import UnknownStatement
from tests.simulation.safeties import SAFETIES
from tests.simulation.scheduler import Scheduler
from tests.simulation.seams import silent
from tests.simulation.tables import unique_keys
from tests.simulation.world import World

HISTOIRES = 50
"""Par bloc ; le premier se vit ici, les autres à `make thorough`."""
JUSQU_A = 150
"""Histoires en lesquelles une sûreté ôtée doit s'être vue : moins d'une minute."""


@pytest.fixture(autouse=True)
def _muet() -> Iterator[None]:
    with silent():
        yield


@cache
def bloc(nom: str) -> list[World]:
    """Les histoires d'un bloc, vécues ; chacune tombe juste."""
    mondes = [World(f"{nom}:{numero}") for numero in range(HISTOIRES)]
    for monde in mondes:
        assert not monde.live(), monde.seed
    return mondes


@pytest.mark.parametrize(
    "nom", ["bleu", *(pytest.param(nom, marks=pytest.mark.lent) for nom in ("blanc", "rouge", "vert"))]
)
def test_apres_chaque_histoire_tout_tombe_juste(nom: str) -> None:
    assert len(bloc(nom)) == HISTOIRES


def test_les_histoires_sont_assez_mouvementees() -> None:
    mondes = bloc("bleu")
    fautes = {faute for monde in mondes for faute in monde.faults.struck}
    envois = {envoi for monde in mondes for envoi in monde.books.sent}
    assert {"killed", "frozen", "connection cut", "reply lost", "lead lost", "backup restored"} <= fautes
    assert {"avis", "encaissement_recu", "avis_rectifie", "answer", "duplicate", "contradiction", "poison"} <= envois


def test_la_meme_graine_rejoue_la_meme_histoire_octet_pour_octet(capsys: pytest.CaptureFixture[str]) -> None:
    """Dans ce processus et dans un autre, dont les ensembles ont un autre ordre."""
    commande = [sys.executable, "-m", "tests.simulation", "--seed", "rejeu:3"]
    autre = subprocess.run(commande, env=os.environ | {"PYTHONHASHSEED": "1"}, capture_output=True, check=True).stdout
    assert autre.count(b"\n") > 200
    assert capsys.readouterr().out == ""
    assert rejouer("rejeu:3", None) == 0
    assert capsys.readouterr().out.encode() == autre


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
