"""L'avis de somme à payer, et ce que la caisse dit ensuite de la créance."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import StringConstraints

from domain.diffusion import Diffusion
from domain.monnaie import Centimes
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance

MessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"), Diffusion.PUBLIQUE]
"""L'identifiant qu'une caisse donne à son message : le même deux fois ne change rien."""

Motif = Annotated[str, StringConstraints(max_length=200), Diffusion.INTERNE]
"""Une raison donnée par la caisse ou par un agent, sans donnée personnelle ; elle n'est pas publiée."""

Nature = Literal["PF/FR"]
"""Participations forfaitaires et franchises : la seule nature de créance ouverte au paiement en ligne."""


class Mode(StrEnum):
    """Comment l'avis a été remis à l'assuré."""

    DEMATERIALISE = "dematerialise"
    PAPIER = "papier"


class Moyen(StrEnum):
    """Un moyen de paiement hors ligne."""

    CHEQUE = "cheque"
    VIREMENT = "virement"
    RETENUE = "retenue"
    """Déduction sur des prestations."""


class Canal(StrEnum):
    """D'où l'assuré paie."""

    WEB = "web"
    APPLICATION = "application"
    BMS = "bms"
    """Borne multi-services."""


class Avis(NamedTuple):
    """Le contenu d'un avis, tel que la caisse l'a émis ; deux avis égaux sont le même avis."""

    reference: ReferenceCreance
    assure: Pseudonyme
    caisse: CodeCaisse
    nature: Nature
    montant_initial: Centimes
    solde_pf_fr: Centimes
    date_emission: date
    mode: Mode
