"""Qui agit ne se tape pas : un jeton, ou le compte de la machine ; les deux ne font jamais deux personnes."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from api.socle.identite import JetonInvalide, RoleUtilisateur, VerificateurDeDeveloppement, emettre_jeton
from domain.geste import Geste, meme_personne
from domain.refus import SecondePersonneRequise
from guichet.reglement.approuver import decliner
from guichet.reglement.proposer import Suite
from service.cli import who
from tests.guichet.reglement.banc import T0, Banc, reference
from tests.guichet.reglement.test_commande import ID, SECRET, jeton_de, lancer


@pytest.mark.parametrize(
    ("une", "autre", "meme"),
    [
        ("claire", "paul", False),
        ("claire", " CLAIRE ", True),
        ("systeme:root", "systeme:paul", False),
        ("systeme:paul", "SYSTEME:Paul", True),
        ("systeme:paul", "claire", True),
        ("paul", "systeme:paul", True),
    ],
)
def test_un_compte_et_une_personne_de_l_emetteur_ne_font_pas_deux(une: str, autre: str, *, meme: bool) -> None:
    assert meme_personne(une, autre) is meme


@pytest.mark.parametrize(("une", "autre"), [("systeme:root", "claire"), ("claire", "systeme:root")])
def test_un_compte_n_approuve_pas_ce_qu_une_personne_a_propose_ni_l_inverse(b: Banc, une: str, autre: str) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    b.proposer(ID, Geste.RATTACHER, une, creances=[(1, 0)])
    avant = b.faits()
    with pytest.raises(SecondePersonneRequise):
        b.approuver(ID, autre)
    assert (b.faits(), b.creance(1).restant_du) == (avant, 87_09)
    decliner(b.guichet, ID, une, "retirée", T0)
    b.proposer(ID, Geste.RATTACHER, une, creances=[(1, 0)])
    seconde = "systeme:paul" if une.startswith("systeme:") else "paul"
    assert b.approuver(ID, seconde).suite is Suite.REGLE


def test_a_la_commande_le_compte_est_celui_du_noyau_quoi_que_dise_l_environnement(
    b: Banc, base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    b.ouvrir_creance(1)
    b.repondre("ORPHELIN", 20_00)
    b.projeter()
    vers = ("--geste", "rattacher", "--creance", f"{reference(1)}", "--motif", "elle a appelé", "--json")
    assert lancer(base.url, "anomalies", "settle", ID, *vers).returncode == 0
    for nom in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "SUDO_UID"):
        monkeypatch.setenv(nom, "12345")
    refuse = lancer(base.url, "anomalies", "approve", ID)
    assert (refuse.returncode, "seconde personne" in refuse.stderr) == (1, True)
    personne = lancer(base.url, "anomalies", "approve", ID, par="paul")
    assert (personne.returncode, "de la même façon" in personne.stderr) == (1, True)
    tapee = lancer(base.url, "anomalies", "approve", ID, "--par", "paul")
    assert (tapee.returncode, "--par" in tapee.stderr) == (2, True)
    (ligne,) = b.ouvertes()
    assert ligne.etat == "proposee"
    assert b.creance(1).restant_du == 87_09


def test_un_jeton_qui_n_est_pas_celui_d_un_agent_du_support_ne_fait_rien(b: Banc, base: Any) -> None:
    b.repondre("ORPHELIN", 20_00)
    avant = b.faits()
    geste = ("anomalies", "settle", ID, "--geste", "rendre", "--voie", "virement", "--motif", "deux débits")
    perime = emettre_jeton(
        SECRET, RoleUtilisateur.SUPPORT, None, audience="creances", maintenant=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for jeton in ("n'importe quoi", perime, jeton_de("aline", RoleUtilisateur.AUDIT), jeton_de("systeme:root")):
        refuse = lancer(base.url, *geste, jwt_secret=SECRET, agent_token=jeton)
        assert (refuse.returncode, "CREANCES_AGENT_TOKEN" in refuse.stderr) == (2, True), refuse.stderr
        assert "Traceback" not in refuse.stderr
    sans = lancer(base.url, *geste, oidc_issuer="https://emetteur.example")
    assert (sans.returncode, "jeton d'agent" in sans.stderr) == (2, True), sans.stderr
    assert b.faits() == avant


def test_aucun_emetteur_ne_nomme_un_compte_de_la_machine() -> None:
    verificateur = VerificateurDeDeveloppement(SECRET, "creances")
    assert anyio.run(verificateur.verifier, jeton_de("paul")).personne == "paul"
    for nom in ("systeme:root", "  SYSTEME:root"):
        with pytest.raises(JetonInvalide):
            anyio.run(verificateur.verifier, jeton_de(nom))


def test_le_compte_est_celui_qui_s_est_connecte(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connecte = tmp_path / "loginuid"
    monkeypatch.setattr(who, "_LOGIN", connecte)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert who.account() == "systeme:root"
    connecte.write_text("4294967295")
    assert who.account() == "systeme:root"
    connecte.write_text("987654")
    assert who.account() == "systeme:uid-987654"
