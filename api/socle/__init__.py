"""Le socle : connexion, sessions, rendu, erreurs, limites ; ce que toutes les pièces de l'API partagent."""
