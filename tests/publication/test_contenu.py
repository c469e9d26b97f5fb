"""Ce que publie chaque classe de faits : rien qui désigne une personne, des clés qui disent leur unité."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

import jsonschema
import pytest
from cloudevents.core.bindings import kafka as binaire
from cloudevents.core.v1.event import CloudEvent
from eventsourcing.persistence import StoredEvent

from domain.agregats import AGREGATS
from domain.creance import Créance
from domain.diffusion import Diffusion
from domain.faits import Fait
from domain.messagerie import Messagerie
from domain.paiement import Paiement
from engine.recorder import RecordedEvent
from publication import schemas
from publication.cloudevent import CloudEvent as PublishedEvent
from publication.cloudevent import composer, source_publiee, traceparent
from publication.contenu import ChampSansDiffusion, champs, faits_publies
from publication.versions import ANCIENNES
from tests.mapper import MAPPER

CORPUS = {
    lu["topic"]: lu
    for fichier in sorted((Path(__file__).parents[1] / "engine" / "corpus").glob("*.json"))
    for lu in [json.loads(fichier.read_text("utf-8"))]
}
"""Un exemple stocké de chaque fait."""

A_TAIRE = {"assure", "saisi_par", "approuve_par", "autorisation", "carte_masquee", "motif", "nir", "nom"}
"""Ce qui ne quitte pas le service, écrit ici à part : le code, lui, le tire des types."""

TUS: dict[type[Fait], set[str]] = {Paiement.RemboursementRefusé: {"cause"}}
"""Des textes que la banque ou une personne écrit : tus là, publics ailleurs."""

PLANTE = "PLANTE-0"
SOURCE = source_publiee(0, "20260101T000000Z").encode()


def exemple(classe: type[Fait], **remplaces: Any) -> RecordedEvent:
    stocke = CORPUS[classe.TOPIC]
    etat = stocke["etat"] | {cle: valeur for cle, valeur in remplaces.items() if cle in stocke["etat"]}
    fait = MAPPER.to_domain_event(
        StoredEvent(stocke["flux"], stocke["version"], stocke["topic"], json.dumps(etat).encode())
    )
    return RecordedEvent(1, fait, "kafka:creances.avis/0@12", datetime(2026, 6, 1, tzinfo=UTC))


def relu(message: PublishedEvent) -> CloudEvent:
    evenement = binaire.from_binary_event(
        binaire.KafkaMessage(dict(message.en_tetes), message.cle.decode(), message.valeur)
    )
    assert isinstance(evenement, CloudEvent)
    return evenement


def test_seuls_les_faits_qui_sortent_du_service_sont_publies() -> None:
    tous = [classe for agregat in AGREGATS for classe in vars(agregat).values() if _est_un_fait(classe)]
    assert {classe for classe in tous if classe.PUBLIE} == set(faits_publies())
    assert Messagerie.MessageSupprimé in tous


def _est_un_fait(classe: object) -> bool:
    return isinstance(classe, type) and issubclass(classe, Fait) and "TOPIC" in vars(classe)


@pytest.mark.parametrize("classe", faits_publies(), ids=lambda classe: classe.TOPIC)
def test_aucun_pseudonyme_ni_agent_ni_carte_ne_sort(classe: type[Fait]) -> None:
    message = composer(exemple(classe, **dict.fromkeys(A_TAIRE, PLANTE)), SOURCE)
    assert PLANTE.encode() not in message.valeur + message.cle
    assert all(PLANTE.encode() not in valeur for _, valeur in message.en_tetes)
    assert not A_TAIRE & json.loads(message.valeur).keys()


def test_les_exemples_portent_bien_ce_qu_ils_doivent_taire() -> None:
    portes = {cle for lu in CORPUS.values() for cle in lu["etat"]}
    assert portes >= A_TAIRE - {"nir", "nom"}, "le test précédent n'éprouverait rien"


@pytest.mark.parametrize("classe", faits_publies(), ids=lambda classe: classe.TOPIC)
def test_tout_autre_champ_sort_sous_une_cle_ascii_qui_dit_son_unite(classe: type[Fait]) -> None:
    hors_donnees = {"timestamp", "originator_topic", "class_version"}
    stocke = CORPUS[classe.TOPIC]["etat"].keys() - A_TAIRE - TUS.get(classe, set()) - hors_donnees
    stocke |= set(ANCIENNES[classe].cles) if classe in ANCIENNES else set()
    publies = json.loads(composer(exemple(classe), SOURCE).valeur)
    # Un champ facultatif sort aussi quand l'événement stocké, plus ancien, ne le porte pas.
    sorties = {cle: valeur for cle, valeur in publies.items() if valeur is not None}
    assert {cle.removesuffix("_centimes") for cle in sorties} == stocke
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", cle) for cle in sorties)
    for cle, valeur in sorties.items():
        assert (type(valeur) is int) == cle.endswith("_centimes"), cle


@pytest.mark.parametrize("classe", faits_publies(), ids=lambda classe: classe.TOPIC)
def test_un_message_est_un_cloudevent_que_sa_bibliotheque_relit(classe: type[Fait]) -> None:
    lu = exemple(classe)
    message = composer(lu, SOURCE)
    evenement = relu(message)
    sujet = lu.event.originator_id.partition("-")[2]
    assert evenement.get_id() == f"{lu.event.originator_id}:{lu.event.originator_version}"
    assert evenement.get_type().isascii()
    assert evenement.get_type() == f"fr.assurance-maladie.creances.{classe.TOPIC.partition('.')[2]}.v1"
    assert evenement.get_source() == "/creances/bases/0/epoques/20260101T000000Z"
    assert evenement.get_subject() == evenement.get_extension("partitionkey") == message.cle.decode() == sujet
    assert evenement.get_time() == lu.event.timestamp
    assert evenement.get_datacontenttype() == "application/json"
    schema = schemas.schemas()[f"{evenement.get_type()}.json"]
    assert schema["$id"] == evenement.get_dataschema()
    jsonschema.validate(evenement.get_data(), schema, format_checker=jsonschema.FormatChecker())


def test_les_instants_sortent_en_utc() -> None:
    lu = exemple(Créance.PaiementAccepté, accepte_le="2026-06-01T11:59:00+02:00", timestamp="2026-06-01T12:00:00+02:00")
    message = composer(lu, SOURCE)
    assert json.loads(message.valeur)["accepte_le"] == "2026-06-01T09:59:00Z"
    assert dict(message.en_tetes)["ce_time"] == b"2026-06-01T10:00:00Z"


def test_les_faits_d_une_meme_cause_partagent_une_trace_et_la_gardent_une_fois_republies() -> None:
    un, autre = traceparent("kafka:t/0@1", "creance-A:2"), traceparent("kafka:t/0@1", "paiement-B:2")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", un)
    assert un.split("-")[1] == autre.split("-")[1]
    assert un.split("-")[2] != autre.split("-")[2]
    assert un.split("-")[1] != traceparent("kafka:t/0@2", "creance-A:2").split("-")[1]
    assert un == traceparent("kafka:t/0@1", "creance-A:2")


def test_les_parts_d_un_paiement_sortent_avec_leurs_references() -> None:
    sorties = json.loads(composer(exemple(Paiement.PaiementOuvert), SOURCE).valeur)
    assert sorties["imputations"]
    assert {frozenset(part) for part in sorties["imputations"]} == {frozenset({"reference", "part_centimes"})}


class SansMarque(Fait):
    """Un fait dont un texte ne dit pas s'il est publié."""

    TOPIC: ClassVar[str] = "epreuve.SansMarque"
    nom_de_famille: str


class EntierSansUnite(Fait):
    """Un fait dont un entier ne dit pas son unité."""

    TOPIC: ClassVar[str] = "epreuve.EntierSansUnite"
    valeur: int


class Marque(Fait):
    """Un fait dont chaque texte dit s'il est publié."""

    TOPIC: ClassVar[str] = "epreuve.Marque"
    dit: Annotated[str, Diffusion.PUBLIQUE] | None
    tu: Annotated[str, Diffusion.INTERNE] | None
    tus: tuple[Annotated[str, Diffusion.INTERNE], ...]


@pytest.mark.parametrize(("classe", "champ"), [(SansMarque, "nom_de_famille"), (EntierSansUnite, "valeur")])
def test_un_champ_qui_ne_dit_pas_s_il_sort_est_refuse(classe: type[Fait], champ: str) -> None:
    with pytest.raises(ChampSansDiffusion, match=champ):
        champs(classe)


def test_un_champ_marque_sort_ou_non_selon_sa_marque() -> None:
    assert [champ.cle for champ in champs(Marque)] == ["dit"]
