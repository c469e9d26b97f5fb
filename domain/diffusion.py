"""Ce qui quitte le service : un texte d'un événement est publié aux systèmes des caisses, ou reste interne."""

from enum import Enum
from typing import Annotated


class Diffusion(Enum):
    """Se pose sur un type (`Annotated[str, Diffusion.INTERNE]`) ; un texte qui n'en porte pas ne peut être publié."""

    PUBLIQUE = "publique"
    """Vocabulaire, référence ou phrase de notre code : rien qui désigne une personne."""
    INTERNE = "interne"
    """Pseudonyme, agent, carte, texte écrit par une personne : ne quitte pas le service."""


Agent = Annotated[str, Diffusion.INTERNE]
"""L'agent qui a saisi ou approuvé un geste."""
