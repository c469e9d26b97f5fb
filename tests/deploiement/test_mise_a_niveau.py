"""Une mise à niveau sous charge, son retour, la remontée : deux versions ensemble, rien de sauté, rien de perdu."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest

from tests.consumers.banc import avis, cheque
from tests.deploiement.banc import Exploitation, Lieu, exploitation
from tests.outils import RACINE, attendre

pytestmark = [
    pytest.mark.lent,
    pytest.mark.timeout(600),
    # Ce que kafka-python laisse au ramasse-miettes quand un rôle s'arrête en plein essai (voir tests/conftest.py).
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PAYEES_PAR_CHEQUE = [avis(n, montant=500_00) for n in range(1, 9)]
PAYEES_EN_LIGNE = [avis(n, montant=500_00) for n in range(21, 121)]
"""Une par paiement : une créance n'en a jamais deux à la fois."""
DAPRES = [sys.executable, "-m", "tests.deploiement.version_dapres"]
ROLES_DAPRES = ("project", "publish", "consume avis", "consume kiosque")


class Charge:
    """Des chèques et des paiements sans relâche ; elle compte ce qui a été reçu de nous."""

    def __init__(self, e: Exploitation) -> None:
        self.e = e
        self.cheques: dict[str, int] = dict.fromkeys((a["reference"] for a in PAYEES_PAR_CHEQUE), 0)
        self.ouverts: dict[str, int] = dict.fromkeys((a["reference"] for a in PAYEES_EN_LIGNE), 0)
        self.refus: list[str] = []
        self._arret = threading.Event()
        self._fil = threading.Thread(target=self._courir, daemon=True)

    def _courir(self) -> None:
        for numero in count():
            if self._arret.wait(0.05):
                return
            reference = list(self.cheques)[numero % len(self.cheques)]
            self.e.b.emettre_avis(cheque(reference, 1_00, f"cheque-{numero}"))
            self.cheques[reference] += 1
            if numero % 5 == 0 and (en_ligne := next((r for r, n in self.ouverts.items() if not n), None)):
                reponse = self.e.ouvrir(en_ligne, 16_00)
                if reponse.status_code == 201:
                    self.ouverts[en_ligne] = 1
                else:
                    self.refus.append(reponse.text)

    @contextmanager
    def lancee(self) -> Iterator["Charge"]:
        self._fil.start()
        try:
            yield self
        finally:
            self._arret.set()
            self._fil.join(60)


@contextmanager
def dapres(*roles: str) -> Iterator[None]:
    """Ces rôles de la version d'après, chacun dans son processus, arrêtés proprement à la fin."""
    with ExitStack() as pile:
        for role in roles:
            lance = subprocess.Popen([*DAPRES, *role.split()], cwd=RACINE)
            pile.callback(lance.wait, 40)
            pile.callback(lance.terminate)
        yield


def compte(e: Exploitation, requete: str) -> int:
    [(nombre,)] = e.lire(requete)
    return int(nombre)


def ecrits_par_la_suivante(e: Exploitation) -> int:
    requete = "SELECT count(*) FROM journal.evenements WHERE convert_from(etat, 'UTF8') LIKE '{\"class_version\":3%%'"
    return compte(e, requete)


def retenus(e: Exploitation) -> int:
    """Les messages qui attendent une version qui sache lire leur créance."""
    return compte(
        e,
        "SELECT count(*) FROM journal.attentes a WHERE NOT EXISTS (SELECT FROM journal.attentes_reglees r"
        " WHERE (r.topic_id, r.partition, r.decalage) = (a.topic_id, a.partition, a.decalage))",
    )


@pytest.mark.tres_lent
def test_monter_revenir_remonter_sous_charge_ne_saute_ni_ne_perd_rien(lieu: Lieu, base: Any) -> None:
    with exploitation(lieu, base.url, base.url_proprietaire) as e:
        e.demarrer()
        e.avis(*PAYEES_PAR_CHEQUE, *PAYEES_EN_LIGNE)
        m = e.machine
        with Charge(e).lancee() as charge:
            attendre(lambda: sum(charge.cheques.values()) > 20, secondes=30, quoi="la charge")
            # Monter, dans l'ordre de docs/production.md ; les deux versions se partagent un moment les partitions.
            m.docker("compose", "stop", "project", "publish")
            with dapres("project", "publish", "consume avis"):
                attendre(lambda: ecrits_par_la_suivante(e) > 0, secondes=150, quoi="un fait de la version d'après")
                m.docker("compose", "stop", "consume-avis")
                ecrits = ecrits_par_la_suivante(e)
                attendre(lambda: ecrits_par_la_suivante(e) > ecrits, secondes=120, quoi="la version d'après, seule")
            # Revenir : la version d'avant ne sait pas lire ces créances, et attend sans rien sauter.
            m.docker("compose", "up", "--detach", "project", "publish", "consume-avis", "consume-kiosque")
            attendre(lambda: retenus(e) > 0, secondes=120, quoi="un message retenu par la version d'avant")
            ouverts = dict(charge.ouverts)
            attendre(lambda: charge.ouverts != ouverts, secondes=30, quoi="les autres créances vont leur train")
        m.docker("compose", "stop", "project", "publish", "consume-avis", "consume-kiosque")
        with dapres(*ROLES_DAPRES):  # Remonter.
            envoyes = sum(charge.cheques.values()) + len(PAYEES_PAR_CHEQUE) + len(PAYEES_EN_LIGNE)
            attendre(lambda: sum(e.sorts(e.settings.topic_avis).values()) == envoyes, secondes=120, quoi="tout est lu")
            attendre(lambda: retenus(e) == 0, secondes=120, quoi="ce qui attendait est appliqué, sans personne")
            attendre(lambda: compte(e, "SELECT count(*) FROM vues.ecartes") == 0, secondes=120, quoi="rien d'écarté")
            attendre(e.rattrape, secondes=120, quoi="les vues à jour")
            attendu = {r: (500_00 - n * 1_00, 0) for r, n in charge.cheques.items()}
            attendu |= {r: (500_00, n * 16_00) for r, n in charge.ouverts.items()}
            attendre(lambda: e.soldes() == attendu, secondes=30, quoi="chaque solde, au centime")
        assert charge.refus == [], "la mise à niveau n'a refusé aucun paiement"
        audit = subprocess.run([*DAPRES, "audit"], cwd=RACINE, capture_output=True, text=True, timeout=60, check=False)
        assert audit.returncode == 0, audit.stdout + audit.stderr


def test_la_version_d_avant_tourne_sur_le_schema_de_la_suivante(lieu: Lieu, base: Any) -> None:
    with closing(psycopg.connect(base.url_proprietaire, autocommit=True)) as conn:
        conn.execute("ALTER TABLE vues.restant_du ADD COLUMN venue_apres text")
        conn.execute("ALTER TABLE journal.sorts ADD COLUMN venue_apres text")
        conn.execute("INSERT INTO public.creances_migrations (nom, empreinte) VALUES ('9999_apres.sql', 'x')")
    with exploitation(lieu, base.url, base.url_proprietaire) as e:
        assert e.machine.lancer("creances migrate").code == 0
        e.demarrer()
        e.avis(PAYEES_PAR_CHEQUE[0])
        attendre(lambda: len(e.soldes()) == 1, secondes=30, quoi="la vue")
        assert e.machine.lancer("creances audit").code == 0
