"""La publication : le journal vers Kafka, en CloudEvents, pour les systèmes des caisses ; et ses schémas."""
