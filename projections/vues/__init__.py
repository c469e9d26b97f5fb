"""Les vues : un module par vue, seul à écrire le SQL de sa table."""
