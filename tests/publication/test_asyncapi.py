"""`docs/asyncapi.yaml` dit ce que le code fait : topics, types d'événements, messages des caisses, en-têtes."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from engine.messages import Trace, UnreadableMessage
from guichet import prendre_avis
from publication import schemas
from publication.cloudevent import CloudEvent, composer, type_publie
from publication.contenu import faits_publies
from publication.marques import MARQUES, FinDeRenvoi, marque_d_epoque, marque_de_fin
from publication.versions import ANCIENNES, versions
from service import kafka
from service.settings import Settings
from service.topic_configs import topic_configs
from tests.consumers import banc
from tests.outils import RACINE
from tests.publication.test_contenu import CORPUS, SOURCE, exemple, relu

DOC: dict[str, Any] = yaml.safe_load((RACINE / "docs" / "asyncapi.yaml").read_text("utf-8"))
MESSAGES = DOC["components"]["messages"]

DE_CAISSE: dict[str, Any] = {
    get_args(modele.model_fields["type"].annotation)[0]: modele for modele in get_args(prendre_avis.MessageDeCaisse)
}


def nommes(canal: str) -> list[str]:
    """Les messages d'un canal, dont chacun pointe vers le sien."""
    messages = DOC["channels"][canal]["messages"]
    assert all(lien["$ref"] == f"#/components/messages/{nom}" for nom, lien in messages.items())
    return list(messages)


def accepte(schema: Any, instance: Any) -> bool:
    racine = {"components": DOC["components"], **schema}
    return bool(jsonschema.Draft202012Validator(racine).is_valid(instance))


def test_ce_sont_les_topics_du_service() -> None:
    assert DOC["asyncapi"].startswith("3.")
    du_service = {nom for nom in kafka.topics(Settings(_env_file=None)) if not nom.endswith(".rebuts")}
    assert {canal["address"] for canal in DOC["channels"].values()} == du_service
    sens = {operation["channel"]["$ref"]: operation["action"] for operation in DOC["operations"].values()}
    assert sens == {
        "#/channels/avis": "receive",
        "#/channels/notifications": "receive",
        "#/channels/evenements": "send",
        "#/channels/soldes": "send",
        "#/channels/points": "send",
    }


def test_ce_sont_les_evenements_publies_et_leurs_schemas() -> None:
    documentes = {MESSAGES[nom]["name"]: MESSAGES[nom]["payload"]["$ref"] for nom in nommes("evenements")}
    types = [type_publie(classe, version) for classe in faits_publies() for version in versions(classe)]
    marques = [type_publie(marque) for marque in MARQUES]
    assert documentes == {type_: f"schemas/{type_}.json" for type_ in (*types, *marques)}
    assert nommes("soldes") == ["SoldeDeCreance", "NouvelleEpoque"]
    fichiers = [*documentes.values(), MESSAGES["SoldeDeCreance"]["payload"]["$ref"]]
    assert all((RACINE / "docs" / fichier).is_file() for fichier in fichiers)


def test_chaque_topic_est_cree_avec_la_retention_et_les_partitions_que_l_on_promet() -> None:
    settings = Settings(_env_file=None)
    for canal in DOC["channels"].values():
        promis = canal["bindings"]["kafka"]
        crees = topic_configs(settings, canal["address"])
        assert {
            nom: ",".join(valeur) if isinstance(valeur, list) else str(valeur)
            for nom, valeur in promis["topicConfiguration"].items()
        } == crees
        assert kafka.topics(settings)[canal["address"]] == promis["partitions"]


@pytest.mark.parametrize(
    "marque",
    [
        marque_d_epoque(SOURCE.decode(), "20260202T000000Z", "20260101T000000Z")(3),
        marque_de_fin(
            SOURCE.decode(),
            FinDeRenvoi(renvoi="a1", depuis_position=1, jusqu_a_position=9, evenements=4),
            datetime(2026, 6, 1, tzinfo=UTC),
        )(3),
    ],
    ids=lambda marque: dict(marque.en_tetes)["ce_type"].decode().rpartition("creances.")[2],
)
def test_une_marque_a_les_en_tetes_et_le_contenu_que_l_on_documente(marque: CloudEvent) -> None:
    schema = DOC["components"]["schemas"]["marque"]
    en_tetes = {nom: valeur.decode() for nom, valeur in marque.en_tetes}
    assert en_tetes.keys() == set(schema["required"]) == schema["properties"].keys()
    jsonschema.validate(en_tetes, schema)
    jsonschema.validate(json.loads(marque.valeur), schemas.schemas()[f"{en_tetes['ce_type']}.json"])
    assert relu(marque).get_id() == en_tetes["ce_id"]


@pytest.mark.parametrize("classe", faits_publies(), ids=lambda classe: classe.TOPIC)
def test_les_en_tetes_d_un_evenement_sont_ceux_que_l_on_documente(classe: Any) -> None:
    schema = DOC["components"]["schemas"]["cloudevent"]
    en_tetes = {nom: valeur.decode() for nom, valeur in composer(exemple(classe), SOURCE).en_tetes}
    change = {"ce_successeur"} if classe in ANCIENNES else set()
    assert en_tetes.keys() == set(schema["required"]) | change
    traces = {"tracestate", "ce_traceparent", "ce_tracestate"}
    assert schema["properties"].keys() == set(schema["required"]) | {"ce_successeur"} | traces
    jsonschema.validate(en_tetes, schema)
    identifiant, trace = en_tetes["ce_id"], Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1")
    tracee = composer(exemple(classe), SOURCE, traces={identifiant: trace})
    jsonschema.validate({nom: valeur.decode() for nom, valeur in tracee.en_tetes}, schema)
    assert dict(tracee.en_tetes).keys() == en_tetes.keys() | traces
    assert relu(tracee).get_extension("traceparent") == trace.traceparent
    assert CORPUS[classe.TOPIC]["flux"] == en_tetes["ce_id"].partition(":")[0]


def test_ce_sont_les_messages_des_caisses() -> None:
    assert set(nommes("avis")) == DE_CAISSE.keys()
    for nom, modele in DE_CAISSE.items():
        documente = MESSAGES[nom]["payload"]
        assert documente["properties"].keys() == modele.model_fields.keys()
        obligatoires = set(modele.model_fields) - ({"type"} if nom == "avis_emis" else set())
        assert set(documente["required"]) == obligatoires


def test_un_vocabulaire_ferme_est_dit_en_entier() -> None:
    fermes = {
        (nom, champ): [membre.value for membre in declare.annotation]
        for nom, modele in DE_CAISSE.items()
        for champ, declare in modele.model_fields.items()
        if isinstance(declare.annotation, type) and issubclass(declare.annotation, StrEnum)
    }
    assert {(nom, champ): MESSAGES[nom]["payload"]["properties"][champ]["enum"] for nom, champ in fermes} == fermes
    assert len(fermes) == 2


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
def test_le_document_et_le_code_acceptent_et_refusent_les_memes_messages(nom: str, faute: dict[str, Any]) -> None:
    message = {"type": nom, "reference": "3811701200000001F"} | EXEMPLES[nom] | faute
    assert accepte(MESSAGES[nom]["payload"], message) is not bool(faute)
    if faute:
        with pytest.raises(UnreadableMessage):
            prendre_avis.lire_message_de_caisse(json.dumps(message).encode())
    else:
        assert prendre_avis.lire_message_de_caisse(json.dumps(message).encode()).type == nom


def test_la_notification_du_contrat_est_celle_du_document() -> None:
    assert nommes("notifications") == ["notification"]
    assert accepte(MESSAGES["notification"]["payload"], banc.notification("T1", 20_00))
    assert not accepte(MESSAGES["notification"]["payload"], {"Data": 1, "Seal": "", "InterfaceVersion": ""})
