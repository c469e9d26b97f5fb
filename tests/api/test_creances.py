import pytest

from tests.api.conftest import Service, porteur

REF = "3811701200010075F"
AUTRE = "3811702400012980F"
INCONNUE = "3811708600076602F"


def test_l_assure_voit_sa_creance_et_les_autres(service: Service) -> None:
    service.avis(REF)
    service.avis(AUTRE, 50_00)
    reponse = service.chercher(REF)
    assert reponse.status_code == 200
    corps = reponse.json()
    assert (corps["reference"], corps["nom_caisse"]) == (REF, "CPAM DE L'ISÈRE")
    assert (corps["montant_initial_centimes"], corps["restant_du_centimes"], corps["payable"]) == (87_09, 87_09, True)
    assert [autre["reference"] for autre in corps["autres"]] == [AUTRE]
    assert (corps["minimum_par_paiement_centimes"], corps["maximum_par_paiement_centimes"]) == (16_00, 50_00)


def test_la_saisie_tolere_espaces_et_minuscules(service: Service) -> None:
    service.avis(REF)
    assert service.chercher("3811 7012 00010075f").json()["reference"] == REF


def test_inconnue_exclue_annulee_illisible_ou_d_un_autre_ont_la_meme_reponse_a_l_octet_pres(service: Service) -> None:
    autrui, exclue, annulee = "3811701200010001A", "3811701200010002B", "3811701200010003C"
    service.avis(autrui, assure="a-2")
    service.avis(exclue, 39_99)
    service.avis(annulee)
    service.annuler(annulee)
    reponses = [
        service.chercher(reference) for reference in (INCONNUE, autrui, exclue, annulee, "abc", "%00", "é" * 90)
    ]
    assert {reponse.status_code for reponse in reponses} == {404}
    assert len({reponse.content for reponse in reponses}) == 1
    assert len({tuple(sorted(reponse.headers)) for reponse in reponses}) == 1
    corps = reponses[0].json()
    assert corps["code"] == "reference_non_ouverte"
    assert corps["detail"] == "Cette référence de courrier n'est pas ouverte au paiement en ligne."


def test_un_restant_du_insuffisant_est_montre_avec_sa_raison(service: Service) -> None:
    service.avis(REF, 7_00, solde=60_00)
    corps = service.chercher(REF).json()
    assert corps["payable"] is False
    assert corps["refus"]["code"] == "restant_du_insuffisant"
    assert "inférieur au montant minimum" in corps["refus"]["detail"]


@pytest.mark.parametrize(("autre", "payable"), [(3_80, False), (12_50, True)])
def test_une_petite_creance_se_paie_avec_d_autres_si_leur_total_atteint_le_minimum(
    service: Service,
    autre: int,
    payable: bool,  # noqa: FBT001
) -> None:
    service.avis(REF, 7_00, solde=60_00)
    service.avis(AUTRE, autre, solde=60_00)
    corps = service.chercher(REF).json()
    assert (corps["payable"], corps["autres"][0]["payable"]) == (payable, payable)
    reponse = service.payer(REF, AUTRE, montant=16_00)
    assert reponse.status_code == (201 if payable else 409)
    if not payable:
        assert reponse.json()["code"] == "restant_du_insuffisant"


def test_une_creance_soldee_n_est_pas_sous_le_minimum(service: Service) -> None:
    service.avis(REF, 20_00, solde=60_00)
    service.repondre(service.payer(REF).json()["transaction"], 20_00)
    assert service.chercher(REF).json()["refus"]["code"] == "creance_soldee"


def test_un_paiement_en_cours_dit_jusqu_a_quand_et_se_reprend(service: Service) -> None:
    service.avis(REF, 60_00)
    ouvert = service.payer(REF, montant=50_00).json()
    service.catch_up()
    corps = service.chercher(REF).json()
    assert corps["refus"]["code"] == "paiement_en_cours"
    assert corps["refus"]["jusqu_a"] is not None
    assert corps["en_cours_centimes"] == 50_00
    assert [p["transaction"] for p in corps["paiements_en_cours"]] == [ouvert["transaction"]]


@pytest.mark.parametrize("en_tetes", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer x.y.z"}])
def test_sans_jeton_valable_la_reponse_est_401_avec_un_defi(service: Service, en_tetes: dict[str, str]) -> None:
    reponse = service.client.get(f"/api/v1/creances/{REF}", headers=en_tetes)
    assert reponse.status_code == 401
    assert reponse.headers["WWW-Authenticate"].startswith("Bearer")
    assert reponse.headers["Content-Type"] == "application/problem+json"


def test_la_base_absente_est_une_indisponibilite_et_pas_une_erreur_interne(service: Service) -> None:
    service.avis(REF)
    service.guichet.base.fermer()
    en_tetes = porteur() | {"Idempotency-Key": "k"}
    corps = {"references": [REF], "montant_centimes": 2000, "canal": "web"}
    reponse = service.client.post("/api/v1/paiements", json=corps, headers=en_tetes)
    assert (reponse.status_code, reponse.json()["code"]) == (503, "base_indisponible")
    assert reponse.headers["Retry-After"]
