"""Le kiosque bancaire : une petite interface, Worldline Sips 2.0 derrière elle, et son simulateur.

Le reste du système ne connaît que `kiosque.interface` ; changer de banque, c'est écrire une autre implémentation.
"""
