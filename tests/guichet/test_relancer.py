"""Les paiements sans réponse : rien ne reste « en cours » par oubli, et rien n'expire par erreur."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from guichet.relancer_paiement import Relance, relancer_paiement
from guichet.reprendre_paiement import reprendre_paiement
from projections.paiements import sans_réponse
from service import roles
from service.janitor import PAUSE_MAX, Janitor
from service.kafka import Publisher
from service.retard import lag
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.courtiers import port_libre
from tests.outils import attendre

RÉFÉRENCE = avis(1)["reference"]


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
        return relancer_paiement(b.guichet, transaction, facteur.forward, MAINTENANT + timedelta(minutes=minutes))
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


# --- La tournée : à qui le tour --------------------------------------------------------------------------------------


def test_la_tournée_ne_voit_que_les_paiements_assez_vieux_et_sans_réponse(b: Banc) -> None:
    transaction = b.ouvrir(RÉFÉRENCE, 20_00)
    b.projeter()
    assert sans_réponse(b.conn, MAINTENANT - timedelta(seconds=1), 10) == []
    assert sans_réponse(b.conn, MAINTENANT, 10) == [transaction]
    assert sans_réponse(b.conn, MAINTENANT, 10, sauf=[transaction]) == []


class Tournées:
    """Un rôle `relance` dont le test tient l'heure ; `minutes` se comptent de l'ouverture du premier paiement."""

    def __init__(self, b: Banc, lot: int = 100) -> None:
        settings = b.settings.model_copy(update={"janitor_batch_size": lot})
        self.maintenant = MAINTENANT
        self.facteur = Publisher(settings)
        self.relance = Janitor(settings, b.guichet, self.facteur.forward, lambda: self.maintenant)

    def une(self, minutes: float) -> dict[str, Relance]:
        self.maintenant = MAINTENANT + timedelta(minutes=minutes)
        return self.relance.round(threading.Event())


@pytest.fixture
def tournées(b: Banc) -> Iterator[Tournées]:
    ouvertes = Tournées(b, lot=2)
    yield ouvertes
    ouvertes.facteur.close()


def retenu_par_la_banque(b: Banc, numéro: int, minutes: float = 0) -> str:
    """Un paiement dont la personne a atteint le kiosque, et dont la banque ne dit pas encore la fin."""
    à = MAINTENANT + timedelta(minutes=minutes)
    transaction = b.ouvrir(avis(numéro)["reference"], 20_00, à=à)
    formulaire = reprendre_paiement(b.guichet, "a-1", transaction, à)["kiosque"]
    httpx.post(formulaire["url"], data=formulaire["champs"], trust_env=False).raise_for_status()
    return transaction


def test_ce_que_la_banque_retient_ne_prend_la_place_de_personne(b: Banc, tournées: Tournées) -> None:
    b.émettre_avis(avis(2), avis(3))
    b.consommer("avis", 3)
    retenus = [retenu_par_la_banque(b, 1), retenu_par_la_banque(b, 2, minutes=1)]
    inconnu = b.ouvrir(avis(3)["reference"], 20_00, à=MAINTENANT + timedelta(minutes=2))
    b.projeter()
    assert tournées.une(40) == dict.fromkeys(retenus, Relance.RÉPONSE_TRANSMISE), "un lot de deux est plein"
    assert tournées.une(40.1) == {inconnu: Relance.EXPIRÉ}
    assert sorted(tournées.une(41)) == sorted(retenus)


def test_un_paiement_retenu_des_heures_est_demandé_de_moins_en_moins_souvent(b: Banc, tournées: Tournées) -> None:
    retenu_par_la_banque(b, 1)
    b.projeter()
    demandes = [demi / 2 for demi in range(40, 400) if tournées.une(demi / 2)]
    assert demandes[:6] == [20, 20.5, 21.5, 23.5, 27.5, 35.5]
    assert {après - avant for avant, après in pairwise(demandes[6:])} == {15}
    b.consommer("kiosque", len(demandes))
    assert b.par_sort(b.settings.topic_notifications) == {"en_attente": len(demandes)}
    assert en_cours(b) == 20_00


def test_un_paiement_inconnu_du_kiosque_est_demandé_à_chaque_tournée_jusqu_à_sa_fin(
    b: Banc, tournées: Tournées
) -> None:
    transaction = b.ouvrir(RÉFÉRENCE, 20_00)
    b.projeter()
    dites = [tournées.une(demi / 2) for demi in range(39, 71)]
    assert dites == [{}, *[{transaction: Relance.INCONNU_TROP_TÔT}] * 30, {transaction: Relance.EXPIRÉ}]


def test_un_kiosque_revenu_est_interrogé_dans_le_quart_d_heure(base: Any, kafka: str, préfixe: str) -> None:
    with banc(base.url, kafka, préfixe, kiosque_url=f"http://127.0.0.1:{port_libre()}") as b:
        b.émettre_avis(avis(1))
        b.consommer("avis", 1)
        transaction = b.ouvrir(RÉFÉRENCE, 20_00)
        b.projeter()
        tournées = Tournées(b)
        demandes = [demi / 2 for demi in range(40, 400) if tournées.une(demi / 2) == {transaction: Relance.INJOIGNABLE}]
        assert demandes[:3] == [20, 20.5, 21.5]
        assert max(après - avant for avant, après in pairwise(demandes)) == PAUSE_MAX / timedelta(minutes=1)


def test_le_rôle_donne_signe_de_vie_entre_deux_tournées_et_dit_qu_il_s_arrête(
    b: Banc, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pièce in ("journal.etats", "service.janitor"):
        monkeypatch.setattr(f"{pièce}.BATTEMENT_S", 0.05)
    settings = b.settings.model_copy(update={"janitor_interval": timedelta(hours=1)})
    signe = "SELECT etat, battement_le FROM vues.suiveurs WHERE nom = 'relance'"
    arrêt = threading.Event()
    fil = threading.Thread(target=roles.janitor(settings, b.guichet, Publisher(settings)).run, args=(arrêt,))
    fil.start()
    try:
        premier = attendre(lambda: b.conn.execute(signe).fetchone(), quoi="un signe de vie")
        attendre(lambda: b.conn.execute(signe).fetchone() != premier, quoi="un autre")
    finally:
        arrêt.set()
        fil.join()
    assert b.conn.execute(signe).fetchone()[0] == "inactif"  # type: ignore[index]


def test_le_retard_compte_les_paiements_dont_la_réponse_tarde(b: Banc) -> None:
    b.ouvrir(RÉFÉRENCE, 20_00)
    b.projeter()
    [ligne] = [ligne for ligne in lag(b.settings, b.guichet.base) if ligne["nom"] == "relance"]
    assert (ligne["genre"], ligne["evenements"], ligne["etat"]) == ("tournee", 1, "jamais_demarre")
    attendues = (datetime.now(UTC) - MAINTENANT - b.settings.politique.interroger_après).total_seconds()
    assert ligne["secondes"] == pytest.approx(attendues, abs=60)


def _répond(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False
