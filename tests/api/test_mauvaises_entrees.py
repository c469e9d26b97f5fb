from typing import Any

import httpx
import pytest

from tests.api.conftest import Service, porteur

REF = "3811701200010075F"
EN_TETES = {"Idempotency-Key": "k-1", "Content-Type": "application/json"}


def poster(service: Service, corps: bytes, **en_tetes: str) -> httpx.Response:
    return service.client.post("/api/v1/paiements", content=corps, headers=porteur() | EN_TETES | en_tetes)


def verifier(reponse: httpx.Response, statut: int, code: str) -> dict[str, Any]:
    corps: dict[str, Any] = reponse.json()
    assert (reponse.status_code, corps["code"]) == (statut, code), corps
    assert reponse.headers["Content-Type"] == "application/problem+json"
    assert set(corps) >= {"type", "title", "status", "detail", "code"}
    assert corps["status"] == statut
    assert "Traceback" not in reponse.text
    return corps


@pytest.mark.parametrize(
    "corps",
    [
        b"",
        b"{",
        b"references=1",
        b'{"references": [\xff]}',
        b"\xef\xbb\xbf{}",
        b"[" * 20_000,
        b'{"a":' * 5_000,
        b'{"montant_centimes": ' + b"9" * 5_000 + b"}",
        b'"\\ud800"',
    ],
)
def test_ce_qui_n_est_pas_du_json_est_une_requete_invalide(service: Service, corps: bytes) -> None:
    reponse = poster(service, corps)
    assert reponse.status_code in {400, 422}
    assert reponse.headers["Content-Type"] == "application/problem+json"


def test_l_imbrication_profonde_se_dit(service: Service) -> None:
    corps = verifier(poster(service, b"[" * 20_000), 400, "json_invalide")
    assert corps["detail"] == "Le corps est trop profondément imbriqué."


def test_l_utf8_invalide_se_dit(service: Service) -> None:
    assert "UTF-8" in verifier(poster(service, b'{"a": "\xff"}'), 400, "json_invalide")["detail"]


@pytest.mark.parametrize(
    ("champ", "valeur"),
    [
        ("montant_centimes", "-1"),
        ("montant_centimes", "1000000000000"),
        ("montant_centimes", "1e400"),
        ("montant_centimes", "NaN"),
        ("montant_centimes", "2000.0"),
        ("montant_centimes", '"2000"'),
        ("montant_centimes", "true"),
        ("montant_centimes", "null"),
        ("canal", '"guichet"'),
        ("canal", "1"),
        ("references", '"3811701200010075F"'),
        ("references", "[1]"),
        ("references", '["abc"]'),
        ("references", '["' + "1" * 65 + '"]'),
        ("references", "[" + ",".join(['"3811701200010075F"'] * 51) + "]"),
        ("inconnu", "1"),
    ],
)
def test_un_champ_fautif_est_nomme_en_francais(service: Service, champ: str, valeur: str) -> None:
    champs = {"references": f'["{REF}"]', "montant_centimes": "2000", "canal": '"web"'} | {champ: valeur}
    corps = "{" + ",".join(f'"{nom}": {texte}' for nom, texte in champs.items()) + "}"
    probleme = verifier(poster(service, corps.encode()), 422, "donnees_invalides")
    assert probleme["champs"][0]["champ"].startswith(champ)
    assert probleme["detail"].startswith("Les données ne sont pas valides. ")
    assert "Input" not in probleme["detail"]


def test_un_corps_qui_n_est_pas_un_objet_est_refuse(service: Service) -> None:
    verifier(poster(service, b"[]"), 422, "donnees_invalides")


def test_un_champ_absent_est_nomme(service: Service) -> None:
    champs = verifier(poster(service, b"{}"), 422, "donnees_invalides")["champs"]
    assert {faute["champ"] for faute in champs} == {"references", "montant_centimes", "canal"}


def test_un_autre_type_de_contenu_est_refuse(service: Service) -> None:
    reponse = poster(service, b"{}", **{"Content-Type": "text/plain"})
    verifier(reponse, 415, "type_de_contenu_non_pris_en_charge")


@pytest.mark.parametrize("annonce", [True, False])
def test_un_corps_de_10_mo_est_refuse(service: Service, annonce: bool) -> None:  # noqa: FBT001
    morceau = b" " * 65_536
    contenu = morceau * 160 if annonce else (morceau for _ in range(160))
    reponse = service.client.post("/api/v1/paiements", content=contenu, headers=porteur() | EN_TETES)
    verifier(reponse, 413, "corps_trop_grand")


def test_une_adresse_inconnue_est_un_probleme(service: Service) -> None:
    verifier(service.client.get("/api/v1/nulle-part"), 404, "introuvable")
    verifier(service.client.get("/statique/absent.css"), 404, "introuvable")


def test_une_methode_non_permise_est_un_probleme(service: Service) -> None:
    reponse = service.client.delete("/api/v1/paiements")
    verifier(reponse, 405, "methode_non_permise")
    assert "POST" in reponse.headers["Allow"]


def test_l_imprevu_ne_dit_rien_de_son_origine_sinon_un_numero(service: Service) -> None:
    def tomber() -> bool:
        raise RuntimeError("un détail intime")

    service.guichet_pret = tomber
    reponse = service.client.get("/readyz")
    corps = verifier(reponse, 500, "erreur_interne")
    assert "intime" not in reponse.text
    assert corps["correlation"] == reponse.headers["X-Correlation-Id"]
    assert corps["correlation"] in corps["detail"]
