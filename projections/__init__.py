"""Les vues et ce qui les lit : comment les faits les font bouger, les lectures, la parité, l'audit."""

from projections.vues.delai_affichage import DelaiAffichage
from projections.vues.messagerie import MessagerieDesAssures
from projections.vues.paiements import Paiements
from projections.vues.restant_du import RestantDu

__all__ = ["DelaiAffichage", "MessagerieDesAssures", "Paiements", "RestantDu"]
