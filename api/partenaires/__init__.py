"""Ce que l'API offre aux systèmes des caisses : le fil des événements."""
