"""Ce qu'une clôture contient, et les octets qui en sont scellés : écrits une fois, jamais rendus de nouveau."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from projections.comptes.totaux import MOUVEMENTS, Totaux

FORMAT: Final = "arrete-journalier-1"

SANS_PRECEDENT: Final = "0" * 64
"""Ce que la première clôture dit de celle qui la précède."""

Empreinte = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Un SHA-256, en hexadécimal."""


class Periode(StrEnum):
    """Ce que des totaux couvrent, jusqu'au jour compris."""

    JOUR = "jour"
    MOIS = "mois"
    ANNEE = "annee"
    PERPETUEL = "perpetuel"
    """Depuis le premier événement."""


class Axe(StrEnum):
    """Sur quoi des totaux sont faits."""

    ENSEMBLE = "ensemble"
    CAISSE = "caisse"
    MARCHAND = "marchand"

    @property
    def des_creances(self) -> bool:
        """Vrai si ces totaux additionnent des soldes de créances ; faux s'ils additionnent ce que la banque a pris."""
        match self:
            case Axe.ENSEMBLE | Axe.CAISSE:
                return True
            case Axe.MARCHAND:
                return False
            case _:
                assert_never(self)


Tableau = dict[Axe, dict[str, Totaux]]
"""Des totaux par axe et par clé ; celle de l'ensemble est vide."""


class Valeur(BaseModel):
    """Une valeur scellée : rien n'y est de trop, rien n'y change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PointDeControle(Valeur):
    """Le point signé du journal (un arbre de Merkle) sous lequel une clôture se tient : origine, taille, racine.

    Le premier qui couvre tout ce qu'elle compte ; sinon le dernier qui était signé quand elle s'est écrite.
    """

    origine: str
    taille: int = Field(ge=0)
    racine: Empreinte
    hors_du_point: int = Field(ge=0)
    """Des lignes qu'elle compte (événements, rapports de la banque), combien il ne couvre pas."""


class DitDeLaBanque(Valeur):
    """Ce que ses rapports disent d'un marchand pour ce jour de Paris, face à nous ; montants en centimes."""

    marchand: str
    couvert: bool
    """Un rapport de transactions couvre tout ce jour."""
    transactions: int
    pris: int
    rendu: int
    pris_ici: int
    """Ce que le journal, à cette clôture, dit que la banque a pris ce jour-là (à son heure à elle)."""
    difference: int | None
    """`pris − pris_ici` ; None tant que le jour n'est pas couvert."""
    ecarts_ouverts: int
    montant_des_ecarts: int


class Arrete(Valeur):
    """Une clôture."""

    format: Literal["arrete-journalier-1"] = FORMAT
    numero: int = Field(ge=1)
    jour: date
    epoque: str
    depuis: int = Field(ge=0)
    jusqu_a: int = Field(ge=0)
    evenements: int = Field(ge=0)
    """Combien d'événements ce jour porte."""
    journal: Empreinte
    """SHA-256 des événements du jour, une ligne chacun : voir `journal.lignes_du_jour`."""
    precedent: Empreinte
    totaux: dict[Periode, Tableau]
    banque: tuple[DitDeLaBanque, ...]
    rapports: int
    """Le rang du dernier rapport de la banque qui était lu."""
    point_de_controle: PointDeControle | None = None
    """Absent si rien n'était encore scellé de cette époque."""

    def octets(self) -> bytes:
        """Les octets scellés : JSON en ASCII, clés triées, sans blanc."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def ensemble(self) -> Totaux:
        """Les totaux du jour, tout confondu."""
        return self.totaux[Periode.JOUR][Axe.ENSEMBLE][""]

    def lignes(self) -> Iterator[tuple[Periode, Axe, str, Totaux]]:
        """Chaque total, dans l'ordre où il se lit."""
        for periode in Periode:
            for axe in Axe:
                for cle, totaux in sorted(self.totaux[periode].get(axe, {}).items()):
                    yield periode, axe, cle, totaux


class ArreteIllisible(ValueError):
    """Ces octets ne sont pas ceux d'une clôture."""


def lire(octets: bytes) -> Arrete:
    """La clôture que disent ces octets ; lève ArreteIllisible, aussi s'ils auraient été écrits autrement."""
    try:
        arrete = Arrete.model_validate_json(octets)
    except ValidationError as cause:
        raise ArreteIllisible(str(cause.errors(include_url=False, include_input=False)[0]["msg"])) from cause
    if arrete.octets() != octets:
        raise ArreteIllisible("ces octets ne sont pas sous la forme qui se scelle")
    return arrete


def empreinte_de(octets: bytes) -> str:
    """L'empreinte d'une clôture : celle que la suivante reprend, et qui est horodatée."""
    return sha256(octets).hexdigest()


def cumuler(precedent: Arrete | None, le: date, du_jour: Tableau) -> dict[Periode, Tableau]:
    """Les totaux de chaque période à la fin de ce jour."""
    cumules = {Periode.JOUR: du_jour}
    for periode, commence in (
        (Periode.MOIS, precedent is None or precedent.jour.month != le.month or precedent.jour.year != le.year),
        (Periode.ANNEE, precedent is None or precedent.jour.year != le.year),
        (Periode.PERPETUEL, precedent is None),
    ):
        avant: Mapping[Axe, Mapping[str, Totaux]] = {} if commence or precedent is None else precedent.totaux[periode]
        cumules[periode] = {
            axe: {cle: _suite(avant.get(axe, {}).get(cle), totaux) for cle, totaux in par_cle.items()}
            for axe, par_cle in du_jour.items()
        }
    return cumules


def _suite(avant: Totaux | None, jour: Totaux) -> Totaux:
    return replace(jour) if avant is None else avant.suivis_de(jour)


def fautes_d_addition(totaux: Totaux, axe: Axe) -> list[str]:
    """Ce que ces totaux ont de faux par eux-mêmes : leurs additions."""
    if not axe.des_creances:
        attendu = totaux.ouverture + totaux.preleve_par_la_banque
        return [] if totaux.cloture == attendu else [f"clôture de {totaux.cloture} centimes, {attendu} par addition"]
    bouge = sum(signe * getattr(totaux, nom) for nom, signe in MOUVEMENTS.items())
    fautes = []
    if totaux.cloture != totaux.ouverture + bouge:
        fautes.append(f"clôture de {totaux.cloture} centimes, {totaux.ouverture + bouge} par addition")
    if totaux.cloture != totaux.restant_du - totaux.trop_percu:
        fautes.append(f"clôture de {totaux.cloture} centimes, {totaux.restant_du - totaux.trop_percu} par les soldes")
    return fautes
