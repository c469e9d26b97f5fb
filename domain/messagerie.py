"""La messagerie d'un assuré : les messages qu'il a lus, et ceux qu'il a supprimés.

Les messages eux-mêmes n'ont pas d'événement : chacun se déduit d'un paiement accepté (`domain.accuse`). Ce qu'une
personne en a fait ne se déduit de rien, et doit survivre à une reconstruction de la vue : ce sont donc des faits.
"""

from datetime import date, datetime
from typing import ClassVar, Final, Self, TypeAlias, TypeGuard, get_args

from domain.accuse import Accuse
from domain.faits import Agregat, Fait
from domain.references import Pseudonyme, ReferenceTransaction
from domain.refus import MessageInconnu


class Messagerie(Agregat):
    """Ce qu'un assuré a fait de ses messages."""

    TOPIC = "messagerie"

    class Event(Fait):
        """Un fait de la messagerie ; son flux porte le pseudonyme, il ne sort donc pas du service."""

        PUBLIE: ClassVar[bool] = False
        transaction: ReferenceTransaction
        """Le paiement dont le message accuse réception."""
        echeance: date
        """Le jour où le message disparaît de lui-même : une vue sait par là ce qu'elle peut oublier."""

        def commencer(self) -> "Messagerie":
            """Une messagerie commence au premier fait."""
            return Messagerie.vide(self.assure, maintenant=self.timestamp)

        def apply(self, messagerie: "Messagerie") -> None:
            """Fait évoluer la messagerie ; n'affecte que des attributs, ne décide de rien."""

        @property
        def assure(self) -> Pseudonyme:
            """L'assuré dont c'est la messagerie."""
            return Messagerie.assure_de(self.originator_id)

    class MessageLu(Event):
        """L'assuré a ouvert un message pour la première fois."""

        TOPIC: ClassVar[str] = "messagerie.MessageLu"

        def apply(self, messagerie: "Messagerie") -> None:
            messagerie.lus.add(self.transaction)

    class MessageSupprimé(Event):
        """L'assuré a supprimé un message : il ne reparaît jamais."""

        TOPIC: ClassVar[str] = "messagerie.MessageSupprime"

        def apply(self, messagerie: "Messagerie") -> None:
            messagerie.supprimes.add(self.transaction)

    def __init__(self, *, assure: Pseudonyme) -> None:
        """Passer par `vide`."""
        self.assure = assure
        self.lus: set[ReferenceTransaction] = set()
        self.supprimes: set[ReferenceTransaction] = set()

    @staticmethod
    def flux(assure: str) -> str:
        """Le nom du flux d'événements de la messagerie d'un assuré."""
        return _PREFIXE + assure

    @staticmethod
    def assure_de(flux: str) -> Pseudonyme:
        """L'assuré dont c'est le flux ; lève ValueError si c'en est un autre."""
        if not flux.startswith(_PREFIXE):
            raise ValueError(f"ce flux n'est pas celui d'une messagerie : {flux}")
        return Pseudonyme(flux.removeprefix(_PREFIXE))

    @classmethod
    def vide(cls, assure: Pseudonyme, *, maintenant: datetime) -> Self:
        """Une messagerie dont l'assuré n'a encore rien lu ni supprimé : elle n'a pas d'événement."""
        messagerie = cls.__new__(cls)
        messagerie.__base_init__(cls.flux(assure), 0, maintenant)
        messagerie.__init__(assure=assure)  # type: ignore[misc]
        return messagerie

    def lire(self, accuse: Accuse, *, maintenant: datetime) -> None:
        """Enregistre la première lecture ; les suivantes ne produisent rien. Lève MessageInconnu s'il est supprimé."""
        if accuse.transaction in self.supprimes:
            raise MessageInconnu
        if accuse.transaction not in self.lus:
            self._constater(self.MessageLu, accuse, maintenant)

    def supprimer(self, accuse: Accuse, *, maintenant: datetime) -> None:
        """Supprime le message ; un message déjà supprimé ne produit rien."""
        if accuse.transaction not in self.supprimes:
            self._constater(self.MessageSupprimé, accuse, maintenant)

    def _constater(self, fait: type[Event], accuse: Accuse, maintenant: datetime) -> None:
        self.trigger_event(fait, transaction=accuse.transaction, echeance=accuse.echeance, timestamp=maintenant)


_PREFIXE: Final = "messagerie-"

FaitDeMessagerie: TypeAlias = Messagerie.MessageLu | Messagerie.MessageSupprimé
"""Tous les faits d'une messagerie : la somme fermée sur laquelle chaque `match` se finit par `assert_never`."""

FAITS_DE_MESSAGERIE: Final[tuple[type[FaitDeMessagerie], ...]] = get_args(FaitDeMessagerie)


def est_de_messagerie(fait: object) -> TypeGuard[FaitDeMessagerie]:
    """Dit si c'est un fait d'une messagerie."""
    return isinstance(fait, FAITS_DE_MESSAGERIE)
