"""Les paiements sans réponse : rien ne reste « en cours » par oubli, et rien n'expire par erreur."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from guichet.relancer_paiements import Relance, relancer_paiements
from guichet.reprendre_paiement import reprendre_paiement
from projections.paiements import sans_réponse
from service import roles
from service.kafka import Publisher
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.outils import attendre

RÉFÉRENCE = avis(1)["reference"]


def port_libre() -> int:
    with socket.socket() as prise:
        prise.bind(("127.0.0.1", 0))
        return int(prise.getsockname()[1])


@pytest.fixture
def b(base: Any, kafka: str, préfixe: str) -> Iterator[Banc]:
    """Une créance, et un vrai kiosque simulé."""
    port = port_libre()
    with banc(base.url, kafka, préfixe, kiosque_url=f"http://127.0.0.1:{port}", simulator_port=port) as ouvert:
        arrêt = threading.Event()
        fil = threading.Thread(target=roles.simulator(ouvert.settings).run, args=(arrêt,))
        fil.start()
        ouvert.émettre_avis(avis(1))
        ouvert.consommer("avis", 1)
        attendre(lambda: _répond(ouvert.settings.kiosque_url), quoi="le kiosque")
        yield ouvert
        arrêt.set()
        fil.join()


def relancer(b: Banc, transaction: str, minutes: float) -> Relance:
    facteur = Publisher(b.settings)
    try:
        return relancer_paiements(b.guichet, [transaction], facteur.forward, MAINTENANT + timedelta(minutes=minutes))[
            transaction
        ]
    finally:
        facteur.close()


def en_cours(b: Banc) -> int:
    b.projeter()
    (somme,) = b.conn.execute("SELECT en_cours FROM vues.restant_du").fetchone() or (0,)
    return int(somme)


def test_un_paiement_inconnu_du_kiosque_expire_à_35_minutes_et_libère_sa_part(b: Banc) -> None:
    transaction = b.ouvrir(RÉFÉRENCE, 20_00)
    assert relancer(b, transaction, 34.9) is Relance.INCONNU_TROP_TÔT
    assert en_cours(b) == 20_00
    assert relancer(b, transaction, 35) is Relance.EXPIRÉ
    assert en_cours(b) == 0
    assert relancer(b, transaction, 36) is Relance.DÉJÀ_CONCLU
    assert b.conn.execute("SELECT statut FROM vues.paiements").fetchone() == ("expire",)


def test_un_paiement_en_attente_au_kiosque_n_expire_jamais_tout_seul(b: Banc) -> None:
    transaction = b.ouvrir(RÉFÉRENCE, 20_00)
    formulaire = reprendre_paiement(b.guichet, "a-1", transaction, MAINTENANT)["kiosque"]
    httpx.post(formulaire["url"], data=formulaire["champs"], trust_env=False).raise_for_status()

    assert relancer(b, transaction, 60) is Relance.RÉPONSE_TRANSMISE
    b.consommer("kiosque", 1)
    assert b.par_sort(b.settings.topic_notifications) == {"en_attente": 1}
    assert en_cours(b) == 20_00


def test_un_kiosque_injoignable_ne_fait_rien_expirer(base: Any, kafka: str, préfixe: str) -> None:
    with banc(base.url, kafka, préfixe, kiosque_url=f"http://127.0.0.1:{port_libre()}") as b:
        b.émettre_avis(avis(1))
        b.consommer("avis", 1)
        transaction = b.ouvrir(RÉFÉRENCE, 20_00)
        assert relancer(b, transaction, 24 * 60) is Relance.INJOIGNABLE
        assert en_cours(b) == 20_00


def test_la_tournée_ne_voit_que_les_paiements_assez_vieux_et_sans_réponse(b: Banc) -> None:
    transaction = b.ouvrir(RÉFÉRENCE, 20_00)
    b.projeter()
    assert sans_réponse(b.conn, MAINTENANT - timedelta(seconds=1), 10) == []
    assert sans_réponse(b.conn, MAINTENANT, 10) == [(transaction, MAINTENANT)]


def _répond(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False
