"""Ce que l'API demande à Kafka."""


class KafkaIndisponible(Exception):
    """Kafka n'a pas accusé réception : rien n'est pris, la banque renverra sa notification."""
