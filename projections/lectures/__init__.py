"""Ce que les pages et les commandes lisent à travers les vues et le journal, et les relevés du mois (`releves`)."""
