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
from tests.pannes.conftest import mêmes_journaux_et_vues

CRÉANCES = 60
LOT = 5


@pytest.fixture
def b(base: Any, kafka: str, préfixe: str) -> Iterator[Banc]:
    with banc(base.url, kafka, préfixe, batch_size=LOT) as ouvert:
        yield ouvert


@pytest.fixture
def tranquille(seconde_base: Any, kafka: str, préfixe: str) -> Iterator[Banc]:
    with banc(seconde_base.url, kafka, préfixe) as ouvert:
        yield ouvert


class Processus:
    """Les consommateurs du groupe ; ce qu'ils disent va dans un fichier chacun."""

    def __init__(self, b: Banc, dossier: Path) -> None:
        self.b = b
        self.dossier = dossier
        self.lancés: list[subprocess.Popen[bytes]] = []

    def lancer(self, *, figé: int = 0) -> subprocess.Popen[bytes]:
        with (self.dossier / f"{len(self.lancés)}.log").open("wb") as sortie:
            commande = [sys.executable, "-m", "tests.pannes.role", "kiosque", self.b.settings.topic_prefix, str(figé)]
            lancé = subprocess.Popen(
                commande, cwd=RACINE, env=environnement(self.b.settings), stdout=sortie, stderr=sortie
            )
        self.lancés.append(lancé)
        return lancé

    def dits(self, lancé: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        texte = (self.dossier / f"{self.lancés.index(lancé)}.log").read_text()
        return [json.loads(ligne) for ligne in texte.splitlines() if ligne.startswith("{")]

    def a_dit(self, lancé: subprocess.Popen[bytes], événement: str, **champs: Any) -> bool:
        return any({"event": événement, **champs}.items() <= dit.items() for dit in self.dits(lancé))

    def partage(self, lancé: subprocess.Popen[bytes]) -> list[str]:
        """Les partitions que le dernier placement d'un processus lui donne."""
        placements = [dit["positions"] for dit in self.dits(lancé) if dit["event"] == "place"]
        return sorted(placements[-1]) if placements else []

    def finir(self) -> None:
        for lancé in self.lancés:
            if lancé.poll() is None:
                lancé.send_signal(signal.SIGCONT)
                lancé.terminate()
        for lancé in self.lancés:
            lancé.wait(30)


@contextmanager
def débit(b: Banc, dits: list[tuple[str, Any]]) -> Iterator[threading.Thread]:
    """Émet ces messages peu à peu, pendant le bloc."""
    fin = threading.Event()

    def émettre() -> None:
        émetteur = kafka.producer(b.settings)
        for transaction, dit in dits:
            émetteur.send(b.settings.topic_notifications, key=transaction.encode(), value=json.dumps(dit).encode())
            fin.wait(0.1)
        émetteur.flush()
        émetteur.close()

    fil = threading.Thread(target=émettre)
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


def préparer(*bancs: Banc) -> list[tuple[str, Any]]:
    """Les mêmes créances et paiements dans chaque base ; rend ce que la banque dit, dans l'ordre où elle le dit."""
    créances = [avis(numéro) for numéro in range(CRÉANCES)]
    bancs[0].émettre_avis(*créances)
    for b in bancs:
        b.consommer("avis", CRÉANCES)
    ouverts = [[b.ouvrir(créance["reference"], 20_00) for créance in créances] for b in bancs]
    assert all(autres == ouverts[0] for autres in ouverts)
    return [(t, notification(t, 20_00, code)) for code in ("05", "00", "00") for t in ouverts[0]]


def test_un_groupe_où_l_on_arrive_part_et_meurt_donne_à_chaque_message_un_seul_sort(
    b: Banc, tranquille: Banc, groupe: Processus
) -> None:
    dits = préparer(tranquille, b)
    topic = b.settings.topic_notifications
    premier = groupe.lancer()
    with débit(b, dits):
        attendre(lambda: b.sorts(topic) > 0, secondes=40, quoi="le premier seul")
        second = groupe.lancer()
        attendre(lambda: len(groupe.partage(second)) == 1, secondes=40, quoi="le second arrive")
        premier.kill()
        attendre(lambda: len(groupe.partage(second)) == 2, secondes=40, quoi="le premier tué, le second prend tout")
        troisième = groupe.lancer()
        attendre(lambda: len(groupe.partage(troisième)) == 1, secondes=40, quoi="le troisième arrive")
        second.terminate()
        assert second.wait(20) == 0, "un départ demandé est propre"
        attendre(lambda: len(groupe.partage(troisième)) == 2, secondes=40, quoi="le second parti")
    attendre(lambda: b.sorts(topic) == len(dits), secondes=40, quoi="un sort chacun")
    groupe.finir()

    tranquille.consommer("kiosque", len(dits))
    assert b.par_sort(topic) == tranquille.par_sort(topic)
    assert b.par_sort(topic) == {"appliquee": 2 * CRÉANCES, "doublon": CRÉANCES}
    mêmes_journaux_et_vues(tranquille, b)


def test_un_consommateur_revenu_d_une_longue_pause_ne_peut_plus_enregistrer_son_lot(
    b: Banc, tranquille: Banc, groupe: Processus
) -> None:
    dits = préparer(tranquille, b)
    topic = b.settings.topic_notifications
    b.émettre(topic, dits)
    zombie = groupe.lancer(figé=3)
    attendre(lambda: groupe.a_dit(zombie, "fige"), secondes=40, quoi="figé sur un lot décidé")
    avant = b.sorts(topic)
    assert 0 < avant < len(dits)
    vivant = groupe.lancer()
    attendre(lambda: b.sorts(topic) == len(dits), secondes=40, quoi="un autre a tout pris")
    journal = b.journal()
    os.kill(zombie.pid, signal.SIGCONT)
    attendre(lambda: groupe.a_dit(zombie, "lot_abandonne"), secondes=40, quoi="le lot tardif refusé")
    assert b.journal() == journal
    assert b.sorts(topic) == len(dits)
    attendre(lambda: len(groupe.partage(zombie)) == 1, secondes=40, quoi="le revenant a de nouveau sa part")
    b.émettre(topic, dits[:10])
    attendre(lambda: b.sorts(topic) == len(dits) + 10, secondes=40, quoi="à deux, ils continuent")
    assert vivant.poll() is None
    assert zombie.poll() is None
    groupe.finir()
    tranquille.consommer("kiosque", len(dits) + 10)
    assert b.par_sort(topic) == tranquille.par_sort(topic)
    mêmes_journaux_et_vues(tranquille, b)
