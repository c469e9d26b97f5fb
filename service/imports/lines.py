"""The lines of a file of any size, with their numbers; no line, however long, is held whole."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol, Self

from engine.messages import OCTETS_MAX

CHUNK_BYTES: Final = 64 * 1024
"""How much of a line that is too long is read at once, to be dropped."""

BOM: Final = b"\xef\xbb\xbf"


class Source(Protocol):
    """What lines are read from: an open binary file, or standard input."""

    def readline(self, size: int, /) -> bytes:
        """As of an open file."""


class Line(NamedTuple):
    """A line as it stands in the file."""

    number: int
    """From 1."""
    text: bytes
    """Without its end of line (LF or CRLF), nor the file's byte order mark."""
    length: int
    """Of the whole text, in bytes; more than `len(text)` if the line is too long, whose text is cut."""


class Lines:
    """An iterator over the lines, which can be given some back."""

    def __init__(self, source: Source) -> None:
        self.bytes_read = 0
        self._source = source
        self.number = 0
        self._given_back: deque[Line] = deque()

    def __iter__(self) -> Self:
        """Itself."""
        return self

    def __next__(self) -> Line:
        """The next line."""
        return self._given_back.popleft() if self._given_back else self._read()

    def give_back(self, lines: Iterable[Line]) -> None:
        """Make these lines, in their order, the next ones."""
        self._given_back.extendleft(reversed(list(lines)))

    def _read(self) -> Line:
        text = self._source.readline(OCTETS_MAX + len("\r\n"))
        if not text:
            raise StopIteration
        self.number += 1
        self.bytes_read += len(text)
        end = text[-2:]
        dropped = 0
        while not end.endswith(b"\n") and (rest := self._source.readline(CHUNK_BYTES)):
            dropped += len(rest)
            end = (end + rest)[-2:]
        self.bytes_read += dropped
        length = len(text) + dropped - (len(end) - len(end.rstrip(b"\r\n")) if end.endswith(b"\n") else 0)
        text = text[:length]
        if self.number == 1 and text.startswith(BOM):
            text, length = text[len(BOM) :], length - len(BOM)
        return Line(self.number, text, length)
