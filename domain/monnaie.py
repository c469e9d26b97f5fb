"""L'argent : des centimes d'euro entiers, jamais un flottant, jamais une dette négative."""

from typing import Annotated, Final

from pydantic import Field

CENTIMES_MAX: Final = 999_999_999_999
"""Le plus grand montant admis, en centimes : les 12 chiffres du champ `amount` du kiosque."""

Centimes = Annotated[int, Field(strict=True, ge=0, le=CENTIMES_MAX)]
"""Un montant en centimes d'euro, de 0 à `CENTIMES_MAX`."""

_ESPACE_INSECABLE: Final = "\N{NO-BREAK SPACE}"


def euros(centimes: int) -> str:
    """Écrit un montant comme un courrier l'écrit : `1 234,56 €` (espaces insécables).

    Exemple : 8709 donne `87,09 €`.
    """
    signe = "-" if centimes < 0 else ""
    unites, reste = divmod(abs(centimes), 100)
    milliers = f"{unites:,}".replace(",", _ESPACE_INSECABLE)
    return f"{signe}{milliers},{reste:02d}{_ESPACE_INSECABLE}€"
