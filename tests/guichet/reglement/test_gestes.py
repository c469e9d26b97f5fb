"""Les autres règlements, chacun de l'appel au solde : ce qu'il change, ce qu'il refuse, ce que l'audit en dit."""

from datetime import date, timedelta
from typing import Any

import pytest

from domain.avis import Moyen
from domain.geste import Geste, Voie
from domain.monnaie import Centimes
from domain.paiement import Fin
from domain.refus import (
    AnomalieDejaReglee,
    AucunePropositionEnAttente,
    GesteImpossible,
    MontantSuperieurAOuvert,
    PieceManquante,
    RemboursementEnCours,
    SecondePersonneRequise,
)
from domain.sort import Sort
from domain.statut import StatutDePaiement
from guichet.reglement.approuver import ENVOI_EN_ROUTE, decliner
from guichet.reglement.banque import executer
from guichet.reglement.proposer import Suite
from guichet.reglement.signaler import signaler
from kiosque.operation import (
    UN_AUTRE_L_ENVOIE,
    Envois,
    Faite,
    Indeterminee,
    NonOfferte,
    Operation,
    OperationRefusee,
    Reportee,
)
from projections.audit import auditer
from projections.lectures.anomalies import anomalies_reglees
from tests.guichet.reglement.banc import DELAI_DE_RENVOI, T0, Banc, reference


def sans_ecart(b: Banc) -> None:
    b.projeter()
    rapport = auditer(b.conn)
    assert (rapport.ecarts, rapport.illisibles) == ([], {})


def autre_montant(b: Banc, pris: int = 19_00) -> str:
    """Un paiement de 20 € sur une créance de 87,09 €, pour lequel la banque a pris autre chose."""
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    assert b.repondre("T1", pris) is Sort.MONTANT_INCOHERENT
    assert b.paiement("T1").statut is StatutDePaiement.EN_VERIFICATION
    (ligne,) = b.ouvertes()
    assert (ligne.genre, ligne.montant) == ("montant_incoherent", pris)
    return ligne.id


def trop_percu(b: Banc) -> str:
    """Une créance de 20 € payée par carte, puis par chèque."""
    b.ouvrir_creance(1, 20_00)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    creance = b.creance(1)
    creance.encaisser("m-1", Centimes(20_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
    b.inscrire(creance)
    (ligne,) = b.ouvertes()
    assert (ligne.genre, ligne.montant, ligne.caisse, ligne.assure) == ("trop_percu", 20_00, "381", "a-1")
    return ligne.id


# --- Un autre montant, une autre autorisation ------------------------------------------------------------------------


def test_un_paiement_pris_pour_un_autre_montant_se_conclut_et_l_assure_le_voit_accepte(b: Banc) -> None:
    ident = autre_montant(b)
    propose = b.proposer(ident, Geste.CONCLURE)
    assert [(i.reference, i.part) for i in propose.proposition.imputations] == [(reference(1), 19_00)]
    b.approuver(ident)
    assert b.creance(1).restant_du == 68_09
    assert b.paiement("T1").statut is StatutDePaiement.ACCEPTE
    b.projeter()
    vue = b.conn.execute("SELECT statut, montant_regle, regle_le IS NOT NULL FROM vues.paiements").fetchone()
    assert vue == (StatutDePaiement.ACCEPTE, 19_00, True)
    assert b.ouvertes() == []
    sans_ecart(b)


def test_l_acceptation_du_bon_montant_domine_encore_apres_le_reglement(b: Banc) -> None:
    ident = autre_montant(b)
    b.proposer(ident, Geste.CONCLURE)
    b.approuver(ident)
    assert b.repondre("T1", 20_00, autorisation="B") is Sort.APPLIQUEE
    assert b.creance(1).restant_du == 48_09
    assert b.paiement("T1").fin is Fin.ACCEPTE
    sans_ecart(b)


def test_l_etat_d_un_paiement_paye_deux_fois_se_lit_en_francais(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00, autorisation="A")
    b.repondre("T1", 20_00, autorisation="B")
    b.projeter()
    [ligne] = b.ouvertes()
    assert ligne.cause.endswith("pour le même paiement (autorisation B), déjà accepté.")


def test_ce_qui_depasse_la_dette_ne_se_conclut_pas_une_part_se_conclut_l_autre_se_rend(b: Banc) -> None:
    b.ouvrir_creance(1, 20_00)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 25_00)
    (ligne,) = b.ouvertes()
    with pytest.raises(MontantSuperieurAOuvert):
        b.proposer(ligne.id, Geste.CONCLURE)
    b.proposer(ligne.id, Geste.CONCLURE, montant=20_00)
    b.approuver(ligne.id)
    assert b.paiement("T1").statut is StatutDePaiement.EN_VERIFICATION
    with pytest.raises(PieceManquante):
        b.proposer(ligne.id, Geste.RENDRE, voie=Voie.VIREMENT)
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.VIREMENT, preuve="VIR-2026-17")
    b.approuver(ligne.id)
    assert (b.creance(1).restant_du, b.creance(1).trop_percu) == (0, 0)
    assert b.paiement("T1").statut is StatutDePaiement.ACCEPTE
    assert b.ouvertes() == []
    sans_ecart(b)


def test_debite_deux_fois_la_seconde_autorisation_se_rend_par_la_carte(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00, autorisation="A")
    b.repondre("T1", 20_00, autorisation="B")
    (ligne,) = b.ouvertes()
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.CARTE)
    assert b.approuver(ligne.id).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 40_00): 20_00}
    assert (b.paiement("T1").non_rattache, b.paiement("T1").recredite) == (0, 20_00)
    assert b.creance(1).restant_du == 67_09
    assert b.ouvertes() == []
    sans_ecart(b)


def test_tout_rendu_le_paiement_en_verification_a_echoue_pour_l_assure(b: Banc) -> None:
    ident = autre_montant(b)
    b.proposer(ident, Geste.RENDRE, voie=Voie.CARTE)
    b.approuver(ident)
    assert b.paiement("T1").statut is StatutDePaiement.ECHOUE
    assert b.creance(1).restant_du == 87_09
    sans_ecart(b)


def test_l_argent_d_un_autre_assure_ou_d_une_autre_caisse_ne_se_rattache_pas(b: Banc) -> None:
    ident = autre_montant(b)
    b.ouvrir_creance(2, assure="a-2")
    b.ouvrir_creance(3, caisse="011")
    for creances in ([(2, 19_00)], [(3, 19_00)], [(1, 9_00), (3, 10_00)], [(9, 19_00)], [(1, 9_00), (1, 10_00)]):
        with pytest.raises(GesteImpossible):
            b.proposer(ident, Geste.RATTACHER, creances=creances)


def test_de_l_argent_orphelin_se_rattache_aux_creances_d_un_paiement(b: Banc) -> None:
    b.ouvrir_creance(1, 15_00)
    b.ouvrir_creance(2, 30_00)
    b.payer("T1", 20_00, 1, 2)
    b.repondre("T1", 20_00, autorisation=None)
    b.repondre("ORPHELIN", 16_00)
    (ligne,) = b.ouvertes()
    propose = b.proposer(ligne.id, Geste.RATTACHER, transaction="T1")
    assert {i.reference: i.part for i in propose.proposition.imputations} == {reference(2): 16_00}
    b.approuver(ligne.id)
    assert (b.creance(1).restant_du, b.creance(2).restant_du) == (0, 9_00)
    sans_ecart(b)


# --- Un trop-perçu ---------------------------------------------------------------------------------------------------


def test_un_trop_percu_se_rembourse_sur_la_carte_quand_la_banque_le_permet(b: Banc) -> None:
    ident = trop_percu(b)
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.creance(1).trop_percu == 20_00
    assert b.approuver(ident).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 20_00): 20_00}
    assert (b.creance(1).trop_percu, b.creance(1).restant_du) == (0, 0)
    assert b.ouvertes() == []
    with pytest.raises(AnomalieDejaReglee):
        b.approuver(ident, "agent-3")
    sans_ecart(b)


def test_la_banque_ne_le_permet_pas_rien_n_a_bouge_puis_un_virement_le_regle(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(NonOfferte("ce contrat ne le permet pas"))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.approuver(ident).suite is Suite.ABANDONNE
    assert b.creance(1).trop_percu == 20_00
    assert [ligne.etat for ligne in b.ouvertes()] == ["ouverte"]
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.VIREMENT, preuve="VIR-2026-18", montant=5_00)
    b.approuver(ident)
    (reste,) = b.ouvertes()
    assert (reste.id, reste.montant) == (ident, 15_00)
    assert anomalies_reglees(b.conn) == []
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.VIREMENT, preuve="VIR-2026-19")
    b.approuver(ident)
    assert b.ouvertes() == []
    sans_ecart(b)


def test_sans_reponse_de_la_banque_le_remboursement_attend_et_se_repose_une_seule_fois(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(Indeterminee("délai dépassé"))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.approuver(ident).suite is Suite.EN_EXECUTION
    assert [ligne.etat for ligne in b.ouvertes()] == ["en_execution"]
    with pytest.raises(AnomalieDejaReglee):
        b.approuver(ident, "agent-3")
    assert executer(b.guichet, ident, T0).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 20_00): 20_00}
    with pytest.raises((AnomalieDejaReglee, AucunePropositionEnAttente)):
        executer(b.guichet, ident, T0)
    assert b.ouvertes() == []
    sans_ecart(b)


def test_un_remboursement_que_la_banque_n_execute_pas_s_abandonne_par_une_autre_personne(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(Indeterminee("la banque garde autre chose"))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    b.approuver(ident)
    with pytest.raises(SecondePersonneRequise):
        decliner(b.guichet, ident, "AGENT-1", "vu avec la banque", T0)
    assert decliner(b.guichet, ident, "agent-2", "vu avec la banque", T0).suite is Suite.ABANDONNE
    assert (b.paiement("T1").remboursement, b.creance(1).trop_percu) == (None, 20_00)
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.VIREMENT, preuve="VIR-2026-20")
    b.approuver(ident)
    assert b.ouvertes() == []
    sans_ecart(b)


def test_un_remboursement_parti_vers_la_banque_ne_s_abandonne_pas_pendant_qu_elle_repond(b: Banc) -> None:
    """Décliner à l'instant où un autre approuve n'abandonne pas ce que la banque est en train de rendre."""
    ident = trop_percu(b)
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    rembourser = b.banque.rembourser

    def pendant_ce_temps(*dits: Any, **plus: Any) -> Operation:
        fait = rembourser(*dits, **plus)
        with pytest.raises(GesteImpossible, match="partie vers la banque"):
            decliner(b.guichet, ident, "agent-3", "pas d'accord", T0)
        return fait

    b.banque.rembourser = pendant_ce_temps  # type: ignore[method-assign]
    assert b.approuver(ident).suite is Suite.REGLE
    assert (b.banque.rendus, b.paiement("T1").recredite) == ({("T1", 20_00): 20_00}, 20_00)
    sans_ecart(b)


def test_un_remboursement_parti_sans_reponse_s_abandonne_une_fois_que_la_banque_n_a_plus_a_repondre(b: Banc) -> None:
    ident = trop_percu(b)
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    b.banque.perdre = True
    assert b.approuver(ident).suite is Suite.EN_EXECUTION
    tot = T0 + ENVOI_EN_ROUTE - timedelta(microseconds=1)
    with pytest.raises(GesteImpossible):
        decliner(b.guichet, ident, "agent-3", "vu avec la banque", tot)
    fait = decliner(b.guichet, ident, "agent-3", "vu avec la banque", T0 + ENVOI_EN_ROUTE)
    assert fait.suite is Suite.ABANDONNE


def test_pas_encore_remis_en_banque_le_paiement_s_annule_au_lieu_de_se_rembourser(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(OperationRefusee("24", "impossible dans l'état TO_CAPTURE", annulable=True))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.approuver(ident).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 20_00): 20_00}


def test_deux_remboursements_d_une_meme_carte_ne_se_croisent_pas(b: Banc) -> None:
    for numero in (1, 2):
        b.ouvrir_creance(numero, 20_00)
    b.payer("T1", 40_00, 1, 2)
    b.repondre("T1", 40_00)
    for numero in (1, 2):
        creance = b.creance(numero)
        creance.encaisser("m-1", Centimes(20_00), Moyen.CHEQUE, date(2026, 6, 1), maintenant=T0)
        b.inscrire(creance)
    un, deux = (ligne.id for ligne in b.ouvertes())
    for ident in (un, deux):
        b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    b.banque.dictees.append(Indeterminee("délai dépassé"))
    assert b.approuver(un).suite is Suite.EN_EXECUTION
    with pytest.raises(RemboursementEnCours):
        b.approuver(deux)
    executer(b.guichet, un, T0)
    assert b.approuver(deux).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 40_00): 20_00, ("T1", 20_00): 20_00}


def test_on_ne_rembourse_ni_plus_que_le_trop_percu_ni_plus_que_la_carte(b: Banc) -> None:
    ident = trop_percu(b)
    b.ouvrir_creance(2, 20_00)
    avant = b.faits()
    for champs in (
        {"voie": Voie.VIREMENT, "preuve": "VIR-1", "montant": 20_01},
        {"voie": Voie.CARTE, "transaction": "T1", "montant": 20_01},
        {"voie": Voie.CARTE, "transaction": "AUTRE"},
        {"voie": Voie.CARTE},
        {"voie": Voie.VIREMENT},
        {},
    ):
        with pytest.raises(Exception, match=r"dépasse|pièce|geste|Aucun") as refus:
            b.proposer(ident, Geste.REMBOURSER, **champs)
        assert type(refus.value).__module__ == "domain.refus"
    assert b.faits() == avant


@pytest.mark.parametrize("garde", [20_00, 30_00, 0])
def test_un_premier_remboursement_n_est_pas_cru_fait_sur_un_reste_qui_n_est_pas_le_notre(b: Banc, garde: int) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00, autorisation="A")
    b.repondre("T1", 20_00, autorisation="B")
    b.banque.gardes["T1"] = garde  # Elle ne montre qu'une prise, ou quelqu'un a déjà rendu chez elle.
    (ligne,) = b.ouvertes()
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.CARTE)
    fait = b.approuver(ligne.id)
    assert fait.suite is Suite.ABANDONNE
    assert "la banque ne garde pas ce que nous croyons" in fait.cause
    assert (b.banque.rendus, b.paiement("T1").recredite, b.paiement("T1").remboursement) == ({}, 0, None)
    assert [(ligne.etat, ligne.montant) for ligne in b.ouvertes()] == [("ouverte", 20_00)]
    b.proposer(ligne.id, Geste.RENDRE, voie=Voie.VIREMENT, preuve="VIR-2026-21")
    b.approuver(ligne.id)
    assert b.ouvertes() == []
    sans_ecart(b)


def test_une_reponse_perdue_se_retrouve_au_reste_et_ne_rend_qu_une_fois(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.perdre = True
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.approuver(ident).suite is Suite.EN_EXECUTION
    assert (b.paiement("T1").envois, b.paiement("T1").sans_reponse_depuis) == (1, T0)
    assert executer(b.guichet, ident, T0).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 20_00): 20_00}
    sans_ecart(b)


def test_un_processus_tue_entre_la_note_et_l_envoi_laisse_peut_etre_envoyee(b: Banc) -> None:
    class Tue(BaseException):
        """Ce qui tue le processus."""

    ident = trop_percu(b)
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    rembourser = b.banque.rembourser

    def mourir(*_: Any, envois: Envois, **__: Any) -> Operation:
        assert envois.noter()
        raise Tue

    b.banque.rembourser = mourir  # type: ignore[method-assign]
    with pytest.raises(Tue):
        b.approuver(ident)
    b.banque.rembourser = rembourser  # type: ignore[method-assign]
    assert b.paiement("T1").peut_etre_envoye
    assert executer(b.guichet, ident, T0).suite is Suite.EN_EXECUTION, "la banque peut l'écrire plus tard"
    b.banque.heure = T0 + DELAI_DE_RENVOI
    assert executer(b.guichet, ident, T0).suite is Suite.REGLE
    assert b.banque.rendus == {("T1", 20_00): 20_00}, "rien n'avait bougé : elle se fait maintenant"
    sans_ecart(b)


def test_la_banque_fermee_a_cette_heure_la_premiere_fois_le_reste(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(Reportee("pas d'opération à cette heure"))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    assert b.approuver(ident).suite is Suite.EN_EXECUTION
    b.banque.rendre_a_la_main("T1", 20_00)
    assert executer(b.guichet, ident, T0).suite is Suite.ABANDONNE
    sans_ecart(b)


def test_de_deux_processus_qui_ont_regarde_ensemble_un_seul_envoie(b: Banc) -> None:
    ident = trop_percu(b)
    b.banque.dictees.append(Indeterminee("muette"))
    b.proposer(ident, Geste.REMBOURSER, voie=Voie.CARTE, transaction="T1")
    b.approuver(ident)
    rembourser = b.banque.rembourser

    def devance(*_: Any, **suite: Any) -> Operation:
        b.banque.rembourser = rembourser  # type: ignore[method-assign]
        assert executer(b.guichet, ident, T0).suite is Suite.REGLE
        return Faite(0) if suite["envois"].noter() else UN_AUTRE_L_ENVOIE

    b.banque.rembourser = devance  # type: ignore[method-assign]
    with pytest.raises(AnomalieDejaReglee):
        executer(b.guichet, ident, T0)
    assert b.banque.rendus == {("T1", 20_00): 20_00}
    sans_ecart(b)


# --- Un impayé, une erreur -------------------------------------------------------------------------------------------


def test_un_paiement_signale_se_contrepasse_et_la_dette_revient(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    ident = signaler(b.guichet, "T1", "payé pour une autre", "agent-1", T0)
    avant = b.faits()
    assert signaler(b.guichet, "T1", "payé pour une autre", "agent-1", T0) == ident
    assert b.faits() == avant
    assert [(ligne.id, ligne.montant) for ligne in b.ouvertes()] == [(ident, 20_00)]
    b.proposer(ident, Geste.CONTREPASSER)
    b.approuver(ident)
    assert b.creance(1).restant_du == 87_09
    assert b.repondre("T1", 20_00) is Sort.DOUBLON
    assert b.creance(1).restant_du == 87_09
    assert b.ouvertes() == []
    with pytest.raises(AnomalieDejaReglee):
        b.proposer(ident, Geste.CONTREPASSER)
    sans_ecart(b)


def test_de_l_argent_rattache_puis_conteste_se_contrepasse_aussi(b: Banc) -> None:
    ident = autre_montant(b)
    b.proposer(ident, Geste.CONCLURE)
    b.approuver(ident)
    signale = signaler(b.guichet, "T1", "contesté par le porteur", "agent-1", T0)
    b.proposer(signale, Geste.CONTREPASSER)
    b.approuver(signale)
    assert b.creance(1).restant_du == 87_09
    sans_ecart(b)


def test_la_banque_a_repris_de_l_argent_jamais_rattache(b: Banc) -> None:
    b.repondre("ORPHELIN", 20_00)
    (ligne,) = b.ouvertes()
    with pytest.raises(PieceManquante):
        b.proposer(ligne.id, Geste.CONSTATER_REPRISE)
    b.proposer(ligne.id, Geste.CONSTATER_REPRISE, preuve="impayé du 02/06")
    b.approuver(ligne.id)
    assert (b.paiement("ORPHELIN").non_rattache, b.paiement("ORPHELIN").argent_repris) == (0, 20_00)
    assert b.ouvertes() == []
