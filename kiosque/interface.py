"""Ce que le système attend d'un kiosque bancaire, quel qu'il soit.

La banque peut changer de produit : rien ici ne parle de Sips.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import ClassVar, Literal, Protocol, get_args
from urllib.parse import urlsplit

from domain.monnaie import CENTIMES_MAX
from domain.references import TRANSACTION
from domain.reponse import ReponseBancaire

Canal = Literal["web", "application", "bms"]
CANAUX: frozenset[str] = frozenset(get_args(Canal))

DETAIL_CARACTERES_MAX = 200
"""Un détail vient souvent du message lui-même : il est coupé avant d'aller dans un journal."""

CAISSE = re.compile(r"[0-9]{3}")
# L'origine d'une URL finit dans un en-tête Content-Security-Policy du kiosque : ni espace, ni « ; », ni accent.
URL_PERMISE = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9/._~!$&'()*+,:@%=?\-]*)?")


class FormulaireIrrecevable(Exception):
    """Le message de la banque n'est pas recevable."""

    code: ClassVar[str] = "formulaire_irrecevable"

    def __init__(self, detail: str = "") -> None:
        """Garde le détail, pour le support : il ne porte ni secret, ni sceau, ni donnée de carte."""
        super().__init__(detail)
        self.detail = detail[:DETAIL_CARACTERES_MAX]

    @property
    def phrase(self) -> str:
        """La phrase qu'une personne lit : la docstring du refus."""
        return cleandoc(type(self).__doc__ or "")

    def __str__(self) -> str:
        """La phrase, suivie du détail s'il y en a un."""
        return f"{self.phrase} ({self.detail})" if self.detail else self.phrase


class SceauInvalide(FormulaireIrrecevable):
    """Le sceau du message ne correspond pas à son contenu."""

    code = "sceau_invalide"


class FormulaireIllisible(FormulaireIrrecevable):
    """Le message de la banque est illisible ou incomplet."""

    code = "formulaire_illisible"


class MarchandInconnu(FormulaireIrrecevable):
    """Le message s'adresse à un marchand qui n'est pas le nôtre."""

    code = "marchand_inconnu"


class DeviseInattendue(FormulaireIrrecevable):
    """Le message porte une autre devise que l'euro."""

    code = "devise_inattendue"


class KiosqueInjoignable(Exception):
    """Le kiosque bancaire n'a pas répondu, ou pas de façon exploitable : son état reste inconnu de nous."""

    code: ClassVar[str] = "kiosque_injoignable"


class DemandeInvalide(ValueError):
    """La demande de paiement ne peut pas être présentée au kiosque : c'est une faute de l'appelant ou des réglages."""


@dataclass(frozen=True, slots=True)
class DemandeDePaiement:
    """Ce qu'un paiement demande au kiosque ; refuse de naître incohérente (`DemandeInvalide`).

    `caisse` : trois chiffres, choisit le marchand. `montant` : centimes d'euro, strictement positif. `client` : le
    pseudonyme opaque de l'assuré, qui ne sort d'ici que haché. `url_retour` : où le navigateur revient, sans chaîne de
    requête (règle du protocole Sips). `url_notification` : où la banque répond de serveur à serveur.
    """

    transaction: str
    caisse: str
    marchand: str
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
        if not self.client:
            raise DemandeInvalide("le pseudonyme de l'assuré manque")
        if self.canal not in CANAUX:
            raise DemandeInvalide(f"le canal {self.canal!r} est inconnu")
        if not url_permise(self.url_notification):
            raise DemandeInvalide("l'URL de notification n'est pas une URL http ou https simple")
        if not url_permise(self.url_retour) or "?" in self.url_retour:
            raise DemandeInvalide("l'URL de retour est une URL http ou https, sans chaîne de requête")


@dataclass(frozen=True, slots=True)
class Formulaire:
    """Ce que le navigateur poste au kiosque : l'adresse, et les champs scellés, à recopier tels quels."""

    url: str
    champs: Mapping[str, str]


class Kiosque(Protocol):
    """Le kiosque bancaire : la page de paiement hébergée, ses réponses, et l'état d'une transaction."""

    def marchand_de(self, caisse: str) -> str:
        """L'identifiant du marchand qui encaisse pour cette caisse ; `DemandeInvalide` s'il n'y en a pas."""

    def formulaire(self, demande: DemandeDePaiement) -> Formulaire:
        """Le formulaire scellé de la demande : la même demande donne le même formulaire. Lève `DemandeInvalide`."""

    def lire(self, champs: Mapping[str, str]) -> ReponseBancaire:
        """La réponse que portent les champs reçus, sceau vérifié ; lève `FormulaireIrrecevable`, et rien d'autre."""

    def interroger(self, transaction: str, marchand: str) -> Mapping[str, str] | None:
        """L'état de la transaction, comme formulaire scellé que `lire` comprend ; None : le kiosque ne la connaît pas.

        Lève `KiosqueInjoignable` : alors on ne sait rien, et rien ne doit être conclu.
        """


def url_permise(url: str) -> bool:
    """Dit si l'URL est absolue, en http(s), avec un hôte, et sans caractère que le protocole réserve."""
    if not URL_PERMISE.fullmatch(url):
        return False
    try:
        parties = urlsplit(url)
        return bool(parties.hostname) and parties.port != 0
    except ValueError:
        return False
