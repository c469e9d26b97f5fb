"""Une acceptation perdue en route est retrouvée par le rapport du lendemain, par le chemin ordinaire."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
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
from tests.outils import attendre
from tests.rapports.banc import REGLAGES

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
