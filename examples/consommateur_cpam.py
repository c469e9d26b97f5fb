"""A sample consumer of `creances.evenements`, for the system of a caisse: where each créance stands, in SQLite.

    python examples/consommateur_cpam.py --bootstrap kafka:9092 --topic creances.evenements --base soldes.sqlite

It uses kafka-python and nothing of the service: copy it. Every event of a créance says the balance it makes, so nothing
is added up here. What it shows:

- **At least once, in order for each stream**: a version that is not above the last one of its stream is ignored.
- **A new epoch** (the service was restored from an older backup): what came from the earlier one is forgotten, the
  whole log follows under the new one. Late messages of an earlier epoch are ignored.
- **Exactly once in effect**: balances, epochs and Kafka offsets are committed in one SQLite transaction.
- Unknown event types and fields are no error; an event without a balance moves nothing.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

PREFIX = "fr.assurance-maladie.creances."
AMOUNTS = ("restant_du_centimes", "en_cours_centimes", "trop_percu_centimes")

SCHEMA = """
CREATE TABLE IF NOT EXISTS epochs (base TEXT PRIMARY KEY, epoch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS balances (
    reference TEXT PRIMARY KEY, base TEXT NOT NULL, version INTEGER NOT NULL, caisse TEXT NOT NULL,
    restant_du INTEGER NOT NULL, en_cours INTEGER NOT NULL, trop_percu INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS offsets (topic_id TEXT, part INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic_id, part));
"""


class Balances:
    """What the caisse keeps; `take` is called with each message, in the order of its partition."""

    def __init__(self, path: str) -> None:
        """Opens the database, or creates it."""
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(SCHEMA)

    def take(self, headers: Mapping[str, bytes], value: bytes) -> str:
        """Apply one message; returns `applied`, or `ignored` (seen, of an earlier epoch, or without a balance)."""
        base, _, epoch = headers["ce_source"].decode().rpartition("/epoques/")
        if not self._same_epoch(base, epoch):
            return "ignored"
        stream, _, version = headers["ce_id"].decode().rpartition(":")
        data = json.loads(value)
        if not stream.startswith("creance-") or "restant_du_centimes" not in data:
            return "ignored"
        reference = headers["ce_subject"].decode()
        applied = self.db.execute(
            "INSERT INTO balances VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET base = excluded.base,"
            " version = excluded.version, caisse = excluded.caisse, restant_du = excluded.restant_du,"
            " en_cours = excluded.en_cours, trop_percu = excluded.trop_percu"
            " WHERE excluded.version > balances.version",
            (reference, base, int(version), data["caisse"], *(data[amount] for amount in AMOUNTS)),
        )
        return "applied" if applied.rowcount else "ignored"

    def balance(self, reference: str) -> tuple[int, int, int] | None:
        """What remains due, is being paid, and was paid too much, in centimes; None if unknown."""
        found = self.db.execute(
            "SELECT restant_du, en_cours, trop_percu FROM balances WHERE reference = ?", (reference,)
        )
        due: tuple[int, int, int] | None = found.fetchone()
        return due

    def next_offset(self, topic_id: str, part: int) -> int:
        """Where to go on with a partition; a topic created again has another id, and starts at 0."""
        found = self.db.execute("SELECT next FROM offsets WHERE topic_id = ? AND part = ?", (topic_id, part))
        (known,) = found.fetchone() or (0,)
        return int(known)

    def _same_epoch(self, base: str, epoch: str) -> bool:
        """Enter a newer epoch, forgetting what came from the earlier one; False for an earlier epoch."""
        (known,) = self.db.execute("SELECT epoch FROM epochs WHERE base = ?", (base,)).fetchone() or ("",)
        if epoch > known:
            self.db.execute("DELETE FROM balances WHERE base = ?", (base,))
            self.db.execute(
                "INSERT INTO epochs VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = ?", (base, epoch, epoch)
            )
        return epoch >= known


def follow(consumer: KafkaConsumer, topic: str, balances: Balances, *, until_idle: bool = False) -> None:
    """Read all partitions of the topic from the offsets that the database knows."""
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not partitions:
        sys.exit(f"{topic} does not exist")
    consumer.assign(partitions)
    consumer.poll(timeout_ms=0)
    topic_id = str(consumer._cluster.topic_id(topic))  # noqa: SLF001  kafka-python offers it nowhere else
    for partition in partitions:
        consumer.seek(partition, balances.next_offset(topic_id, partition.partition))
    while True:
        batches = consumer.poll(timeout_ms=3000)
        if str(consumer._cluster.topic_id(topic)) != topic_id:  # noqa: SLF001  created again: start over
            return follow(consumer, topic, balances, until_idle=until_idle)
        balances.db.execute("BEGIN")
        for partition, records in batches.items():
            for record in records:
                balances.take(dict(record.headers), record.value)
            last = records[-1].offset + 1
            balances.db.execute(
                "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = ?",
                (topic_id, partition.partition, last, last),
            )
        balances.db.execute("COMMIT")
        if until_idle and not batches:
            return None


def main() -> None:
    """Read the command line, and follow until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, help="host:port of a broker")
    parser.add_argument("--topic", default="creances.evenements", help="or your creances.renvois.<partner>")
    parser.add_argument("--base", default="soldes.sqlite", help="the SQLite file")
    parser.add_argument("--until-idle", action="store_true", help="stop when nothing comes any more")
    given = parser.parse_args()
    options: dict[str, Any] = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    consumer = KafkaConsumer(bootstrap_servers=given.bootstrap, metadata_max_age_ms=5000, **options)
    consumer._cluster.config["allow_auto_create_topics"] = False  # noqa: SLF001  kafka-python 3.0 drops this setting
    with closing(consumer):
        follow(consumer, given.topic, Balances(given.base), until_idle=given.until_idle)


if __name__ == "__main__":
    main()
