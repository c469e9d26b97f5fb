"""Le simulateur du kiosque : une page de carte qui se conduit comme celle de Sips, pour la démonstration et les tests.

Aucune carte n'y est débitée : les deux derniers chiffres de la carte de test sont le code de réponse. De la carte, seul
le numéro masqué survit à la requête.
"""

from kiosque.simulateur.application import creer_simulateur
from kiosque.simulateur.reglages import ReglagesSimulateur

__all__ = ["ReglagesSimulateur", "creer_simulateur"]
