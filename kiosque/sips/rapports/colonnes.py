"""Les genres de rapports, et sous quels noms chacun de leurs champs se lit.

L'ordre des colonnes n'est pas documenté : seuls leurs noms comptent, et ceux-ci se règlent (`avec_noms`).
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from kiosque.rapports import Genre


class Champ(StrEnum):
    """Ce qui est lu d'une ligne ; le reste est ignoré, les données de carte comprises."""

    TRANSACTION = "transaction"
    MARCHAND = "marchand"
    OPERATION = "operation"
    SEQUENCE = "sequence"
    MONTANT = "montant"
    FRAIS = "frais"
    DEVISE = "devise"
    ETAT = "etat"
    CODE = "code"
    AUTORISATION = "autorisation"
    SURVENU_LE = "survenu_le"


NomsDesColonnes = Mapping[Genre, Mapping[Champ, Sequence[str]]]
"""Pour chaque genre et chaque champ, les noms de colonne qui le portent, le premier trouvé l'emporte."""

_COMMUNS: Final[Mapping[Champ, Sequence[str]]] = {
    Champ.TRANSACTION: ("transactionReference",),
    Champ.MARCHAND: ("merchantId",),
    Champ.DEVISE: ("currencyCode",),
    Champ.AUTORISATION: ("authorisationId",),
}

NOMS_PAR_DEFAUT: Final[NomsDesColonnes] = {
    Genre.TRANSACTIONS: {
        **_COMMUNS,
        Champ.SURVENU_LE: ("transactionDateTime", "transactionDate"),
        Champ.MONTANT: ("amount", "originAmount", "transactionAmount"),
        Champ.CODE: ("responseCode",),
        Champ.ETAT: ("transactionStatus",),
    },
    Genre.OPERATIONS: {
        **_COMMUNS,
        Champ.SURVENU_LE: ("operationDateTime", "operationDate"),
        Champ.OPERATION: ("operationName",),
        Champ.SEQUENCE: ("operationSequence",),
        Champ.MONTANT: ("operationAmount",),
        Champ.ETAT: ("newStatus",),
        Champ.CODE: ("responseCode",),
    },
    Genre.RAPPROCHEMENTS: {
        **_COMMUNS,
        Champ.SURVENU_LE: ("remittanceDate", "operationDateTime"),
        Champ.OPERATION: ("operationName",),
        Champ.MONTANT: ("operationAmount", "amount"),
        Champ.FRAIS: ("feeAmount",),
    },
    Genre.IMPAYES: {
        **_COMMUNS,
        Champ.SURVENU_LE: ("chargebackDate",),
        Champ.MONTANT: ("chargebackAmount", "amount"),
        Champ.CODE: ("reasonCode",),
    },
}
"""Les noms de l'API de Sips, que TAB20 reprend ; ceux que la banque emploie vraiment se règlent."""

REQUIS: Final[Mapping[Genre, frozenset[Champ]]] = {
    Genre.TRANSACTIONS: frozenset({Champ.TRANSACTION, Champ.SURVENU_LE, Champ.MONTANT, Champ.CODE}),
    Genre.OPERATIONS: frozenset({Champ.TRANSACTION, Champ.SURVENU_LE, Champ.MONTANT, Champ.OPERATION}),
    Genre.RAPPROCHEMENTS: frozenset({Champ.TRANSACTION, Champ.SURVENU_LE, Champ.MONTANT}),
    Genre.IMPAYES: frozenset({Champ.TRANSACTION, Champ.SURVENU_LE, Champ.MONTANT}),
}

_TITRES: Final = (
    (Genre.IMPAYES, re.compile(r"\bJRI\b|CHARGEBACK|IMPAYE")),
    (Genre.RAPPROCHEMENTS, re.compile(r"\bJRB\b|RECONCILIATION|RAPPROCHEMENT")),
    (Genre.OPERATIONS, re.compile(r"\bJO\b|OPERATION")),
    (Genre.TRANSACTIONS, re.compile(r"\bJT\b|TRANSACTION")),
)
"""Du plus précis au moins précis : « rapprochement des transactions » est un rapprochement."""

_MARQUES: Final = (
    (Genre.IMPAYES, {"chargebackdate", "chargebackamount"}),
    (Genre.RAPPROCHEMENTS, {"remittancedate", "feeamount"}),
    (Genre.OPERATIONS, {"operationname", "newstatus"}),
    (Genre.TRANSACTIONS, {"transactiondatetime", "responsecode"}),
)
"""Les colonnes qu'un seul genre porte, quand le titre ne dit rien."""


def normaliser(nom: str) -> str:
    """Un nom de colonne sans casse ni séparateur : `OPERATION_AMOUNT` est `operationAmount`."""
    return re.sub(r"[^a-z0-9]", "", nom.lower())


def genre_de(titre: str, colonnes: Sequence[str]) -> Genre | None:
    """Le genre que dit le titre, sinon celui que disent les colonnes (normalisées)."""
    majuscules = titre.upper().replace("_", " ")
    for genre, motif in _TITRES:
        if motif.search(majuscules):
            return genre
    return next((genre for genre, marques in _MARQUES if not marques.isdisjoint(colonnes)), None)


def avec_noms(propres: Mapping[str, Mapping[str, Sequence[str]]]) -> NomsDesColonnes:
    """Les noms par défaut, précédés de ceux que donnent les réglages : {"operations": {"montant": ["OP_AMOUNT"]}}.

    Lève ValueError si un genre ou un champ n'existe pas.
    """
    noms = {genre: dict(champs) for genre, champs in NOMS_PAR_DEFAUT.items()}
    for genre, champs in propres.items():
        for champ, donnes in champs.items():
            connus = noms[Genre(genre)]
            connus[Champ(champ)] = (*donnes, *connus.get(Champ(champ), ()))
    return noms
