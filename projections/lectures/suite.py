"""Une histoire, prête à être montrée : ses lignes dans l'ordre du journal, ses messages, et l'instant demandé."""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from projections.lectures.historique import Etape, Illisible
from projections.lectures.instant import Instant
from projections.lectures.messages_recus import MessageRecu


@dataclass(slots=True)
class Ligne:
    """Un fait, à sa place dans l'histoire."""

    fait: Etape | Illisible
    flux: str
    correlation: str | None = None
    message: MessageRecu | None = None
    """Celui qui l'a causé."""
    total: int | None = None
    """Le restant dû de l'assuré après lui, toutes créances, en centimes."""

    @property
    def nom(self) -> str:
        """`flux:version`, tel que les messages le citent."""
        return f"{self.flux}:{self.fait.version}"

    def en_json(self) -> dict[str, Any]:
        """L'étape du contrat, et ce à quoi elle est liée."""
        plus = {} if self.total is None else {"restant_du_total_centimes": self.total}
        return self.fait.en_json() | {"flux": self.flux, "correlation": self.correlation} | plus


@dataclass(slots=True)
class Dossier:
    """Tout ce qui est arrivé, dans l'ordre où le journal l'a su."""

    objet: str
    """creance-<référence>, paiement-<transaction> ou assure-<pseudonyme>."""
    assures: set[str]
    lignes: list[Ligne]
    messages: list[MessageRecu]
    derniere_version: int
    """Celle d'aujourd'hui, quel que soit l'instant demandé ; 0 pour un assuré."""
    instant: Instant | None = None
    version: int | None = None
    en_verification: set[str] = field(default_factory=set)
    """Les paiements que l'on vérifie auprès de la banque, à l'instant demandé."""

    @property
    def illisibles(self) -> list[Illisible]:
        """Les faits que l'on n'a pas pu lire."""
        return [ligne.fait for ligne in self.lignes if isinstance(ligne.fait, Illisible)]

    def en_json(self) -> dict[str, Any]:
        """Ce que rend l'API."""
        return {
            "objet": self.objet,
            "telle_que": {
                "au": self.instant and self.instant.au.isoformat(),
                "version": self.version,
                "phrase": self.phrase,
            },
            "derniere_version": self.derniere_version,
            "evenements": [ligne.en_json() for ligne in self.lignes],
            "notifications": [recu.en_json() for recu in self.messages],
        }

    def en_liste(self) -> list[dict[str, Any]]:
        """Une suite d'événements, chacun avec les messages qui l'ont causé ou qui, depuis lui, n'ont rien causé.

        Un message qui précède tout est à sa place, sans version.
        """
        dits = [ligne.en_json() | {"notifications": []} for ligne in self.lignes]
        avant: list[dict[str, Any]] = []
        instants = [ligne.fait.enregistre_le for ligne in self.lignes]
        rangs = {ligne.nom: rang for rang, ligne in enumerate(self.lignes)}
        for recu in self.messages:
            sien = next((rangs[nom] for nom in recu.evenements if nom in rangs), None)
            if sien is not None:
                dits[sien]["notifications"].append(recu.en_json())
                continue
            rang = bisect_right(instants, recu.enregistre_le)
            if rang:
                dits[rang - 1]["notifications"].append(recu.en_json())
            else:
                avant.append({"type": "Notification", "version": None, "notifications": [recu.en_json()]})
        return [*avant, *dits]

    @property
    def phrase(self) -> str:
        """Comment l'instant demandé a été compris."""
        if self.instant is not None:
            return self.instant.phrase
        return "Telle que connue maintenant." if self.version is None else f"À sa version {self.version}."


class Demande(NamedTuple):
    """Ce que l'on veut relire : tout, jusqu'à un instant, ou jusqu'à une version."""

    instant: Instant | None = None
    version: int | None = None

    @property
    def au(self) -> datetime | None:
        """L'instant, s'il y en a un."""
        return self.instant.au if self.instant else None


TOUT: Final = Demande()
