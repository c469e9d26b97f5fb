"""Une anomalie telle qu'une personne la lit, et telle que l'API la dit."""

from datetime import datetime
from typing import Any, NamedTuple

from domain.anomalie import LIBELLES
from domain.geste import Geste
from projections.vues.anomalies import EtatDeReglement, Reglement


class LigneDAnomalie(NamedTuple):
    """Une anomalie telle qu'une personne la lit ; le montant est en centimes."""

    id: str
    genre: str
    etat: EtatDeReglement
    montant: int
    cause: str
    depuis: datetime
    reference: str | None = None
    transaction: str | None = None
    caisse: str | None = None
    assure: str | None = None
    gestes: tuple[Geste, ...] = ()
    """Ce qui peut en être fait."""
    reglement: Reglement | None = None
    """Ce que des personnes en ont déjà fait."""

    def en_json(self) -> dict[str, Any]:
        """La forme du contrat."""
        return {
            "id": self.id,
            "genre": self.genre,
            "etat": self.etat,
            "montant_centimes": self.montant,
            "cause": self.cause,
            "reference": self.reference,
            "transaction": self.transaction,
            "caisse": self.caisse,
            "depuis": self.depuis.isoformat(),
        }

    def en_detail(self) -> dict[str, Any]:
        """La forme du contrat, et ce qu'il faut pour la régler : ses gestes, et la proposition qui attend."""
        fait, proposition = self.reglement, None
        if fait is not None and fait.proposition is not None:
            proposition = {
                **fait.proposition,
                "version": fait.version if self.etat == "proposee" else None,
                "saisi_par": fait.saisi_par,
                "saisi_le": fait.saisi_le and fait.saisi_le.isoformat(),
                "expire_le": fait.expire_le and fait.expire_le.isoformat(),
                "approuve_par": fait.approuve_par,
                "regle_le": fait.regle_le and fait.regle_le.isoformat(),
            }
        gestes = [{"geste": geste.value, "libelle": LIBELLES[geste]} for geste in self.gestes]
        return {**self.en_json(), "assure": self.assure, "gestes": gestes, "proposition": proposition}
