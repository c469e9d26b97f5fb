"""L'histoire d'une créance, racontée au support : chaque fait, sa cause, son heure, et le solde après lui."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.creance import Créance, est_de_creance
from domain.faits import Fait
from engine.recorder import RecordedEvent, Recorder
from projections.effets import phrase

# Des flux, au besoin jusqu'à une version, ou tel que le journal le connaissait à un instant.
_LIRE: Final = """
SELECT position, flux, version, topic, etat, cause, enregistre_le FROM journal.evenements
WHERE flux = ANY (%(flux)s) AND (%(version)s::int8 IS NULL OR version <= %(version)s)
  AND (%(au)s::timestamptz IS NULL OR enregistre_le <= %(au)s)
ORDER BY flux, version
"""

HORS_DONNEES: Final = {"originator_id", "originator_version", "originator_topic", "timestamp"}


class Etape(NamedTuple):
    """Un fait et ce que la créance vaut après lui ; les montants sont en centimes."""

    position: int
    version: int
    type: str
    survenu_le: datetime
    enregistre_le: datetime
    cause: str
    donnees: dict[str, Any]
    solde: int | None = None
    """Absents pour un fait qui n'est pas d'une créance."""
    restant_du: int | None = None
    en_cours: int | None = None
    trop_percu: int | None = None
    phrase: str = ""
    """Ce que la personne peut en entendre."""

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat, prête pour JSON."""
        dit = {
            "position": self.position,
            "version": self.version,
            "type": self.type,
            "survenu_le": self.survenu_le.isoformat(),
            "enregistre_le": self.enregistre_le.isoformat(),
            "cause": self.cause,
            "donnees": self.donnees,
            "phrase": self.phrase,
        }
        if self.solde is None:
            return dit
        return dit | {
            "solde_centimes": self.solde,
            "restant_du_centimes": self.restant_du,
            "en_cours_centimes": self.en_cours,
            "trop_percu_centimes": self.trop_percu,
        }


class Illisible(NamedTuple):
    """Un fait que l'on ne sait pas lire, ou qui ne s'applique pas aux précédents ; le journal le garde tel quel."""

    position: int
    version: int
    topic: str
    enregistre_le: datetime
    cause: str
    raison: str

    def en_json(self) -> dict[str, Any]:
        """À sa place dans l'histoire, sans ce que la créance vaut après lui : personne ne le sait."""
        return {
            "position": self.position,
            "version": self.version,
            "type": self.topic,
            "enregistre_le": self.enregistre_le.isoformat(),
            "cause": self.cause,
            "illisible": self.raison,
        }


class Histoire(NamedTuple):
    """Ce qui se lit d'une créance. Passé un fait illisible, les montants ne comptent plus que les faits lisibles."""

    etapes: list[Etape]
    illisibles: list[Illisible]


def historique(
    conn: Connection[Any],
    recorder: Recorder,
    reference: str,
    *,
    au: datetime | None = None,
    a_la_version: int | None = None,
) -> Histoire:
    """L'histoire d'une créance, telle que le journal la connaissait à un instant, ou jusqu'à une version."""
    return historiques(conn, recorder, [reference], au=au, a_la_version=a_la_version)[reference]


def historiques(
    conn: Connection[Any],
    recorder: Recorder,
    references: Sequence[str],
    *,
    au: datetime | None = None,
    a_la_version: int | None = None,
    nommees: bool = False,
) -> dict[str, Histoire]:
    """L'histoire de chacune de ces créances, en une requête ; vide pour une inconnue.

    `nommees` : leurs phrases se lisent ailleurs que chez elles, et disent de laquelle elles parlent.
    """
    histoires = {reference: Histoire([], []) for reference in references}
    creances: dict[str, Créance] = {}
    criteres = {"flux": [Créance.flux(reference) for reference in references], "version": a_la_version, "au": au}
    lignes = conn.execute(_LIRE, criteres, binary=True)
    for position, flux, version, topic, etat, cause, enregistre_le in lignes:
        histoire = histoires[Créance.reference_de(flux)]
        try:
            fait = recorder.mapper.lire(flux, version, topic, etat)
            creance = creances[flux] = _appliquer(creances.get(flux), fait, saute=bool(histoire.illisibles))
        except Exception as illisible:  # noqa: BLE001 (un fait fautif ne tait pas les autres)
            raison = str(illisible) or repr(illisible)
            histoire.illisibles.append(Illisible(position, version, topic, enregistre_le, cause, raison))
        else:
            nom = f"la créance {Créance.reference_de(flux)}" if nommees else "cette créance"
            histoire.etapes.append(_etape(fait, creance, RecordedEvent(position, fait, cause, enregistre_le), nom))
    return histoires


def _appliquer(creance: Créance | None, fait: Fait, *, saute: bool) -> Créance:
    """Applique un fait ; s'il en manque un avant lui, sans exiger que sa version soit la suivante."""
    if not saute or creance is None:
        suite: Any = fait.mutate(creance)
        if not isinstance(suite, Créance):
            raise TypeError(f"{type(fait).__name__} ne fait pas une créance")
        return suite
    if not est_de_creance(fait):
        raise TypeError(f"{type(fait).__name__} n'est pas un fait d'une créance")
    fait.apply(creance)
    return creance


def _etape(fait: Fait, creance: Créance, lu: RecordedEvent, nom: str) -> Etape:
    return Etape(
        position=lu.position,
        version=fait.originator_version,
        type=type(fait).__name__,
        survenu_le=fait.timestamp,
        enregistre_le=lu.enregistre_le,
        cause=lu.cause,
        donnees=fait.model_dump(mode="json", by_alias=True, exclude=HORS_DONNEES),
        solde=creance.solde,
        restant_du=creance.restant_du,
        en_cours=creance.reserve,
        trop_percu=creance.trop_percu,
        phrase=phrase(fait, nom) if est_de_creance(fait) else "",
    )
