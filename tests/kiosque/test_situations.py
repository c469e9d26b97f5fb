"""Les situations que le support répète : chacune par un bouton de la page du simulateur."""

from collections.abc import Iterator

import pytest

from domain.reponse import Issue
from kiosque.operation import Faite
from kiosque.simulateur.situations import SITUATIONS
from tests.kiosque.banc import Banc, banc
from tests.kiosque.envois import Memoire


@pytest.fixture
def b() -> Iterator[Banc]:
    """Un simulateur et son marchand."""
    with banc() as ouvert:
        yield ouvert


def choisir(b: Banc, situation: str, origine: str | None = None) -> int:
    en_tetes = {"Origin": b.url if origine is None else origine}
    return b.navigateur.post("/simulateur/situation", data={"situation": situation}, headers=en_tetes).status_code


def test_la_banque_prend_un_autre_montant(b: Banc) -> None:
    assert choisir(b, "autre_montant") == 303
    b.payer("T1")
    (reponse,) = b.recues(1)
    assert (reponse.issue, reponse.montant) == (Issue.ACCEPTEE, 21_00)
    etat = b.etat("T1")
    assert etat is not None
    assert etat.montant == 21_00


def test_la_banque_prend_deux_fois_sous_deux_autorisations(b: Banc) -> None:
    choisir(b, "autre_autorisation")
    b.payer("T1")
    une, autre = b.recues(2)
    assert (une.transaction, une.montant) == (autre.transaction, autre.montant)
    assert une.autorisation != autre.autorisation
    # Elle garde les deux sommes : n'en garder qu'une dirait l'autre rendue, sans que rien ne l'ait été.
    assert b.kiosque.annuler("T1", une.marchand, 5_00, reste_avant=40_00, envois=Memoire()) == Faite(35_00)
    assert b.kiosque.annuler("T1", une.marchand, 15_00, reste_avant=35_00, envois=Memoire()) == Faite(20_00)


def test_la_banque_refuse_et_prend_pourtant_sous_un_nom_inconnu(b: Banc) -> None:
    choisir(b, "orpheline")
    assert "accepté" not in b.payer("T1").text
    reponses = {reponse.transaction.rstrip("0123456789") or "": reponse for reponse in b.recues(2)}
    assert reponses["T"].issue is Issue.REFUSEE
    assert (reponses["ORPHELINE"].issue, reponses["ORPHELINE"].montant) == (Issue.ACCEPTEE, 20_00)
    inconnue = b.etat(reponses["ORPHELINE"].transaction)
    assert inconnue is not None


def test_un_impaye_est_au_rapport_du_jour(b: Banc) -> None:
    choisir(b, "impayee")
    b.payer("T1")
    b.payer("T2")
    rapport = b.navigateur.get("/simulateur/rapports/impayes", params={"jour": "2026-06-01"}).text
    assert ("T1" in rapport, "T2" in rapport) == (True, False)


def test_une_carte_refusee_ne_prend_rien_quelle_que_soit_la_situation(b: Banc) -> None:
    choisir(b, "orpheline")
    b.payer("T1", "5017 0000 0000 0005")
    (reponse,) = b.recues(1)
    assert (reponse.transaction, reponse.issue) == ("T1", Issue.REFUSEE)


def test_chaque_situation_est_un_bouton_de_la_page_et_la_premiere_les_efface(b: Banc) -> None:
    page = b.navigateur.get("/simulateur").text
    for situation in SITUATIONS:
        assert f'value="{situation.nom}"' in page
        assert choisir(b, situation.nom) == 303
    assert choisir(b, "aucune") == 303
    assert b.navigateur.get("/simulateur/reglages").json() == {"prochaines": []}


@pytest.mark.parametrize("origine", ["", "http://ailleurs.test", "null"])
def test_un_autre_site_ne_pose_aucune_situation(b: Banc, origine: str) -> None:
    assert choisir(b, "perdue", origine) == 403


def test_une_situation_inconnue_est_refusee(b: Banc) -> None:
    assert choisir(b, "<script>") == 422
