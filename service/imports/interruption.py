"""Ctrl-C and SIGTERM, taken between two lines; while waiting for input, at once."""

import signal
from types import FrameType, TracebackType
from typing import Self

from service.imports.lines import Source

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Knows whether it was asked to stop; the former handlers come back at the end of the block."""

    def __init__(self) -> None:
        self.asked = False
        self._reading = False

    def __enter__(self) -> Self:
        """Take the signals."""
        self._former = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def watch(self, source: Source) -> Source:
        """The same source, whose reading a signal ends as the end of the file would."""
        return _Watched(source, self)

    def readline(self, source: Source, size: int) -> bytes:
        """A line, or none once it was asked to stop."""
        try:
            self._reading = True
            if self.asked:
                return b""
            return source.readline(size)
        except _Asked:
            return b""
        finally:
            self._reading = False

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self._reading:
            # Python would go on waiting for input once this handler returns.
            raise _Asked


class _Asked(BaseException):
    """Leaves a read that would wait."""


class _Watched:
    def __init__(self, source: Source, interruption: Interruption) -> None:
        self._source = source
        self._interruption = interruption

    def readline(self, size: int, /) -> bytes:
        return self._interruption.readline(self._source, size)
