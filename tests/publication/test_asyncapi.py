"""`docs/asyncapi.yaml` dit ce que le code fait : topics, types d'événements, messages des caisses, en-têtes."""

import json
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from guichet import prendre_avis
from guichet.messages import MessageIllisible
from publication.contenu import faits_publiés
from publication.message import composer, type_publié
from service import kafka
from service.settings import Settings
from tests.consumers import banc
from tests.outils import RACINE
from tests.publication.test_contenu import CORPUS, SOURCE, exemple

DOC: dict[str, Any] = yaml.safe_load((RACINE / "docs" / "asyncapi.yaml").read_text("utf-8"))
MESSAGES = DOC["components"]["messages"]

DE_CAISSE: dict[str, Any] = {
    get_args(modèle.model_fields["type"].annotation)[0]: modèle
    for modèle in (
        prendre_avis.AvisÉmis,
        prendre_avis.AvisRectifié,
        prendre_avis.AvisAnnulé,
        prendre_avis.EncaissementReçu,
    )
}


def nommés(canal: str) -> list[str]:
    """Les messages d'un canal, dont chacun pointe vers le sien."""
    messages = DOC["channels"][canal]["messages"]
    assert all(lien["$ref"] == f"#/components/messages/{nom}" for nom, lien in messages.items())
    return list(messages)


def accepte(schéma: Any, instance: Any) -> bool:
    racine = {"components": DOC["components"], **schéma}
    return bool(jsonschema.Draft202012Validator(racine).is_valid(instance))


def test_ce_sont_les_topics_du_service() -> None:
    assert DOC["asyncapi"].startswith("3.")
    du_service = {nom for nom in kafka.topics(Settings(_env_file=None)) if not nom.endswith(".rebuts")}
    assert {canal["address"] for canal in DOC["channels"].values()} == du_service
    sens = {opération["channel"]["$ref"]: opération["action"] for opération in DOC["operations"].values()}
    assert sens == {
        "#/channels/avis": "receive",
        "#/channels/notifications": "receive",
        "#/channels/evenements": "send",
    }


def test_ce_sont_les_événements_publiés_et_leurs_schémas() -> None:
    documentés = {MESSAGES[nom]["name"]: MESSAGES[nom]["payload"]["$ref"] for nom in nommés("evenements")}
    assert documentés == {type_publié(classe): f"schemas/{type_publié(classe)}.json" for classe in faits_publiés()}
    assert all((RACINE / "docs" / fichier).is_file() for fichier in documentés.values())


@pytest.mark.parametrize("classe", faits_publiés(), ids=lambda classe: classe.TOPIC)
def test_les_en_têtes_d_un_événement_sont_ceux_que_l_on_documente(classe: Any) -> None:
    schéma = DOC["components"]["schemas"]["cloudevent"]
    en_têtes = {nom: valeur.decode() for nom, valeur in composer(exemple(classe), SOURCE).en_têtes}
    assert en_têtes.keys() == set(schéma["required"]) == schéma["properties"].keys()
    jsonschema.validate(en_têtes, schéma)
    assert CORPUS[classe.TOPIC]["flux"] == en_têtes["ce_id"].partition(":")[0]


def test_ce_sont_les_messages_des_caisses() -> None:
    assert set(nommés("avis")) == DE_CAISSE.keys()
    for nom, modèle in DE_CAISSE.items():
        documenté = MESSAGES[nom]["payload"]
        assert documenté["properties"].keys() == modèle.model_fields.keys()
        obligatoires = set(modèle.model_fields) - ({"type"} if nom == "avis_emis" else set())
        assert set(documenté["required"]) == obligatoires


EXEMPLES = {
    "avis_emis": banc.avis(1),
    "avis_rectifie": {"montant_initial_centimes": 50_00, "motif": "erreur", "message_id": "m-1"},
    "avis_annule": {"motif": "erreur", "message_id": "m-1"},
    "encaissement_recu": {"montant_centimes": 12_00, "moyen": "cheque", "date": "2026-06-01", "message_id": "m-1"},
}
FAUX: list[tuple[str, dict[str, Any]]] = [
    ("avis_emis", {"montant_initial_centimes": 0}),
    ("avis_emis", {"solde_pf_fr_centimes": -1}),
    ("avis_emis", {"mode": "pigeon"}),
    ("avis_emis", {"reference": "12"}),
    ("avis_emis", {"inconnu": 1}),
    ("avis_emis", {"assure": "a b"}),
    ("avis_rectifie", {"motif": "x" * 201}),
    ("avis_rectifie", {"montant_initial_centimes": 10**12}),
    ("avis_annule", {"message_id": ""}),
    ("encaissement_recu", {"moyen": "troc"}),
    ("encaissement_recu", {"montant_centimes": 0}),
]


@pytest.mark.parametrize(("nom", "faute"), [*((nom, {}) for nom in EXEMPLES), *FAUX])
def test_le_document_et_le_code_acceptent_et_refusent_les_mêmes_messages(nom: str, faute: dict[str, Any]) -> None:
    message = {"type": nom, "reference": "3811701200000001F"} | EXEMPLES[nom] | faute
    assert accepte(MESSAGES[nom]["payload"], message) is not bool(faute)
    if faute:
        with pytest.raises(MessageIllisible):
            prendre_avis.lire(json.dumps(message).encode())
    else:
        assert prendre_avis.lire(json.dumps(message).encode()).type == nom


def test_la_notification_du_contrat_est_celle_du_document() -> None:
    assert nommés("notifications") == ["notification"]
    assert accepte(MESSAGES["notification"]["payload"], banc.notification("T1", 20_00))
    assert not accepte(MESSAGES["notification"]["payload"], {"Data": 1, "Seal": "", "InterfaceVersion": ""})
