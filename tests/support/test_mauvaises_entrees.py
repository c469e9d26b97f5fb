"""Ce qu'un agent maladroit ou malveillant tape : un refus clair, et rien n'est écrit ni ne tombe."""

from typing import Any

import pytest

from api.socle.identite import RoleUtilisateur
from tests.support.banc import MOTIF, REF, Service, agent

NUL = "a\x00b"
PLEINE_CHASSE = "255081416802538".translate({ord("0") + n: 0xFF10 + n for n in range(10)})
AUDITEUR = agent("aline", RoleUtilisateur.AUDIT)


def notes(service: Service) -> Any:
    with service.guichet.base.transaction() as conn:
        return conn.execute("SELECT count(*) FROM journal.notes").fetchone()


@pytest.mark.parametrize(
    ("chemin", "parametres", "statut"),
    [
        ("anomalies/a%00b", {}, 404),
        ("recherche", {"q": "20 € 31/12/9999"}, 422),
        ("recherche", {"q": "9999-12-31 20 €"}, 422),
        ("recherche", {"q": "20 € 31/12/2999"}, 422),
        (f"creances/{REF}/historique", {"depuis_version": 99}, 422),
        (f"creances/{REF}/historique", {"motif": PLEINE_CHASSE}, 422),
    ],
    ids=str,
)  # fmt: skip
def test_une_lecture_impossible_est_refusee(
    paye: tuple[Service, str], chemin: str, parametres: dict[str, Any], statut: int
) -> None:
    reponse = paye[0].client.get(f"/api/v1/support/{chemin}", headers=agent(), params={"motif": MOTIF} | parametres)
    assert reponse.status_code == statut, reponse.text


@pytest.mark.parametrize(
    "parametres", [{"avant": 10**30}, {"avant": -1}, {"assure": NUL}, {"qui": NUL}, {"objet": NUL}, {"qui": "a" * 257}]
)
def test_l_auditeur_non_plus_ne_fait_rien_tomber(service: Service, parametres: dict[str, Any]) -> None:
    assert service.client.get("/api/v1/audit/acces", headers=AUDITEUR, params=parametres).status_code == 422


@pytest.mark.parametrize(
    "objet",
    ["creance-INCONNUE", "paiement-RIEN", "assure-a-9", "anomalie-x", "anomalie-x-255081416802538"],
)  # fmt: skip
def test_une_note_ne_s_ecrit_que_sur_ce_qui_existe(paye: tuple[Service, str], objet: str) -> None:
    service, _ = paye
    refusee = service.client.post(
        "/api/v1/support/notes", headers=agent(), json={"objet": objet, "texte": "rappeler demain"}
    )
    assert (refusee.status_code, refusee.json()["code"]) == (404, "objet_inconnu")
    assert notes(service) == (0,)


def test_une_note_sur_un_numero_de_securite_sociale_est_refusee(service: Service) -> None:
    corps = {"objet": "assure-255081416802538", "texte": "rappeler demain"}
    assert service.client.post("/api/v1/support/notes", headers=agent(), json=corps).status_code in {404, 422}
    assert notes(service) == (0,)
