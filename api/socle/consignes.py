"""Comment payer autrement qu'en ligne : ce que chaque caisse en dit, ou ce qui renvoie à elle."""

from typing import Final, NamedTuple


class Consignes(NamedTuple):
    """Comment une caisse reçoit un chèque ou un virement, et à quel numéro elle répond."""

    cheque: str = (
        "Demandez à votre caisse à quel ordre et à quelle adresse l'envoyer, et joignez la référence de l'avis."
    )
    virement: str = "Demandez à votre caisse ses coordonnées bancaires, et donnez la référence de l'avis comme motif."
    telephone: str = "36 46"
    precision: str = ""
    """Une phrase de plus : un guichet, des horaires."""


PAR_DEFAUT: Final = Consignes()
"""Celles d'une caisse qui n'en a pas donné."""
