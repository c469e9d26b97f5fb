"""Interroger la banque maintenant : sa réponse à côté de la nôtre, et ce qui diffère devient une anomalie."""

from typing import Any

import pytest

from domain.monnaie import Centimes
from domain.references import ReferenceTransaction
from domain.refus import PaiementInconnu
from domain.reponse import Issue, ReponseBancaire
from domain.statut import StatutDePaiement
from guichet.reglement.demander import Comparaison, Cote, demander
from kiosque.interface import Etat, Inconnue, Trouvee
from kiosque.operation import Indeterminee
from tests.guichet.reglement.banc import MARCHAND, T0, Banc


def dite(montant: int = 20_00, issue: Issue = Issue.ACCEPTEE, autorisation: str | None = "A") -> Trouvee:
    code = {Issue.ACCEPTEE: "00", Issue.REFUSEE: "05", Issue.EN_ATTENTE: "60"}[issue]
    reponse = ReponseBancaire(
        ReferenceTransaction("T1"), MARCHAND, Centimes(montant), issue, code, autorisation, "4500####01", None, T0, None
    )
    return Trouvee(reponse, {"scellee": "oui"})


def interroger(b: Banc, etat: Etat) -> tuple[Comparaison, list[Any]]:
    """Ce que la comparaison dit, et ce qui a pris le chemin des notifications."""
    transmises: list[Any] = []
    b.banque.etat = etat
    said = demander(b.guichet, "T1", "agent-1", lambda *transmise: transmises.append(transmise), T0)
    return said, transmises


@pytest.fixture
def accepte(b: Banc) -> Banc:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    b.repondre("T1", 20_00)
    return b


def test_d_accord_rien_ne_s_ouvre(accepte: Banc) -> None:
    avant = accepte.faits()
    for etat in (dite(), dite(autorisation=None), dite(autorisation="00A")):
        said, transmises = interroger(accepte, etat)
        assert (said.anomalie, transmises, said.phrase) == (None, [], "La banque dit comme nous.")
        assert said.la_banque is not None
        assert (said.chez_nous.montant, said.la_banque.montant) == (20_00, 20_00)
    assert accepte.faits() == avant


def test_elle_ne_repond_pas_rien_n_est_conclu(accepte: Banc) -> None:
    avant = accepte.faits()
    said, transmises = interroger(accepte, Indeterminee("délai dépassé"))
    assert (said.la_banque, said.anomalie, transmises) == (None, None, [])
    assert accepte.faits() == avant


@pytest.mark.parametrize("etat", [dite(issue=Issue.REFUSEE), dite(issue=Issue.EN_ATTENTE), Inconnue()], ids=str)
def test_ce_qui_differe_d_un_paiement_conclu_devient_une_anomalie_et_une_seule(accepte: Banc, etat: Etat) -> None:
    said, transmises = interroger(accepte, etat)
    assert (said.anomalie, transmises) == ("paiement-T1", [])
    (ligne,) = accepte.ouvertes()
    assert (ligne.id, ligne.genre, ligne.montant) == ("paiement-T1", "signalement", 20_00)
    avant = accepte.faits()
    interroger(accepte, etat)
    assert accepte.faits() == avant


@pytest.mark.parametrize("etat", [dite(25_00), dite(autorisation="B")], ids=["autre-montant", "autre-autorisation"])
def test_de_l_argent_que_nous_n_avons_pas_prend_le_chemin_des_notifications(accepte: Banc, etat: Etat) -> None:
    said, transmises = interroger(accepte, etat)
    assert (said.transmise, said.anomalie, len(transmises)) == (True, None, 1)


def test_un_paiement_en_cours_apprend_sa_fin(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.payer("T1", 20_00, 1)
    for etat, apprend in ((dite(), 1), (dite(issue=Issue.REFUSEE), 1), (dite(issue=Issue.EN_ATTENTE), 0)):
        assert len(interroger(b, etat)[1]) == apprend
    said, transmises = interroger(b, Inconnue())
    assert (said.anomalie, transmises) == (None, [])


def test_un_paiement_inconnu_se_refuse(b: Banc) -> None:
    for nom in ("RIEN", "a b", "<b>", ""):
        with pytest.raises(PaiementInconnu):
            demander(b.guichet, nom, "agent-1", lambda *_: None, T0)


@pytest.mark.parametrize("issue", [*Issue, *StatutDePaiement, "inconnu", "inconnue"])
def test_chaque_issue_se_dit_en_mots(issue: str) -> None:
    assert "_" not in Cote(issue).issue_dite
