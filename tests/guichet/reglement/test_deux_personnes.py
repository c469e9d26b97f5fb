"""Là où de l'argent bouge, une seconde personne approuve : de l'argent orphelin rattaché, de bout en bout."""

import threading
from datetime import date, timedelta
from typing import Any

import pytest

from domain.avis import Moyen
from domain.geste import Geste, IdAnomalie, Voie
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.refus import (
    AgentIrrecevable,
    AnomalieDejaReglee,
    AnomalieInconnue,
    AucunePropositionEnAttente,
    GesteImpossible,
    MontantSuperieurAOuvert,
    PropositionAutre,
    PropositionEnAttente,
    PropositionPerimee,
    Refus,
    SecondePersonneRequise,
    TexteIrrecevable,
)
from domain.sort import Sort
from guichet.reglement.approuver import decliner
from guichet.reglement.dossiers import gestes_d_un_message
from guichet.reglement.proposer import Suite
from guichet.reglement.signaler import signaler
from projections.audit import auditer
from projections.lectures import anomalies
from projections.lectures.anomalies import anomalies_reglees, histoire
from tests.guichet.reglement.banc import T0, Banc

ORPHELIN = "argent-ORPHELIN-1"


@pytest.fixture
def orphelin(b: Banc) -> Banc:
    """Une créance de 87,09 €, et 20 € que la banque a pris pour un paiement inconnu."""
    b.ouvrir_creance(1)
    assert b.repondre("ORPHELIN", 20_00) is Sort.NON_RAPPROCHEE
    return b


def test_de_l_argent_orphelin_se_rattache_a_deux_et_tout_le_monde_le_dit(orphelin: Banc) -> None:
    b = orphelin
    (ligne,) = b.ouvertes()
    assert (ligne.id, ligne.genre, ligne.etat, ligne.montant) == (ORPHELIN, "non_rapprochee", "ouverte", 20_00)
    assert Geste.RATTACHER in ligne.gestes
    propose = b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 0)])
    assert (propose.suite, propose.proposition.montant) == (Suite.PROPOSE, 20_00)
    assert b.creance(1).restant_du == 87_09
    assert b.ouvertes()[0].etat == "proposee"
    assert b.approuver(ORPHELIN, version=propose.version).suite is Suite.REGLE
    assert b.creance(1).restant_du == 67_09
    assert b.paiement("ORPHELIN").non_rattache == 0
    assert b.ouvertes() == []
    (reglee,) = anomalies_reglees(b.conn)
    assert (reglee.id, reglee.etat, reglee.montant) == (ORPHELIN, "reglee", 20_00)
    assert [pas["type"] for pas in histoire(b.conn, b.guichet.recorder, ORPHELIN)] == [
        "RèglementProposé",
        "RèglementApprouvé",
        "AnomalieRéglée",
    ]
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles) == ([], {})


def test_la_meme_personne_n_approuve_pas_ce_qu_elle_a_propose(orphelin: Banc) -> None:
    orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    avant = orphelin.faits()
    for autre in ("agent-1", "AGENT-1", "  Agent-1 "):
        with pytest.raises(SecondePersonneRequise):
            orphelin.approuver(ORPHELIN, autre)
    assert orphelin.faits() == avant
    assert orphelin.creance(1).restant_du == 87_09


def test_de_deux_personnes_qui_approuvent_ensemble_une_seule_y_parvient(orphelin: Banc) -> None:
    orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    depart = threading.Barrier(4)
    issues: list[object] = []

    def approuver(par: str) -> None:
        depart.wait()
        try:
            issues.append(orphelin.approuver(ORPHELIN, par).suite)
        except Refus as refus:
            issues.append(type(refus))

    fils = [threading.Thread(target=approuver, args=(f"agent-{n}",)) for n in range(2, 6)]
    for fil in fils:
        fil.start()
    for fil in fils:
        fil.join()
    assert sorted(map(str, issues)) == sorted(map(str, [Suite.REGLE, *[AnomalieDejaReglee] * 3]))
    assert orphelin.creance(1).restant_du == 67_09


def test_ce_qui_est_regle_ne_se_regle_pas_de_nouveau(orphelin: Banc) -> None:
    orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    orphelin.approuver(ORPHELIN)
    avant = orphelin.faits()
    with pytest.raises(AnomalieDejaReglee):
        orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    with pytest.raises(AnomalieDejaReglee):
        orphelin.approuver(ORPHELIN, "agent-3")
    with pytest.raises(AnomalieDejaReglee):
        decliner(orphelin.guichet, ORPHELIN, "agent-3", "trop tard", T0)
    assert orphelin.faits() == avant


def test_la_meme_proposition_redite_ne_change_rien(orphelin: Banc) -> None:
    premiere = orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    avant = orphelin.faits()
    assert orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)]) == premiere
    assert orphelin.faits() == avant
    with pytest.raises(PropositionEnAttente):
        orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 10_00)])


def test_une_proposition_se_perime_puis_se_refait(orphelin: Banc) -> None:
    orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    tard = T0 + timedelta(days=2)
    with pytest.raises(PropositionPerimee):
        orphelin.approuver(ORPHELIN, a=tard)
    assert orphelin.ouvertes(tard)[0].etat == "ouverte"
    refaite = orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 12_00)], a=tard)
    with pytest.raises(PropositionAutre):
        orphelin.approuver(ORPHELIN, a=tard, version=refaite.version - 1)
    orphelin.approuver(ORPHELIN, a=tard, version=refaite.version)
    (reste,) = orphelin.ouvertes(tard)
    assert (reste.montant, reste.etat) == (8_00, "ouverte")


def test_une_proposition_declinee_ou_retiree_laisse_tout_comme_avant(orphelin: Banc) -> None:
    with pytest.raises(AucunePropositionEnAttente):
        orphelin.approuver(ORPHELIN)
    for qui in ("agent-2", "agent-1"):
        orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
        decliner(orphelin.guichet, ORPHELIN, qui, "pas la bonne personne", T0)
        assert orphelin.ouvertes()[0].etat == "ouverte"
    assert orphelin.creance(1).restant_du == 87_09


def test_on_ne_rattache_ni_plus_que_l_argent_ni_plus_que_la_dette(orphelin: Banc) -> None:
    orphelin.ouvrir_creance(2, 5_00)
    avant = orphelin.faits()
    for creances in ([(1, 20_01)], [(2, 20_00)], [(1, 19_00), (2, 1_01)]):
        with pytest.raises(MontantSuperieurAOuvert):
            orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=creances)
    assert orphelin.faits() == avant


def test_la_dette_qui_a_baisse_depuis_la_proposition_refuse_l_approbation(orphelin: Banc) -> None:
    orphelin.ouvrir_creance(2, 20_00)
    orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(2, 20_00)])
    orphelin.payer("T1", 16_00, 2)
    orphelin.repondre("T1", 16_00)
    avant = orphelin.faits()
    with pytest.raises(MontantSuperieurAOuvert):
        orphelin.approuver(ORPHELIN)
    assert orphelin.faits() == avant


def test_un_motif_qui_n_en_est_pas_un_est_refuse(orphelin: Banc) -> None:
    avant = orphelin.faits()
    mauvais = ["", "ab", "a" * 201, "<script>alert(1)</script>", "rouge \x1b[31m", "255081416802538", "a\u202eb c"]
    for texte in mauvais:
        with pytest.raises(TexteIrrecevable):
            orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)], motif=texte)
    for texte in mauvais[1:]:
        with pytest.raises(TexteIrrecevable):
            orphelin.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)], preuve=texte)
    assert orphelin.faits() == avant


def test_un_nom_d_agent_qui_n_en_est_pas_un_est_refuse(orphelin: Banc) -> None:
    for nom in ("", "  ", "a@b.fr", "agent\x1b[2J", "<b>", "a" * 65):
        with pytest.raises(AgentIrrecevable):
            orphelin.proposer(ORPHELIN, Geste.RATTACHER, nom, creances=[(1, 20_00)])


def test_un_nom_qui_ne_designe_rien_est_refuse(orphelin: Banc) -> None:
    for ident in (
        *("argent-ORPHELIN-2", "argent-AUTRE-1", "argent-ORPHELIN-x", "trop_percu-x", "sort-1-2-3", "attente-9"),
        *("ecart-9", "ecarte-restant_du-9", "rebut-1", "partition-1", "paiement-ORPHELIN", "", "-", "argent", "x-1"),
        *("argent-\x00-1", "levee-3", "attente-" + "9" * 30, "argent-²-1", "argent-" + "A" * 200 + "-1"),
        "argent-ORPHELIN-01",  # La même position, écrite autrement : ce n'est pas un second nom du même argent.
    ):
        with pytest.raises(AnomalieInconnue):
            orphelin.proposer(ident, Geste.FAUSSE_ALERTE)


def test_de_l_argent_regle_sous_un_autre_nom_est_vu_de_l_audit(orphelin: Banc) -> None:
    """Les vues n'en retireraient rien : la liste le montrerait pour toujours, et nul ne pourrait plus le régler."""
    b, autre = orphelin, IdAnomalie("argent-ORPHELIN-01")
    personnes = {"saisi_par": "agent-1", "approuve_par": "agent-2"}
    creance, paiement = b.creance(1), b.paiement("ORPHELIN")
    part = Imputation(reference=creance.avis.reference, part=Centimes(20_00))
    paiement.imputer_argent(autre, (part,), maintenant=T0, **personnes)
    creance.rattacher(paiement.transaction, autre, part.part, maintenant=T0, **personnes)
    b.inscrire(paiement, creance)
    b.projeter()
    ecarts = auditer(b.conn).ecarts
    assert any("argent-ORPHELIN-01, qui n'est le nom d'aucun argent" in ecart for ecart in ecarts), ecarts


def test_un_geste_qui_ne_va_pas_a_l_anomalie_est_refuse(orphelin: Banc) -> None:
    for geste in (Geste.FAUSSE_ALERTE, Geste.CONCLURE, Geste.REMBOURSER, Geste.LIBERER):
        with pytest.raises(GesteImpossible):
            orphelin.proposer(ORPHELIN, geste)


@pytest.mark.parametrize(
    ("ident", "geste", "champs"),
    [
        (ORPHELIN, Geste.RATTACHER, {"creances": [(1, 0)], "voie": Voie.CARTE}),
        (ORPHELIN, Geste.RATTACHER, {"creances": [(1, 0)], "transaction": "T1"}),
        ("argent-T1-3", Geste.CONCLURE, {"voie": Voie.CARTE}),
        ("argent-T1-3", Geste.CONCLURE, {"creances": [(1, 0)]}),
        ("argent-T1-3", Geste.RENDRE, {"voie": Voie.CARTE, "transaction": "ORPHELIN"}),
        ("argent-T1-3", Geste.RENDRE, {"voie": Voie.CARTE, "creances": [(1, 0)]}),
        ("paiement-T1", Geste.CONTREPASSER, {"voie": Voie.CARTE}),
        ("paiement-T1", Geste.CONTREPASSER, {"transaction": "ORPHELIN"}),
        ("paiement-T1", Geste.FAUSSE_ALERTE, {"montant": 999_00}),
        ("paiement-T1", Geste.FAUSSE_ALERTE, {"creances": [(1, 0)]}),
        ("paiement-T1", Geste.FAUSSE_ALERTE, {"transaction": "ORPHELIN"}),
    ],
    ids=str,
)
def test_un_geste_ne_precise_que_ce_qu_il_fait(
    orphelin: Banc, ident: str, geste: Geste, champs: dict[str, Any]
) -> None:
    b = orphelin
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    b.repondre("T1", 20_00, autorisation="B")
    signaler(b.guichet, "T1", "le payeur appelle", "agent-1", T0)
    avant = b.faits()
    assert ident in {ligne.id for ligne in b.ouvertes()}
    with pytest.raises(GesteImpossible):
        b.proposer(ident, geste, **champs)
    assert (b.faits(), b.banque.rendus) == (avant, {})


def par_pages(b: Banc, limite: int, genre: str | None = None) -> tuple[list[str], set[int]]:
    """Toutes les anomalies, lues page après page ; et les totaux que les pages ont dits."""
    noms: list[str] = []
    totaux: set[int] = set()
    apres: str | None = None
    while True:
        voulue = anomalies.Voulue(genre, apres, limite)
        page = anomalies.page_des_ouvertes(b.conn, T0, voulue, gestes_d_un_message=gestes_d_un_message)
        assert len(page.lignes) <= limite
        noms += [ligne.id for ligne in page.lignes]
        totaux.add(page.total)
        apres = page.suite
        if apres is None:
            return noms, totaux


def test_une_liste_se_lit_par_pages_sans_rien_perdre_et_dit_combien_elles_sont(b: Banc) -> None:
    b.ouvrir_creance(1, 20_00)
    for rang in range(5):
        b.repondre(f"ORPHELIN{rang}", 20_00)
    b.payer("T1", 20_00, 1)
    for autorisation in ("A", "B", "C"):
        b.repondre("T1", 20_00, autorisation=autorisation)
    creance = b.creance(1)
    creance.encaisser("m-1", Centimes(5_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
    b.inscrire(creance)
    b.projeter()
    toutes = [ligne.id for ligne in b.ouvertes()]
    assert len(toutes) == 8
    for limite in (1, 2, 3, 7, 8, 100):
        assert par_pages(b, limite) == (toutes, {8})
    assert par_pages(b, 2, "montant_incoherent") == ([nom for nom in toutes if "T1" in nom], {2})
    assert par_pages(b, 2, "rien_de_tel") == ([], {0})
    for nom in toutes:
        vue = anomalies.anomalie(b.conn, b.guichet.recorder, nom, T0, gestes_d_un_message=gestes_d_un_message)
        assert (vue and vue.id, vue and vue.etat) == (nom, "ouverte")
    (une,) = anomalies.anomalies_ouvertes(
        b.conn, T0, gestes_d_un_message=gestes_d_un_message, noms=["ORPHELIN3", "rien"]
    )
    assert une.transaction == "ORPHELIN3"
    de_l_assure = anomalies.anomalies_ouvertes(b.conn, T0, gestes_d_un_message=gestes_d_un_message, noms=["a-1"])
    assert {ligne.id.partition("-")[0] for ligne in de_l_assure} == {"argent", "trop_percu"}


@pytest.mark.parametrize("apres", ["x", "2026-13-01T00:00:00Z_argent-T1-1", "2026-01-01T00:00:00Z_", "\x00", "' OR 1"])
def test_une_page_qui_n_existe_pas_est_refusee(b: Banc, apres: str) -> None:
    with pytest.raises(anomalies.PageInconnue):
        anomalies.page_des_ouvertes(b.conn, T0, anomalies.Voulue(apres=apres), gestes_d_un_message=gestes_d_un_message)
    with pytest.raises(anomalies.PageInconnue):
        anomalies.page_des_reglees(b.conn, anomalies.Voulue(apres=apres))


def test_ce_qui_est_regle_se_lit_par_pages_aussi(b: Banc) -> None:
    b.ouvrir_creance(1)
    noms = [f"argent-ORPHELIN{rang}-1" for rang in range(3)]
    for rang, nom in enumerate(noms):
        b.repondre(f"ORPHELIN{rang}", 20_00)
        b.proposer(nom, Geste.RATTACHER, creances=[(1, 0)])
        b.approuver(nom)
    b.projeter()
    lues: list[str] = []
    apres: str | None = None
    for _ in noms:
        page = anomalies.page_des_reglees(b.conn, anomalies.Voulue(apres=apres, limite=1))
        lues += [ligne.id for ligne in page.lignes]
        assert page.total == 3
        apres = page.suite
    assert (sorted(lues), apres) == (noms, None)


def test_reglee_en_partie_puis_declinee_elle_n_est_pas_dite_deja_reglee(b: Banc) -> None:
    b.ouvrir_creance(1, 20_00)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 25_00)
    (ligne,) = b.ouvertes()
    b.proposer(ligne.id, Geste.CONCLURE, montant=20_00)
    b.approuver(ligne.id)
    with pytest.raises(AucunePropositionEnAttente):
        b.approuver(ligne.id)
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.VIREMENT, preuve="VIR-1")
    decliner(b.guichet, ligne.id, "agent-2", "pas ce virement", T0)
    assert [(encore.id, encore.montant) for encore in b.ouvertes()] == [(ligne.id, 5_00)]
    with pytest.raises(AucunePropositionEnAttente):
        b.approuver(ligne.id)
    with pytest.raises(AucunePropositionEnAttente):
        decliner(b.guichet, ligne.id, "agent-2", "encore", T0)
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.VIREMENT, preuve="VIR-2")
    b.approuver(ligne.id)
    for encore in (b.approuver, lambda ident: decliner(b.guichet, ident, "agent-2", "encore", T0)):
        with pytest.raises(AnomalieDejaReglee):
            encore(ligne.id)
