"""L'avis de somme à payer, et ce que la caisse dit ensuite de la créance."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import StringConstraints

from domain.diffusion import Diffusion
from domain.monnaie import Centimes, euros
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


_LIBELLES: Final = {
    "caisse": "caisse",
    "nature": "nature",
    "montant_initial": "montant initial",
    "solde_pf_fr": "solde",
    "date_emission": "date d'émission",
    "mode": "mode",
}


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

    def differences(self, autre: "Avis") -> list[str]:
        """Ce qui diffère d'un autre avis de même référence, en toutes lettres ; d'un autre assuré, qu'il est autre."""
        dites = [
            f"{libelle} : {_dit(un)}, puis {_dit(second)}"
            for nom, libelle in _LIBELLES.items()
            if (un := getattr(self, nom)) != (second := getattr(autre, nom))
        ]
        return ["un autre assuré", *dites] if autre.assure != self.assure else dites


def _dit(valeur: object) -> str:
    match valeur:
        case date():
            return f"{valeur:%d/%m/%Y}"
        case int():
            return euros(valeur)
        case _:
            return str(valeur)
