"""Les arrêtés journaliers scellés : ce qu'une clôture contient, comment elle se calcule, et comment elle se vérifie.

Un jour est un jour de Paris, compté à l'enregistrement ; sa clôture arrête le journal à une position, et ce qui vient
après elle est d'un jour d'après, quelque heure qu'il dise. Voir docs/arrete.md.
"""
