"""Ce que le système attend d'un kiosque bancaire, quel qu'il soit.

La banque peut changer de produit : rien ici ne parle de Sips.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol, TypeAlias
from urllib.parse import urlsplit

from domain.avis import Canal
from domain.monnaie import CENTIMES_MAX
from domain.references import TRANSACTION
from domain.reponse import ReponseBancaire
from kiosque.operation import Envois, Indeterminee, Operation

DETAIL_CARACTERES_MAX = 200
"""Un détail vient souvent du message lui-même : il est coupé avant d'aller dans les logs."""

CAISSE = re.compile(r"[0-9]{3}")
JETON = re.compile(r"[A-Za-z0-9_-]{1,64}")
# L'origine d'une URL finit dans un en-tête Content-Security-Policy du kiosque : ni espace, ni « ; », ni accent.
URL_PERMISE = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9/._~!$&'()*+,:@%=?\-]*)?")


class FormulaireIrrecevable(Exception):
    """Le message de la banque n'est pas recevable."""

    code: ClassVar[str] = "formulaire_irrecevable"
    phrase: ClassVar[str] = "Le message de la banque n'est pas recevable."
    """Ce qu'une personne lit."""

    def __init__(self, detail: str = "") -> None:
        """Garde le détail, pour le support : il ne porte ni secret, ni sceau, ni donnée de carte."""
        super().__init__(detail)
        self.detail = detail[:DETAIL_CARACTERES_MAX]

    def __str__(self) -> str:
        """La phrase, avec le détail s'il y en a un."""
        return f"{self.phrase.removesuffix('.')} ({self.detail})." if self.detail else self.phrase


class SceauInvalide(FormulaireIrrecevable):
    """Le sceau ou la signature du message ne correspond pas à son contenu."""

    code = "sceau_invalide"
    phrase = "Le sceau du message ne correspond pas à son contenu."


class FormulaireIllisible(FormulaireIrrecevable):
    """Un champ dont on se sert manque, est répété ou est mal formé."""

    code = "formulaire_illisible"
    phrase = "Le message de la banque est illisible ou incomplet."


class MarchandInconnu(FormulaireIrrecevable):
    """Le marchand nommé n'est, ni n'a été, l'un des nôtres."""

    code = "marchand_inconnu"
    phrase = "Le message s'adresse à un marchand qui n'est pas le nôtre."


class DeviseInattendue(FormulaireIrrecevable):
    """Tout est en euros ici."""

    code = "devise_inattendue"
    phrase = "Le message porte une autre devise que l'euro."


class PlateformeDEssai(FormulaireIrrecevable):
    """Scellé, mais d'une plateforme où aucun argent ne passe : la production n'en croit rien."""

    code = "plateforme_d_essai"
    phrase = "Le message vient d'une plateforme d'essai de la banque."


class DemandeInvalide(ValueError):
    """La demande de paiement ne peut pas être présentée au kiosque : c'est une faute de l'appelant ou des réglages."""


@dataclass(frozen=True, slots=True)
class DemandeDePaiement:
    """Ce qu'un paiement demande au kiosque ; refuse de naître incohérente (`DemandeInvalide`).

    `marchand` : celui que le paiement a enregistré. `caisse` : trois chiffres. `montant` : centimes d'euro,
    strictement positif. `client` : le pseudonyme opaque de l'assuré, qui ne sort d'ici que haché. `url_retour` : où
    le navigateur revient, sans chaîne de requête. `url_notification` : où la banque répond de serveur à serveur.
    `jeton_retour` : la part de hasard que la banque renvoie telle quelle, et qui doit être celle du paiement.
    """

    transaction: str
    marchand: str
    caisse: str
    montant: int
    client: str
    canal: Canal
    url_retour: str
    url_notification: str
    jeton_retour: str | None = None

    def __post_init__(self) -> None:
        """Vérifie chaque champ, une fois pour toutes."""
        if not TRANSACTION.fullmatch(self.transaction):
            raise DemandeInvalide("la référence de transaction compte 1 à 35 lettres et chiffres")
        if not CAISSE.fullmatch(self.caisse):
            raise DemandeInvalide("le code de la caisse compte trois chiffres")
        if not 0 < self.montant <= CENTIMES_MAX:
            raise DemandeInvalide("le montant est hors des bornes du protocole")
        if self.jeton_retour is not None and not JETON.fullmatch(self.jeton_retour):
            raise DemandeInvalide("le jeton de retour compte 1 à 64 lettres, chiffres, tirets")
        if not self.client:
            raise DemandeInvalide("le pseudonyme de l'assuré manque")
        if not isinstance(self.canal, Canal):
            raise DemandeInvalide(f"le canal {self.canal!r} est inconnu")
        if not url_permise(self.url_notification):
            raise DemandeInvalide("l'URL de notification n'est pas une URL http ou https simple")
        if not url_permise(self.url_retour) or "?" in self.url_retour:
            raise DemandeInvalide("l'URL de retour est une URL http ou https, sans chaîne de requête")


@dataclass(frozen=True, slots=True)
class Formulaire:
    """Ce que le navigateur poste au kiosque : l'adresse, et les champs, à recopier tels quels (aucun : y aller)."""

    url: str
    champs: Mapping[str, str]


# --- Ce que la banque envoie -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Requete:
    """Une requête de la banque, telle qu'elle est venue : ses octets, et ses en-têtes (noms en minuscules)."""

    corps: bytes
    entetes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verifiee:
    """La banque le dit, et son sceau le prouve."""

    reponse: ReponseBancaire


@dataclass(frozen=True, slots=True)
class Indice:
    """Rien ne prouve que la banque le dise : il faut l'interroger, et ne rien conclure d'ici là."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Rejetee:
    """Rien n'en est cru ; le refus dit pourquoi."""

    refus: FormulaireIrrecevable


Lecture: TypeAlias = Verifiee | Indice | Rejetee
"""Ce que vaut un message de la banque."""

ValeurDuTopic: TypeAlias = Mapping[str, str]
"""Un message de la banque tel que le topic des notifications le garde : de quoi en vérifier le sceau de nouveau."""


class Recue(NamedTuple):
    """Une requête lue, et ce que le topic en gardera ; None si elle n'a pas même la forme d'un message."""

    lecture: Lecture
    valeur: ValeurDuTopic | None


# --- Ce que la banque répond -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouvee:
    """La banque connaît la transaction : ce qu'elle en dit (« en attente » compris), et ce que le topic en gardera."""

    reponse: ReponseBancaire
    valeur: ValeurDuTopic


@dataclass(frozen=True, slots=True)
class Inconnue:
    """La banque dit ne pas connaître la transaction. Dans les premières heures, ce n'est pas une preuve d'absence."""


Etat: TypeAlias = Trouvee | Inconnue | Indeterminee
"""Ce que donne une interrogation."""


class Echec(StrEnum):
    """Ce qu'un code de la banque dit, à une personne, d'un paiement qui n'a pas abouti."""

    ANNULE = "annule"
    """Elle l'a annulé."""
    DELAI = "delai"
    """Elle n'a pas fini à temps."""
    REFUSE = "refuse"
    """Cela tient à elle, ou à sa carte."""
    INCIDENT = "incident"


class Kiosque(Protocol):
    """Le kiosque bancaire : la page de paiement hébergée, ses réponses, et l'état d'une transaction.

    Aucune de ces méthodes ne lève pour ce que la banque fait ou tait : l'inconnu et l'attente sont des résultats.
    """

    def marchand_de(self, caisse: str) -> str:
        """L'identifiant du marchand qui encaisse pour cette caisse ; `DemandeInvalide` s'il n'y en a pas."""

    def formulaire(self, demande: DemandeDePaiement) -> Formulaire:
        """Le départ d'un paiement : la même demande donne le même formulaire. Lève `DemandeInvalide`."""

    def lire(self, requete: Requete) -> Recue:
        """Authentifie puis lit une requête de la banque, telle que reçue."""

    def proteger(self, valeur: ValeurDuTopic | None, corps: bytes) -> ValeurDuTopic | None:
        """Ce qui peut être gardé d'un message refusé ; None : le corps tel que reçu. `relire` le rouvre."""

    def relire(self, valeur: Mapping[str, object]) -> Lecture:
        """Lit ce que le topic a gardé, sceau vérifié de nouveau : le topic n'est pas cru."""

    def echec(self, code: str | None) -> Echec:
        """Ce que ce code veut dire d'un paiement qui n'a pas abouti ; inconnu ou absent, c'est un incident."""

    def interroger(self, transaction: str, marchand: str) -> Etat:
        """Demande à la banque ce qu'elle sait de la transaction, sous le marchand que le paiement a enregistré."""

    def annuler(self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois) -> Operation:
        """Retire ces centimes d'un paiement non encore remis en banque.

        `reste_avant` : ce que la banque gardait avant l'opération voulue, en centimes. `envois` : ce qui en a déjà pu
        partir, noté avant chaque envoi. Redemander la même opération (même `montant`, même `reste_avant`, mêmes
        `envois`) après un silence ne la fait jamais deux fois ; jamais envoyée, rien n'est pris pour elle.
        """

    def rembourser(
        self, transaction: str, marchand: str, montant: int, *, reste_avant: int, envois: Envois
    ) -> Operation:
        """Rend ces centimes à la personne, le paiement remis en banque ; mêmes règles qu'`annuler`."""

    def close(self) -> None:
        """Rend les connexions à la banque."""


def url_permise(url: str) -> bool:
    """Dit si l'URL est absolue, en http(s), avec un hôte, et sans caractère que le protocole réserve."""
    if not URL_PERMISE.fullmatch(url):
        return False
    try:
        parties = urlsplit(url)
        return bool(parties.hostname) and parties.port != 0
    except ValueError:
        return False
