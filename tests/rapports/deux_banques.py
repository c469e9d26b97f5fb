"""Les deux banques de la loi de l'argent, chacune avec ses façons de le dire : Sips, et une de la forme de Direct."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

from kiosque.interface import Kiosque
from kiosque.rapports import Entete, Genre, LecteurDeRapports, LigneDeRapport, Octets, RapportRefuse
from kiosque.sips.rapports.colonnes import NOMS_PAR_DEFAUT
from kiosque.sips.rapports.lecture import RapportsSips
from kiosque.sips.sceau import Algorithme, sceller
from service import bank
from service.settings import Settings
from tests.kiosque.seconde_banque import Directe
from tests.rapports.banc import Ligne, rapport

LE: Final = "2026-06-01T11:59:00+02:00"
FACONS: Final = ("simple", "rallongee", "redite", "accentuee", "vide", "autrement")
"""Comment elle l'écrit ; rien de tout cela ne change ce qu'elle dit."""


class Dit(NamedTuple):
    """Ce que la banque dit d'une transaction."""

    transaction: str
    marchand: str
    montant: int
    autorisation: str | None
    accepte: bool
    facon: str


class UneBanque(Protocol):
    """Une banque, vue de la loi."""

    lecteur: LecteurDeRapports

    def kiosque(self, reglages: Settings) -> Kiosque:
        """Notre façon de lui parler, sous ces réglages."""

    def messages(self, dit: Dit) -> list[bytes]:
        """Ce que le topic reçoit quand elle le dit ; le dernier le prouve."""

    def rapport(self, lignes: Sequence[Ligne]) -> bytes:
        """Le rapport qu'elle fait de ces transactions."""


class BanqueSips:
    """Des paires scellées, en clair, en base64 ou repliées ; un rapport à colonnes."""

    lecteur: LecteurDeRapports = RapportsSips(NOMS_PAR_DEFAUT)

    def kiosque(self, reglages: Settings) -> Kiosque:
        return bank.kiosk(reglages)

    def messages(self, dit: Dit) -> list[bytes]:
        suite = {
            "rallongee": "|",
            "redite": "|x=1|x=1",
            "accentuee": "|preAuthorisationProfile=Règles par défaut",
            "vide": "|seul",
        }
        data = (
            f"amount={dit.montant}|currencyCode=978|merchantId={dit.marchand}|transactionReference={dit.transaction}"
            f"|responseCode={'00' if dit.accepte else '05'}|authorisationId={dit.autorisation or 'null'}"
            f"|transactionDateTime={LE}|keyVersion=1{suite.get(dit.facon, '')}"
        )
        if dit.facon == "autrement":
            code = base64.urlsafe_b64encode(data.encode()).rstrip(b"=").decode()
            data = "\r\n".join(code[i : i + 76] for i in range(0, len(code), 76))
        sceau = sceller(data.encode(), f"{dit.marchand}_KEY1".encode(), Algorithme.SHA_256)
        return [json.dumps({"Data": data, "Seal": sceau, "InterfaceVersion": "HP_2.40"}).encode()]

    def rapport(self, lignes: Sequence[Ligne]) -> bytes:
        return rapport(lignes)


class BanqueDirecte:
    """Un webhook en JSON, signé par un en-tête sous une clé de deux ; d'abord un indice que rien ne signe."""

    cles: Final = {"clé-a": b"un", "clé-b": b"deux"}

    def __init__(self) -> None:
        self.lecteur: LecteurDeRapports = RapportsDirects()
        self._tours = count()

    def kiosque(self, reglages: Settings) -> Kiosque:
        propres = {caisse: marchand.merchant_id for caisse, marchand in reglages.kiosque_merchants.items()}
        retires = [marchand.merchant_id for marchand in reglages.kiosque_retired_merchants]
        commun = reglages.merchant("").merchant_id
        return Directe(commun, self.cles, _injoignable, caisses=propres, retires=retires)

    def messages(self, dit: Dit) -> list[bytes]:
        sortie = {
            "amountOfMoney": {"amount": dit.montant, "currencyCode": "EUR"},
            "references": {"merchantReference": dit.transaction},
        }
        paiement: dict[str, Any] = {"status": "CAPTURED" if dit.accepte else "REJECTED", "paymentOutput": sortie}
        if dit.autorisation is not None or dit.facon == "vide":
            paiement["authorisationCode"] = dit.autorisation
        evenement = {"merchantId": dit.marchand, "created": LE, "payment": paiement}
        ajouts = {"rallongee": ',"id":"e-1"', "redite": ',"x":1,"x":1', "accentuee": ',"profil":"Règles par défaut"'}
        ecrit = json.dumps(evenement, indent=2 if dit.facon == "autrement" else None)
        corps = ecrit[:-1] + ajouts.get(dit.facon, "") + "}"
        cle = list(self.cles)[next(self._tours) % len(self.cles)]
        signature = base64.b64encode(hmac.digest(self.cles[cle], corps.encode(), "sha256")).decode()
        indice = {"corps": corps, "signature": "", "cle": ""}
        return [json.dumps(v).encode() for v in (indice, indice | {"signature": signature, "cle": cle})]

    def rapport(self, lignes: Sequence[Ligne]) -> bytes:
        entete = {"report": "payments", "generated": "2026-06-02T00:00:00+02:00", "count": len(lignes)}
        return b"".join(json.dumps(ligne).encode() + b"\n" for ligne in (entete, *(li.__dict__ for li in lignes)))


class RapportsDirects:
    """Le rapport de cette banque : un objet JSON par ligne, le premier dit combien il en suit."""

    def ouvrir(self, fichier: Octets, /) -> "RapportDirect":
        return RapportDirect(fichier)

    def refuse(self, code: str, /) -> bool:
        return code != "00"

    def annule(self, etat: str, /) -> bool:
        return etat == "CANCELLED"


@dataclass
class RapportDirect:
    """Un rapport ouvert."""

    fichier: Octets
    octets_lus: int = 0

    def __post_init__(self) -> None:
        tete = json.loads(self.fichier.readline(10_000))
        self.attendues: int = tete["count"]
        self.entete = Entete(Genre.TRANSACTIONS, datetime.fromisoformat(tete["generated"]), None)

    def __iter__(self) -> Iterator[LigneDeRapport]:
        for numero in range(2, self.attendues + 2):
            lue = self.fichier.readline(10_000)
            if not lue:
                raise RapportRefuse("le fichier est coupé", ligne=numero)
            dite = Ligne(**json.loads(lue))
            yield LigneDeRapport(
                numero=numero,
                genre=Genre.TRANSACTIONS,
                transaction=dite.transaction,
                marchand=dite.marchand,
                operation=None,
                sequence=None,
                montant=dite.montant,
                frais=None,
                pris=dite.montant if dite.code == "00" else 0,
                rendu=0,
                etat=None,
                code=dite.code,
                autorisation=dite.autorisation or None,
                survenu_le=datetime.fromisoformat(dite.le).astimezone(UTC),
            )


def _injoignable(_chemin: str) -> tuple[int, bytes]:
    raise TimeoutError


BANQUES: Final[dict[str, Callable[[], UneBanque]]] = {"sips": BanqueSips, "directe": BanqueDirecte}
