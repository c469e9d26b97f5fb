"""Ce qui a fait bouger chaque créance, tel que l'assuré le lit : ses paiements, et ce que la caisse a enregistré."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, assert_never

from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from domain.creance import Créance, FaitDeCreance, est_de_creance
from engine.recorder import Recorder
from projections.effets import Etat, NouvelleLigne, PaiementEnLigne, effet, recit

# Les événements de plusieurs créances, chacune dans son ordre.
_LIRE: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%s) ORDER BY flux, version
"""


@dataclass(slots=True)
class Mouvement:
    """Une ligne de l'histoire d'une créance ; le montant est en centimes, signé comme il change le restant dû."""

    libelle: str
    le: datetime | date
    montant: int
    etat: Etat = Etat.ENREGISTRE
    transaction: str | None = None
    affiche_le: datetime | None = None


def mouvements(conn: Connection[Any], recorder: Recorder, references: Sequence[str]) -> dict[str, list[Mouvement]]:
    """L'histoire de ces créances, en une requête, le plus récent d'abord ; vide pour une créance inconnue."""
    histoires: dict[str, list[Mouvement]] = {reference: [] for reference in references}
    flux = [Créance.flux(reference) for reference in references]
    for nom, version, topic, etat in conn.execute(_LIRE, (flux,)):
        fait = recorder.mapper.to_domain_event(StoredEvent(nom, version, topic, etat))
        if not est_de_creance(fait):
            raise TypeError(f"{nom} porte un fait d'un autre agrégat : {topic}")
        _raconter(histoires[Créance.reference_de(nom)], fait)
    return {reference: histoire[::-1] for reference, histoire in histoires.items()}


def _raconter(histoire: list[Mouvement], fait: FaitDeCreance) -> None:
    dit = recit(fait)
    match dit:
        case NouvelleLigne():
            histoire.append(Mouvement(dit.libelle, dit.le, effet(fait).solde, dit.etat))
        case PaiementEnLigne():
            ligne = _de(histoire, dit.transaction)
            if ligne is None:
                if dit.etat is None or dit.montant is None:
                    return
                ligne = Mouvement("Paiement en ligne", fait.timestamp, dit.montant, dit.etat, dit.transaction)
                histoire.append(ligne)
            ligne.etat = dit.etat or ligne.etat
            ligne.montant = ligne.montant if dit.montant is None else dit.montant
            ligne.affiche_le = dit.affiche_le or ligne.affiche_le
        case None:
            pass
        case _:
            assert_never(dit)


def _de(histoire: list[Mouvement], transaction: str) -> Mouvement | None:
    return next((ligne for ligne in histoire if ligne.transaction == transaction), None)
