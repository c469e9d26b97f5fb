"""What the records of a topic become, where kafka-python's own reading will not do.

Importing this module changes it in two ways; what is read is otherwise the same, to the byte.

- A header whose name is not UTF-8 is a message like any other: kafka-python would refuse the whole reading, for ever.
  Kafka keeps a header's name as bytes, and producers that are not written in Java put there what they like. Such a name
  is read with replacement characters.
- A record as nearly all are is read in two thirds of the time, its values as attributes, not properties. Whatever is
  unusual in it, a fault first of all, is left to kafka-python, which then says it in its words.
"""

from typing import Any, ClassVar, Final

import msgspec
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

_READ: Final[Any] = DefaultRecordBatch._read_msg  # noqa: SLF001 (kafka-python does not offer it otherwise)

_UNUSUAL: Final = DefaultRecordBatch.TIMESTAMP_TYPE_MASK | DefaultRecordBatch.CONTROL_MASK
"""The attributes of a batch whose records are read otherwise: dated by the broker, or of a transaction's end."""


class Record(msgspec.Struct, gc=False):
    """A record, with the names that kafka-python's fetcher reads."""

    size_in_bytes: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    checksum: ClassVar[None] = None

    def validate_crc(self) -> bool:
        """True: the batch has the checksum."""
        return True


class _Lenient(bytes):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Lenient(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


def _read(batch: Any, *arguments: Any) -> Any:
    record = _usual(batch)
    if record is not None:
        return record
    start = batch._pos  # noqa: SLF001
    try:
        return _READ(batch, *arguments)
    except UnicodeDecodeError:
        strict, batch._buffer, batch._pos = batch._buffer, _Lenient(batch._buffer), start  # noqa: SLF001
        try:
            return _READ(batch, *arguments)
        finally:
            batch._buffer = strict  # noqa: SLF001


def _usual(batch: Any) -> Record | None:
    """The next record; None, and nothing has moved, if anything in it is unusual."""
    head, buffer = batch._header_data, batch._buffer  # noqa: SLF001
    if head[5] & _UNUSUAL:
        return None
    if type(buffer) is bytearray:
        batch._buffer = buffer = bytes(buffer)  # noqa: SLF001  (once a batch: its slices are then not copied again)
    try:
        length, start = decode_varint(buffer, batch._pos)  # noqa: SLF001
        if buffer[start]:  # The attributes of a record: none is in use.
            return None
        since, pos = decode_varint(buffer, start + 1)
        rank, pos = decode_varint(buffer, pos)
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(count):
            size, pos = decode_varint(buffer, pos)
            if size < 0:
                return None
            name = buffer[pos : pos + size].decode()
            said, pos = _bytes(buffer, pos + size)
            headers.append((name, said))
    except (ValueError, IndexError):
        return None
    if count < 0 or pos - start != length or pos > len(buffer):
        return None
    batch._pos = pos  # noqa: SLF001
    return Record(length, head[0] + rank, head[7] + since, 0, key, value, headers)


def _bytes(buffer: bytes, pos: int) -> tuple[bytes | None, int]:
    size, pos = decode_varint(buffer, pos)
    if size < 0:
        return None, pos
    end = pos + size
    return buffer[pos:end], end


DefaultRecordBatch._read_msg = _read  # noqa: SLF001
