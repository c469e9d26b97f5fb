"""Le rapprochement : ce que la banque rapporte, confronté à ce que nous avons enregistré."""
