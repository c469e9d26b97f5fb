"""Un fait du journal devient un message CloudEvents 1.0, en mode binaire : attributs en en-têtes, données en JSON.

Les en-têtes sont écrits ici plutôt que par la bibliothèque `cloudevents`, qui coûte trois fois plus (ADR 0008) ; les
tests relisent chaque message avec elle.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from pydantic import BaseModel
from pydantic_core import to_json

from domain.faits import Fait, sans_accents
from engine.messages import Trace
from engine.recorder import RecordedEvent
from engine.tracing import headers_of
from publication.contenu import donnees, en_utc
from publication.soldes import Solde
from publication.versions import versions

TYPE_PREFIXE: Final = "fr.assurance-maladie.creances."
SCHEMA_PREFIXE: Final = "tag:assurance-maladie.fr,2026:creances/"
"""CloudEvents veut un URI absolu ; celui-ci (RFC 4151) ne nomme aucun hôte et ne changera pas."""


SEQUENCE_CHIFFRES: Final = 19
"""Une position du journal, écrite à longueur fixe : l'ordre des textes est celui des nombres."""


AUCUNE_TRACE: Final[Mapping[str, Trace]] = MappingProxyType({})


class CloudEvent(NamedTuple):
    """Ce que Kafka reçoit : la clé décide de la partition, donc de l'ordre."""

    cle: bytes
    valeur: bytes
    en_tetes: list[tuple[str, bytes]]
    partition: int | None = None
    """Le rang de la partition, pour ce qui va dans chacune ; None : celle que tire la clé."""

    @property
    def octets(self) -> int:
        """Une borne de la place qu'il prend dans un lot Kafka."""
        en_tetes = sum(len(nom) + len(valeur) + _OCTETS_PAR_CHAMP for nom, valeur in self.en_tetes)
        return len(self.cle) + len(self.valeur) + en_tetes + _OCTETS_PAR_MESSAGE


_OCTETS_PAR_CHAMP: Final = 6
_OCTETS_PAR_MESSAGE: Final = 48
"""Longueurs et compteurs du format de Kafka, au plus."""


def type_publie(classe: type[BaseModel], version: str | None = None) -> str:
    """Le `ce_type` d'une classe de faits : de la plus ancienne version qui se publie encore, ou de celle-ci."""
    return f"{TYPE_PREFIXE}{sans_accents(classe.__name__)}.{version or versions(classe)[0]}"


def schema_publie(classe: type[BaseModel], version: str | None = None) -> str:
    """Le `ce_dataschema` d'une classe de faits : aussi le `$id` de son fichier dans `docs/schemas/`."""
    return f"{SCHEMA_PREFIXE}{sans_accents(classe.__name__)}.{version or versions(classe)[0]}"


def lire_id(identifiant: str) -> tuple[str, int] | None:
    """Le flux et la version que dit un `ce_id` lu sur Kafka ; None s'il n'est pas de ceux que nous écrivons."""
    flux, _, version = identifiant.rpartition(":")
    if not flux or "\x00" in flux or _VERSION.fullmatch(version) is None:
        return None
    return flux, int(version)


_VERSION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


def source_publiee(fragment: int, epoque: str) -> str:
    """Le `ce_source` : la base et l'époque du journal, sans aucun hôte."""
    return f"/creances/bases/{fragment}/epoques/{epoque}"


def composer(
    lu: RecordedEvent, source: bytes, solde: Solde | None = None, traces: Mapping[str, Trace] = AUCUNE_TRACE
) -> CloudEvent:
    """Le message d'un fait ; `source` : l'attribut `ce_source` ; `solde` : celui de sa créance, après lui.

    `traces` : celles qui sont gardées, par `ce_id`.
    """
    fait = cast("Fait", lu.event)
    identifiant = f"{fait.originator_id}:{fait.originator_version}"
    sujet = fait.originator_id.partition("-")[2].encode()
    return CloudEvent(
        sujet,
        to_json(donnees(fait) if solde is None else donnees(fait) | solde.publie()),
        [
            *_en_tetes_communs(type(fait)),
            ("ce_source", source),
            ("ce_id", identifiant.encode()),
            ("ce_subject", sujet),
            ("ce_partitionkey", sujet),
            ("ce_sequence", f"{lu.position:0{SEQUENCE_CHIFFRES}d}".encode()),
            ("ce_time", en_utc(fait.timestamp).isoformat().replace("+00:00", "Z").encode()),
            *trace_publiee(traces.get(identifiant), lu.cause, identifiant),
        ],
    )


def trace_publiee(trace: Trace | None, cause: str, identifiant: str) -> list[tuple[str, bytes]]:
    """Les en-têtes de la trace où l'événement est né, deux fois : pour Kafka, et comme l'extension de CloudEvents.

    Si aucune n'est gardée, un seul, tiré de la cause.
    """
    if trace is None:
        return [("traceparent", traceparent(cause, identifiant).encode())]
    dits = headers_of(trace)
    return [*dits, *((f"ce_{nom}", valeur) for nom, valeur in dits)]


def traceparent(cause: str, identifiant: str) -> str:
    """Un contexte de trace W3C tiré de la cause : les faits d'une même cause (un message, une requête) se rejoignent.

    Pour un événement dont aucune trace n'est gardée. L'identifiant de trace est celui de la cause, celui du segment est
    l'événement ; l'indicateur dit « non enregistrée » : personne n'a enregistré ces segments. Republié, il est le même.
    """
    trace = hashlib.sha256(f"trace:{cause}".encode()).hexdigest()[:32]
    segment = hashlib.sha256(f"segment:{identifiant}".encode()).hexdigest()[:16]
    return f"00-{trace}-{segment}-00"


@cache
def _en_tetes_communs(classe: type[Fait]) -> tuple[tuple[str, bytes], ...]:
    communs = (
        ("ce_specversion", b"1.0"),
        ("ce_type", type_publie(classe).encode()),
        ("ce_dataschema", schema_publie(classe).encode()),
        ("content-type", b"application/json"),
    )
    derniere = versions(classe)[-1]
    if derniere == versions(classe)[0]:
        return communs
    return (*communs, ("ce_successeur", type_publie(classe, derniere).encode()))
