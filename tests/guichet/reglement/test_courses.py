"""Ce que deux personnes font au même instant, et ce qui change pendant que l'une décide ou que la banque se tait."""

import threading
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

import pytest

from domain.avis import Moyen
from domain.geste import Geste, Voie
from domain.monnaie import Centimes
from domain.refus import (
    AnomalieDejaReglee,
    AucunePropositionEnAttente,
    GesteImpossible,
    MontantSuperieurAOuvert,
    PropositionAutre,
    PropositionEnAttente,
    PropositionPerimee,
    Refus,
)
from domain.sort import Sort
from guichet.reglement.approuver import decliner
from guichet.reglement.banque import executer
from guichet.reglement.dossiers import gestes_d_un_message
from guichet.reglement.proposer import Reglement, Suite
from guichet.reglement.signaler import signaler
from kiosque.operation import Indeterminee
from projections.audit import auditer
from projections.lectures.anomalies import anomalie
from tests.guichet.reglement.banc import T0, Banc, reference

ORPHELIN = "argent-ORPHELIN-1"
TROP = f"trop_percu-{reference(1)}"


def ensemble(*actes: Callable[[], Reglement]) -> list[object]:
    """Ce que chacun obtient, tous partis au même instant."""
    depart = threading.Barrier(len(actes))
    issues: list[object] = []

    def faire(acte: Callable[[], Reglement]) -> None:
        depart.wait()
        try:
            issues.append(acte().suite)
        except Refus as refus:
            issues.append(type(refus))

    fils = [threading.Thread(target=faire, args=(acte,)) for acte in actes]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    return issues


def exiger_net(b: Banc) -> None:
    b.projeter()
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles, rapport.non_controles) == ([], {}, [])


@pytest.fixture
def orphelin(b: Banc) -> Banc:
    """Deux créances, et 20 € que la banque a pris pour un paiement inconnu."""
    b.ouvrir_creance(1)
    b.ouvrir_creance(2)
    assert b.repondre("ORPHELIN", 20_00) is Sort.NON_RAPPROCHEE
    return b


def payer_deux_fois(b: Banc) -> None:
    """Par carte, puis par chèque : 20 € de trop."""
    b.ouvrir_creance(1, 20_00)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    creance = b.creance(1)
    creance.encaisser("c-1", Centimes(20_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
    b.inscrire(creance)


@pytest.fixture
def en_trop(b: Banc) -> Banc:
    """Une créance payée par carte et par chèque : 20 € de trop, dont la banque n'a pas dit si elle les a rendus."""
    payer_deux_fois(b)
    b.projeter()
    b.proposer(TROP, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    b.banque.dictees.append(Indeterminee("rien"))
    assert b.approuver(TROP).suite is Suite.EN_EXECUTION
    return b


def test_de_ceux_qui_proposent_ensemble_un_seul_y_parvient(orphelin: Banc) -> None:
    b = orphelin
    issues = ensemble(
        lambda: b.proposer(ORPHELIN, Geste.RATTACHER, "agent-1", creances=[(1, 0)]),
        lambda: b.proposer(ORPHELIN, Geste.RATTACHER, "agent-2", creances=[(2, 0)]),
        lambda: b.proposer(ORPHELIN, Geste.RENDRE, "agent-3", voie=Voie.VIREMENT, preuve="VIR-1"),
    )
    assert sorted(map(str, issues)) == sorted(map(str, [Suite.PROPOSE, *[PropositionEnAttente] * 2]))
    exiger_net(b)


def test_approuver_et_decliner_ensemble_ne_font_qu_une_chose(orphelin: Banc) -> None:
    b = orphelin
    for numero in range(4):
        b.repondre(f"ORPH{numero}", 1_00)
        ident = f"argent-ORPH{numero}-1"
        b.proposer(ident, Geste.RATTACHER, creances=[(1, 0)])
        issues = ensemble(
            partial(b.approuver, ident),
            partial(decliner, b.guichet, ident, "agent-3", "pas celle-là", T0),
        )
        assert issues.count(Suite.REGLE) + issues.count(Suite.DECLINE) == 1, issues
        assert {AnomalieDejaReglee, AucunePropositionEnAttente} & set(issues), issues
        attendu = 0 if Suite.REGLE in issues else 1_00
        assert b.paiement(f"ORPH{numero}").non_rattache == attendu
    exiger_net(b)


def test_a_l_instant_meme_de_l_echeance_elle_est_perimee(orphelin: Banc) -> None:
    b = orphelin
    echeance = b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 0)]).expire_le
    assert echeance is not None
    with pytest.raises(PropositionPerimee):
        b.approuver(ORPHELIN, a=echeance)
    with pytest.raises(PropositionPerimee):
        decliner(b.guichet, ORPHELIN, "agent-3", "trop tard", echeance)
    assert b.approuver(ORPHELIN, a=echeance - timedelta(microseconds=1)).suite is Suite.REGLE
    exiger_net(b)


def test_qui_a_decide_avant_une_proposition_ne_l_approuve_pas(orphelin: Banc) -> None:
    """Il voulait la première ; entre-temps elle s'est périmée, et une autre envoie l'argent ailleurs."""
    b = orphelin
    echeance = b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 0)]).expire_le
    assert echeance is not None
    b.proposer(ORPHELIN, Geste.RATTACHER, "agent-5", creances=[(2, 0)], a=echeance)
    avant = b.faits()
    with pytest.raises(PropositionAutre):
        b.approuver(ORPHELIN, a=echeance - timedelta(microseconds=1))
    with pytest.raises(PropositionAutre):
        decliner(b.guichet, ORPHELIN, "agent-2", "pas celle-là", echeance - timedelta(microseconds=1))
    assert b.faits() == avant
    assert b.approuver(ORPHELIN, a=echeance).suite is Suite.REGLE
    exiger_net(b)


def test_un_avis_annule_ne_recoit_rien_meme_apres_la_proposition(orphelin: Banc) -> None:
    b = orphelin
    b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 0)])
    creance = b.creance(1)
    creance.annuler("a-1", "émis par erreur", maintenant=T0)
    b.inscrire(creance)
    avant = b.faits()
    with pytest.raises(MontantSuperieurAOuvert):
        b.approuver(ORPHELIN)
    assert b.faits() == avant
    decliner(b.guichet, ORPHELIN, "agent-2", "avis annulé", T0)
    with pytest.raises(MontantSuperieurAOuvert):
        b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 0)])
    exiger_net(b)


def test_un_remboursement_que_la_banque_tait_reste_vu_quand_le_trop_percu_disparait(en_trop: Banc) -> None:
    b = en_trop
    creance = b.creance(1)
    creance.rectifier("r-1", Centimes(40_00), "erreur", maintenant=T0)
    b.inscrire(creance)
    (ligne,) = b.ouvertes()
    assert (ligne.id, ligne.etat, ligne.montant) == (TROP, "en_execution", 20_00)
    une = anomalie(b.conn, b.guichet.recorder, TROP, T0, gestes_d_un_message=gestes_d_un_message)
    assert (une and une.etat) == "en_execution"
    with pytest.raises(PropositionEnAttente):
        b.proposer(TROP, Geste.REMBOURSER, voie=Voie.VIREMENT, preuve="VIR-1")
    exiger_net(b)
    assert decliner(b.guichet, TROP, "agent-3", "la banque ne l'a pas fait", T0).suite is Suite.ABANDONNE
    assert b.ouvertes() == []
    exiger_net(b)


def test_repris_par_la_banque_pendant_qu_elle_rembourse_tout_se_compte(en_trop: Banc) -> None:
    b = en_trop
    ident = signaler(b.guichet, "T1", "repris par la banque", "agent-1", T0)
    b.proposer(ident, Geste.CONTREPASSER)
    assert b.approuver(ident).suite is Suite.REGLE
    (ligne,) = b.ouvertes()
    assert (ligne.id, ligne.etat, ligne.montant) == (TROP, "en_execution", 20_00)
    assert executer(b.guichet, TROP, T0 + timedelta(hours=7)).suite is Suite.REGLE
    assert b.creance(1).restant_du == 20_00, "elle a rendu deux fois ce que la carte avait payé une fois"
    assert b.ouvertes() == []
    encore = signaler(b.guichet, "T1", "repris encore", "agent-1", T0)
    with pytest.raises(GesteImpossible):
        b.proposer(encore, Geste.CONTREPASSER)
    exiger_net(b)


def test_un_trop_percu_se_rend_en_deux_fois_et_pas_en_trois(b: Banc) -> None:
    payer_deux_fois(b)
    for montant, reste in ((5_00, 15_00), (15_00, 0)):
        with pytest.raises(Refus):
            b.proposer(TROP, Geste.REMBOURSER, montant=20_01, voie=Voie.CARTE, transaction="T1")
        b.proposer(TROP, Geste.REMBOURSER, montant=montant, voie=Voie.CARTE, transaction="T1")
        assert b.approuver(TROP).suite is Suite.REGLE
        assert [(ligne.id, ligne.montant) for ligne in b.ouvertes()] == [(TROP, reste)] * bool(reste)
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(TROP, Geste.REMBOURSER, montant=1, voie=Voie.CARTE, transaction="T1")
    assert b.banque.gardes["T1"] == 0
    exiger_net(b)
