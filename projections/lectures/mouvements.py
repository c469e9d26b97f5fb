"""Ce qui a fait bouger chaque créance, tel que l'assuré le lit : ses paiements, et ce que la caisse a enregistré."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from domain.avis import Moyen
from domain.creance import Créance
from engine.recorder import Recorder

# Les événements de plusieurs créances, chacune dans son ordre.
_LIRE: Final = """
SELECT flux, version, topic, etat FROM journal.evenements WHERE flux = ANY (%s) ORDER BY flux, version
"""

Etat = Literal["en_cours", "accepte", "echoue", "contrepasse", "enregistre"]
_MOYENS: Final = {
    Moyen.CHEQUE: "Paiement par chèque",
    Moyen.VIREMENT: "Paiement par virement",
    Moyen.RETENUE: "Retenue sur vos remboursements",
}


@dataclass(slots=True)
class Mouvement:
    """Une ligne de l'histoire d'une créance ; le montant est en centimes, signé comme il change le restant dû."""

    libelle: str
    le: datetime | date
    montant: int
    etat: Etat = "enregistre"
    transaction: str | None = None
    affiche_le: datetime | None = None


def mouvements(conn: Connection[Any], recorder: Recorder, references: Sequence[str]) -> dict[str, list[Mouvement]]:
    """L'histoire de ces créances, en une requête, le plus récent d'abord ; vide pour une créance inconnue."""
    histoires: dict[str, list[Mouvement]] = {reference: [] for reference in references}
    flux = [Créance.flux(reference) for reference in references]
    for nom, version, topic, etat in conn.execute(_LIRE, (flux,)):
        fait = recorder.mapper.to_domain_event(StoredEvent(nom, version, topic, etat))
        _raconter(histoires[nom.removeprefix("creance-")], fait)
    return {reference: histoire[::-1] for reference, histoire in histoires.items()}


def _raconter(histoire: list[Mouvement], fait: Any) -> None:  # noqa: C901, PLR0912 (un cas par fait)
    match fait:
        case Créance.AvisEmis():
            histoire.append(Mouvement("Avis de somme à payer", fait.date_emission, fait.montant_initial))
        case Créance.PaiementInitié():
            histoire.append(_en_ligne(fait, "en_cours", -fait.part))
        case Créance.PaiementAccepté():
            # Une acceptation peut suivre un échec, ou venir sans réservation : c'est toujours la même ligne.
            ligne = _de(histoire, fait.transaction) or _en_ligne(fait, "accepte", -fait.part)
            if ligne not in histoire:
                histoire.append(ligne)
            ligne.etat, ligne.montant = "accepte", -fait.part
        case Créance.PaiementÉchoué():
            if ligne_echouee := _de(histoire, fait.transaction):
                ligne_echouee.etat = "echoue"
        case Créance.PaiementAffiché():
            if ligne_affichee := _de(histoire, fait.transaction):
                ligne_affichee.affiche_le = fait.affiche_le
        case Créance.PaiementContrepassé():
            histoire.append(Mouvement("Paiement en ligne repris", fait.timestamp, fait.part, "contrepasse"))
        case Créance.EncaissementReçu():
            histoire.append(Mouvement(_MOYENS[fait.moyen], fait.date, -fait.montant))
        case Créance.AvisRectifié():
            ecart = fait.montant_initial - fait.montant_precedent
            histoire.append(Mouvement("Montant rectifié par la caisse", fait.timestamp, ecart))
        case Créance.AvisAnnulé():
            histoire.append(Mouvement("Avis annulé par la caisse", fait.timestamp, -fait.montant_precedent))
        case Créance.TropPerçuRemboursé():
            histoire.append(Mouvement("Trop-perçu remboursé", fait.timestamp, fait.montant))
        case Créance.TropPerçuConstaté():
            pass  # Ne bouge aucun montant.
        case _:
            raise TypeError(f"fait inconnu de l'histoire : {type(fait).__name__}")


def _en_ligne(fait: Any, etat: Etat, montant: int) -> Mouvement:
    return Mouvement("Paiement en ligne", fait.timestamp, montant, etat, fait.transaction)


def _de(histoire: list[Mouvement], transaction: str) -> Mouvement | None:
    return next((ligne for ligne in histoire if ligne.transaction == transaction), None)
