"""Les vues : un module par vue, comment les faits la font bouger et les requêtes qui la lisent."""

from projections.delai_affichage import DélaiAffichage
from projections.messagerie import MessagerieDesAssurés
from projections.paiements import Paiements
from projections.restant_du import RestantDû

__all__ = ["DélaiAffichage", "MessagerieDesAssurés", "Paiements", "RestantDû"]
