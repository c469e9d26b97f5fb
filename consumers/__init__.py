"""Les consommateurs : une seule boucle, et un module mince par topic."""
