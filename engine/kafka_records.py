"""A header whose name is not UTF-8 is a message like any other: kafka-python would refuse the whole reading, for ever.

Kafka keeps a header's name as bytes, and producers that are not written in Java put there what they like. Importing
this module makes kafka-python read such a name with replacement characters; nothing else is read differently.
"""

from typing import Any, Final

from kafka.record.default_records import DefaultRecordBatch

_READ: Final[Any] = DefaultRecordBatch._read_msg  # noqa: SLF001 (kafka-python does not offer it otherwise)


class _Lenient(bytes):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Lenient(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


def _read(batch: Any, *arguments: Any) -> Any:
    start = batch._pos  # noqa: SLF001
    try:
        return _READ(batch, *arguments)
    except UnicodeDecodeError:
        strict, batch._buffer, batch._pos = batch._buffer, _Lenient(batch._buffer), start  # noqa: SLF001
        try:
            return _READ(batch, *arguments)
        finally:
            batch._buffer = strict  # noqa: SLF001


DefaultRecordBatch._read_msg = _read  # noqa: SLF001
