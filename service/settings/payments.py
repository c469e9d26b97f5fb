"""What may be paid, within which delays, and how often an unanswered payment is asked about."""

from datetime import date, timedelta
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from domain.monnaie import Centimes
from domain.politique import Politique
from service.settings.values import JSON, Cents, Concern, Duration

_POLITIQUE: Final = Politique()


class PaymentSettings(Concern):
    """The payment policy, and the rounds of `relance`."""

    politique_minimum_par_paiement: Cents = Field(
        _POLITIQUE.minimum_par_paiement, description="Montant minimum d'un paiement, en centimes."
    )
    politique_maximum_par_paiement: Cents = Field(
        _POLITIQUE.maximum_par_paiement, description="Montant maximum d'un paiement, en centimes."
    )
    politique_solde_minimum: Cents = Field(
        _POLITIQUE.solde_minimum, description="Solde de PF/FR minimum ouvert au paiement, en centimes, compris."
    )
    politique_solde_maximum: Cents = Field(
        _POLITIQUE.solde_maximum, description="Solde de PF/FR maximum ouvert au paiement, en centimes, compris."
    )
    politique_references_max: int = Field(
        _POLITIQUE.references_max, ge=1, description="Références cochées dans un même paiement, au plus."
    )
    politique_ouverture: Duration = Field(
        _POLITIQUE.ouverture, description="Durée pendant laquelle le formulaire du kiosque est remis."
    )
    politique_interroger_apres: Duration = Field(
        _POLITIQUE.interroger_apres,
        description="Âge d'un paiement sans réponse où l'on interroge le kiosque.",
    )
    politique_expirer_apres: Duration = Field(
        _POLITIQUE.expirer_apres, description="Âge à partir duquel un paiement inconnu du kiosque expire."
    )
    politique_delai_affichage: Duration = Field(
        _POLITIQUE.delai_affichage, description="Délai pour afficher un paiement accepté."
    )
    politique_date_minimum: date = Field(
        _POLITIQUE.date_minimum, description="Premier jour admis dans un message de caisse."
    )
    politique_avance_maximum: Duration = Field(
        _POLITIQUE.avance_maximum, description="Avance au-delà de laquelle une date de caisse n'est plus crue."
    )
    approbation_delai: Duration = Field(
        timedelta(days=3), description="Temps donné à une seconde personne pour approuver un règlement."
    )
    janitor_interval: Duration = Field(
        timedelta(seconds=30), description="Temps entre deux tournées des paiements sans réponse."
    )
    janitor_batch_size: int = Field(500, ge=1, description="Paiements interrogés dans une tournée, au plus.")
    janitor_workers: int = Field(
        40, ge=1, le=200, description="Questions posées à la fois au kiosque : une banque muette n'arrête personne."
    )
    janitor_ask_again: Annotated[list[Duration], *JSON] = Field(
        [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)],
        description="Délais après la fin où un paiement refusé ou expiré est demandé de nouveau, JSON.",
    )

    @model_validator(mode="after")
    def _bounds_grow(self) -> Self:
        if self.politique_minimum_par_paiement > self.politique_maximum_par_paiement:
            raise ValueError("le minimum par paiement dépasse le maximum")
        if self.politique_solde_minimum > self.politique_solde_maximum:
            raise ValueError("le solde minimum dépasse le solde maximum")
        if not self.politique_ouverture <= self.politique_interroger_apres <= self.politique_expirer_apres:
            raise ValueError("les délais doivent croître : ouverture, interroger_apres, expirer_apres")
        return self

    @property
    def politique(self) -> Politique:
        """The payment policy that these settings describe."""
        return Politique(
            minimum_par_paiement=Centimes(self.politique_minimum_par_paiement),
            maximum_par_paiement=Centimes(self.politique_maximum_par_paiement),
            solde_minimum=Centimes(self.politique_solde_minimum),
            solde_maximum=Centimes(self.politique_solde_maximum),
            references_max=self.politique_references_max,
            ouverture=self.politique_ouverture,
            interroger_apres=self.politique_interroger_apres,
            expirer_apres=self.politique_expirer_apres,
            delai_affichage=self.politique_delai_affichage,
            date_minimum=self.politique_date_minimum,
            avance_maximum=self.politique_avance_maximum,
        )
