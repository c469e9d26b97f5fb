"""Le journal : les événements sur PostgreSQL, en ajout seul, et tout ce qui s'enregistre avec eux d'un bloc."""
