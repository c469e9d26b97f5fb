"""Ce qui est gardé d'un message de la banque : ce dont nous nous servons, et rien de la carte ni de la personne.

La banque peut joindre une adresse électronique, une date d'expiration, un numéro de carte entier. Un message dont le
sceau tient est dépouillé à la porte, puis scellé de nouveau, par nous, sous la même clé : le topic n'est pas cru pour
autant, car le consommateur vérifie ce sceau-là. Le sceau de la banque est gardé à côté : c'est l'empreinte, à clé, des
octets qu'elle a envoyés (une empreinte sans clé laisserait retrouver un numéro de carte en essayant).

Un message refusé ne peut être ni dépouillé (sa bonne clé n'est pas encore là) ni gardé en clair : il est chiffré, et
le consommateur le rouvre quand il est rejoué.
"""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from kiosque.interface import FormulaireIllisible
from kiosque.sips.donnees import INTERDIT_DANS_UNE_VALEUR, decoder, ecrire, encoder, premieres, valeur_de
from kiosque.sips.enveloppe import DATA_BRUT, octets_de
from kiosque.sips.office.sceau import Json, sceller_json
from kiosque.sips.reponses import UTILISES, carte_masquee
from kiosque.sips.sceau import Algorithme, sceller

SCEAU_DE_LA_BANQUE: Final = "SceauBanque"
"""Le sceau que portait le message avant d'être dépouillé."""

CHIFFRE: Final = "Chiffre"
"""Un message refusé, chiffré : ses champs, ou le corps qui n'a pas pu être lu."""

GARDES: Final = UTILISES | {
    "captureDay",
    "captureMode",
    "cardCSCResultCode",
    "complementaryCode",
    "customerId",
    "guaranteeIndicator",
    "holderAuthentProgram",
    "holderAuthentRelegation",
    "holderAuthentStatus",
    "holderAuthentMethod",
    "interfaceVersion",
    "orderChannel",
    "orderId",
    "panEntryMode",
    "paymentMeanType",
    "paymentPattern",
    "transactionOrigin",
    "transactionPlatform",
}
"""Les champs d'une réponse qui ne disent rien de la personne ; tout autre est laissé à la porte."""

GARDES_D_OFFICE: Final = GARDES | {
    "currentAmount",
    "errorFieldName",
    "getTransDataResponseCode",
    "lastOperationDateTime",
    "lastOperationName",
    "originAmount",
    "remainingAmount",
    "seal",
    "sealAlgorithm",
    "transactionStatus",
}

# Des valeurs que nous ou la banque formons : des chiffres n'y sont pas un numéro de carte.
_FORMEES: Final = frozenset(
    {"transactionReference", "merchantId", "amount", "returnContext", "customerId", "orderId", "transactionDateTime",
     "currencyCode", "keyVersion", "responseCode", "acquirerResponseCode", "originAmount", "currentAmount",
     "remainingAmount", "lastOperationDateTime", "seal"}
)  # fmt: skip
_CARTE: Final = re.compile(r"(?<![0-9])(?:[0-9][ -]?){12,18}[0-9](?![0-9])")
_COURRIEL: Final = re.compile(r"[^\s@|=&]@[^\s@|=&]+\.[^\s@|=&]")
_EXPIRATION: Final = re.compile(
    r"panExpiryDate|customerContact|customerEmail|customerIpAddress|tokenPan", re.IGNORECASE
)


class Coffre:
    """Chiffre ce qui attend aux rebuts, sous une clé courante ; ce qui l'a été sous la précédente se rouvre encore."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Le premier secret chiffre."""
        self._cles = MultiFernet([Fernet(_cle(secret)) for secret in secrets])

    def enfermer(self, clair: bytes) -> dict[str, str]:
        """La valeur à mettre sur le topic."""
        return {CHIFFRE: self._cles.encrypt(clair).decode()}

    def rouvrir(self, valeur: Mapping[str, object]) -> dict[str, object]:
        """Les champs d'un message chiffré ; lève `FormulaireIllisible`."""
        jeton = valeur.get(CHIFFRE)
        try:
            lus = json.loads(self._cles.decrypt(jeton if isinstance(jeton, str) else ""))
        except (InvalidToken, ValueError):
            raise FormulaireIllisible("le message chiffré ne se rouvre pas sous nos clés") from None
        if not isinstance(lus, dict):
            raise FormulaireIllisible("le message chiffré n'est pas un formulaire")
        return lus


def pseudonyme_bancaire(client: str, secret: bytes, caracteres: int) -> str:
    """Le `customerId` : stable pour une même personne, et que nul ne retrouve en essayant sans notre secret."""
    return hmac.digest(secret, b"customerId\0" + client.encode(), "sha256").hex()[:caracteres]


def depouiller(champs: Mapping[str, str], secrets: Sequence[bytes], algorithme: Algorithme) -> Mapping[str, str]:
    """Le formulaire, déjà authentifié, sans ce qui est de trop ; tel quel s'il ne porte rien de trop.

    `secrets` : celui de la version que le formulaire nomme, qui scelle de nouveau.
    """
    encodage = champs.get("Encode") or ""
    valeurs = premieres(decoder(octets_de(champs), encodage))
    gardees = {nom: valeur for nom, valeur in valeurs.items() if nom in GARDES and est_anodine(nom, valeur)}
    if gardees == valeurs or not secrets:
        return champs
    texte = ecrire(gardees)
    data = encoder(texte, "base64" if encodage.strip() or not texte.isascii() else "")
    return {
        **{nom: valeur for nom, valeur in champs.items() if nom != DATA_BRUT},
        "Data": data,
        "Seal": sceller(data.encode(), secrets[0], algorithme),
        "Encode": "base64" if encodage.strip() or not texte.isascii() else "",
        SCEAU_DE_LA_BANQUE: champs["Seal"],
    }


def depouiller_office(objet: Mapping[str, Json], secrets: Sequence[bytes]) -> dict[str, Json]:
    """La réponse d'Office, déjà authentifiée, de même."""
    gardees: dict[str, Json] = {
        nom: valeur
        for nom, valeur in objet.items()
        if nom in GARDES_D_OFFICE and isinstance(valeur, str) and est_anodine(nom, valeur)
    }
    if gardees == objet or not secrets:
        return dict(objet)
    if objet.get("seal"):
        gardees["seal"] = sceller_json(gardees, secrets[0])
    return gardees


def est_anodine(nom: str, valeur: str) -> bool:
    """Dit si une valeur d'un champ gardé ne montre ni carte ni adresse électronique."""
    if nom == "maskedPan":
        return valeur_de({nom: valeur}, nom) is None or carte_masquee(valeur) is not None
    return not INTERDIT_DANS_UNE_VALEUR.search(valeur) and (nom in _FORMEES or not _parle(valeur))


def est_personnel(champs: Mapping[str, str]) -> bool:
    """Dit si un formulaire refusé porte, ou pourrait porter, ce qui ne se garde pas en clair."""
    try:
        texte = decoder(champs.get("Data", "").encode(), champs.get("Encode") or "")
    except FormulaireIllisible:
        texte = champs.get("Data", "")
    valeurs = premieres(texte)
    autres = " ".join(valeur for nom, valeur in champs.items() if nom not in {"Data", DATA_BRUT, "Seal"})
    if not valeurs:
        return corps_personnel(texte + " " + autres)
    return _parle(autres) or not all(nom in GARDES and est_anodine(nom, valeur) for nom, valeur in valeurs.items())


def corps_personnel(corps: str) -> bool:
    """La même question pour un corps que rien n'a su lire."""
    texte = unquote_plus(corps)
    return _parle(texte) or _EXPIRATION.search(texte) is not None


def _parle(texte: str) -> bool:
    return _COURRIEL.search(texte) is not None or any(map(_luhn, _CARTE.findall(texte)))


def _luhn(suite: str) -> bool:
    chiffres = [int(c) for c in suite if c.isdigit()][::-1]
    return sum(chiffres[::2]) % 10 == -sum(sum(divmod(2 * c, 10)) for c in chiffres[1::2]) % 10


def _cle(secret: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(secret, b"rebuts", "sha256"))
