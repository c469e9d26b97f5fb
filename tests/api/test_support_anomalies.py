"""Régler par l'API : un motif pour lire, deux jetons pour faire bouger de l'argent, des refus clairs."""

from datetime import UTC, datetime
from typing import Any

import httpx

from api.socle.identite import RoleUtilisateur, emettre_jeton
from domain.monnaie import Centimes
from domain.paiement import Acceptation, Paiement
from domain.references import ReferenceTransaction
from projections.vues.anomalies import Anomalies
from tests.api.conftest import AUDIENCE, MARCHAND, SECRET, Service, porteur
from tests.mapper import MAPPER

REFERENCE = "3811701200010075F"
ID = "argent-ORPHELIN-1"
LIRE = {"motif": "Appel de l'assuré"}


def agent(nom: str) -> dict[str, str]:
    jeton = emettre_jeton(
        SECRET, RoleUtilisateur.SUPPORT, None, audience=AUDIENCE, maintenant=datetime.now(UTC), personne=nom
    )
    return {"Authorization": f"Bearer {jeton}"}


def prendre(service: Service, montant: int = 20_00) -> None:
    """La banque a pris de l'argent pour un paiement inconnu."""
    service.avis(REFERENCE)
    acceptation = Acceptation(MARCHAND.id, Centimes(montant), "761208", service.heure(), depart_presume=False)
    service._inscrire(
        [Paiement.encaisser_inconnu(ReferenceTransaction("ORPHELIN"), acceptation, maintenant=service.heure())]
    )
    suivre(service)


def suivre(service: Service) -> None:
    from engine.follower import Follower

    Follower(service.url_base, Anomalies(), mapper=MAPPER).catch_up()
    service.catch_up()


def regler(service: Service, ident: str, nom: str, **corps: Any) -> httpx.Response:
    return service.client.post(f"/api/v1/support/anomalies/{ident}/reglement", json=corps, headers=agent(nom))


def decider(service: Service, ident: str, nom: str, **corps: Any) -> httpx.Response:
    voulu = {"decision": "approuver"} | corps
    return service.client.post(f"/api/v1/support/anomalies/{ident}/approbation", json=voulu, headers=agent(nom))


def test_de_l_argent_orphelin_se_rattache_par_deux_personnes(service: Service) -> None:
    prendre(service)
    liste = service.client.get("/api/v1/support/anomalies", params=LIRE, headers=agent("ag-1"))
    (ligne,) = liste.json()
    assert {cle: ligne[cle] for cle in ("id", "genre", "etat", "montant_centimes", "transaction")} == {
        "id": ID,
        "genre": "non_rapprochee",
        "etat": "ouverte",
        "montant_centimes": 20_00,
        "transaction": "ORPHELIN",
    }
    propose = regler(
        service, ID, "ag-1", geste="rattacher", motif="vu avec elle", imputations=[{"reference": REFERENCE}]
    )
    assert (propose.status_code, propose.json()["suite"]) == (200, "propose")
    refus = decider(service, ID, "AG-1")
    assert (refus.status_code, refus.json()["code"]) == (409, "seconde_personne_requise")
    assert decider(service, ID, "ag-2", version=propose.json()["version"]).json()["suite"] == "regle"
    again = decider(service, ID, "ag-3")
    assert (again.status_code, again.json()["code"]) == (409, "anomalie_deja_reglee")
    suivre(service)
    assert service.client.get("/api/v1/support/anomalies", params=LIRE, headers=agent("ag-1")).json() == []
    detail = service.client.get(f"/api/v1/support/anomalies/{ID}", params=LIRE, headers=agent("ag-1")).json()
    assert (detail["etat"], detail["histoire"][-1]["approuve_par"]) == ("reglee", "ag-2")
    restant = service.chercher(REFERENCE).json()
    assert restant["restant_du_centimes"] == 67_09


def test_lire_demande_un_motif_et_s_ecrit(service: Service) -> None:
    for chemin in ("anomalies", f"anomalies/{ID}"):
        sans = service.client.get(f"/api/v1/support/{chemin}", headers=agent("ag-1"))
        assert (sans.status_code, sans.json()["code"]) == (422, "motif_requis")
    service.client.get("/api/v1/support/anomalies", params=LIRE, headers=agent("ag-1"))
    with service.guichet.base.transaction() as conn:
        lus = conn.execute("SELECT qui, quoi, motif FROM journal.acces").fetchall()
    assert lus == [("ag-1", "anomalies", LIRE["motif"])]


def test_un_assure_ne_regle_rien(service: Service) -> None:
    assert service.client.get("/api/v1/support/anomalies", params=LIRE, headers=porteur()).status_code == 403
    assert (
        service.client.post(f"/api/v1/support/anomalies/{ID}/reglement", json={}, headers=porteur()).status_code == 403
    )


def test_les_mauvaises_demandes_ont_un_refus_clair_et_ne_changent_rien(service: Service) -> None:
    prendre(service)
    for statut, code, corps in (
        (422, "donnees_invalides", {"geste": "voler", "motif": "vu avec elle"}),
        (422, "donnees_invalides", {"geste": "rattacher", "motif": "vu avec elle", "montant_centimes": -1}),
        (422, "donnees_invalides", {"geste": "rattacher", "motif": "vu avec elle", "autre": 1}),
        (
            422,
            "texte_irrecevable",
            {"geste": "rattacher", "motif": "<script>", "imputations": [{"reference": REFERENCE}]},
        ),
        (
            422,
            "texte_irrecevable",
            {"geste": "rattacher", "motif": "a\x00b c", "imputations": [{"reference": REFERENCE}]},
        ),
        (409, "geste_impossible", {"geste": "fausse_alerte", "motif": "rien à voir"}),
        (
            409,
            "montant_superieur_a_ouvert",
            {
                "geste": "rattacher",
                "motif": "vu avec elle",
                "imputations": [{"reference": REFERENCE, "montant_centimes": 20_01}],
            },
        ),
    ):
        reponse = regler(service, ID, "ag-1", **corps)
        assert (reponse.status_code, reponse.json()["code"]) == (statut, code), corps
    inconnue = regler(service, "argent-RIEN-1", "ag-1", geste="rendre", motif="vu avec elle", voie="carte")
    assert (inconnue.status_code, inconnue.json()["code"]) == (404, "anomalie_inconnue")
    with service.guichet.base.transaction() as conn:
        assert conn.execute("SELECT count(*) FROM journal.evenements WHERE flux LIKE 'anomalie-%'").fetchone() == (0,)


def test_la_banque_est_interrogee_maintenant_et_une_inconnue_le_dit(service: Service) -> None:
    chemin = "/api/v1/support/paiements/RIEN/question"
    sans = service.client.post(chemin, headers=agent("ag-1"))
    assert (sans.status_code, sans.json()["code"]) == (422, "motif_requis")
    reponse = service.client.post(chemin, params=LIRE, headers=agent("ag-1"))
    assert (reponse.status_code, reponse.json()["code"]) == (404, "paiement_inconnu")
    with service.guichet.base.transaction() as conn:
        lus = conn.execute("SELECT qui, quoi, objet, motif FROM journal.acces").fetchall()
    assert lus == [("ag-1", "question", "paiement-RIEN", LIRE["motif"])]
