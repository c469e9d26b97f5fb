"""Les rapports quotidiens de Sips 2.0 : leurs genres, leurs colonnes, leur lecture ligne à ligne."""
