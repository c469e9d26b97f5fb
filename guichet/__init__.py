"""Le guichet : un module par cas d'usage. Charger, faire décider le domaine, enregistrer d'un bloc."""
