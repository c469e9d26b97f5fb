"""What the API's doors cost: a balance read and the bank's POST, beside the same API without them (`unguarded`).

By processor time of the server: a rate would say more of the machine than of the doors. In many short turns, each way
first in every other, of which the cheapest half counts: what others do on the machine only ever adds.
"""

from itertools import count
from statistics import mean
from urllib.parse import urlencode

from bench.client import closed_loop, post
from bench.data import notification, transaction
from bench.figures import Figures
from bench.latency import FORM
from bench.plan import Plan
from bench.reading import CONNECTIONS, Endpoint, Served, balances, side_by_side
from bench.servers import Servers
from bench.stage import Stage

TURNS = 16
WAYS = ("with", "without")


def doors(servers: Servers, figures: Figures, plan: Plan, stage: Stage) -> None:
    """Both requests, both ways; a notification is posted once to each way, for a copy is answered at less cost."""
    seconds = plan.http_seconds / TURNS
    forms = [
        post("/kiosque/notification", urlencode(notification(transaction(payment))).encode(), FORM)
        for payment in stage.scale.order[: stage.messages]
    ]
    posted = len(forms) // (1 + plan.rounds * TURNS)
    with (
        servers.copy(stage.template) as database,
        side_by_side(servers, stage, database, "unguarded", "/readyz") as both,
    ):
        _, asked = balances(stage, both[0].settings)
        reads = [Endpoint(way, one.server, one.settings.api_port, asked) for way, one in zip(WAYS, both, strict=True)]
        ways = list(zip(WAYS, reads, both, strict=True))
        turn = count()
        for _, read, one in ways:  # Warm.
            read.load(seconds)
            _post(one, forms[:posted])
        for _ in range(plan.rounds):
            reading: dict[str, list[float]] = {way: [] for way in WAYS}
            posting: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(TURNS):
                ways.reverse()
                first = (1 + next(turn)) * posted
                for way, read, one in ways:
                    reading[way].append(read.load(seconds).processor)
                    posting[way].append(_post(one, forms[first : first + posted]))
            for way in WAYS:
                figures.add(f"doors.balance, {way}", _cheapest_half(reading[way]), "µs a request")
                figures.add(f"doors.POST, {way}", _cheapest_half(posting[way]), "µs a request")


def _cheapest_half(costs: list[float]) -> float:
    return mean(sorted(costs)[: max(1, len(costs) // 2)])


def _post(served: Served, forms: list[bytes]) -> float:
    """Post each form once: the server's processor time a form, in µs."""
    before = served.server.cpu_seconds()
    # The client's connections may ask for one more each before they see that all are sent.
    closed_loop(
        served.settings.api_port,
        lambda number: forms[min(number, len(forms) - 1)],
        CONNECTIONS,
        count=len(forms),
    )
    return (served.server.cpu_seconds() - before) / len(forms) * 1e6
