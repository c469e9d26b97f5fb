"""A sample consumer of `creances.evenements`, for the system of a caisse: what remains due of each créance, in SQLite.

    python examples/consommateur_cpam.py --bootstrap kafka:9092 --topic creances.evenements --base soldes.sqlite

It uses kafka-python and nothing of the service: copy it. What it shows, beyond the sums:

- **At least once**: a version that is not above the last one of its stream is ignored.
- **In order, without a hole**: only the next version is applied. A later one waits: a resend or a topic created again
  brings the missing ones in order. A hole that stays is printed; ask the operators for a resend of that reference.
- **A new epoch** (the service was restored from an older backup): what came from the earlier one is forgotten, the
  whole log follows under the new one. Late messages of an earlier epoch are ignored.
- **Exactly once in effect**: the sums, the versions and the Kafka offsets are committed in one SQLite transaction.
- Unknown event types and fields are no error.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

PREFIX = "fr.assurance-maladie.creances."

SCHEMA = """
CREATE TABLE IF NOT EXISTS epochs (base TEXT PRIMARY KEY, epoch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (stream TEXT PRIMARY KEY, base TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS holes (stream TEXT PRIMARY KEY, base TEXT NOT NULL, seen INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS balances (reference TEXT PRIMARY KEY, base TEXT NOT NULL, centimes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS offsets (topic_id TEXT, part INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic_id, part));
"""

# How each event moves what remains due, in centimes; the others move nothing.
MOVES: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "AvisEmis.v1": lambda data: data["montant_initial_centimes"],
    "PaiementAccepte.v1": lambda data: -data["part_centimes"],
    "PaiementContrepasse.v1": lambda data: data["part_centimes"],
    "TropPercuRembourse.v1": lambda data: data["montant_centimes"],
    "EncaissementRecu.v1": lambda data: -data["montant_centimes"],
    "AvisRectifie.v1": lambda data: data["montant_initial_centimes"] - data["montant_precedent_centimes"],
    "AvisAnnule.v1": lambda data: -data["montant_precedent_centimes"],
}


class Balances:
    """What the caisse keeps; `take` is called with each message, in the order of its partition."""

    def __init__(self, path: str) -> None:
        """Opens the database, or creates it."""
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(SCHEMA)

    def take(self, headers: Mapping[str, bytes], value: bytes) -> str:
        """Apply one message; returns `applied`, `ignored` (seen already, or of an earlier epoch) or `waiting`."""
        base, _, epoch = headers["ce_source"].decode().rpartition("/epoques/")
        stream, _, number = headers["ce_id"].decode().rpartition(":")
        version = int(number)
        if not self._same_epoch(base, epoch):
            return "ignored"
        (last,) = self._one("SELECT version FROM versions WHERE stream = ?", stream) or (0,)
        if version <= last:
            return "ignored"
        if version > last + 1:
            self.db.execute(
                "INSERT INTO holes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seen = max(seen, ?)",
                (stream, base, version, version),
            )
            return "waiting"
        self._apply(base, headers, value)
        self.db.execute(
            "INSERT INTO versions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = ?",
            (stream, base, version, version),
        )
        self.db.execute("DELETE FROM holes WHERE stream = ? AND seen <= ?", (stream, version))
        return "applied"

    def balance(self, reference: str) -> int | None:
        """What remains due, in centimes (negative: paid too much); None if unknown."""
        found = self._one("SELECT centimes FROM balances WHERE reference = ?", reference)
        return found[0] if found else None

    def holes(self) -> list[str]:
        """The streams of which a version is missing: ask for a resend if they stay."""
        return [stream for (stream,) in self.db.execute("SELECT stream FROM holes ORDER BY stream")]

    def _same_epoch(self, base: str, epoch: str) -> bool:
        """Enter a newer epoch, forgetting what came from the earlier one; False for an earlier epoch."""
        (known,) = self._one("SELECT epoch FROM epochs WHERE base = ?", base) or ("",)
        if epoch > known:
            for table in ("versions", "holes", "balances"):
                self.db.execute(f"DELETE FROM {table} WHERE base = ?", (base,))  # noqa: S608  our own table names
            self.db.execute(
                "INSERT INTO epochs VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = ?", (base, epoch, epoch)
            )
        return epoch >= known

    def _apply(self, base: str, headers: Mapping[str, bytes], value: bytes) -> None:
        move = MOVES.get(headers["ce_type"].decode().removeprefix(PREFIX))
        if move is not None:
            moved, reference = move(json.loads(value)), headers["ce_subject"].decode()
            self.db.execute(
                "INSERT INTO balances VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET centimes = centimes + ?",
                (reference, base, moved, moved),
            )

    def _one(self, query: str, *parameters: object) -> Any:
        return self.db.execute(query, parameters).fetchone()


def follow(consumer: KafkaConsumer, topic: str, balances: Balances, *, until_idle: bool = False) -> None:
    """Read all partitions of the topic from the offsets that the database knows; a topic created again starts at 0."""
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not partitions:
        sys.exit(f"{topic} does not exist")
    consumer.assign(partitions)
    consumer.poll(timeout_ms=0)
    topic_id = str(consumer._cluster.topic_id(topic))  # noqa: SLF001  kafka-python offers it nowhere else
    for partition in partitions:
        (known,) = balances._one(  # noqa: SLF001
            "SELECT next FROM offsets WHERE topic_id = ? AND part = ?", topic_id, partition.partition
        ) or (0,)
        consumer.seek(partition, known)
    while True:
        batches = consumer.poll(timeout_ms=1000)
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
        for stream in balances.holes():
            print(f"waiting for the missing versions of {stream}", file=sys.stderr)
        if until_idle and not batches:
            return
        if str(consumer._cluster.topic_id(topic)) != topic_id:  # noqa: SLF001  created again: start over
            follow(consumer, topic, balances, until_idle=until_idle)
            return


def main() -> None:
    """Read the command line, and follow until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, help="host:port of a broker")
    parser.add_argument("--topic", default="creances.evenements")
    parser.add_argument("--base", default="soldes.sqlite", help="the SQLite file")
    parser.add_argument("--until-idle", action="store_true", help="stop when nothing comes any more")
    given = parser.parse_args()
    consumer = KafkaConsumer(
        bootstrap_servers=given.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=5000,
    )
    consumer._cluster.config["allow_auto_create_topics"] = False  # noqa: SLF001  kafka-python 3.0 drops this setting
    with closing(consumer):
        follow(consumer, given.topic, Balances(given.base), until_idle=given.until_idle)


if __name__ == "__main__":
    main()
