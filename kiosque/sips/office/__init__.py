"""Sips Office JSON : l'état d'une transaction, l'annulation, le remboursement."""
