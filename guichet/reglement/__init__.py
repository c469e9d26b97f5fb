"""Régler une anomalie : un module par cas d'usage ; à deux, là où de l'argent bouge."""
