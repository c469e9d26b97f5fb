"""Ce que l'assuré fait : chercher une créance, la payer, suivre son paiement."""
