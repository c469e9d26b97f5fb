"""Messages of the caisses by the file: read line by line, checked, put on Kafka; memory does not grow with the file."""
