"""Compter : ce que chaque fait change, et les totaux qui s'en font ; une fois, pour l'audit et les arrêtés."""
