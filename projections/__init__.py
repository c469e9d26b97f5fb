"""Les vues : un module par vue, comment les faits la font bouger et les requêtes qui la lisent."""

from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.messagerie import MessagerieDesAssures
from projections.vues.paiements import Paiements
from projections.vues.restant_du import RestantDu

__all__ = ["DelaiAffichage", "MessagerieDesAssures", "Paiements", "RestantDu"]
