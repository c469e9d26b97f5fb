"""Une acceptation perdue en route est retrouvée par le rapport du lendemain, par le chemin ordinaire."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import pytest

from domain.delai import PARIS
from domain.references import Pseudonyme
from guichet.rapprocher import demander_a_la_banque, demander_par, rapprocher
from guichet.reprendre_paiement import reprendre_paiement
from service import roles
from service.publisher import Publisher
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.courtiers import port_libre
from tests.outils import CREANCES, RACINE, attendre, environnement
from tests.rapports.banc import REGLAGES
from tests.relais import Relais

REFERENCE = avis(1)["reference"]


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    """Une créance, et un vrai kiosque simulé dont aucune notification n'arrive."""
    port = port_libre()
    reglages = {"public_url": f"http://127.0.0.1:{port_libre()}", "simulator_port": port}
    with banc(base.url, kafka, prefixe, kiosque_url=f"http://127.0.0.1:{port}", **reglages) as ouvert:
        arret = threading.Event()
        fil = threading.Thread(target=roles.simulator(ouvert.settings).run, args=(arret,))
        fil.start()
        ouvert.prendre("avis", avis(1))
        attendre(lambda: _repond(ouvert.settings.kiosque_url), quoi="le kiosque")
        yield ouvert
        arret.set()
        fil.join()


def payer_au_kiosque(b: Banc) -> str:
    """Un paiement que la banque accepte, et dont la réponse se perd."""
    transaction = b.ouvrir(REFERENCE, 20_00)
    formulaire = reprendre_paiement(b.guichet, Pseudonyme("a-1"), transaction, MAINTENANT).formulaire
    page = httpx.post(formulaire.url, data=dict(formulaire.champs), trust_env=False).raise_for_status().text
    jeton = re.search(r'name="jeton" value="([^"]+)"', page)
    assert jeton is not None
    saisie = {"jeton": jeton[1], "numero": "5017000000000000", "mois": "12", "annee": "30", "cryptogramme": "123"}
    httpx.post(f"{b.settings.kiosque_url}/paypage/valider", data=saisie, trust_env=False).raise_for_status()
    return transaction


def rapport_du_simulateur(b: Banc, genre: str, **fautes: str) -> bytes:
    jour = datetime.now(UTC).astimezone(PARIS).date()
    adresse = f"{b.settings.kiosque_url}/simulateur/rapports/{genre}"
    reponse = httpx.get(adresse, params={"jour": jour.isoformat()} | fautes, trust_env=False)
    return reponse.raise_for_status().content


def test_une_acceptation_perdue_est_retrouvee_par_le_rapport(b: Banc) -> None:
    transaction = payer_au_kiosque(b)
    bilan = rapprocher(b.guichet, BytesIO(rapport_du_simulateur(b, "transactions")), "jt", REGLAGES)
    assert [(e.genre.value, e.transaction, e.montant) for e in bilan.ecarts] == [("autre_etat", transaction, 20_00)]

    publisher = Publisher(b.settings)
    demander_a_la_banque(bilan, REGLAGES, demander_par(b.guichet.kiosque, publisher.forward))
    publisher.close()
    assert (bilan.transmises, bilan.inconnues, bilan.sans_reponse) == (1, 0, 0)
    b.consommer("kiosque", 1)
    assert b.par_sort(b.settings.topic_notifications) == {"appliquee": 1}

    suivant = rapprocher(b.guichet, BytesIO(rapport_du_simulateur(b, "operations")), "jo", REGLAGES)
    assert (suivant.ecarts, suivant.leves) == ([], 1)
    assert b.conn.execute("SELECT count(*) FROM vues.ecarts_ouverts").fetchone() == (0,)


@pytest.mark.lent
def test_un_rapport_du_dossier_que_kafka_interrompt_est_repris_et_la_banque_interrogee(
    b: Banc, kafka: str, tmp_path: Path
) -> None:
    payer_au_kiosque(b)
    (tmp_path / "jt.csv").write_bytes(rapport_du_simulateur(b, "transactions"))
    hote, _, port = kafka.rpartition(":")
    with Relais((socket.AF_INET, (hote, int(port)))) as relais:
        relais.couper()
        environ = environnement(
            database_url=b.settings.database_url,
            kafka_bootstrap=f"127.0.0.1:{relais.port}",
            topic_prefix=b.settings.topic_prefix,
            kiosque_url=b.settings.kiosque_url,
        )
        commande = [*CREANCES, "rapprocher", "--watch", str(tmp_path), "--json"]
        with subprocess.Popen(commande, env=environ, cwd=RACINE, stdout=PIPE, stderr=PIPE) as p:
            assert p.stdout is not None
            assert p.stderr is not None
            assert b"repris plus tard" in p.stderr.readline()
            assert b.conn.execute("SELECT count(*) FROM journal.rapports").fetchone() == (1,), "le rapport est inscrit"
            relais.retablir()
            dit = json.loads(p.stdout.readline())
            assert (dit["fichier"], dit["deja_lu"], dit["banque_interrogee"]["transmises"]) == ("jt.csv", True, 1)
            os.kill(p.pid, signal.SIGTERM)
            assert p.wait(90) == 0


def test_une_transaction_inventee_par_la_banque_y_est_inconnue(b: Banc) -> None:
    payer_au_kiosque(b)
    contenu = rapport_du_simulateur(b, "transactions", manque_ici="INVENTEE")
    bilan = rapprocher(b.guichet, BytesIO(contenu), "jt", REGLAGES)
    assert [e.transaction for e in bilan.ecarts if e.genre.value == "manque_ici"] == ["INVENTEE"]
    publisher = Publisher(b.settings)
    demander_a_la_banque(bilan, REGLAGES, demander_par(b.guichet.kiosque, publisher.forward))
    publisher.close()
    assert (bilan.transmises, bilan.inconnues) == (1, 1)


def _repond(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False
