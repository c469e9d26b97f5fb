"""Les vues : un module par vue, comment les faits la font bouger et les requêtes qui la lisent."""

from projections.delai_affichage import DelaiAffichage
from projections.messagerie import MessagerieDesAssures
from projections.paiements import Paiements
from projections.restant_du import RestantDu

__all__ = ["DelaiAffichage", "MessagerieDesAssures", "Paiements", "RestantDu"]
