"""Le kiosque bancaire : une petite interface, Worldline Sips 2.0 derrière elle, et son simulateur.

Le reste du système ne connaît que `kiosque.interface`, `kiosque.rapports` et, à la porte de l'API,
`kiosque.notification` ; changer de banque, c'est écrire une autre implémentation, que `service.bank` construit.
"""
