"""Le courtier Kafka, tel qu'on le voit par kafka-python : nul autre ne regarde ce que celui-ci garde pour lui."""
