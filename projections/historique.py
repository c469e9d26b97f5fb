"""L'histoire d'une créance, racontée au support : chaque fait, sa cause, son heure, et le solde après lui."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from domain.creance import Créance
from journal.enregistreur import Enregistreur

_HORS_DONNÉES = {"originator_id", "originator_version", "originator_topic", "timestamp"}


class Étape(NamedTuple):
    """Un fait et ce que la créance vaut après lui ; les montants sont en centimes."""

    position: int
    version: int
    type: str
    survenu_le: datetime
    enregistré_le: datetime
    cause: str
    données: dict[str, Any]
    solde: int
    restant_dû: int
    en_cours: int
    trop_perçu: int

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat, prête pour JSON."""
        return {
            "position": self.position,
            "version": self.version,
            "type": self.type,
            "survenu_le": self.survenu_le.isoformat(),
            "enregistre_le": self.enregistré_le.isoformat(),
            "cause": self.cause,
            "donnees": self.données,
            "solde_centimes": self.solde,
            "restant_du_centimes": self.restant_dû,
            "en_cours_centimes": self.en_cours,
            "trop_percu_centimes": self.trop_perçu,
        }


def historique(
    conn: Connection[Any],
    enregistreur: Enregistreur,
    référence: str,
    *,
    au: datetime | None = None,
    à_la_version: int | None = None,
) -> list[Étape]:
    """L'histoire d'une créance, telle que le journal la connaissait à un instant, ou jusqu'à une version."""
    créance: Créance | None = None
    étapes = []
    for lu in enregistreur.raconter(conn, Créance.flux(référence), à_la_version=à_la_version, au=au):
        créance = lu.fait.mutate(créance)
        assert créance is not None  # noqa: S101 (un fait rend toujours son agrégat)
        étapes.append(
            Étape(
                position=lu.position,
                version=lu.fait.originator_version,
                type=type(lu.fait).__name__,
                survenu_le=lu.fait.timestamp,
                enregistré_le=lu.enregistré_le,
                cause=lu.cause,
                données=lu.fait.model_dump(mode="json", by_alias=True, exclude=_HORS_DONNÉES),
                solde=créance.solde,
                restant_dû=créance.restant_dû,
                en_cours=créance.réservé,
                trop_perçu=créance.trop_perçu,
            )
        )
    return étapes
