"""Les paiements sans réponse : rien ne reste « en cours » par oubli, et rien n'expire par erreur."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from domain.avis import Canal
from domain.references import Pseudonyme, ReferenceTransaction
from guichet.relancer_paiement import Relance, relancer_paiement
from guichet.reprendre_paiement import reprendre_paiement
from kiosque.interface import DemandeDePaiement, Formulaire
from projections.vues.paiements import sans_reponse
from service import bank, roles
from service.lag import lag
from service.publisher import Publisher
from service.relance import PAUSE_MAX, RelanceRole
from tests.consumers.banc import MAINTENANT, Banc, avis, banc
from tests.courtiers import port_libre
from tests.kiosque.banc import caches
from tests.outils import attendre

REFERENCE = avis(1)["reference"]
PERSONNE = "http://127.0.0.1:1"
"""Une adresse où nul ne répond."""


@pytest.fixture
def b(base: Any, kafka: str, prefixe: str) -> Iterator[Banc]:
    """Une créance, et un vrai kiosque simulé."""
    port = port_libre()
    with banc(base.url, kafka, prefixe, kiosque_url=f"http://127.0.0.1:{port}", simulator_port=port) as ouvert:
        arret = threading.Event()
        fil = threading.Thread(target=roles.simulator(ouvert.settings).run, args=(arret,))
        fil.start()
        ouvert.prendre("avis", avis(1))
        attendre(lambda: _repond(ouvert.settings.kiosque_url), quoi="le kiosque")
        yield ouvert
        arret.set()
        fil.join()


def relancer(b: Banc, transaction: str, minutes: float) -> Relance:
    webhook_sender = Publisher(b.settings)
    try:
        return relancer_paiement(
            b.guichet, transaction, webhook_sender.forward, MAINTENANT + timedelta(minutes=minutes)
        )
    finally:
        webhook_sender.close()


def en_cours(b: Banc) -> int:
    b.projeter()
    (somme,) = b.conn.execute("SELECT en_cours FROM vues.restant_du").fetchone() or (0,)
    return int(somme)


def test_un_paiement_inconnu_du_kiosque_expire_a_35_minutes_et_libere_sa_part(b: Banc) -> None:
    transaction = b.ouvrir(REFERENCE, 20_00)
    assert relancer(b, transaction, 34.9) is Relance.INCONNU_TROP_TOT
    assert en_cours(b) == 20_00
    assert relancer(b, transaction, 35) is Relance.EXPIRE
    assert en_cours(b) == 0
    assert relancer(b, transaction, 36) is Relance.DEJA_CONCLU
    assert b.conn.execute("SELECT statut FROM vues.paiements").fetchone() == ("expire",)


def test_un_paiement_en_attente_au_kiosque_n_expire_jamais_tout_seul(b: Banc) -> None:
    transaction = b.ouvrir(REFERENCE, 20_00)
    formulaire = reprendre_paiement(
        b.guichet, Pseudonyme("a-1"), ReferenceTransaction(transaction), MAINTENANT
    ).formulaire
    httpx.post(formulaire.url, data=dict(formulaire.champs), trust_env=False).raise_for_status()

    assert relancer(b, transaction, 60) is Relance.REPONSE_TRANSMISE
    b.consommer("kiosque", 1)
    assert b.par_sort(b.settings.topic_notifications) == {"en_attente": 1}
    assert en_cours(b) == 20_00


def test_un_kiosque_injoignable_ne_fait_rien_expirer(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe, kiosque_url=f"http://127.0.0.1:{port_libre()}") as b:
        b.prendre("avis", avis(1))
        transaction = b.ouvrir(REFERENCE, 20_00)
        assert relancer(b, transaction, 24 * 60) is Relance.INJOIGNABLE
        assert en_cours(b) == 20_00


# --- La tournée : à qui le tour --------------------------------------------------------------------------------------


def test_la_tournee_ne_voit_que_les_paiements_assez_vieux_et_sans_reponse(b: Banc) -> None:
    transaction = b.ouvrir(REFERENCE, 20_00)
    b.projeter()
    assert sans_reponse(b.conn, MAINTENANT - timedelta(seconds=1), 10) == []
    assert sans_reponse(b.conn, MAINTENANT, 10) == [transaction]
    assert sans_reponse(b.conn, MAINTENANT, 10, sauf=[transaction]) == []


class Tournees:
    """Un rôle `relance` dont le test tient l'heure ; `minutes` se comptent de l'ouverture du premier paiement."""

    def __init__(self, b: Banc, lot: int = 100) -> None:
        settings = b.settings.model_copy(update={"janitor_batch_size": lot})
        self.maintenant = MAINTENANT
        self.webhook_sender = Publisher(settings)
        self.relance = RelanceRole(settings, b.guichet, self.webhook_sender.forward, lambda: self.maintenant)

    def une(self, minutes: float) -> dict[str, Relance]:
        self.maintenant = MAINTENANT + timedelta(minutes=minutes)
        return self.relance.round(threading.Event())


@pytest.fixture
def tournees(b: Banc) -> Iterator[Tournees]:
    ouvertes = Tournees(b, lot=2)
    yield ouvertes
    ouvertes.webhook_sender.close()


def retenu_par_la_banque(b: Banc, numero: int, minutes: float = 0) -> str:
    """Un paiement dont la personne a atteint le kiosque, et dont la banque ne dit pas encore la fin."""
    a = MAINTENANT + timedelta(minutes=minutes)
    transaction = b.ouvrir(avis(numero)["reference"], 20_00, a=a)
    formulaire = reprendre_paiement(b.guichet, Pseudonyme("a-1"), ReferenceTransaction(transaction), a).formulaire
    httpx.post(formulaire.url, data=dict(formulaire.champs), trust_env=False).raise_for_status()
    return transaction


def test_ce_que_la_banque_retient_ne_prend_la_place_de_personne(b: Banc, tournees: Tournees) -> None:
    b.prendre("avis", avis(2), avis(3))
    retenus = [retenu_par_la_banque(b, 1), retenu_par_la_banque(b, 2, minutes=1)]
    inconnu = b.ouvrir(avis(3)["reference"], 20_00, a=MAINTENANT + timedelta(minutes=2))
    b.projeter()
    assert tournees.une(40) == dict.fromkeys(retenus, Relance.REPONSE_TRANSMISE), "un lot de deux est plein"
    assert tournees.une(40.1) == {inconnu: Relance.EXPIRE}
    assert sorted(tournees.une(41)) == sorted(retenus)


@pytest.mark.lent
@pytest.mark.tres_lent
def test_un_paiement_retenu_des_heures_est_demande_de_moins_en_moins_souvent(b: Banc, tournees: Tournees) -> None:
    retenu_par_la_banque(b, 1)
    b.projeter()
    demandes = [demi / 2 for demi in range(40, 400) if tournees.une(demi / 2)]
    assert demandes[:6] == [20, 20.5, 21.5, 23.5, 27.5, 35.5]
    assert {apres - avant for avant, apres in pairwise(demandes[6:])} == {15}
    b.consommer("kiosque", len(demandes))
    assert b.par_sort(b.settings.topic_notifications) == {"en_attente": len(demandes)}
    assert en_cours(b) == 20_00


def test_un_paiement_inconnu_du_kiosque_est_demande_a_chaque_tournee_jusqu_a_sa_fin(
    b: Banc, tournees: Tournees
) -> None:
    transaction = b.ouvrir(REFERENCE, 20_00)
    b.projeter()
    dites = [tournees.une(demi / 2) for demi in range(39, 71)]
    assert dites == [{}, *[{transaction: Relance.INCONNU_TROP_TOT}] * 30, {transaction: Relance.EXPIRE}]


@pytest.mark.lent
@pytest.mark.tres_lent
def test_un_kiosque_revenu_est_interroge_dans_le_quart_d_heure(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe, kiosque_url=f"http://127.0.0.1:{port_libre()}") as b:
        b.prendre("avis", avis(1))
        transaction = b.ouvrir(REFERENCE, 20_00)
        b.projeter()
        tournees = Tournees(b)
        demandes = [demi / 2 for demi in range(40, 400) if tournees.une(demi / 2) == {transaction: Relance.INJOIGNABLE}]
        assert demandes[:3] == [20, 20.5, 21.5]
        assert max(apres - avant for avant, apres in pairwise(demandes)) == PAUSE_MAX / timedelta(minutes=1)


@contextmanager
def banque_muette() -> Iterator[str]:
    """Un serveur qui prend la connexion, et ne répond jamais."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as prise:
        yield f"http://127.0.0.1:{prise.getsockname()[1]}"


def test_une_banque_muette_ne_retient_personne(base: Any, kafka: str, prefixe: str) -> None:
    reglages: dict[str, Any] = {"kiosque_timeout": timedelta(seconds=3), "janitor_workers": 12}
    with banque_muette() as url, banc(base.url, kafka, prefixe, kiosque_url=url, **reglages) as b:
        b.prendre("avis", *[avis(numero) for numero in range(12)])
        transactions = [b.ouvrir(avis(numero)["reference"], 20_00) for numero in range(12)]
        b.projeter()
        debut = time.monotonic()
        assert Tournees(b).une(20) == dict.fromkeys(transactions, Relance.INJOIGNABLE)
        assert time.monotonic() - debut < 30, "l'un après l'autre, douze silences en prendraient trente-six"


@pytest.mark.parametrize(("muette", "issue"), [(True, Relance.INJOIGNABLE), (False, Relance.INCONNU_TROP_TOT)])
def test_un_paiement_deja_demande_ne_prend_la_place_d_aucun_autre(b: Banc, *, muette: bool, issue: Relance) -> None:
    b.prendre("avis", *[avis(numero) for numero in range(2, 5)])
    transactions = [b.ouvrir(avis(numero)["reference"], 20_00) for numero in range(1, 5)]
    b.projeter()
    if muette:
        reglages = replace(b.guichet, kiosque=bank.kiosk(b.settings.model_copy(update={"kiosque_url": PERSONNE})))
        b = replace(b, guichet=reglages)
    tournees = Tournees(b, lot=1)
    # Une tournée par minute : leur pause est finie, et le plus ancien serait toujours le premier.
    demandes = [tournees.une(20 + minute) for minute in range(5)]
    tournees.webhook_sender.close()
    assert demandes == [{t: issue} for t in [*transactions, transactions[0]]]


def test_un_paiement_illisible_n_arrete_pas_la_tournee(b: Banc, tournees: Tournees) -> None:
    b.prendre("avis", avis(2))
    illisible = b.ouvrir(REFERENCE, 20_00)
    bon = b.ouvrir(avis(2)["reference"], 20_00, a=MAINTENANT + timedelta(minutes=1))
    b.projeter()
    b.conn.execute(
        "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
        " VALUES (%s, 2, 'paiement.Inconnu', '{}', 'essai')",
        (f"paiement-{illisible}",),
    )
    assert tournees.une(40) == {illisible: Relance.IMPOSSIBLE, bon: Relance.EXPIRE}


def test_un_paiement_expire_que_la_banque_avait_pris_est_retrouve_le_lendemain(b: Banc, tournees: Tournees) -> None:
    transaction = b.ouvrir(REFERENCE, 20_00)
    b.projeter()
    assert tournees.une(36) == {transaction: Relance.EXPIRE}
    b.projeter()
    assert tournees.une(90) == {}
    assert tournees.une(97) == {transaction: Relance.DEJA_CONCLU}, "une heure après sa fin"
    assert tournees.une(98) == {}
    payer(b, transaction)
    assert tournees.une(36 + 6 * 60) == {transaction: Relance.REPONSE_TRANSMISE}
    b.consommer("kiosque", 1)
    assert b.par_sort(b.settings.topic_notifications) == {"appliquee": 1}
    assert en_cours(b) == 0
    assert b.conn.execute("SELECT statut FROM vues.paiements").fetchone() == ("accepte",)


def payer(b: Banc, transaction: str) -> None:
    """La personne paie tard, et la réponse automatique de la banque se perd."""
    httpx.post(f"{b.settings.kiosque_url}/simulateur/reglages", json={"perdue": True}, trust_env=False)
    formulaire = reprendre_paiement_clos(b, transaction)
    page = httpx.post(formulaire.url, data=dict(formulaire.champs), trust_env=False)
    saisie = {"numero": "5017000000000000", "mois": "12", "annee": "30", "cryptogramme": "123"}
    httpx.post(f"{b.settings.kiosque_url}/paypage/valider", data=caches(page) | saisie, trust_env=False)


def reprendre_paiement_clos(b: Banc, transaction: str) -> Formulaire:
    """Le formulaire que la personne avait gardé ouvert."""
    return b.guichet.kiosque.formulaire(
        DemandeDePaiement(
            transaction=transaction,
            marchand=b.guichet.kiosque.marchand_de("381"),
            caisse="381",
            montant=20_00,
            client="a-1",
            canal=Canal.WEB,
            url_retour=b.guichet.adresses.retour,
            url_notification=b.guichet.adresses.notification,
        )
    )


def test_le_role_donne_signe_de_vie_entre_deux_tournees_et_dit_qu_il_s_arrete(
    b: Banc, monkeypatch: pytest.MonkeyPatch
) -> None:
    for piece in ("engine.role_state", "service.relance"):
        monkeypatch.setattr(f"{piece}.HEARTBEAT_S", 0.05)
    settings = b.settings.model_copy(update={"janitor_interval": timedelta(hours=1)})
    signe = "SELECT etat, battement_le FROM vues.suiveurs WHERE nom = 'relance'"
    arret = threading.Event()
    fil = threading.Thread(target=roles.relance(settings, b.guichet, Publisher(settings)).run, args=(arret,))
    fil.start()
    try:
        premier = attendre(lambda: b.conn.execute(signe).fetchone(), quoi="un signe de vie")
        attendre(lambda: b.conn.execute(signe).fetchone() != premier, quoi="un autre")
    finally:
        arret.set()
        fil.join()
    assert b.conn.execute(signe).fetchone()[0] == "inactif"  # type: ignore[index]


def test_le_retard_compte_les_paiements_dont_la_reponse_tarde(b: Banc) -> None:
    b.ouvrir(REFERENCE, 20_00)
    b.projeter()
    [ligne] = [ligne for ligne in lag(b.settings, b.guichet.base) if ligne["nom"] == "relance"]
    assert (ligne["genre"], ligne["evenements"], ligne["etat"]) == ("tournee", 1, "jamais_demarre")
    attendues = (datetime.now(UTC) - MAINTENANT - b.settings.politique.interroger_apres).total_seconds()
    assert ligne["secondes"] == pytest.approx(attendues, abs=60)


def _repond(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False
