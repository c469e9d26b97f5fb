import pytest

from tests.api.conftest import Service, porteur

RÉF = "3811701200010075F"
AUTRE = "3811702400012980F"
INCONNUE = "3811708600076602F"


def test_l_assuré_voit_sa_créance_et_les_autres(service: Service) -> None:
    service.avis(RÉF)
    service.avis(AUTRE, 50_00)
    réponse = service.chercher(RÉF)
    assert réponse.status_code == 200
    corps = réponse.json()
    assert (corps["reference"], corps["nom_caisse"]) == (RÉF, "CPAM DE L'ISÈRE")
    assert (corps["montant_initial_centimes"], corps["restant_du_centimes"], corps["payable"]) == (87_09, 87_09, True)
    assert [autre["reference"] for autre in corps["autres"]] == [AUTRE]
    assert (corps["minimum_par_paiement_centimes"], corps["maximum_par_paiement_centimes"]) == (16_00, 50_00)


def test_la_saisie_tolère_espaces_et_minuscules(service: Service) -> None:
    service.avis(RÉF)
    assert service.chercher("3811 7012 00010075f").json()["reference"] == RÉF


def test_inconnue_exclue_annulée_illisible_ou_d_un_autre_ont_la_même_réponse_à_l_octet_près(service: Service) -> None:
    autrui, exclue, annulée = "3811701200010001A", "3811701200010002B", "3811701200010003C"
    service.avis(autrui, assuré="a-2")
    service.avis(exclue, 39_99)
    service.avis(annulée)
    service.annuler(annulée)
    réponses = [
        service.chercher(référence) for référence in (INCONNUE, autrui, exclue, annulée, "abc", "%00", "é" * 90)
    ]
    assert {réponse.status_code for réponse in réponses} == {404}
    assert len({réponse.content for réponse in réponses}) == 1
    assert len({tuple(sorted(réponse.headers)) for réponse in réponses}) == 1
    corps = réponses[0].json()
    assert corps["code"] == "reference_non_ouverte"
    assert corps["detail"] == "Cette référence de courrier n'est pas ouverte au paiement en ligne."


def test_un_restant_dû_insuffisant_est_montré_avec_sa_raison(service: Service) -> None:
    service.avis(RÉF, 7_00, solde=60_00)
    corps = service.chercher(RÉF).json()
    assert corps["payable"] is False
    assert corps["refus"]["code"] == "restant_du_insuffisant"
    assert "inférieur au montant minimum" in corps["refus"]["detail"]


def test_un_paiement_en_cours_dit_jusqu_à_quand_et_se_reprend(service: Service) -> None:
    service.avis(RÉF, 60_00)
    ouvert = service.payer(RÉF, montant=50_00).json()
    service.rattraper()
    corps = service.chercher(RÉF).json()
    assert corps["refus"]["code"] == "paiement_en_cours"
    assert corps["refus"]["jusqu_a"] is not None
    assert corps["en_cours_centimes"] == 50_00
    assert [p["transaction"] for p in corps["paiements_en_cours"]] == [ouvert["transaction"]]


@pytest.mark.parametrize("en_têtes", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer x.y.z"}])
def test_sans_jeton_valable_la_réponse_est_401_avec_un_défi(service: Service, en_têtes: dict[str, str]) -> None:
    réponse = service.client.get(f"/api/v1/creances/{RÉF}", headers=en_têtes)
    assert réponse.status_code == 401
    assert réponse.headers["WWW-Authenticate"].startswith("Bearer")
    assert réponse.headers["Content-Type"] == "application/problem+json"


def test_la_base_absente_est_une_indisponibilité_et_pas_une_erreur_interne(service: Service) -> None:
    service.avis(RÉF)
    service.guichet.base.fermer()
    en_têtes = porteur() | {"Idempotency-Key": "k"}
    corps = {"references": [RÉF], "montant_centimes": 2000, "canal": "web"}
    réponse = service.client.post("/api/v1/paiements", json=corps, headers=en_têtes)
    assert (réponse.status_code, réponse.json()["code"]) == (503, "base_indisponible")
    assert réponse.headers["Retry-After"]
