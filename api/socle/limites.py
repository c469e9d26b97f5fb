"""Les bornes de l'API."""

from dataclasses import dataclass
from typing import Final

CORPS_OCTETS_MAX: Final = 64 * 1024
"""Taille d'un corps de requête (octets) : aucun message du contrat ne l'approche."""

REBUTS_PAR_SECONDE: Final = 20.0
REBUTS_EN_RAFALE: Final = 500
"""Formulaires refusés gardés aux rebuts : au-delà, ils sont encore refusés et comptés, mais plus gardés."""

MIO: Final = 1024 * 1024
NOTIFICATION_OCTETS_MAX: Final = 32 * 1024
"""Taille d'un formulaire de la banque (octets) : dix fois ce qu'elle envoie."""


@dataclass(frozen=True, slots=True)
class Limites:
    """Les bornes de l'API."""

    corps_octets_max: int = CORPS_OCTETS_MAX
    notification_octets_max: int = NOTIFICATION_OCTETS_MAX
    rebuts_par_seconde: float = REBUTS_PAR_SECONDE
    rebuts_en_rafale: int = REBUTS_EN_RAFALE
    rebuts_par_adresse_octets_par_jour: int = 2 * MIO
    rebuts_octets_par_jour: int = 50 * MIO
    rebuts_de_la_banque_octets_par_jour: int = 500 * MIO
    """À part des deux autres : ce qui vient des réseaux de la banque, ou a l'allure de ses messages."""
    rebuts_plausibles_par_adresse_octets_par_jour: int = 20 * MIO
    plausibles_par_minute: int = 240
    """Par adresse qui n'est pas de la banque : ce qui a l'allure de ses messages, et n'importe qui sait l'imiter."""
    lectures_par_minute: int = 1200
    ecritures_par_minute: int = 120
    """Par personne, comme les lectures."""
    connexions_par_minute: int = 120
    refus_par_minute: int = 120
    """Par adresse, comme les connexions : jetons et formulaires refusés."""
