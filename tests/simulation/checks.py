"""In the end: balances, fates, events, followers; and what is still under way."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.dead_letters import SUFFIXE
from tests.simulation.bank import NOTIFICATIONS
from tests.simulation.journal_statements import EVENTS, FATES, HELD, POSITIONS, SETTLED
from tests.simulation.server import Server
from tests.simulation.traffic import AVIS
from tests.simulation.view_statements import ASIDE, BALANCES, CLOCKS, FOLLOWERS, PAYMENTS
from tests.simulation.witness import WITNESS

if TYPE_CHECKING:
    from tests.simulation.world import World

INPUTS = (AVIS, NOTIFICATIONS)
FOLLOWING = ("restant_du", "paiements", "delai_affichage", WITNESS)


def rows(server: Server, table: str) -> list[Any]:
    """Every committed row."""
    return list(server.tables[table].rows.values())


def events(server: Server, topic: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The events of a kind, with their content."""
    for event in rows(server, EVENTS):
        if event.topic == topic:
            yield event, json.loads(event.etat)


def opened_in(server: Server) -> set[tuple[str, str]]:
    """The payments that this database knows, by transaction and request."""
    return {
        (content["transaction"], f"{content['assure']}/{event.cause.removeprefix('requete:')}")
        for event, content in events(server, "paiement.PaiementOuvert")
    }


# --- Still under way -------------------------------------------------------------------------------------------------


def unrest(world: "World") -> list[str]:
    """What has not come to rest yet."""
    server = world.server
    read: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows(server, POSITIONS):
        read[row.topic, row.partition] = max(read[row.topic, row.partition], row.jusqu_a)
    found = [
        f"{topic}/{number}: read up to {read[topic, number]} of {end}"
        for topic in INPUTS
        for number, end in world.broker.ends(topic).items()
        if read[topic, number] < end
    ]
    if len(rows(server, SETTLED)) < len(rows(server, HELD)):
        found.append(f"{len(rows(server, HELD)) - len(rows(server, SETTLED))} messages wait")
    head = max((event.position for event in rows(server, EVENTS)), default=0)
    at = {row.nom: row.position for row in rows(server, FOLLOWERS)}
    found += [f"{name} is at {at.get(name)} of {head}" for name in FOLLOWING if at.get(name) != head]
    found += [f"set aside by {row.suiveur}: {row.flux}, {row.cause[:150]}" for row in rows(server, ASIDE)]
    found += [
        f"payment without an end: {row.transaction}" for row in rows(server, PAYMENTS) if row.statut == "en_cours"
    ]
    found += [f"not shown: {row.transaction} on {row.reference}" for row in rows(server, CLOCKS) if not row.affiche_le]
    return found


# --- Right or wrong --------------------------------------------------------------------------------------------------


def everything(world: "World") -> list[str]:
    """All that is wrong."""
    return [*balances(world), *money(world), *fates(world), *log(world.server), *followed(world)]


def balances(world: "World") -> Iterator[str]:
    """Every balance, against the books of those who sent."""
    told = {row.reference: row for row in rows(world.server, BALANCES)}
    expected = world.books.balances()
    for reference, balance in expected.items():
        row = told.get(reference)
        if row is None or row.solde != balance:
            yield f"balance of {reference}: {row and row.solde}, the books say {balance}"
        elif row.en_cours:
            yield f"still in flight on {reference}: {row.en_cours}"
    for reference in told.keys() - expected.keys():
        yield f"a debt that nobody sent: {reference}"


def money(world: "World") -> Iterator[str]:
    """The money that no debt may receive, by transaction."""
    told: Counter[str] = Counter()
    for event, content in events(world.server, "paiement.EncaissementNonImpute"):
        told[event.flux.removeprefix("paiement-")] += content["montant"]
    expected = world.books.unattached()
    for transaction in sorted(told.keys() | expected.keys()):
        if told[transaction] != expected.get(transaction, 0):
            said = expected.get(transaction, 0)
            yield f"not attached, {transaction}: {told[transaction]}, the books say {said}"


def fates(world: "World") -> Iterator[str]:
    """Exactly one fate a message, exactly one end for what waited, a dead letter for what was refused."""
    told = Counter((row.topic, row.partition, row.decalage) for row in rows(world.server, FATES))
    for topic in INPUTS:
        for number, end in world.broker.ends(topic).items():
            for offset in range(end):
                if told[topic, number, offset] != 1:
                    yield f"{told[topic, number, offset]} fates for {topic}/{number}@{offset}"
    held = Counter((row.topic_id, row.partition, row.decalage) for row in rows(world.server, HELD))
    ended = Counter((row.topic_id, row.partition, row.decalage) for row in rows(world.server, SETTLED))
    if held != ended:
        yield f"what waited and what came of it differ: {held - ended}, {ended - held}"
    letters = {
        (topic, letter.value)
        for topic in INPUTS
        for part in world.broker.topics[topic + SUFFIXE].partitions
        for letter in part
    }
    for row in rows(world.server, FATES):
        if row.sort == "rejetee" and (row.topic, f"{row.partition}@{row.decalage}".encode()) not in letters:
            yield f"no dead letter for {row.topic}/{row.partition}@{row.decalage}"


def log(server: Server) -> Iterator[str]:
    """Every stream counts from one without a gap, and no payment is shown twice."""
    versions: dict[str, list[int]] = defaultdict(list)
    for event in sorted(rows(server, EVENTS)):
        versions[event.flux].append(event.version)
    for stream, numbers in versions.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"the versions of {stream} are {numbers}"
    for topic in ("creance.PaiementAffiche", "creance.PaiementAccepte"):
        shown = Counter((event.flux, content["transaction"]) for event, content in events(server, topic))
        yield from (f"{topic} {times} times: {which}" for which, times in shown.items() if times > 1)


def followed(world: "World") -> Iterator[str]:
    """A follower gives each event once, each stream in order; what it published before, at least once."""
    expected = {event.position for event in rows(world.server, EVENTS)}
    seen = rows(world.server, WITNESS)
    counts = Counter(row.position for row in seen)
    if missed := expected - counts.keys():
        yield f"events that the follower never gave: {sorted(missed)[:5]}"
    if strange := counts.keys() - expected:
        yield f"events that are not in the log: {sorted(strange)[:5]}"
    if twice := [position for position, times in counts.items() if times > 1]:
        yield f"events that the follower gave twice: {sorted(twice)[:5]}"
    last: dict[str, int] = {}
    for row in world.published:
        if row.version > last.get(row.flux, 0) + 1:
            yield f"published out of order: {row.flux} v{row.version} after v{last.get(row.flux, 0)}"
        last[row.flux] = max(row.version, last.get(row.flux, 0))
    if unpublished := expected - {row.position for row in world.published}:
        yield f"events that were never published: {sorted(unpublished)[:5]}"


def outcome(world: "World") -> list[str]:
    """What two runs of one seed must have in common, down to the bytes of every event."""
    server = world.server
    return [
        *(repr(tuple(event)) for event in sorted(rows(server, EVENTS))),
        *(repr(tuple(row)) for row in sorted(rows(server, BALANCES))),
        *sorted(repr(tuple(row)) for row in rows(server, FATES)),
    ]
