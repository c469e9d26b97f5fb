"""What a producer, or a disk, may put in a batch: none of it stops the reading of the other partitions.

Importing this module changes how kafka-python reads records, in four ways and no other.

- A header whose name is not UTF-8 is a message like any other: Kafka keeps names as bytes, and producers that are not
  written in Java put there what they like. Such a name is read with replacement characters.
- A batch that cannot be read (bytes that are no record, a codec's garbage, a checksum that does not fit) says which
  partition it stands in and where: kafka-python raises whatever its codec raises, without a place.
- A batch that would swell beyond `BATCH_BYTES_MAX` is not decompressed, nor one read whose headers take more than
  `HEADERS_BYTES_MAX`: a mebibyte of zeros under zstd is gigabytes, six kilobytes can be thirty million headers, and the
  process would be killed, or dropped by its group, at each start.
- A record as nearly all are is read in two thirds of the time, its values as attributes, not properties. Whatever is
  unusual in it, a fault first of all, is left to kafka-python, which then says it in its words.
"""

import gzip
import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar, Final

import msgspec
import zstandard
from kafka import TopicPartition, codec
from kafka.consumer.fetcher import Fetcher
from kafka.errors import KafkaError
from kafka.record import default_records, legacy_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

BATCH_BYTES_MAX: Final = 64 * 1024 * 1024
"""What a batch may hold once decompressed (bytes): a topic of ours takes a mebibyte of it compressed."""

HEADERS_BYTES_MAX: Final = 1024 * 1024
"""What the headers of a batch may take (bytes); a batch that is not longer than this is not looked into."""

_READ: Final[Any] = DefaultRecordBatch._read_msg  # noqa: SLF001 (kafka-python does not offer it otherwise)
_UNPACK: Final[Any] = Fetcher.PartitionRecords._unpack_records  # noqa: SLF001


_BY_BROKER: Final = DefaultRecordBatch.TIMESTAMP_TYPE_MASK
"""The attribute of a batch whose records all bear the broker's time, as on the topics that come in."""


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


class UnreadableBatch(KafkaError):  # type: ignore[misc]
    """A batch of a partition cannot be read; what follows it may be."""

    def __init__(self, where: TopicPartition, position: int, after: int | None, cause: BaseException) -> None:
        """`position`: the first message that cannot be read; `after`: the first that follows its batch, if known."""
        then = "" if after is None else f" ; ce qui suit ce lot commence à {after}"
        super().__init__(f"{where.topic}/{where.partition} ne se lit pas à la position {position} : {cause!r}{then}")
        self.where = where
        self.position = position
        self.beyond = position + 1 if after is None else after
        """Where who may skip it goes on: after the batch, or the next position to try if its end is not known."""


class _TooLarge(ValueError):
    """A batch would swell beyond what is read."""


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
    if head[5] & DefaultRecordBatch.CONTROL_MASK:  # A transaction's end.
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
    by_broker = 1 if head[5] & _BY_BROKER else 0
    return Record(length, head[0] + rank, head[8] if by_broker else head[7] + since, by_broker, key, value, headers)


def _bytes(buffer: bytes, pos: int) -> tuple[bytes | None, int]:
    size, pos = decode_varint(buffer, pos)
    if size < 0:
        return None, pos
    end = pos + size
    return buffer[pos:end], end


class _Batches:
    """The batches of a reading, and the last one given."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None

    def next_batch(self) -> Any:
        self.last = batch = self._records.next_batch()
        if batch is not None and batch.magic == 2 and batch.last_offset < batch.base_offset:  # noqa: PLR2004 (format 2)
            raise ValueError("un lot qui finit avant de commencer")  # Read again without end, otherwise.
        return batch


def _unpack(partition: Any, where: TopicPartition, records: Any, *deserializers: Any) -> Iterator[Any]:
    batches = _Batches(records)
    try:
        yield from _UNPACK(partition, where, batches, *deserializers)
    except Exception as cause:
        position = partition.next_fetch_offset
        after = getattr(batches.last, "next_offset", None)
        partition.drain()  # Else the next poll asks what is dead for more, without end.
        raise UnreadableBatch(where, position, after if after and after > position else None, cause) from cause


def _iterate(batch: Any) -> Any:
    batch._maybe_uncompress()  # noqa: SLF001
    if len(batch._buffer) - batch._pos > HEADERS_BYTES_MAX:  # noqa: SLF001
        _require_few_headers(batch._buffer, batch._pos, batch.records_count)  # noqa: SLF001
    return batch


def _require_few_headers(buffer: bytearray, position: int, records: int) -> None:
    """Raise _TooLarge for a batch that is mostly headers; one that is no batch is left to who reads it."""
    beside = 0
    with suppress(IndexError, ValueError):
        for _ in range(records):
            length, position = decode_varint(buffer, position)
            end = position + length
            if length < 0 or end > len(buffer):
                return
            for _ in ("attributes", "timestamp", "offset"):
                _, position = decode_varint(buffer, position)
            for _ in ("key", "value"):
                length, position = decode_varint(buffer, position)
                position += max(length, 0)
            beside += end - position
            if beside > HEADERS_BYTES_MAX:
                break
            position = end
    if beside > HEADERS_BYTES_MAX:
        raise _TooLarge(f"un lot dont les en-têtes prennent plus de {HEADERS_BYTES_MAX} octets")


def _bounded(read: bytes) -> bytes:
    if len(read) > BATCH_BYTES_MAX:
        raise _TooLarge(f"un lot de plus de {BATCH_BYTES_MAX} octets une fois décompressé")
    return read


def _gzip(payload: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as opened:
        return _bounded(opened.read(BATCH_BYTES_MAX + 1))


def _zstd(payload: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload), read_across_frames=True) as opened:
        return _bounded(opened.read(BATCH_BYTES_MAX + 1))


def _lz4(payload: bytes) -> bytes:
    with codec.lz4.open(io.BytesIO(payload)) as opened:
        return _bounded(opened.read(BATCH_BYTES_MAX + 1))


DefaultRecordBatch._read_msg = _read  # noqa: SLF001
DefaultRecordBatch.__iter__ = _iterate
Fetcher.PartitionRecords._unpack_records = _unpack  # noqa: SLF001
# Snappy needs no bound: it swells at most some twenty times.
for _format in default_records, legacy_records:
    vars(_format).update(gzip_decode=_gzip, zstd_decode=_zstd, lz4_decode=_lz4)
