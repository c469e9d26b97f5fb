"""Ce que le support lit et fait : chaque lecture des données d'une personne a un motif, écrit avant d'être montrée."""
