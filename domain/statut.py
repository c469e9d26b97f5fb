"""Où en est une créance, et où en est un paiement : les mots que les vues gardent et que l'API rend."""

from enum import StrEnum


class StatutDePaiement(StrEnum):
    """Où en est un paiement : en cours, ou l'une de ses fins (`domain.paiement.Fin`)."""

    EN_COURS = "en_cours"
    ACCEPTE = "accepte"
    ECHOUE = "echoue"
    EXPIRE = "expire"
    EN_VERIFICATION = "en_verification"


class StatutDeCreance(StrEnum):
    """Où en est une créance."""

    ANNULEE = "annulee"
    TROP_PERCU = "trop_percu"
    SOLDEE = "soldee"
    PAIEMENT_EN_COURS = "paiement_en_cours"
    DUE = "due"
