"""Ce qu'un règlement inscrit au journal de la sûreté : propositions, approbations, refus, et rien de plus."""

import pytest

from domain.geste import Geste
from domain.refus import SecondePersonneRequise
from engine.security_log import Kind, lines
from guichet.reglement.approuver import decliner
from guichet.reglement.signaler import signaler
from tests.guichet.reglement.banc import T0, Banc

ORPHELIN = "argent-ORPHELIN-1"


def consignes(b: Banc) -> list[tuple[str, str, str | None, str]]:
    return [(une.genre, une.acteur, une.objet, une.detail.replace("\N{NO-BREAK SPACE}", " ")) for une in lines(b.conn)]


def test_qui_propose_qui_approuve_et_qui_veut_approuver_seul_s_y_lisent(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    for _ in range(2):  # La même proposition redite ne s'inscrit pas deux fois.
        b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    with pytest.raises(SecondePersonneRequise):
        b.approuver(ORPHELIN, "AGENT-1")
    b.approuver(ORPHELIN, "agent-2")
    refus = "approuver ce que l'on a proposé demande une autre personne"
    assert consignes(b) == [
        ("approbation", "agent-1", ORPHELIN, "proposé : rattacher, 20,00 €"),
        ("refus", "AGENT-1", ORPHELIN, refus),
        ("approbation", "agent-2", ORPHELIN, "approuvé, sur proposition de agent-1 : rattacher, 20,00 €"),
    ]


def test_ce_qui_se_decline_ou_se_regle_seul_s_y_lit(b: Banc) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    b.proposer(ORPHELIN, Geste.RATTACHER, creances=[(1, 20_00)])
    decliner(b.guichet, ORPHELIN, "agent-3", "pas la bonne créance", T0)
    ident = signaler(b.guichet, "ORPHELIN", "un doute", "agent-1", T0)
    b.proposer(ident, Geste.FAUSSE_ALERTE)
    assert [ligne[1:] for ligne in consignes(b) if ligne[0] == Kind.APPROVAL] == [
        ("agent-1", ORPHELIN, "proposé : rattacher, 20,00 €"),
        ("agent-3", ORPHELIN, "décliné : rattacher, 20,00 €"),
        ("agent-1", ident, "réglé par une seule personne : fausse_alerte"),
    ]
