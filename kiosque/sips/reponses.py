"""Des valeurs scellées de la banque à une `ReponseBancaire` : ce qui est exigé, ce qui est toléré, ce qui est jeté."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from domain.delai import a_paris_au_plus_tard
from domain.monnaie import Centimes
from domain.references import TRANSACTION, ReferenceTransaction
from domain.reponse import ReponseBancaire
from kiosque.interface import DeviseInattendue, FormulaireIllisible
from kiosque.sips.codes import issue_de
from kiosque.sips.donnees import valeur_de

EURO = "978"
"""Le code ISO 4217 de l'euro."""

TEXTE_CARACTERES_MAX = 64
"""Longueur d'une valeur libre que nous gardons (autorisation, marque) ; Sips en promet au plus 32."""

UTILISES: Final = frozenset(
    {
        "transactionReference",
        "merchantId",
        "keyVersion",
        "amount",
        "currencyCode",
        "responseCode",
        "authorisationId",
        "maskedPan",
        "paymentMeanBrand",
        "transactionDateTime",
        "acquirerResponseCode",
        "returnContext",
    }
)
"""Les champs dont nous nous servons : chacun vient une fois au plus. Les autres ne sont pas même regardés."""

_BLANCS: Final = " \N{NO-BREAK SPACE}"
MONTANT = re.compile(r"[0-9]{1,12}")
CODE = re.compile(r"[0-9A-Za-z]{1,8}")
HEURE_SANS_FUSEAU = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
# PCI DSS 3.4.1 : au plus les six premiers et les quatre derniers chiffres ; un numéro de 13 chiffres en cache alors 3.
CARTE_MASQUEE = re.compile(r"[0-9]{0,6}[#*Xx]{3,19}[0-9]{0,4}")


def extraire(valeurs: Mapping[str, str]) -> ReponseBancaire:
    """La réponse que portent les valeurs.

    Référence, marchand, montant et code sont exigés (`FormulaireIllisible`), l'euro aussi si la devise est dite
    (`DeviseInattendue`). Le reste est toléré : une date ou une marque abîmée ne doit pas faire perdre un accord.
    """
    transaction = valeur_de(valeurs, "transactionReference")
    if transaction is None or not TRANSACTION.fullmatch(transaction):
        raise FormulaireIllisible("transactionReference manque ou est mal formée")
    marchand = valeur_de(valeurs, "merchantId")
    if marchand is None:
        raise FormulaireIllisible("merchantId manque")
    montant = valeur_de(valeurs, "amount")
    if montant is None or not MONTANT.fullmatch(montant):
        raise FormulaireIllisible("amount manque ou n'est pas un nombre de centimes")
    devise = valeur_de(valeurs, "currencyCode")
    if devise is not None and devise != EURO:
        raise DeviseInattendue
    code = valeur_de(valeurs, "responseCode")
    if code is None or not CODE.fullmatch(code):
        raise FormulaireIllisible("responseCode manque ou est mal formé")
    return ReponseBancaire(
        transaction=ReferenceTransaction(transaction),
        marchand=marchand,
        montant=Centimes(int(montant)),
        issue=issue_de(code),
        code=code,
        autorisation=texte_de(valeurs, "authorisationId"),
        carte_masquee=carte_masquee(valeur_de(valeurs, "maskedPan")),
        marque=texte_de(valeurs, "paymentMeanBrand"),
        transaction_le=instant_de(valeur_de(valeurs, "transactionDateTime")),
        code_acquereur=texte_de(valeurs, "acquirerResponseCode"),
        jeton_retour=texte_de(valeurs, "returnContext"),
    )


def carte_masquee(valeur: str | None) -> str | None:
    """Le numéro masqué, ou None s'il montre plus que six premiers et quatre derniers chiffres : il est alors jeté."""
    return valeur if valeur is not None and CARTE_MASQUEE.fullmatch(valeur) else None


def texte_de(valeurs: Mapping[str, str], nom: str) -> str | None:
    """La valeur libre sans ses blancs de bord, ou None : absente, trop longue, pleine de caractères de contrôle."""
    if nom not in valeurs:
        return None
    valeur = (valeur_de(valeurs, nom) or "").strip(_BLANCS)
    if not valeur or len(valeur) > TEXTE_CARACTERES_MAX or not valeur.isprintable():
        return None
    return valeur


def instant_de(valeur: str | None) -> datetime | None:
    """L'instant en UTC ; None s'il est absent ou illisible.

    Sips l'écrit avec son décalage, ou `AAAA-MM-JJ hh:mm:ss` : c'est alors l'heure de Paris. Aucune autre forme sans
    fuseau n'est devinée.
    """
    if valeur is None:
        return None
    try:
        instant = datetime.fromisoformat(valeur)
        if instant.tzinfo is None:
            if not HEURE_SANS_FUSEAU.fullmatch(valeur):
                return None
            return a_paris_au_plus_tard(instant)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
