"""Compter : les totaux qui se font de ce que dit chaque fait ; une fois, pour l'audit et les arrêtés."""
