"""Les corps JSON de l'assuré, tels que le contrat les nomme."""

import hashlib
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from domain.avis import Canal
from domain.monnaie import Centimes
from domain.references import lire_reference
from guichet.ouvrir_paiement import PaiementRemis
from kiosque.notification import CHAMPS_DU_FORMULAIRE

SaisieDeReference = Annotated[str, StringConstraints(max_length=64)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class DemandePaiement(BaseModel):
    """Ce que l'assuré veut payer : les références cochées et le montant, en centimes."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [{"references": ["3811701200010075F"], "montant_centimes": 2000, "canal": "web"}]
        },
    )

    references: tuple[SaisieDeReference, ...] = Field(description="Références d'avis, sans répétition.")
    montant_centimes: Centimes = Field(description="Montant du paiement, en centimes d'euro.")
    canal: Canal = Field(description="D'où l'assuré paie.")

    @field_validator("references")
    @classmethod
    def lisibles(cls, references: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Normalise les références ; le contexte donne `references_max`."""
        maximum = (info.context or {})["references_max"]
        if len(references) > maximum:
            raise ValueError(f"{maximum} références au plus par paiement")
        normalisees = tuple(map(lire_reference, references))
        if None in normalisees:
            raise ValueError("une référence compte 16 chiffres et 1 lettre")
        return tuple(reference for reference in normalisees if reference)

    @property
    def empreinte(self) -> bytes:
        """Le SHA-256 de la demande sous sa forme canonique : deux écritures de la même demande ont la même."""
        return hashlib.sha256(self.model_dump_json().encode()).digest()


class Part(BaseModel):
    """La part du paiement qui va à une créance."""

    reference: str
    montant_centimes: int


class FormulaireKiosque(BaseModel):
    """Ce que le navigateur poste au kiosque bancaire, tel quel."""

    url: str
    champs: dict[str, str] = Field(description=CHAMPS_DU_FORMULAIRE)

    @field_validator("champs")
    @classmethod
    def ranges(cls, champs: dict[str, str]) -> dict[str, str]:
        """Toujours dans le même ordre : la même demande rend la même réponse, à l'octet près."""
        return dict(sorted(champs.items()))


class PaiementOuvert(BaseModel):
    """Un paiement ouvert, et le formulaire scellé qui mène au kiosque."""

    transaction: str
    montant_centimes: int
    imputations: list[Part]
    expire_le: datetime = Field(description="Fin de la remise du formulaire.")
    kiosque: FormulaireKiosque

    @classmethod
    def de(cls, remis: PaiementRemis) -> Self:
        """La réponse du contrat pour ce paiement."""
        return cls(
            transaction=remis.transaction,
            montant_centimes=remis.montant,
            imputations=[Part(reference=reference, montant_centimes=part) for reference, part in remis.parts],
            expire_le=remis.expire_le,
            kiosque=FormulaireKiosque(url=remis.formulaire.url, champs=dict(remis.formulaire.champs)),
        )


class EtatPaiement(BaseModel):
    """Où en est un paiement."""

    model_config = ConfigDict(title="EtatPaiement")

    transaction: str
    montant_centimes: int
    statut: Literal["en_cours", "accepte", "echoue", "expire", "en_verification"]
    cause: str | None = Field(description="Pourquoi il a fini ainsi.")
    ouvert_le: datetime
    expire_le: datetime
    conclu_le: datetime | None
    affiche_le: datetime | None = Field(
        description="Quand il a été affiché sur le compte ; null tant qu'il ne l'est pas."
    )


class RaisonDeNePasPayer(BaseModel):
    """Pourquoi une créance ne peut pas être cochée maintenant."""

    code: str
    detail: str
    jusqu_a: datetime | None = Field(None, description="Fin du paiement en cours, s'il est la raison.")


class LigneDeCreance(BaseModel):
    """Une créance et ce qu'elle doit encore."""

    model_config = ConfigDict(title="LigneDeCreance")

    reference: str
    caisse: str
    nom_caisse: str
    nature: str
    date_emission: date
    montant_initial_centimes: int
    restant_du_centimes: int
    en_cours_centimes: int = Field(
        description="Part retenue par des paiements en cours ; plus que le restant dû si celui-ci a baissé depuis."
    )
    disponible_centimes: int = Field(description="Restant dû net des paiements en cours.")
    trop_percu_centimes: int
    statut: Literal["trop_percu", "soldee", "paiement_en_cours", "due"]
    payable: bool
    refus: RaisonDeNePasPayer | None


class PaiementAReprendre(BaseModel):
    """Un paiement encore ouvert de l'assuré."""

    model_config = ConfigDict(title="PaiementAReprendre")

    transaction: str
    montant_centimes: int
    expire_le: datetime


class CreanceLue(LigneDeCreance):
    """La créance cherchée, les autres de l'assuré qui restent dues, et ses paiements en cours."""

    model_config = ConfigDict(title="Creance")

    minimum_par_paiement_centimes: int
    maximum_par_paiement_centimes: int
    autres: list[LigneDeCreance]
    paiements_en_cours: list[PaiementAReprendre]
