"""L'argent : des centimes d'euro entiers, jamais un flottant, jamais une dette négative."""

from typing import Annotated, Final, NewType

from pydantic import Field

CENTIMES_MAX: Final = 999_999_999_999
"""Le plus grand montant admis, en centimes : les 12 chiffres du champ `amount` du kiosque."""

Centimes = NewType("Centimes", Annotated[int, Field(strict=True, ge=0, le=CENTIMES_MAX)])
"""Un montant en centimes d'euro, de 0 à `CENTIMES_MAX`."""

SOMME_MAX: Final = 2**63 - 1
"""La plus grande somme qu'une colonne garde, en centimes : neuf millions de fois le plus grand montant."""

Somme = NewType("Somme", Annotated[int, Field(strict=True, ge=0, le=SOMME_MAX)])
"""Un total de montants, en centimes d'euro : borné à part, pour qu'aucun fait ne soit refusé d'être grand."""

_ESPACE_INSECABLE: Final = "\N{NO-BREAK SPACE}"


def euros(centimes: int) -> str:
    """Écrit un montant comme un courrier l'écrit : `1 234,56 €` (espaces insécables).

    Exemple : 8709 donne `87,09 €`.
    """
    signe = "-" if centimes < 0 else ""
    unites, reste = divmod(abs(centimes), 100)
    milliers = f"{unites:,}".replace(",", _ESPACE_INSECABLE)
    return f"{signe}{milliers},{reste:02d}{_ESPACE_INSECABLE}€"
