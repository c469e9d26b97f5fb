"""La base des événements : figés, validés, nommés par un sujet stable, et dont le temps est donné de l'extérieur."""

import unicodedata
from functools import cache
from typing import Annotated, Any, ClassVar, Final, NoReturn

from eventsourcing.domain import BaseAggregate, CanInitAggregate, CanMutateAggregate
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
"""Ce que tout modèle stocké a en commun : figé, sans champ inconnu, écrit en ASCII, décrit par ses docstrings."""


class Fait(BaseModel, CanMutateAggregate[str]):
    """Un événement : un modèle figé, que `mutate` applique à son agrégat.

    Chaque classe concrète porte un `TOPIC` ASCII : ce qui est stocké ne nomme jamais un module. Un champ changé demande
    d'augmenter `class_version` et d'écrire `upcast_vN_vN+1(etat)` (voir `engine.mapper`).
    """

    model_config = MODELE

    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1
    PUBLIE: ClassVar[bool] = True
    """Faux pour un fait qui ne sort pas du service : son flux ou ses champs nommeraient une personne."""

    originator_id: str
    originator_version: Annotated[int, Field(ge=1)]
    timestamp: AwareDatetime

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Inscrit le sujet de la classe : un événement stocké la retrouve sans importer de module par son nom."""
        super().__pydantic_init_subclass__(**kwargs)
        if topic := cls.__dict__.get("TOPIC"):
            register_topic(topic, cls)

    @staticmethod
    def create_timestamp() -> NoReturn:
        """Le domaine n'a pas d'horloge : passer `timestamp`."""
        raise TypeError("l'instant d'un événement se passe en argument : timestamp=maintenant")


_COMMUNS: Final = ("originator_id", "originator_version", "originator_topic", "timestamp")
"""Les champs que la bibliothèque donne elle-même à l'agrégat ; les autres vont à son `__init__`."""


class Naissance(CanInitAggregate[str]):
    """Le premier fait d'un flux : ses champs propres sont exactement ceux que reçoit l'`__init__` de l'agrégat."""

    def mutate(self, aggregate: Any) -> Any:
        """Construit l'agrégat, comme la bibliothèque mais sans comparer les champs aux signatures à chaque fois."""
        if aggregate is not None:
            raise TypeError("le premier fait d'un flux n'a pas de prédécesseur")
        classe = resolve_topic(self.originator_topic)
        ne = classe.__new__(classe)
        ne.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        champs = dict(vars(self))
        for nom in _COMMUNS:
            del champs[nom]
        ne.__init__(**champs)
        self.apply(ne)
        return ne


class Agregat(BaseAggregate[str]):
    """La base des agrégats, dont les flux sont nommés par un texte."""

    def trigger_event(self, event_class: type[Any], **kwargs: Any) -> None:
        """Déclenche le fait suivant du flux : le construit, l'applique, et le garde pour qui l'enregistrera.

        Comme la bibliothèque, moins ce qu'elle vérifie ici à chaque fois : `Fait` inscrit le sujet d'une classe à sa
        déclaration, et exige `timestamp`.
        """
        fait = event_class(originator_id=self.id, originator_version=self.version + 1, **kwargs)
        fait.mutate(self)
        self.pending_events.append(fait)
