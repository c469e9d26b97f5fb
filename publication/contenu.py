"""Ce qu'un fait publie, tiré de sa classe : des clés ASCII, des centimes nommés tels, rien qui désigne une personne.

Un champ est publié si son type est un vocabulaire fermé (énumération, date, booléen, montant) ou un texte marqué
`Diffusion.PUBLIQUE`. Un texte sans marque n'est ni publié ni omis en silence : la classe est refusée au démarrage.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, Union, get_args, get_origin, get_type_hints

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from domain.agregats import FAITS
from domain.creance import FAITS_DE_CREANCE
from domain.diffusion import Diffusion
from domain.faits import Fait, sans_accents
from domain.monnaie import Centimes, Somme
from domain.references import CodeCaisse
from publication.versions import ANCIENNES, avec_anciennes

_HORS_DONNEES: Final = frozenset({"originator_id", "originator_version", "originator_topic", "timestamp"})
"""Portés par `ce_id`, `ce_subject` et `ce_time`, ou propres à la bibliothèque."""

_MODELE: Final = ConfigDict(extra="allow")
"""Un consommateur accepte les champs qu'il ne connaît pas : en ajouter un n'est pas une rupture."""

_MONTANTS: Final = frozenset({Centimes, Somme})

CHAMPS_DU_SOLDE: Final[dict[str, tuple[Any, str]]] = {
    "caisse": (CodeCaisse, "La caisse de l'avis."),
    "restant_du_centimes": (Somme, "Ce qui reste à payer de la créance après cet événement."),
    "en_cours_centimes": (Somme, "La somme des parts que des paiements en cours réservent, après cet événement."),
    "trop_percu_centimes": (Somme, "Ce qui a été payé de trop sur la créance, après cet événement."),
}
"""Publiés avec chaque fait d'une créance ; absents de ceux que le topic portait avant qu'ils n'existent."""

Conversion = Callable[[Any], Any]


class ChampSansDiffusion(TypeError):
    """Un champ ne dit pas s'il quitte le service : marquer son type de `Diffusion.PUBLIQUE` ou `Diffusion.INTERNE`."""


class Champ(NamedTuple):
    """Un champ publié : l'attribut du fait, la clé publiée, son type, et ce qui le convertit (None : tel quel)."""

    attribut: str
    cle: str
    type: Any
    conversion: Conversion | None


def faits_publies() -> list[type[Fait]]:
    """Les classes de faits publiées, dans l'ordre des agrégats : chacune le dit par `PUBLIE`."""
    return [classe for classe in FAITS if classe.PUBLIE]


@cache
def champs(classe: type[BaseModel]) -> tuple[Champ, ...]:
    """Les champs que publie une classe. Lève ChampSansDiffusion."""
    return tuple(_champs(classe))


@cache
def modele(classe: type[BaseModel], version: str | None = None) -> type[BaseModel]:
    """Le modèle pydantic des données publiées d'une classe : la source de son schéma.

    `version` : une ancienne qui se publie encore ; absente ou courante : celle d'aujourd'hui.
    """
    definitions: dict[str, Any] = {}
    ancienne = ANCIENNES.get(classe)
    d_avant = ancienne.cles if ancienne is not None and version == ancienne.version else {}
    noms = {suivante: cle for cle, suivante in d_avant.items()}
    for champ in champs(classe):
        declare = classe.model_fields[champ.attribut]
        defaut = ... if declare.is_required() else declare.default
        definitions[noms.get(champ.cle, champ.cle)] = (champ.type, Field(defaut, description=declare.description))
    if classe in FAITS_DE_CREANCE:
        for cle, (type_, description) in CHAMPS_DU_SOLDE.items():
            definitions.setdefault(cle, (type_, Field(None, description=description, json_schema_extra=_sans_defaut)))
    return create_model(sans_accents(classe.__name__), __config__=_MODELE, __doc__=classe.__doc__, **definitions)


def donnees(fait: BaseModel) -> dict[str, Any]:
    """Les données publiées d'un fait, avec les clés des versions qui se publient encore."""
    courantes = {
        champ.cle: getattr(fait, champ.attribut)
        if champ.conversion is None
        else champ.conversion(getattr(fait, champ.attribut))
        for champ in champs(type(fait))
    }
    return avec_anciennes(type(fait), courantes)


def en_utc(instant: datetime) -> datetime:
    """Le même instant, en UTC : écrit avec un Z."""
    return instant.astimezone(UTC)


def _sans_defaut(schema: dict[str, Any]) -> None:
    """Facultatif : il peut manquer, mais n'est jamais `null`."""
    schema.pop("default", None)


def _champs(classe: type[BaseModel]) -> Iterator[Champ]:
    for attribut, type_ in get_type_hints(classe, include_extras=True).items():
        if attribut not in classe.model_fields or attribut in _HORS_DONNEES:
            continue
        try:
            publie = _publier(type_)
        except ChampSansDiffusion as refus:
            raise ChampSansDiffusion(f"{classe.__qualname__}.{attribut} : {refus}") from None
        if publie is not None:
            suffixe = "_centimes" if type_ in _MONTANTS else ""
            yield Champ(attribut, attribut + suffixe, *publie)


def _publier(type_: Any) -> tuple[Any, Conversion | None] | None:  # noqa: PLR0911 (un cas par sorte de type)
    """Le type publié et sa conversion ; None si le champ reste interne. Lève ChampSansDiffusion."""
    if isinstance(type_, NewType) and type_ not in _MONTANTS:
        type_ = type_.__supertype__
    origine, arguments = get_origin(type_), get_args(type_)
    if type_ in _MONTANTS or origine is Literal or type_ in {bool, date}:
        return type_, None
    if type_ in {AwareDatetime, datetime}:
        return AwareDatetime, en_utc
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type_, None
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        return modele(type_), donnees
    if origine is Annotated and Diffusion.PUBLIQUE in type_.__metadata__:
        return type_, None
    if origine is Annotated and Diffusion.INTERNE in type_.__metadata__:
        return None
    if origine is tuple and arguments[1:] == (...,):
        return _publier_suite(arguments[0])
    if origine in {Union, UnionType} and len(arguments) == 2 and type(None) in arguments:  # noqa: PLR2004 (X | None)
        return _publier_facultatif(next(argument for argument in arguments if argument is not type(None)))
    raise ChampSansDiffusion(f"{type_} ne dit pas s'il est publié")


def _publier_suite(element: Any) -> tuple[Any, Conversion | None] | None:
    publie = _publier(element)
    if publie is None:
        return None
    type_, conversion = publie

    def convertir(valeurs: Sequence[Any]) -> list[Any]:
        return list(valeurs) if conversion is None else [conversion(valeur) for valeur in valeurs]

    return list[type_], convertir  # type: ignore[valid-type]


def _publier_facultatif(present: Any) -> tuple[Any, Conversion | None] | None:
    publie = _publier(present)
    if publie is None:
        return None
    type_, conversion = publie

    def convertir(valeur: Any) -> Any:
        return None if valeur is None else conversion(valeur) if conversion else valeur

    return type_ | None, convertir
