"""Le consommateur d'exemple tient les soldes justes, quoi que le topic lui répète, lui mêle ou lui retarde."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.recorder import Recorder
from examples.consommateur_cpam import Balances
from publication.epoques import ouvrir_epoque
from service.settings import Settings
from tests.outils import RACINE
from tests.publication import banc
from tests.publication.test_renvoi import payee, renvoi

BASE = "/creances/bases/0"
ICI, PUIS = "20260101T000000Z", "20260202T000000Z"


@pytest.fixture
def soldes(tmp_path: Path) -> Iterator[Balances]:
    tenus = Balances(str(tmp_path / "soldes.sqlite"))
    yield tenus
    tenus.db.close()


def dire(soldes: Balances, version: int, type_: str, donnees: str, *, epoque: str = ICI) -> str:
    return soldes.take(
        {
            "ce_source": f"{BASE}/epoques/{epoque}".encode(),
            "ce_id": f"creance-R:{version}".encode(),
            "ce_type": f"fr.assurance-maladie.creances.{type_}.v1".encode(),
            "ce_subject": b"R",
        },
        donnees.encode(),
    )


def test_une_version_deja_vue_est_ignoree_et_une_version_trop_loin_attend(soldes: Balances) -> None:
    assert dire(soldes, 1, "AvisEmis", '{"montant_initial_centimes":5000}') == "applied"
    assert dire(soldes, 1, "AvisEmis", '{"montant_initial_centimes":5000}') == "ignored"
    assert dire(soldes, 3, "PaiementAccepte", '{"part_centimes":2000}') == "waiting"
    assert soldes.balance("R") == 5000
    assert soldes.holes() == ["creance-R"]
    assert dire(soldes, 2, "EvenementInconnu", '{"nouveau":true}') == "applied"
    assert dire(soldes, 3, "PaiementAccepte", '{"part_centimes":2000}') == "applied"
    assert soldes.balance("R") == 3000
    assert soldes.holes() == []


def test_une_nouvelle_epoque_remplace_l_ancienne_dont_un_retardataire_est_ignore(soldes: Balances) -> None:
    dire(soldes, 1, "AvisEmis", '{"montant_initial_centimes":5000}')
    dire(soldes, 2, "PaiementAccepte", '{"part_centimes":2000}')
    assert dire(soldes, 1, "AvisEmis", '{"montant_initial_centimes":5000}', epoque=PUIS) == "applied"
    assert dire(soldes, 3, "PaiementAccepte", '{"part_centimes":1}') == "ignored"
    assert dire(soldes, 2, "EncaissementRecu", '{"montant_centimes":700}', epoque=PUIS) == "applied"
    assert soldes.balance("R") == 4300


def lancer(settings: Settings, fichier: Path) -> None:
    fini = subprocess.run(
        [
            sys.executable,
            str(RACINE / "examples" / "consommateur_cpam.py"),
            f"--bootstrap={settings.kafka_bootstrap}",
            f"--topic={settings.topic_evenements}",
            f"--base={fichier}",
            "--until-idle",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert fini.returncode == 0, fini.stderr


def test_ses_soldes_sont_ceux_du_service_apres_un_renvoi_et_une_nouvelle_epoque(
    base: Any, recorder: Recorder, settings: Settings, tmp_path: Path
) -> None:
    fichier = tmp_path / "soldes.sqlite"
    for numero in range(1, 6):
        banc.record(recorder, *payee(numero))
    banc.publier(settings)
    lancer(settings, fichier)
    banc.record(recorder, *payee(6))
    banc.publier(settings)
    renvoi(settings, 3)
    lancer(settings, fichier)
    with psycopg.connect(base.url, autocommit=True) as conn:
        assert somme(fichier) == (6, 6 * 67_09)
        ouvrir_epoque(conn, "sauvegarde restaurée")
    banc.publier(settings)
    lancer(settings, fichier)
    assert somme(fichier) == (6, 6 * 67_09)


def somme(fichier: Path) -> tuple[int, int]:
    soldes = Balances(str(fichier))
    try:
        assert soldes.holes() == []
        compte, total = soldes.db.execute("SELECT count(*), sum(centimes) FROM balances").fetchone()
        return compte, total
    finally:
        soldes.db.close()
