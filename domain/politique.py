"""La politique de paiement : les bornes et les délais que le service règle, en un seul objet."""

from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from domain.monnaie import Centimes


class Politique(BaseModel):
    """Les règles chiffrées ; les valeurs par défaut sont celles du pas-à-pas et de la banque."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum_par_paiement: Centimes = Centimes(16_00)
    """Montant minimum d'un paiement en ligne, en centimes (pas-à-pas, étape 2/3)."""
    maximum_par_paiement: Centimes = Centimes(50_00)
    """Montant maximum d'un paiement en ligne, en centimes (pas-à-pas, étape 2/3)."""
    solde_minimum: Centimes = Centimes(40_00)
    """Solde de PF/FR en dessous duquel l'avis n'ouvre pas au paiement en ligne, en centimes (borne comprise)."""
    solde_maximum: Centimes = Centimes(200_00)
    """Solde de PF/FR au-dessus duquel l'avis n'ouvre pas au paiement en ligne, en centimes (borne comprise)."""
    references_max: int = 50
    """Références cochées dans un même paiement, au plus."""
    ouverture: timedelta = timedelta(minutes=15)
    """Durée pendant laquelle le formulaire du kiosque est remis : la session du kiosque lui-même."""
    interroger_apres: timedelta = timedelta(minutes=20)
    """Âge d'un paiement sans réponse à partir duquel on interroge le kiosque."""
    expirer_apres: timedelta = timedelta(minutes=35)
    """Âge à partir duquel un paiement inconnu du kiosque expire et libère sa réservation."""
    delai_affichage: timedelta = timedelta(hours=24)
    """Délai d'affichage d'un paiement accepté sur le compte (pas-à-pas, dernière page)."""
    date_minimum: date = date(2005, 1, 1)
    """Premier jour qu'un message de caisse peut porter : celui où la participation forfaitaire a été créée."""
    avance_maximum: timedelta = timedelta(days=90)
    """Avance d'une date sur le jour de la lecture au-delà de laquelle un message de caisse n'est plus cru."""

    def admet_le_jour(self, jour: date, aujourd_hui: date) -> bool:
        """Dit si ce jour peut être celui d'un avis ou d'un encaissement."""
        return self.date_minimum <= jour <= aujourd_hui + self.avance_maximum

    def ouvre_au_paiement(self, solde_pf_fr: int) -> bool:
        """Dit si un avis de ce solde (en centimes) ouvre au paiement en ligne ; jugé une fois, à l'émission."""
        return self.solde_minimum <= solde_pf_fr <= self.solde_maximum

    def ferme_au_paiement(self, restant_du: int) -> bool:
        """Dit si ce qui resterait dû à une caisse, en tout (en centimes), ne pourrait plus se payer en ligne."""
        return 0 < restant_du < self.minimum_par_paiement
