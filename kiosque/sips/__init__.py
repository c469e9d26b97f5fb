"""Worldline Sips 2.0 : la page de paiement, ses réponses, ses sceaux."""
