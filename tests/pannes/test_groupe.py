"""Plusieurs consommateurs d'un groupe, chacun dans son processus : ils arrivent, partent, meurent, se réveillent."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import kafka
from tests.consumers.banc import Banc, avis, banc, notification
from tests.outils import RACINE, attendre
from tests.pannes.commande import environnement
from tests.pannes.conftest import memes_journaux_et_vues

pytestmark = pytest.mark.lent

CREANCES = 60
LOT = 5


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, prefixe, batch_size=LOT) as ouvert:
        yield ouvert


@pytest.fixture
def tranquille(seconde_base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    with banc(seconde_base.url, kafka, prefixe) as ouvert:
        yield ouvert


class Processus:
    """Les consommateurs du groupe ; ce qu'ils disent va dans un fichier chacun."""

    def __init__(self, b: Banc, dossier: Path) -> None:
        self.b = b
        self.dossier = dossier
        self.lances: list[subprocess.Popen[bytes]] = []

    def lancer(self, *, fige: int = 0) -> subprocess.Popen[bytes]:
        with (self.dossier / f"{len(self.lances)}.log").open("wb") as sortie:
            commande = [sys.executable, "-m", "tests.pannes.role", "kiosque", self.b.settings.topic_prefix, str(fige)]
            lance = subprocess.Popen(
                commande, cwd=RACINE, env=environnement(self.b.settings), stdout=sortie, stderr=sortie
            )
        self.lances.append(lance)
        return lance

    def dits(self, lance: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        texte = (self.dossier / f"{self.lances.index(lance)}.log").read_text()
        return [json.loads(ligne) for ligne in texte.splitlines() if ligne.startswith("{")]

    def a_dit(self, lance: subprocess.Popen[bytes], evenement: str, **champs: Any) -> bool:
        return any({"event": evenement, **champs}.items() <= dit.items() for dit in self.dits(lance))

    def partage(self, lance: subprocess.Popen[bytes]) -> list[str]:
        """Les partitions que le dernier placement d'un processus lui donne."""
        placements = [dit["positions"] for dit in self.dits(lance) if dit["event"] == "place"]
        return sorted(placements[-1]) if placements else []

    def finir(self) -> None:
        for lance in self.lances:
            if lance.poll() is None:
                lance.send_signal(signal.SIGCONT)
                lance.terminate()
        for lance in self.lances:
            lance.wait(30)


@contextmanager
def debit(b: Banc, dits: list[tuple[str, Any]]) -> Iterator[threading.Thread]:
    """Émet ces messages peu à peu, pendant le bloc."""
    fin = threading.Event()

    def emettre() -> None:
        emetteur = kafka.producer(b.settings)
        for transaction, dit in dits:
            emetteur.send(b.settings.topic_notifications, key=transaction.encode(), value=json.dumps(dit).encode())
            fin.wait(0.1)
        emetteur.flush()
        emetteur.close()

    fil = threading.Thread(target=emettre)
    fil.start()
    try:
        yield fil
    finally:
        fin.set()
        fil.join()


@pytest.fixture
def groupe(b: Banc, tmp_path: Path) -> Iterator[Processus]:
    processus = Processus(b, tmp_path)
    yield processus
    processus.finir()


def preparer(*bancs: Banc) -> list[tuple[str, Any]]:
    """Les mêmes créances et paiements dans chaque base ; rend ce que la banque dit, dans l'ordre où elle le dit."""
    creances = [avis(numero) for numero in range(CREANCES)]
    bancs[0].emettre_avis(*creances)
    for b in bancs:
        b.consommer("avis", CREANCES)
    ouverts = [[b.ouvrir(creance["reference"], 20_00) for creance in creances] for b in bancs]
    assert all(autres == ouverts[0] for autres in ouverts)
    return [(t, notification(t, 20_00, code)) for code in ("05", "00", "00") for t in ouverts[0]]


def test_un_groupe_ou_l_on_arrive_part_et_meurt_donne_a_chaque_message_un_seul_sort(
    b: Banc, tranquille: Banc, groupe: Processus
) -> None:
    dits = preparer(tranquille, b)
    topic = b.settings.topic_notifications
    premier = groupe.lancer()
    with debit(b, dits):
        attendre(lambda: b.fates(topic) > 0, secondes=40, quoi="le premier seul")
        second = groupe.lancer()
        attendre(lambda: len(groupe.partage(second)) == 1, secondes=40, quoi="le second arrive")
        premier.kill()
        attendre(lambda: len(groupe.partage(second)) == 2, secondes=40, quoi="le premier tué, le second prend tout")
        troisieme = groupe.lancer()
        attendre(lambda: len(groupe.partage(troisieme)) == 1, secondes=40, quoi="le troisième arrive")
        second.terminate()
        assert second.wait(60) == 0, "un départ demandé est propre"
        attendre(lambda: len(groupe.partage(troisieme)) == 2, secondes=40, quoi="le second parti")
    attendre(lambda: b.fates(topic) == len(dits), secondes=40, quoi="un sort chacun")
    groupe.finir()

    tranquille.consommer("kiosque", len(dits))
    assert b.par_sort(topic) == tranquille.par_sort(topic)
    assert b.par_sort(topic) == {"appliquee": 2 * CREANCES, "doublon": CREANCES}
    memes_journaux_et_vues(tranquille, b)


def test_un_consommateur_revenu_d_une_longue_pause_ne_peut_plus_enregistrer_son_lot(
    b: Banc, tranquille: Banc, groupe: Processus
) -> None:
    dits = preparer(tranquille, b)
    topic = b.settings.topic_notifications
    b.emettre(topic, dits)
    zombie = groupe.lancer(fige=3)
    attendre(lambda: groupe.a_dit(zombie, "fige"), secondes=40, quoi="figé sur un lot décidé")
    avant = b.fates(topic)
    assert 0 < avant < len(dits)
    vivant = groupe.lancer()
    attendre(lambda: b.fates(topic) == len(dits), secondes=40, quoi="un autre a tout pris")
    journal = b.journal()
    os.kill(zombie.pid, signal.SIGCONT)
    attendre(lambda: groupe.a_dit(zombie, "lot_abandonne"), secondes=40, quoi="le lot tardif refusé")
    assert b.journal() == journal
    assert b.fates(topic) == len(dits)
    attendre(lambda: len(groupe.partage(zombie)) == 1, secondes=40, quoi="le revenant a de nouveau sa part")
    b.emettre(topic, dits[:10])
    attendre(lambda: b.fates(topic) == len(dits) + 10, secondes=40, quoi="à deux, ils continuent")
    assert vivant.poll() is None
    assert zombie.poll() is None
    groupe.finir()
    tranquille.consommer("kiosque", len(dits) + 10)
    assert b.par_sort(topic) == tranquille.par_sort(topic)
    memes_journaux_et_vues(tranquille, b)
