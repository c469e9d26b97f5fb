"""Les trois consommateurs d'exemple tiennent la même copie que nous, quoi qu'on leur répète ou leur mêle.

Celui en Java ne tourne que sur Apache Kafka (`make test-kafka`, avec un JDK) : le courtier embarqué ne lui rend rien.
"""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.avis import Avis, Canal, Mode, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from domain.refus import Refus
from engine.follower import Follower
from engine.recorder import Recorder
from examples.consommateur_cpam import Balances
from projections import RestantDu
from publication.epoques import ouvrir_epoque
from service.settings import Settings
from tests.api.conftest import AUDIENCE, SECRET, Service
from tests.mapper import MAPPER
from tests.outils import RACINE
from tests.publication import banc
from tests.publication.test_renvoi import renvoi

JARS = RACINE / "tests" / "kafka" / "jars"
LIGNES_MAX = 150
BASE = "/creances/bases/0"
ICI, PUIS = "20260101T000000Z", "20260202T000000Z"

Copie = dict[str, tuple[int, int, int, int]]
"""Par référence : la version, le restant dû, ce qui est en cours, le trop-perçu."""


# --- Ce que l'exemple Python fait d'un message -----------------------------------------------------------------------


@pytest.fixture
def soldes(tmp_path: Path) -> Iterator[Balances]:
    tenus = Balances(str(tmp_path / "soldes.sqlite"))
    yield tenus
    tenus.db.close()


def dire(soldes: Balances, version: int, du: int | None, *, type_: str = "AvisEmis", epoque: str = ICI) -> str:
    donnees: dict[str, Any] = {"nouveau": True}
    if du is not None:
        donnees |= {"caisse": "381", "restant_du_centimes": du, "en_cours_centimes": 0, "trop_percu_centimes": 0}
    return soldes.take(
        {
            "ce_source": f"{BASE}/epoques/{epoque}".encode(),
            "ce_id": f"creance-R:{version}".encode(),
            "ce_type": f"fr.assurance-maladie.creances.{type_}.v1".encode(),
            "ce_subject": b"R",
        },
        json.dumps(donnees).encode(),
    )


def test_une_version_deja_vue_est_ignoree_et_une_plus_lointaine_dit_le_solde_entier(soldes: Balances) -> None:
    assert dire(soldes, 1, 50_00) == "applied"
    assert dire(soldes, 1, 50_00) == "ignored"
    assert dire(soldes, 3, 30_00, type_="EvenementInconnu") == "applied"
    assert dire(soldes, 2, 40_00) == "ignored"
    assert soldes.balance("R") == (30_00, 0, 0)


def test_un_evenement_sans_solde_ne_change_rien_et_ne_retient_pas_sa_version(soldes: Balances) -> None:
    assert dire(soldes, 1, None) == "ignored"
    assert dire(soldes, 1, 50_00) == "applied"


def test_une_nouvelle_epoque_remplace_l_ancienne_dont_un_retardataire_est_ignore(soldes: Balances) -> None:
    dire(soldes, 1, 50_00)
    dire(soldes, 2, 30_00)
    assert dire(soldes, 1, 43_00, epoque=PUIS) == "applied"
    assert dire(soldes, 3, 1, epoque=ICI) == "ignored"
    assert soldes.balance("R") == (43_00, 0, 0)


# --- Les trois, à côté de nous ---------------------------------------------------------------------------------------


@dataclass
class Monde:
    """Des créances à qui il arrive n'importe quoi, et trois copies tenues par les exemples."""

    recorder: Recorder
    settings: Settings
    service: Service
    dossier: Path
    hasard: random.Random
    apache: bool
    """Les clients Java d'Apache Kafka ne lisent rien du courtier embarqué."""
    creances: list[Créance] = field(default_factory=list)
    gestes: int = 0

    def vivre(self, combien: int) -> None:
        """`combien` gestes au hasard ; ceux que les règles refusent ne laissent rien."""
        fin = self.gestes + combien
        touchees: dict[str, Créance] = {}
        while self.gestes < fin:
            self.gestes += 1
            if not self.creances or self.hasard.random() < 0.2:
                self.creances.append(self._ouvrir())
                creance = self.creances[-1]
            else:
                creance = self.hasard.choice(self.creances)
                avant = len(creance.pending_events)
                try:
                    self.hasard.choice(GESTES)(creance, self.hasard, self.gestes)
                except (Refus, ValueError):
                    del creance.pending_events[avant:]
            touchees[creance.id] = creance
            if len(touchees) >= 200:
                banc.record(self.recorder, *touchees.values())
                touchees.clear()
        banc.record(self.recorder, *touchees.values())

    def _ouvrir(self) -> Créance:
        numero, caisse = len(self.creances) + 1, self.hasard.choice(["381", "631"])
        montant = Centimes(self.hasard.randint(10_00, 90_00))
        avis = Avis(
            ReferenceCreance(f"{caisse}17012{numero:08d}F"),
            Pseudonyme("a-1"),
            CodeCaisse(caisse),
            "PF/FR",
            montant,
            montant,
            date(2026, 5, 12),
            Mode.PAPIER,
        )
        return Créance.ouvrir(avis, Politique(), maintenant=banc.T0)

    def publier(self) -> None:
        banc.publier(self.settings)
        banc.publier_les_soldes(self.settings)
        # Cette vue seule : l'affichage écrirait sur des créances que ce monde tient en mémoire.
        Follower(self.service.url_base, RestantDu(), mapper=MAPPER).catch_up()

    def nous(self) -> Copie:
        with psycopg.connect(self.service.url_base) as conn:
            lignes = conn.execute(
                "SELECT reference, version, greatest(solde, 0), en_cours, greatest(-solde, 0) FROM vues.restant_du"
            )
            return {reference: tuple(reste) for reference, *reste in lignes}

    # --- Les exemples ------------------------------------------------------------------------------------------------

    def python(self) -> Copie:
        base = self.dossier / "python.sqlite"
        self._lancer(
            [sys.executable, str(RACINE / "examples" / "consommateur_cpam.py")],
            f"--bootstrap={self.settings.kafka_bootstrap}",
            f"--topic={self.settings.topic_evenements}",
            f"--base={base}",
            "--until-idle",
        )
        return _de_sqlite(base)

    def http(self) -> Copie:
        base = self.dossier / "http.sqlite"
        jeton = emettre_jeton(
            SECRET,
            RoleUtilisateur.PARTENAIRE,
            None,
            audience=AUDIENCE,
            maintenant=self.service.heure(),
            personne="cpam",
            caisses=("381", "631"),
        )
        self._lancer(
            [sys.executable, str(RACINE / "examples" / "fil_http.py")],
            f"--url={self.service.client.base_url}",
            f"--base={base}",
            "--until-end",
            CREANCES_TOKEN=jeton,
        )
        return _de_sqlite(base)

    def java(self) -> Copie:
        classes, fichier = self.dossier / "classes", self.dossier / "soldes.tsv"
        chemin = f"{classes}:{JARS}/*"
        if not classes.exists():
            source = RACINE / "examples" / "java" / "src" / "main" / "java" / "Soldes.java"
            self._lancer(["javac"], "-Werror", "-d", str(classes), "-cp", chemin, str(source))
        self._lancer(
            ["java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", chemin],
            "Soldes",
            str(self.settings.kafka_bootstrap),
            self.settings.topic_soldes,
            str(fichier),
            "--until-idle",
        )
        lignes = [ligne.split("\t") for ligne in fichier.read_text("utf-8").splitlines()]
        return {
            reference: (int(version), int(du), int(en_cours), int(trop))
            for reference, _base, version, _caisse, du, en_cours, trop in (un for un in lignes if len(un) == 7)
        }

    @staticmethod
    def _lancer(programme: list[str], *arguments: str, **environnement: str) -> None:
        fini = subprocess.run(
            [*programme, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | environnement,
        )
        assert fini.returncode == 0, fini.stdout + fini.stderr


def _de_sqlite(base: Path) -> Copie:
    with closing(sqlite3.connect(base)) as db:
        lignes = db.execute("SELECT reference, version, restant_du, en_cours, trop_percu FROM balances")
        return {reference: tuple(reste) for reference, *reste in lignes}


def _payer(creance: Créance, hasard: random.Random, rang: int) -> None:
    part = Centimes(hasard.randint(1, max(creance.disponible, 1)))
    creance.initier_paiement(ReferenceTransaction(f"T{rang}"), part, Canal.WEB, banc.T0, maintenant=banc.T0)


def _conclure(creance: Créance, hasard: random.Random, _rang: int) -> None:
    if not creance.en_cours:
        return
    transaction = hasard.choice(sorted(creance.en_cours))
    if hasard.random() < 0.7:
        part = creance.en_cours[transaction].part
        creance.accepter_paiement(transaction, part, banc.T0 + timedelta(hours=1), maintenant=banc.T0)
    else:
        creance.constater_echec(transaction, "refusé", maintenant=banc.T0)


def _encaisser(creance: Créance, hasard: random.Random, rang: int) -> None:
    montant = Centimes(hasard.randint(1, 60_00))
    creance.encaisser(f"e{rang}", montant, Moyen.CHEQUE, date(2026, 6, 1), maintenant=banc.T0)


def _rectifier(creance: Créance, hasard: random.Random, rang: int) -> None:
    creance.rectifier(f"r{rang}", Centimes(hasard.randint(0, 90_00)), "erreur", maintenant=banc.T0)


def _annuler(creance: Créance, hasard: random.Random, rang: int) -> None:
    if hasard.random() < 0.1:
        creance.annuler(f"a{rang}", "erreur", maintenant=banc.T0)


GESTES: tuple[Callable[[Créance, random.Random, int], None], ...] = (
    _payer,
    _conclure,
    _conclure,
    _encaisser,
    _rectifier,
    _annuler,
)


@pytest.fixture
def monde(
    recorder: Recorder, settings: Settings, service: Service, tmp_path: Path, pytestconfig: pytest.Config
) -> Monde:
    apache = pytestconfig.getoption("--courtier") == "apache"
    return Monde(recorder, settings, service, tmp_path, random.Random("trois copies"), apache)  # noqa: S311 (aucun secret)


def comparer(monde: Monde) -> None:
    nous = monde.nous()
    assert nous
    assert monde.python() == nous
    assert monde.http() == nous
    if monde.apache and (os.environ.get("CI") or shutil.which("javac")):
        assert monde.java() == nous


def eprouver(monde: Monde, combien: int) -> None:
    """Des gestes, des renvois, une nouvelle époque, et des gestes encore ; chaque copie est la nôtre à la fin."""
    monde.vivre(combien // 2)
    monde.publier()
    comparer(monde)
    renvoi(monde.settings, combien // 4 + 1)
    monde.vivre(combien // 4)
    monde.publier()
    renvoi(monde.settings, 1)
    comparer(monde)
    with psycopg.connect(monde.service.url_base, autocommit=True) as conn:
        ouvrir_epoque(conn, "sauvegarde restaurée")
    monde.vivre(combien - monde.gestes)
    monde.publier()
    comparer(monde)


@pytest.mark.lent
def test_les_trois_copies_sont_la_notre_apres_des_gestes_au_hasard_un_renvoi_et_une_nouvelle_epoque(
    monde: Monde,
) -> None:
    eprouver(monde, 400)


@pytest.mark.lent
@pytest.mark.tres_lent
@pytest.mark.timeout(600)
def test_les_trois_copies_sont_la_notre_apres_dix_mille_evenements_au_hasard(monde: Monde) -> None:
    eprouver(monde, 14_000)
    with psycopg.connect(monde.service.url_base) as conn:
        (combien,) = conn.execute("SELECT count(*) FROM journal.evenements").fetchone() or (0,)
    assert combien >= 10_000


def test_les_copies_python_et_http_sont_la_notre(monde: Monde) -> None:
    monde.vivre(60)
    monde.publier()
    assert monde.python() == monde.http() == monde.nous()


def test_chaque_exemple_tient_en_cent_cinquante_lignes() -> None:
    exemples = [*(RACINE / "examples").glob("*.py"), *(RACINE / "examples").rglob("*.java")]
    assert len(exemples) == 3
    for exemple in exemples:
        assert len(exemple.read_text("utf-8").splitlines()) < LIGNES_MAX, exemple
