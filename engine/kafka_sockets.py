"""A connection that does not come about gives its socket back at once: kafka-python leaves it to the garbage collector.

At each attempt of an outage a descriptor stayed open until a collection found the exception that still held it (seen in
3.0.12). Importing this module closes it where the attempt ends; nothing else is connected differently.
"""

import socket
from typing import Any, Final

from kafka.net.inet import KafkaNetSocket

_CONNECT: Final[Any] = KafkaNetSocket.sock_connect


async def _connect(
    factory: KafkaNetSocket, net: Any, connecting: socket.socket, *arguments: Any, **options: Any
) -> Any:
    try:
        return await _CONNECT(factory, net, connecting, *arguments, **options)
    except BaseException:  # Refused, too late, or its loop is gone: the loop no longer watches it.
        connecting.close()
        raise


KafkaNetSocket.sock_connect = _connect
