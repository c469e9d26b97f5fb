"""Le langage du service et ses règles : créances, paiements, refus, argent, références.

Tout ici est pur : ni horloge, ni entrée-sortie, ni réglage lu dans l'environnement. L'instant, les identifiants et la
politique de paiement arrivent en arguments, pour qu'une décision rejouée donne toujours le même résultat.
"""
