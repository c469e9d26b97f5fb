"""Les codes de réponse de Sips (`responseCode`), leur sens, et ce qu'ils concluent.

Source : dictionnaire de données Worldline Sips 2.0, champ responseCode.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from domain.reponse import Issue
from kiosque.interface import Echec

ACCEPTE: Final = "00"
ANNULE: Final = "17"
TRANSACTION_INCONNUE: Final = "25"
EN_COURS: Final = "60"
TROP_D_ESSAIS: Final = "75"
DOUBLON: Final = "94"
SESSION_EXPIREE: Final = "97"

SENS: Mapping[str, str] = MappingProxyType(
    {
        ACCEPTE: "paiement accepté",
        "05": "paiement refusé par la banque",
        "12": "demande invalide",
        "14": "coordonnées de carte invalides",
        ANNULE: "paiement annulé par la personne",
        "24": "opération impossible",
        TRANSACTION_INCONNUE: "transaction inconnue du kiosque",
        "30": "format de la demande invalide",
        "34": "suspicion de fraude",
        "40": "opération non permise au marchand",
        "51": "montant trop élevé",
        "54": "carte expirée",
        EN_COURS: "transaction en cours",
        "62": "transaction en attente de confirmation",
        "63": "règles de sécurité non respectées",
        TROP_D_ESSAIS: "nombre d'essais dépassé",
        "90": "kiosque momentanément indisponible",
        DOUBLON: "référence de transaction déjà utilisée",
        SESSION_EXPIREE: "session expirée au bout de 15 minutes",
        "99": "kiosque en difficulté",
    }
)

SENS_DES_SERVICES: Mapping[str, str] = MappingProxyType(
    {
        **SENS,
        "02": "la banque de la carte demande un appel",
        "03": "contrat du marchand invalide",
        "11": "carte bloquée",
        "34": "le sceau ou la version de clé ne conviennent pas",
        "55": "carte prépayée refusée",
        "57": "le paiement est un impayé : la banque ne le rembourse pas",
        "91": "banque de la carte injoignable",
        "98": "serveur injoignable",
    }
)
"""Le sens des mêmes codes, et d'autres, quand c'est Office qui répond à une question ou à une opération."""

ECHECS: Mapping[str, Echec] = MappingProxyType(
    {
        ANNULE: Echec.ANNULE,
        SESSION_EXPIREE: Echec.DELAI,
        **dict.fromkeys(("05", "14", "34", "51", "54", TROP_D_ESSAIS), Echec.REFUSE),
    }
)
"""Les codes qui parlent de la personne ou de sa carte ; tout autre, même inconnu, est un incident."""

NE_CONCLUENT_RIEN: frozenset[str] = frozenset({EN_COURS, "62", "90", DOUBLON, "99"})
"""Après eux la réservation est gardée, et le kiosque est interrogé : l'argent a pu être pris ou pourra l'être."""


def issue_de(code: str) -> Issue:
    """Ce que le code conclut ; un code inconnu est un refus, jamais un accord."""
    if code == ACCEPTE:
        return Issue.ACCEPTEE
    return Issue.EN_ATTENTE if code in NE_CONCLUENT_RIEN else Issue.REFUSEE


def sens_de_service(code: str) -> str:
    """Le sens du code dans une réponse d'Office ; un code inconnu est nommé tel quel, un code absent est dit."""
    return SENS_DES_SERVICES.get(code, f"code {code[:8]} inconnu" if code else "aucun code")


def sens_de(code: str) -> str:
    """Le sens du code en français ; un code inconnu est nommé tel quel."""
    return SENS.get(code, f"code {code} inconnu")
