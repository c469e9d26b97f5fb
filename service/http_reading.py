"""What a client says over HTTP/1.1, read as long as reading it costs no more than it should."""

from typing import Final

import h11

HEADER_BYTES: Final = 64 * 1024
HEADERS: Final = 200
"""Of a request: far above what browsers and proxies send, cookies of every return included."""

HEADER_BYTES_READ_AT_ONCE: Final = 1024
"""Looked at no closer: the lines that it can hold are read in no time."""

BODY_BYTES: Final = 1024 * 1024
PIECES: Final = 4_096
"""Of a body: in pieces of 16 bytes on average, the largest that the API takes."""


class BoundedConnection(h11.Connection):
    """What a client says, read as long as reading it costs no more than it should.

    h11 bounds a header that is still incomplete only, and nothing of a body: 15,000 headers or 60,000 pieces of one
    byte hold the loop, and so everybody, for a third of a second.
    """

    def __init__(self, body_bytes: int) -> None:
        """`body_bytes`: what is read of a body at most, whether anybody wants it or not."""
        super().__init__(h11.SERVER, max_incomplete_event_size=HEADER_BYTES)
        self._body_bytes = body_bytes
        self._read = self._pieces = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11, and its RemoteProtocolError too for what costs too much, or can be read in two ways."""
        if len(self._receive_buffer) > HEADER_BYTES_READ_AT_ONCE and self.their_state is h11.IDLE:
            self._bound_header(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._read = self._pieces = 0
            names = [name.lower() for name, _ in event.headers.raw_items()]
            if b"transfer-encoding" in names and b"content-length" in names:
                # RFC 9112, 6.1: a proxy that counts the other one sends us somebody else's.
                raise h11.RemoteProtocolError("a length said twice")
        elif (piece := getattr(event, "data", None)) is not None:
            self._read += len(piece)
            self._pieces += 1
            if self._read > self._body_bytes or self._pieces > PIECES:
                raise h11.RemoteProtocolError("a body without end")
        return event

    def _bound_header(self, received: bytes) -> None:
        header = received.lstrip(b"\r\n").partition(b"\r\n\r\n")[0]
        if len(header) > HEADER_BYTES or header.count(b"\n") > HEADERS:
            raise h11.RemoteProtocolError("a header without end")
