from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from api.socle.problemes import STATUTS_DES_REFUS
from domain.refus import refus_connus
from tests.api.conftest import KIOSQUE, Service, porteur

REF = "3811701200010075F"
AUTRE = "3811702400012980F"


def test_un_paiement_s_ouvre_et_rend_le_formulaire_scelle(service: Service) -> None:
    service.avis(REF)
    reponse = service.payer(REF)
    assert reponse.status_code == 201
    corps = reponse.json()
    assert corps["montant_centimes"] == 20_00
    assert corps["imputations"] == [{"reference": REF, "montant_centimes": 20_00}]
    assert corps["kiosque"]["url"] == KIOSQUE
    assert {"Data", "Seal", "InterfaceVersion"} <= set(corps["kiosque"]["champs"])
    assert corps["transaction"].startswith("PCLCB")


def test_la_meme_cle_et_la_meme_demande_rendent_la_meme_reponse_a_l_octet_pres(service: Service) -> None:
    service.avis(REF)
    premiere, seconde = service.payer(REF), service.payer(REF.lower())
    assert (premiere.status_code, premiere.content) == (seconde.status_code, seconde.content)


def test_la_meme_cle_pour_une_autre_demande_est_refusee(service: Service) -> None:
    service.avis(REF)
    service.payer(REF)
    reponse = service.payer(REF, montant=30_00)
    assert (reponse.status_code, reponse.json()["code"]) == (422, "cle_reutilisee")


def test_la_meme_cle_de_deux_assures_ouvre_deux_paiements(service: Service) -> None:
    service.avis(REF)
    service.avis(AUTRE, assure="a-2")
    assert service.payer(REF).json()["transaction"] != service.payer(AUTRE, assure="a-2").json()["transaction"]


def test_la_meme_cle_au_meme_instant_n_ouvre_qu_un_paiement(service: Service) -> None:
    service.avis(REF)
    with ThreadPoolExecutor(8) as fils:
        reponses = list(fils.map(lambda _: service.payer(REF), range(8)))
    assert {reponse.status_code for reponse in reponses} == {201}
    assert len({reponse.content for reponse in reponses}) == 1


@pytest.mark.parametrize("cle", [None, "", "k" * 129, "avec espace"])
def test_une_cle_absente_ou_impossible_est_une_requete_invalide(service: Service, cle: str | None) -> None:
    en_tetes = porteur() | ({} if cle is None else {"Idempotency-Key": cle})
    reponse = service.client.post("/api/v1/paiements", json={}, headers=en_tetes)
    assert reponse.status_code == 400
    assert reponse.json()["code"].startswith("cle_idempotence")


@pytest.mark.parametrize(
    ("references", "montant", "code"),
    [
        (["3811708600076602F"], 20_00, "reference_non_ouverte"),
        (["3811701200010001A"], 20_00, "reference_non_ouverte"),
        (["3811701200010004D"], 20_00, "restant_du_insuffisant"),
        ([REF], 15_99, "montant_hors_bornes"),
        ([REF], 50_01, "montant_hors_bornes"),
        ([REF], 0, "montant_hors_bornes"),
        ([AUTRE], 45_00, "montant_superieur_au_solde"),
        ([REF, "6311701200010005E"], 20_00, "caisses_differentes"),
        ([], 20_00, "selection_invalide"),
        ([REF, REF.lower()], 20_00, "selection_invalide"),
    ],
)
def test_chaque_refus_a_son_code_et_sa_phrase(service: Service, references: list[str], montant: int, code: str) -> None:
    service.avis(REF)
    service.avis(AUTRE, 40_00)
    service.avis("3811701200010001A", assure="a-2")
    service.avis("3811701200010004D", 7_00, solde=60_00)
    service.avis("6311701200010005E")
    reponse = service.payer(*references, montant=montant)
    corps = reponse.json()
    assert (reponse.status_code, corps["code"], corps["status"]) == (409, code, 409)
    assert corps["type"] == f"urn:creances:probleme:{code}"
    assert corps["detail"].endswith(".")


def test_un_paiement_en_cours_dit_lequel_et_jusqu_a_quand(service: Service) -> None:
    service.avis(REF, 60_00)
    ouvert = service.payer(REF, montant=50_00).json()
    corps = service.payer(REF, montant=20_00, cle="k-2").json()
    assert corps["code"] == "paiement_en_cours"
    assert corps["transactions"] == [ouvert["transaction"]]
    assert datetime.fromisoformat(corps["jusqu_a"]) == datetime.fromisoformat(ouvert["expire_le"])


def test_chaque_refus_du_domaine_a_un_statut() -> None:
    assert {refus for refus in refus_connus() if not refus.__module__.startswith("api.")} == {
        refus for refus in STATUTS_DES_REFUS if not refus.__module__.startswith("api.")
    }


def test_un_paiement_se_suit_avant_meme_que_la_vue_ne_l_ait(service: Service) -> None:
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    adresse = f"/api/v1/paiements/{transaction}"
    avant = service.client.get(adresse, headers=porteur())
    service.catch_up()
    assert avant.status_code == 200
    assert avant.json() == service.client.get(adresse, headers=porteur()).json()
    assert avant.json()["statut"] == "en_cours"


@pytest.mark.parametrize(("code", "statut"), [("00", "accepte"), ("05", "echoue")])
def test_un_paiement_conclu_dit_son_issue_et_ne_se_reprend_plus(service: Service, code: str, statut: str) -> None:
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    service.repondre(transaction, 20_00, code)
    suivi = service.client.get(f"/api/v1/paiements/{transaction}", headers=porteur()).json()
    assert suivi["statut"] == statut
    assert suivi["conclu_le"] is not None
    assert (suivi["affiche_le"] is not None) == (statut == "accepte")
    reprise = service.client.post(f"/api/v1/paiements/{transaction}/reprise", headers=porteur())
    assert (reprise.status_code, reprise.json()["code"]) == (409, "paiement_clos")
    assert service.chercher(REF).json()["restant_du_centimes"] == (67_09 if code == "00" else 87_09)


def test_la_reprise_rend_le_meme_formulaire_tant_que_le_paiement_est_ouvert(service: Service) -> None:
    service.avis(REF)
    ouvert = service.payer(REF)
    adresse = f"/api/v1/paiements/{ouvert.json()['transaction']}/reprise"
    assert service.client.post(adresse, headers=porteur()).content == ouvert.content
    service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
    assert service.client.post(adresse, headers=porteur()).status_code == 409


@pytest.mark.parametrize("transaction", ["PCLCB262280000001", "a-b", "%00", "x" * 36])
def test_un_paiement_inconnu_ou_d_un_autre_est_introuvable(service: Service, transaction: str) -> None:
    service.avis(REF)
    ouvert = service.payer(REF).json()["transaction"]
    for adresse in (transaction, ouvert):
        lu = service.client.get(f"/api/v1/paiements/{adresse}", headers=porteur("a-2"))
        repris = service.client.post(f"/api/v1/paiements/{adresse}/reprise", headers=porteur("a-2"))
        assert (lu.status_code, lu.json()["code"]) == (404, "paiement_inconnu")
        assert lu.content == repris.content


@pytest.mark.parametrize(
    ("montant", "code", "statut"),
    [(20_00, "00", "accepte"), (20_00, "05", "echoue"), (2000_00, "00", "en_verification")],
)
def test_la_meme_cle_apres_la_fin_dit_ce_qui_est_arrive_et_ne_rend_plus_le_formulaire(
    service: Service, montant: int, code: str, statut: str
) -> None:
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    service.repondre(transaction, montant, code)
    for reponse in (
        service.payer(REF),
        service.client.post(f"/api/v1/paiements/{transaction}/reprise", headers=porteur()),
    ):
        corps = reponse.json()
        assert (reponse.status_code, corps["code"]) == (409, "paiement_clos")
        assert (corps["transaction"], corps["statut"]) == (transaction, statut)
        assert "kiosque" not in corps
    suivi = service.client.get(f"/api/v1/paiements/{transaction}", headers=porteur()).json()
    assert suivi["statut"] == statut


def test_apres_l_annulation_de_l_avis_le_formulaire_n_est_plus_remis(service: Service) -> None:
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    service.annuler(REF)
    for reponse in (
        service.payer(REF),
        service.client.post(f"/api/v1/paiements/{transaction}/reprise", headers=porteur()),
    ):
        assert (reponse.status_code, reponse.json()["code"]) == (409, "paiement_clos")
        assert "annulé" in reponse.json()["detail"]


@pytest.mark.parametrize(
    ("change", "remis"),
    [
        (lambda service: service.encaisser(REF, 87_09), False),
        (lambda service: service.encaisser(REF, 90_00), False),
        (lambda service: service.encaisser(REF, 67_10), False),
        (lambda service: service.rectifier(REF, 0), False),
        (lambda service: service.rectifier(REF, 19_99), False),
        (lambda service: service.encaisser(REF, 67_09), True),
        (lambda service: service.rectifier(REF, 20_00), True),
    ],
    ids=["soldée", "trop payée", "part trop grande", "rectifiée à zéro", "rectifiée sous la part", "juste", "égale"],
)
def test_un_formulaire_qui_ferait_trop_payer_n_est_plus_remis(
    service: Service, change: Callable[[Service], None], *, remis: bool
) -> None:
    service.avis(REF)
    service.avis(AUTRE)
    transaction = service.payer(REF).json()["transaction"]
    change(service)
    for reponse in (
        service.payer(REF),
        service.client.post(f"/api/v1/paiements/{transaction}/reprise", headers=porteur()),
    ):
        corps = reponse.json()
        if remis:
            assert corps["transaction"] == transaction
            assert "kiosque" in corps
            continue
        assert (reponse.status_code, corps["code"], corps["statut"]) == (409, "paiement_clos", "en_cours")
        assert corps["fermeture"] == "dette_moindre"
        assert "votre dette a baissé" in corps["detail"]
        assert "kiosque" not in corps
    offerts = service.chercher(AUTRE).json()["paiements_en_cours"]
    assert [offert["transaction"] for offert in offerts] == ([transaction] if remis else [])


def test_l_acceptation_d_un_paiement_devenu_trop_grand_reste_un_fait(service: Service) -> None:
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    service.encaisser(REF, 80_00)
    assert service.payer(REF).status_code == 409
    service.repondre(transaction, 20_00)
    assert service.payer(REF).json()["statut"] == "accepte"


def test_la_meme_cle_apres_le_delai_ne_rend_plus_le_formulaire(service: Service) -> None:
    service.avis(REF)
    service.payer(REF)
    service.maintenant = datetime.now(UTC) + timedelta(minutes=16)
    reponse = service.payer(REF)
    assert (reponse.status_code, reponse.json()["statut"]) == (409, "en_cours")


def test_un_autre_montant_leve_la_reservation_et_laisse_la_dette(service: Service) -> None:
    service.avis(REF)
    service.repondre(service.payer(REF).json()["transaction"], 2000_00)
    corps = service.chercher(REF).json()
    assert (corps["restant_du_centimes"], corps["en_cours_centimes"]) == (87_09, 0)


def test_chaque_paiement_porte_un_jeton_a_lui_et_le_marchand_de_la_caisse_de_l_avis(service: Service) -> None:
    service.avis(REF)
    service.avis(AUTRE)
    transactions = [service.payer(REF).json()["transaction"], service.payer(AUTRE, cle="k-2").json()["transaction"]]
    with service.guichet.base.transaction() as conn:
        paiements = [service.guichet.charger_paiement(conn, transaction) for transaction in transactions]
    jetons = {paiement.jeton_retour for paiement in paiements if paiement and paiement.jeton_retour}
    assert len(jetons) == 2
    assert all(len(jeton) == 16 and jeton.isascii() for jeton in jetons)
