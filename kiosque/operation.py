"""Ce que donne une annulation ou un remboursement demandé à une banque, et ce qui l'empêche de se faire deux fois."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from domain.delai import PARIS
from domain.monnaie import euros


@dataclass(frozen=True, slots=True)
class Indeterminee:
    """Pas de réponse exploitable : rien ne doit être conclu. `cause` : une phrase, pour l'exploitant."""

    cause: str


@dataclass(frozen=True, slots=True)
class Faite:
    """L'opération est faite, à présent ou par un envoi d'avant ; `reste` : ce que la banque garde, en centimes."""

    reste: int


@dataclass(frozen=True, slots=True)
class OperationRefusee:
    """La banque refuse ; rien n'a bougé."""

    code: str
    cause: str
    annulable: bool = False
    """Vrai d'un remboursement que la banque refuse à un paiement pas encore remis en banque : il s'annule."""


@dataclass(frozen=True, slots=True)
class AutreReste:
    """Jamais envoyée, l'opération ne part pas : ce que la banque garde n'est pas ce que nous croyons (centimes)."""

    garde: int
    attendu: int

    @property
    def cause(self) -> str:
        """Ce que lit la personne qui devra régler autrement."""
        return (
            f"la banque ne garde pas ce que nous croyons : {euros(self.garde)}, {euros(self.attendu)} attendus ; "
            "voyez avec elle ce qu'elle a déjà rendu"
        )


@dataclass(frozen=True, slots=True)
class Reportee:
    """Rien n'a été envoyé : la banque ne fait pas d'opération à cette heure."""

    cause: str


@dataclass(frozen=True, slots=True)
class NonOfferte:
    """Ce contrat, ou cette banque, ne permet pas l'opération."""

    cause: str


Operation: TypeAlias = Faite | OperationRefusee | AutreReste | Reportee | NonOfferte | Indeterminee
"""Ce que donne un remboursement ou une annulation ; `Indeterminee` : elle a peut-être eu lieu, redemander plus tard."""


class Envois(Protocol):
    """Ce que l'appelant sait des envois d'une opération : lui seul s'en souvient d'un processus à l'autre."""

    @property
    def peut_etre(self) -> bool:
        """Vrai si elle a pu être envoyée déjà, même par un processus mort depuis ; faux : jamais."""

    @property
    def sans_reponse_depuis(self) -> datetime | None:
        """L'instant du dernier envoi dont aucune réponse n'est connue ; None s'il n'y en a pas."""

    def noter(self) -> bool:
        """Retient durablement qu'un envoi va partir ; `peut_etre` est vrai, et l'envoi sans réponse, ensuite.

        Faux si l'opération n'est plus voulue, ou si un autre l'a envoyée depuis : rien ne doit alors partir.
        """

    def repondu(self) -> None:
        """La banque a refusé le dernier envoi : lui n'a rien fait. Tenu en mémoire : un processus mort l'ignore."""


@dataclass(frozen=True, slots=True)
class PeutEtre:
    """Ce que vaut un envoi dont la réponse ne suffit pas : regarder, et si rien n'a bougé, ceci."""

    sinon: Operation


VALIDITE_D_UNE_NOTE: Final = timedelta(minutes=1)
"""Un envoi noté part dans ce temps ou ne part pas : un processus gelé entre les deux n'envoie rien à son réveil."""

UN_AUTRE_L_ENVOIE = Indeterminee("un autre vient de l'envoyer, ou elle n'est plus voulue")


def comparer_reste(
    garde: int, montant: int, reste_avant: int, *, peut_etre_envoyee: bool
) -> Faite | AutreReste | Indeterminee | None:
    """Ce que la banque garde, contre ce qu'elle gardait avant et doit garder après ; None : rien n'a bougé.

    Un reste qui a bougé n'est de notre fait que si nous avons pu envoyer quelque chose : la banque peut ne pas
    connaître tout ce que nous croyons pris, ou quelqu'un avoir rendu l'argent chez elle.
    """
    if garde == reste_avant:
        return None
    if not peut_etre_envoyee:
        return AutreReste(garde, reste_avant)
    if garde == reste_avant - montant:
        return Faite(garde)
    return Indeterminee(f"la banque garde {euros(garde)}, {euros(reste_avant)} étaient attendus")


def une_fois_au_plus(
    envois: Envois,
    montant: int,
    reste_avant: int,
    *,
    regarder: Callable[[datetime | None], Operation | None],
    envoyer: Callable[[], Operation | PeutEtre],
    horloge: Callable[[], datetime],
) -> Operation:
    """Regarde, note, envoie une fois, et regarde avant de conclure : ce qui ne dépend d'aucune banque.

    `regarder` : ce que la banque garde, jugé ; None si l'opération reste à faire et peut l'être. Il reçoit l'instant
    après lequel elle vient d'être envoyée, None si elle ne l'a pas été par cet appel.
    """
    if not 0 < montant <= reste_avant:
        return OperationRefusee("51", "le montant est nul, ou dépasse ce que la banque garde")
    if (issue := regarder(None)) is not None:
        return issue
    depart = horloge()
    if not envois.noter():
        return UN_AUTRE_L_ENVOIE
    if horloge() - depart > VALIDITE_D_UNE_NOTE:
        return Indeterminee("l'envoi a été noté trop longtemps avant de partir : il ne part pas")
    reponse = envoyer()
    if not isinstance(reponse, PeutEtre):
        return reponse
    return regarder(depart) or reponse.sinon


def trop_tot(envois: Envois, maintenant: datetime, delai: timedelta) -> Indeterminee | None:
    """Dit d'attendre si un envoi sans réponse date de moins de `delai` ; None si un reste inchangé vaut preuve.

    La banque peut écrire ce qu'elle a fait bien après l'avoir fait : jusque-là, ne pas le voir n'est pas savoir qu'elle
    ne l'a pas fait. Renvoyer rendrait deux fois ; conclure à un refus laisserait rendre une seconde fois autrement.
    """
    depuis = envois.sans_reponse_depuis
    if depuis is None or maintenant - depuis >= delai:
        return None
    limite = (depuis + delai).astimezone(PARIS)
    return Indeterminee(
        "envoyée sans réponse : la banque peut ne l'écrire que plus tard ;"
        f" d'ici au {limite:%d/%m/%Y à %H:%M}, elle est seulement regardée"
    )
