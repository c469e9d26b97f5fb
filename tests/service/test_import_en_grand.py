"""Cent mille lignes, dont dix mauvaises, du fichier à la vue et au topic publié, par les vraies commandes."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.banc import Banc, avis, banc
from tests.outils import CREANCES, RACINE, attendre
from tests.publication.banc import etat, relire

pytestmark = [pytest.mark.lent, pytest.mark.tres_lent]

LIGNES = 100_000
ROLES = (["consume", "avis"], ["project"], ["publish"])
MAUVAISES = {
    1: b"\xff\xfe",
    7_001: b"{",
    20_000: b'{"reference":"3811701200010075F"}',
    33_333: json.dumps(avis(1, montant=-1)).encode(),
    50_000: b"[1, 2]",
    50_001: json.dumps(avis(1) | {"montant_initial_centimes": 87.09}).encode(),
    66_666: b"x" * 200_000,
    80_000: json.dumps(avis(1, assure="255081416802538")).encode(),
    99_999: json.dumps(avis(1, date_emission="31/02/2026")).encode(),
    100_000: json.dumps(avis(1)).encode()[:-1],
}


def montant(ligne: int) -> int:
    return 16_00 + ligne % 5_000


@pytest.fixture
def fichier(tmp_path: Path) -> Path:
    chemin = tmp_path / "avis.jsonl"
    with chemin.open("wb") as flux:
        for ligne in range(1, LIGNES + 1):
            bon = avis(ligne, assure=f"a-{ligne // 3}", montant=montant(ligne))
            flux.write((MAUVAISES.get(ligne) or json.dumps(bon).encode()) + b"\n")
    return chemin


@contextmanager
def commandes(variables: dict[str, str], *commandes: list[str]) -> Iterator[None]:
    """Des rôles lancés comme en production ; arrêtés par SIGTERM, ils sortent avec 0."""
    with ExitStack() as pile:
        lancees = [
            pile.enter_context(subprocess.Popen([*CREANCES, *commande], cwd=RACINE, env=variables))
            for commande in commandes
        ]
        try:
            yield
            for lancee in lancees:
                assert lancee.poll() is None
                lancee.send_signal(signal.SIGTERM)
            assert [lancee.wait(90) for lancee in lancees] == [0] * len(lancees)
        finally:
            for lancee in lancees:
                lancee.kill()


def importer(variables: dict[str, str], fichier: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    fini = subprocess.run(
        [*CREANCES, "import-avis", str(fichier), "--json", *arguments],
        capture_output=True, cwd=RACINE, env=variables, timeout=120, check=False,
    )  # fmt: skip
    return fini.returncode, json.loads(fini.stdout)


def compter(banc: Banc, requete: str) -> tuple[Any, ...]:
    return banc.conn.execute(requete).fetchone() or ()


def lus(banc: Banc) -> int:
    """Combien de messages du topic des avis sont enregistrés."""
    requete = f"SELECT sum(jusqu_a - depuis) FROM journal.positions WHERE topic = '{banc.settings.topic_avis}'"  # noqa: S608
    return int(compter(banc, requete)[0] or 0)


@pytest.mark.timeout(600)  # Sur une machine chargée ; une minute sinon.
def test_cent_mille_lignes_du_fichier_au_topic_publie(base: Any, kafka: str, prefixe: str, fichier: Path) -> None:
    bonnes = [ligne for ligne in range(1, LIGNES + 1) if ligne not in MAUVAISES]
    with banc(base.url, kafka, prefixe) as b:
        variables = {
            "PATH": os.environ["PATH"],
            "CREANCES_MODE": "demonstration",
            "CREANCES_DATABASE_URL": base.url,
            "CREANCES_KAFKA_BOOTSTRAP": kafka,
            "CREANCES_TOPIC_PREFIX": prefixe,
            "CREANCES_LOG_LEVEL": "WARNING",
        }
        with commandes(variables, *ROLES):
            code, rapport = importer(variables, fichier)
            assert code == 1
            assert [refusee["ligne"] for refusee in rapport["refusees"]] == list(MAUVAISES)
            assert all(refusee["cause"] for refusee in rapport["refusees"])
            assert (rapport["lues"], rapport["envoyees"]) == (LIGNES, len(bonnes))

            # Compter cent mille lignes toutes les 20 ms occuperait un cœur : on attend sur les positions.
            attendre(lambda: lus(b) == len(bonnes), secondes=300, quoi="tous les avis lus")
            tete = compter(b, "SELECT max(position) FROM journal.evenements")
            avancee = "SELECT position FROM vues.suiveurs WHERE nom = 'restant_du'"
            attendre(lambda: compter(b, avancee) == tete, secondes=300, quoi="tous les avis dans la vue")
            dans_la_vue = "SELECT count(*), coalesce(sum(solde), 0)::bigint FROM vues.restant_du"
            attendus = (len(bonnes), sum(map(montant, bonnes)))
            assert compter(b, dans_la_vue) == attendus
            assert b.par_sort(b.settings.topic_avis) == {"appliquee": len(bonnes)}

            attendre(lambda: etat(base.url)["position"] == tete[0], secondes=300, quoi="tous les avis publiés")

            # Le même fichier une seconde fois, ici sa fin, ne change rien : des doublons.
            _, encore = importer(variables, fichier, "--from-line", str(LIGNES - 999))
            assert encore["envoyees"] == 1_000 - 2
            attendre(lambda: lus(b) == len(bonnes) + 998, secondes=60, quoi="les doublons")

        assert b.par_sort(b.settings.topic_avis) == {"appliquee": len(bonnes), "doublon": 998}
        assert compter(b, dans_la_vue) == attendus
        assert compter(b, "SELECT count(*), count(DISTINCT flux) FROM journal.evenements") == (len(bonnes),) * 2
        publies = Counter(recu.en_tetes["ce_id"].decode() for recu in relire(b.settings))
        assert publies == {f"creance-{avis(ligne)['reference']}:1": 1 for ligne in bonnes}
