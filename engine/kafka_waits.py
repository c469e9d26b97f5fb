"""No wait of kafka-python's is without a bound, whatever call of ours leads to it.

Each of its blocking calls puts a coroutine on its own loop and waits for the end of it, without a bound (`net.run`,
seen in 3.0.12). Some of these coroutines have none either: before a broker that goes silent `committed` and `position`
ask for ever, and `close` waits for the loop's thread. So the bound is set where they all wait.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from kafka.errors import KafkaTimeoutError

REQUESTS: Final = 3
"""How many times what one request may take a wait lasts at most: what asks twice, then gives up, has its time."""


def bound(net: Any, request_ms: float) -> None:
    """Bound the waits of this client's loop (`kafka.net.selector.NetworkSelector`), in what a request may take (ms).

    A wait that is given up raises KafkaTimeoutError; what was asked goes on in the background, and its answer is lost.
    """
    seconds = REQUESTS * request_ms / 1000
    unbounded_run, unbounded_stop = net.run, net.stop

    def run(work: Any, *arguments: Any) -> Any:
        # The loop's own thread drives what it waits for, or is refused at once.
        if net._io_thread in {None, threading.current_thread()}:  # noqa: SLF001 (kafka-python offers it nowhere else)
            return unbounded_run(work, *arguments)
        return _run(net, seconds, work, arguments)

    def stop(timeout_ms: float | None = None) -> None:
        thread = net._io_thread  # noqa: SLF001
        unbounded_stop(seconds * 1000 if timeout_ms is None else timeout_ms)
        if thread is not None and thread.is_alive():
            raise KafkaTimeoutError(f"la boucle de Kafka ne s'est pas arrêtée en {seconds:g} s")

    net.run, net.stop = run, stop


def _run(net: Any, seconds: float, work: Any, arguments: tuple[Any, ...]) -> Any:
    """Run the work on the loop and return what it returns, or raise what it raises.

    The wait stands among those that the loop fails when it ends, as its own do: nobody waits for a loop that is gone.
    """
    ended = threading.Event()
    outcome: dict[str, Any] = {"value": None, "exception": None}
    waiting: dict[Any, Any] = net._pending_waiters  # noqa: SLF001
    lock: threading.Lock = net._pending_waiters_lock  # noqa: SLF001

    async def waited() -> None:
        try:
            outcome["value"] = await net._invoke(work, *arguments)  # noqa: SLF001
        except BaseException as cause:  # noqa: BLE001 (raised again where it is waited for)
            outcome["exception"] = outcome["exception"] or cause
        finally:
            with lock:
                waiting.pop(ended, None)
            ended.set()

    with lock:
        waiting[ended] = outcome
    start: Callable[[Any], Any] = net.call_soon_threadsafe
    try:
        start(waited)
        answered = ended.wait(seconds)
    finally:
        with lock:
            waiting.pop(ended, None)
    if not answered:
        raise KafkaTimeoutError(f"Kafka n'a pas répondu en {seconds:g} s")
    if outcome["exception"] is not None:
        raise outcome["exception"]
    return outcome["value"]
