"""Les marques : ce que le service dit à qui le lit, hors de tout fait du journal, dans chaque partition d'un topic.

Un consommateur qui ne les connaît pas les ignore, comme tout type inconnu : leur flux (`epoque-…`, `renvoi-…`) n'est
celui d'aucune créance. Le fil HTTP dit les mêmes choses, dans les mêmes mots, au bas de chaque page.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from publication.cloudevent import CloudEvent, schema_publie, traceparent, type_publie

CLE: Final = b"marque"
"""La clé de toutes les marques ; leur partition est dite, non tirée d'elle."""


class NouvelleEpoque(BaseModel):
    """Une sauvegarde plus ancienne a été restaurée : ce que vous tenez de cette base est remplacé par ce qui suit."""

    model_config = ConfigDict(extra="allow")

    epoque: Annotated[str, Field(description="La nouvelle époque, celle de `ce_source`.")]
    epoque_precedente: Annotated[str, Field(description="Celle que l'on publiait jusqu'ici.")]


class FinDeRenvoi(BaseModel):
    """Tout ce qu'un renvoi devait porter a été envoyé, dans cette partition."""

    model_config = ConfigDict(extra="allow")

    renvoi: Annotated[str, Field(description="Le nom du renvoi, le même dans chaque partition.")]
    depuis_position: Annotated[int, Field(ge=0, description="La première position demandée.")]
    jusqu_a_position: Annotated[int, Field(ge=0, description="La position du publieur à la fin.")]
    evenements: Annotated[int, Field(ge=0, description="Combien ont été renvoyés, toutes partitions comprises.")]


MARQUES: Final = (NouvelleEpoque, FinDeRenvoi)
"""Toutes : chacune a son schéma dans `docs/schemas/`."""

TYPES_DES_MARQUES: Final = frozenset(type_publie(classe) for classe in MARQUES)
"""Leurs `ce_type` : qui relit le topic pour le comparer au journal les passe, car elles ne sont d'aucun de ses flux."""


def marque_d_epoque(source: str, epoque: str, precedente: str) -> Callable[[int], CloudEvent]:
    """La marque d'une nouvelle époque, pour chaque partition ; `source` : le nouveau `ce_source`."""
    donnees = NouvelleEpoque(epoque=epoque, epoque_precedente=precedente)
    le = datetime.strptime(epoque, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return lambda rang: _composer(donnees, source, f"epoque-{epoque}-{rang}", epoque, le)


def marque_de_fin(source: str, fin: FinDeRenvoi, le: datetime) -> Callable[[int], CloudEvent]:
    """La marque de la fin d'un renvoi, pour chaque partition."""
    return lambda rang: _composer(fin, source, f"renvoi-{fin.renvoi}-{rang}", fin.renvoi, le)


def _composer(donnees: BaseModel, source: str, flux: str, sujet: str, le: datetime) -> CloudEvent:
    identifiant = f"{flux}:1"
    classe = type(donnees)
    en_tetes = {
        "ce_specversion": "1.0",
        "ce_type": type_publie(classe),
        "ce_dataschema": schema_publie(classe),
        "content-type": "application/json",
        "ce_source": source,
        "ce_id": identifiant,
        "ce_subject": sujet,
        "ce_partitionkey": CLE.decode(),
        "ce_time": le.isoformat().replace("+00:00", "Z"),
        "traceparent": traceparent(flux, identifiant),
    }
    return CloudEvent(CLE, to_json(donnees), [(nom, valeur.encode()) for nom, valeur in en_tetes.items()])
