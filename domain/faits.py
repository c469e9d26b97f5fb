"""La base des événements : figés, nommés par un `TOPIC` stable, et dont le temps est donné de l'extérieur."""

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Final, NoReturn, Self

from eventsourcing.domain import (
    BaseAggregate,
    CanInitAggregate,
    CanMutateAggregate,
    OriginatorIDError,
    OriginatorVersionError,
)
from eventsourcing.utils import register_topic, resolve_topic
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


@cache
def sans_accents(nom: str) -> str:
    """Le nom d'une classe en ASCII : `PaiementAccepté` → `PaiementAccepte`, tel qu'il est publié."""
    return unicodedata.normalize("NFD", nom).encode("ascii", "ignore").decode("ascii")


MODELE: Final = ConfigDict(
    frozen=True,
    extra="forbid",
    use_attribute_docstrings=True,
)
"""Ce que tout modèle stocké a en commun : figé, sans champ inconnu, décrit par ses docstrings."""


class Fait(BaseModel, CanMutateAggregate[str]):
    """Un événement : un modèle figé, que `mutate` applique à son agrégat.

    Chaque classe concrète porte un `TOPIC` ASCII : ce qui est stocké ne nomme jamais un module. Un champ changé demande
    d'augmenter `class_version` et d'écrire `upcast_vN_vN+1(etat)` (voir `engine.mapper`).
    """

    model_config = MODELE

    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1
    KEPT: ClassVar[bool] = False
    """Vrai si son agrégat le garde lui-même ; des autres, qui charge un flux ne fait pas un modèle (`engine.lean`)."""
    PUBLIE: ClassVar[bool] = True
    """Faux pour un fait qui ne sort pas du service : son flux ou ses champs nommeraient une personne."""

    DONNES: ClassVar[set[str]]
    """Les noms de ses champs, pour pydantic ; un fait étant figé, ils servent à tous."""
    FACULTATIFS: ClassVar[Mapping[str, Any]]
    """Ceux qui peuvent manquer, et ce qu'ils valent alors."""

    originator_id: str
    originator_version: Annotated[int, Field(ge=1)]
    timestamp: AwareDatetime

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Inscrit le `TOPIC` de la classe : un événement stocké la retrouve sans importer de module par son nom."""
        super().__pydantic_init_subclass__(**kwargs)
        champs = cls.model_fields
        cls.DONNES = set(champs)
        cls.FACULTATIFS = {nom: champ.default for nom, champ in champs.items() if not champ.is_required()}
        if topic := cls.__dict__.get("TOPIC"):
            register_topic(topic, cls)

    @staticmethod
    def create_timestamp() -> NoReturn:
        """Le domaine n'a pas d'horloge : passer `timestamp`."""
        raise TypeError("l'instant d'un événement se passe en argument : timestamp=maintenant")

    @classmethod
    def sans_valider(cls, champs: dict[str, Any]) -> Self:
        """Le fait de ces champs, tenus pour ce que leurs types disent d'eux, et qui sont désormais à lui.

        Rien n'est vérifié ici : l'écriture refuse un champ qui manque, de trop, ou qui ne se relirait pas.
        """
        if len(champs) != len(cls.DONNES):
            champs = {**cls.FACULTATIFS, **champs}
        fait = object.__new__(cls)
        _poser_champs(fait, champs)
        _poser_donnes(fait, cls.DONNES)
        _poser_autres(fait, None)
        _poser_prives(fait, None)
        return fait

    def mutate(self, aggregate: Any) -> Any:
        """L'agrégat après ce fait, comme le fait la bibliothèque, en une passe ; None avant le premier fait du flux.

        Lève OriginatorIDError ou OriginatorVersionError si ce n'est pas le suivant de ce flux.
        """
        if aggregate is None:
            aggregate = self.commencer()
        version = self.originator_version
        if self.originator_id != aggregate._id:  # noqa: SLF001 (la base de l'agrégat, dont les propriétés coûtent)
            raise OriginatorIDError(self.originator_id, aggregate.id)
        if version != aggregate._version + 1:  # noqa: SLF001
            raise OriginatorVersionError(version, aggregate.version + 1)
        self.apply(aggregate)
        aggregate._version = version  # noqa: SLF001
        aggregate._modified_on = self.timestamp  # noqa: SLF001
        return aggregate

    def commencer(self) -> Any:
        """L'agrégat tel qu'il est avant son premier fait, si ce fait peut l'être. Lève TypeError."""
        raise TypeError(f"{type(self).__name__} ne peut pas être le premier fait d'un flux")


# Les quatre places où pydantic range un modèle : écrites ainsi, moins de la moitié d'un constructeur qui valide.
_places: Final[Any] = vars(BaseModel)
_poser_champs: Final = _places["__dict__"].__set__
_poser_donnes: Final = _places["__pydantic_fields_set__"].__set__
_poser_autres: Final = _places["__pydantic_extra__"].__set__
_poser_prives: Final = _places["__pydantic_private__"].__set__

_COMMUNS: Final = ("originator_id", "originator_version", "originator_topic", "timestamp")
"""Les champs que la bibliothèque donne elle-même à l'agrégat ; les autres vont à son `__init__`."""


class Naissance(Fait, CanInitAggregate[str]):
    """Le premier fait d'un flux : ses champs propres sont exactement ceux que reçoit l'`__init__` de l'agrégat."""

    def mutate(self, aggregate: Any) -> Any:
        """Construit l'agrégat, comme la bibliothèque mais sans comparer les champs aux signatures à chaque fois."""
        if aggregate is not None:
            raise TypeError("le premier fait d'un flux n'a pas de prédécesseur")
        classe = resolve_topic(self.originator_topic)
        ne = classe.__new__(classe)
        ne.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        champs = vars(self).copy()
        for nom in _COMMUNS:
            del champs[nom]
        ne.__init__(**champs)
        self.apply(ne)
        return ne


class Agregat(BaseAggregate[str]):
    """La base des agrégats, dont les flux sont nommés par un texte."""

    def trigger_event(self, event_class: type[Any], **kwargs: Any) -> None:
        """Déclenche le fait suivant du flux : le construit, l'applique, et le garde pour qui l'enregistrera.

        Comme la bibliothèque, moins ce qu'elle vérifie ici à chaque fois : `Fait` inscrit le `TOPIC` d'une classe à sa
        déclaration, et exige `timestamp`. Ni ses champs ne sont validés : leurs types gardent cet appel, et l'écriture
        refuse ce qui ne se relirait pas. Les faits de naissance, qui viennent du dehors, le sont (`_create`).
        """
        kwargs["originator_id"] = self._id
        kwargs["originator_version"] = self._version + 1
        fait = event_class.sans_valider(kwargs)
        fait.mutate(self)
        self._pending_events.append(fait)
