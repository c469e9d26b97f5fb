"""After a history: does the service say what the ledger says, has every message one fate, is the log complete?"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition

from publication.marques import TYPES_DES_MARQUES
from tests.faults.ledger import Ledger
from tests.faults.stack import Stack

INPUTS = ("avis", "kiosque.notifications")
READ_MS = 1500


class End(NamedTuple):
    """Where a partition of an input topic ends, and which topic of that name it is."""

    topic_id: UUID
    end: int


def ends(stack: Stack) -> dict[tuple[str, int], End]:
    """How many messages each partition of the input topics holds."""
    found: dict[tuple[str, int], End] = {}
    with KafkaConsumer(bootstrap_servers=stack.broker.bootstrap, enable_auto_commit=False) as reader:
        for name in (f"{stack.prefix}.{name}" for name in INPUTS):
            partitions = [TopicPartition(name, number) for number in sorted(reader.partitions_for_topic(name) or ())]
            topic_id = reader._cluster.topic_id(name)
            found |= {
                (tp.topic, tp.partition): End(topic_id, end) for tp, end in reader.end_offsets(partitions).items()
            }
    return found


def all_read(stack: Stack) -> bool:
    """Whether every message has been read and every follower is at the head of the log."""
    read = {
        (topic_id, number): int(str(position))
        for topic_id, number, position in stack.sql(
            "SELECT topic_id, partition, max(jusqu_a) FROM journal.positions GROUP BY topic_id, partition"
        )
    }
    told = ends(stack)
    if any(read.get((end.topic_id, number), 0) < end.end for (_, number), end in told.items()):
        return False
    [[behind]] = stack.sql(
        "SELECT count(*) FROM vues.suiveurs s WHERE nom NOT LIKE 'consommateur%%' AND nom <> 'relance'"
        " AND position < (SELECT coalesce(max(position), 0) FROM journal.evenements)"
    )
    return bool(told) and behind == 0


def lost_payments(stack: Stack, ledger: Ledger) -> Iterator[str]:
    """The payments that the log does not know: only a restore may have taken them, and `creances lost` names those."""
    opened = stack.sql("SELECT flux FROM journal.evenements WHERE topic = 'paiement.PaiementOuvert'")
    yield from ledger.reconsider(str(stream).removeprefix("paiement-") for (stream,) in opened)
    if not ledger.restores:
        return
    done = stack.command("lost", "--all", "--json")
    if done.returncode not in {0, 1}:
        yield f"lost: exit {done.returncode}: {done.stderr[-500:]}"
        return
    rows = json.loads(done.stdout)
    if (done.returncode == 1) != bool(rows):
        yield f"lost: exit {done.returncode} with {len(rows)} lines"
    for row in rows:
        names = {row["flux"].removeprefix("paiement-"), row["donnees"].get("transaction")}
        # What is too much follows from the rest, and from the order in which two topics are read again.
        if row["type"] != "TropPercuConstate" and not names & ledger.lost:
            yield f"lost, though no payment that a restore took: {row}"


def wrong_balances(stack: Stack, ledger: Ledger) -> Iterator[str]:
    """Every balance, against the independent ledger."""
    told = {
        str(reference): (balance, flying)
        for reference, balance, flying in stack.sql("SELECT reference, solde, en_cours FROM vues.restant_du")
    }
    flying = Counter[str]()
    for reference, owed in ledger.balances().items():
        balance, in_flight = told.get(reference, (None, None))
        if balance != owed:
            yield f"balance of {reference}: {balance}, the ledger says {owed} ({ledger.debts[reference]})"
        if in_flight and reference not in ledger.withheld:
            flying[reference] += 1
    if flying:
        yield f"still in flight though all payments ended: {sorted(flying)[:5]} ({len(flying)})"
    for reference in told.keys() - ledger.debts.keys():
        yield f"a debt that nobody sent: {reference}"


def wrong_money(stack: Stack, ledger: Ledger) -> Iterator[str]:
    """Money that no debt may receive, by transaction."""
    told: dict[str, int] = defaultdict(int)
    for stream, state in stack.sql(
        "SELECT flux, convert_from(etat, 'UTF8') FROM journal.evenements WHERE topic = 'paiement.EncaissementNonImpute'"
    ):
        told[str(stream).removeprefix("paiement-")] += json.loads(str(state))["montant"]
    expected = ledger.unattached()
    for transaction in told.keys() | expected.keys():
        if told.get(transaction, 0) != expected.get(transaction, 0):
            said = expected.get(transaction, 0)
            yield f"not attached, {transaction}: {told.get(transaction, 0)}, the ledger says {said}"


def fates(stack: Stack) -> Iterator[str]:
    """Exactly one fate a message; of a topic that is no more, one for each up to the last that was read."""
    told: dict[tuple[object, object], tuple[str, object, object, int]] = {
        (topic_id, number): (str(topic), count, distinct, int(str(last)) + 1)
        for topic_id, number, topic, count, distinct, last in stack.sql(
            "SELECT topic_id, partition, min(topic), count(*), count(DISTINCT decalage), max(decalage)"
            " FROM journal.sorts GROUP BY topic_id, partition"
        )
    }
    there: dict[tuple[object, object], tuple[str, int]] = {
        (end.topic_id, number): (topic, end.end) for (topic, number), end in ends(stack).items()
    }
    for partition in told.keys() | there.keys():
        topic, count, distinct, end = told.get(partition, ("", 0, 0, 0))
        topic, end = there.get(partition, (topic, end))
        if not count == distinct == end:
            yield f"fates of {topic}/{partition[1]}: {count} ({distinct} offsets) for {end} messages"


def published(stack: Stack) -> Iterator[str]:
    """Under the epoch of today every event is on the topic, and the versions of a stream come in order."""
    [[epoch]] = stack.sql("SELECT max(nom) FROM journal.epoques")
    expected = {
        f"{stream}:{version}"
        for stream, version in stack.sql(
            "SELECT flux, version FROM journal.evenements WHERE topic NOT LIKE 'messagerie.%%'"
        )
    }
    seen: dict[str, int] = {}
    ids: set[str] = set()
    topic = f"{stack.prefix}.evenements"
    with KafkaConsumer(
        bootstrap_servers=stack.broker.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    ) as reader:
        partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        stop = reader.end_offsets(partitions)
        while any(reader.position(tp) < end for tp, end in stop.items()):
            for messages in reader.poll(timeout_ms=READ_MS).values():
                for message in messages:
                    headers = dict(message.headers)
                    if headers["ce_type"].decode() in TYPES_DES_MARQUES:
                        continue
                    if not headers["ce_source"].decode().endswith(str(epoch)):
                        continue  # Of a log that is no more.
                    name = headers["ce_id"].decode()
                    stream, _, number = name.rpartition(":")
                    version = int(number)
                    if version > seen.get(stream, 0) + 1:
                        yield f"published out of order: {name} after version {seen.get(stream, 0)}"
                    seen[stream] = max(version, seen.get(stream, 0))
                    ids.add(name)
    if missing := expected - ids:
        yield f"{len(missing)} events are not published, {sorted(missing)[:3]} among them"
    if strange := ids - expected:
        yield f"{len(strange)} published events are not in the log, {sorted(strange)[:3]} among them"


def audit(stack: Stack) -> Iterator[str]:
    """The audit finds nothing."""
    done = stack.command("audit", "--json")
    if done.returncode == 0:
        return
    try:
        found = json.loads(done.stdout)["ecarts"][:20]
    except (ValueError, KeyError, TypeError):
        found = [done.stdout[:1500]]
    yield f"audit: exit {done.returncode}: {'; '.join(map(str, found))} {done.stderr[-500:]}"


def everything(stack: Stack, ledger: Ledger) -> list[str]:
    """All that is wrong."""
    return [
        *lost_payments(stack, ledger),  # First: the others go by what it finds.
        *wrong_balances(stack, ledger),
        *wrong_money(stack, ledger),
        *fates(stack),
        *published(stack),
        *audit(stack),
    ]
