"""A line's message, checked by the same reader as the consumer's, and told in the same sentences."""

from collections.abc import Iterator
from typing import NamedTuple

from engine.messages import CAUSE_MAX, UnreadableMessage, require_bytes
from guichet.prendre_avis import lire_message_de_caisse
from service.imports.lines import Lines


class Checked(NamedTuple):
    """A message that the consumer will be able to read."""

    line: int
    key: bytes
    value: bytes


class Refused(NamedTuple):
    """A line that does not go through, and why."""

    line: int
    cause: str
    whole_file: bool = False
    """Whether nothing after it can be read either."""


def refused(line: int, cause: object) -> Refused:
    """The refusal of a line; what the cause quotes of the file is bounded, and harmless to a terminal."""
    text = str(cause)[:CAUSE_MAX]
    return Refused(line, "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text))


def checked(line: int, value: bytes, length: int) -> Checked | Refused:
    """Check a message; `length` is its whole size in bytes, where only its beginning was kept."""
    try:
        require_bytes(length)
        return Checked(line, lire_message_de_caisse(value).reference.encode(), value)
    except UnreadableMessage as cause:
        return refused(line, cause)


def jsonl(lines: Lines) -> Iterator[Checked | Refused]:
    """One JSON message a line; blank lines are none."""
    for line in lines:
        if line.text and not line.text.isspace():
            yield checked(line.number, line.text, line.length)
