"""After a history: does the service say what the ledger says, has every message one fate, is the log complete?"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

from publication.marques import TYPES_DES_MARQUES
from tests.faults.ledger import Ledger
from tests.faults.stack import Stack

INPUTS = ("avis", "kiosque.notifications")
READ_MS = 1500


def ends(stack: Stack) -> dict[tuple[str, int], int]:
    """How many messages each partition of the input topics holds."""
    with KafkaConsumer(bootstrap_servers=stack.broker.bootstrap, enable_auto_commit=False) as reader:
        partitions = [
            TopicPartition(f"{stack.prefix}.{name}", number)
            for name in INPUTS
            for number in sorted(reader.partitions_for_topic(f"{stack.prefix}.{name}") or ())
        ]
        return {(tp.topic, tp.partition): end for tp, end in reader.end_offsets(partitions).items()}


def all_read(stack: Stack) -> bool:
    """Whether every message has been read and every follower is at the head of the log."""
    read = {
        (str(topic), int(str(number))): int(str(position))
        for topic, number, position in stack.sql(
            "SELECT topic, partition, max(jusqu_a) FROM journal.positions GROUP BY topic, partition"
        )
    }
    if any(read.get(partition, 0) < end for partition, end in ends(stack).items()):
        return False
    [[behind]] = stack.sql(
        "SELECT count(*) FROM vues.suiveurs s WHERE nom NOT LIKE 'consommateur%%' AND nom <> 'relance'"
        " AND position < (SELECT coalesce(max(position), 0) FROM journal.evenements)"
    )
    return behind == 0


def wrong_balances(stack: Stack, ledger: Ledger) -> Iterator[str]:
    """Every balance, against the independent ledger."""
    told = {
        str(reference): (balance, flying)
        for reference, balance, flying in stack.sql("SELECT reference, solde, en_cours FROM vues.restant_du")
    }
    flying = Counter[str]()
    for reference, debt in ledger.debts.items():
        balance, in_flight = told.get(reference, (None, None))
        if balance != debt.balance:
            yield f"balance of {reference}: {balance}, the ledger says {debt.balance} ({debt})"
        if in_flight:
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
    expected = ledger.unattached_sums()
    for transaction in told.keys() | expected.keys():
        if told.get(transaction, 0) != expected.get(transaction, 0):
            said = expected.get(transaction, 0)
            yield f"not attached, {transaction}: {told.get(transaction, 0)}, the ledger says {said}"


def fates(stack: Stack) -> Iterator[str]:
    """Exactly one fate a message."""
    told = {
        (str(topic), int(str(number))): (count, distinct)
        for topic, number, count, distinct in stack.sql(
            "SELECT topic, partition, count(*), count(DISTINCT decalage) FROM journal.sorts GROUP BY topic, partition"
        )
    }
    for partition, end in ends(stack).items():
        count, distinct = told.get(partition, (0, 0))
        if not count == distinct == end:
            yield f"fates of {partition}: {count} ({distinct} offsets) for {end} messages"


def published(stack: Stack) -> Iterator[str]:
    """Every published event is on the topic, and the versions of a stream come in order."""
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
    if done.returncode != 0:
        yield f"audit: exit {done.returncode}: {done.stdout[:1500]}{done.stderr[-500:]}"


def everything(stack: Stack, ledger: Ledger) -> list[str]:
    """All that is wrong."""
    return [
        *wrong_balances(stack, ledger),
        *wrong_money(stack, ledger),
        *fates(stack),
        *published(stack),
        *audit(stack),
    ]
