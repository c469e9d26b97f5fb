"""La saisie de la carte : vérifiée dans sa forme, puis oubliée."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHIFFRES_MIN = 13
CHIFFRES_MAX = 19
CRYPTOGRAMME_CHIFFRES = (3, 4)
MOIS_MAX = 12
AUTHENTIFIEE = "33"
CODE_ENVOYE = "123456"
"""Le code que la banque simulée dit avoir envoyé au téléphone de la personne."""


@dataclass(frozen=True, slots=True)
class Carte:
    """Une carte de test. Son numéro n'apparaît pas dans sa représentation, donc dans aucun log."""

    numero: str = field(repr=False)

    @property
    def authentifiee(self) -> bool:
        """Dit si la banque de cette carte de test demande une authentification (3-D Secure) : `33` avant le code."""
        return self.numero[-4:-2] == AUTHENTIFIEE

    @property
    def code(self) -> str:
        """Le code de réponse qu'une carte de test annonce par ses deux derniers chiffres."""
        return self.numero[-2:]


def lire_carte(champs: Mapping[str, str]) -> Carte | dict[str, str]:
    """La carte, ou les fautes de saisie : une phrase par champ."""
    numero = champs.get("numero", "").replace(" ", "").replace("\u00a0", "")
    mois, annee = champs.get("mois", "").strip(), champs.get("annee", "").strip()
    cryptogramme = champs.get("cryptogramme", "").strip()
    fautes: dict[str, str] = {}
    if not (_chiffres(numero) and CHIFFRES_MIN <= len(numero) <= CHIFFRES_MAX):
        fautes["numero"] = f"Le numéro de carte compte de {CHIFFRES_MIN} à {CHIFFRES_MAX} chiffres."
    if not (_chiffres(mois) and len(mois) <= 2 and 1 <= int(mois) <= MOIS_MAX):  # noqa: PLR2004 - deux chiffres
        fautes["mois"] = "Le mois va de 01 à 12."
    if not (_chiffres(annee) and len(annee) in {2, 4}):
        fautes["annee"] = "L'année compte deux ou quatre chiffres."
    if not (_chiffres(cryptogramme) and len(cryptogramme) in CRYPTOGRAMME_CHIFFRES):
        fautes["cryptogramme"] = "Le cryptogramme compte trois ou quatre chiffres."
    return fautes or Carte(numero)


def _chiffres(texte: str) -> bool:
    return texte.isascii() and texte.isdigit()
