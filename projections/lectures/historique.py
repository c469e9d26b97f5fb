"""L'histoire d'une créance, racontée au support : chaque fait, sa cause, son heure, et le solde après lui."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from domain.creance import Créance
from engine.recorder import Recorder

_HORS_DONNEES = {"originator_id", "originator_version", "originator_topic", "timestamp"}


class Etape(NamedTuple):
    """Un fait et ce que la créance vaut après lui ; les montants sont en centimes."""

    position: int
    version: int
    type: str
    survenu_le: datetime
    enregistre_le: datetime
    cause: str
    donnees: dict[str, Any]
    solde: int
    restant_du: int
    en_cours: int
    trop_percu: int

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat, prête pour JSON."""
        return {
            "position": self.position,
            "version": self.version,
            "type": self.type,
            "survenu_le": self.survenu_le.isoformat(),
            "enregistre_le": self.enregistre_le.isoformat(),
            "cause": self.cause,
            "donnees": self.donnees,
            "solde_centimes": self.solde,
            "restant_du_centimes": self.restant_du,
            "en_cours_centimes": self.en_cours,
            "trop_percu_centimes": self.trop_percu,
        }


def historique(
    conn: Connection[Any],
    recorder: Recorder,
    reference: str,
    *,
    au: datetime | None = None,
    a_la_version: int | None = None,
) -> list[Etape]:
    """L'histoire d'une créance, telle que le journal la connaissait à un instant, ou jusqu'à une version."""
    creance: Créance | None = None
    etapes = []
    for lu in recorder.history(conn, Créance.flux(reference), a_la_version=a_la_version, au=au):
        creance = lu.event.mutate(creance)
        assert creance is not None  # noqa: S101 (un fait rend toujours son agrégat)
        etapes.append(
            Etape(
                position=lu.position,
                version=lu.event.originator_version,
                type=type(lu.event).__name__,
                survenu_le=lu.event.timestamp,
                enregistre_le=lu.enregistre_le,
                cause=lu.cause,
                donnees=lu.event.model_dump(mode="json", by_alias=True, exclude=_HORS_DONNEES),
                solde=creance.solde,
                restant_du=creance.restant_du,
                en_cours=creance.reserve,
                trop_percu=creance.trop_percu,
            )
        )
    return etapes
