"""A line's message, checked by the same reader as the consumer's, and told in the same sentences."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from domain.delai import jour_de_paris
from domain.politique import Politique
from engine.messages import CAUSE_MAX, UnreadableMessage, require_bytes
from guichet.prendre_avis import exiger_des_jours_plausibles, lire_message_de_caisse
from service.imports.lines import Lines

POLICY: Final = Politique()
"""The bounds on dates where no setting moves them; an import has those of the service, as the consumer does."""


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


def checked(line: int, value: bytes, length: int, policy: Politique = POLICY) -> Checked | Refused:
    """Check a message; `length` is its whole size in bytes, where only its beginning was kept."""
    try:
        require_bytes(length)
        message = lire_message_de_caisse(value)
        exiger_des_jours_plausibles(message, policy, jour_de_paris(datetime.now(UTC)))
        return Checked(line, message.reference.encode(), value)
    except UnreadableMessage as cause:
        return refused(line, cause)


def jsonl(lines: Lines, policy: Politique = POLICY) -> Iterator[Checked | Refused]:
    """One JSON message a line; blank lines are none, and a file of nothing else is refused: something cut it."""
    empty = True
    for line in lines:
        if line.text and not line.text.isspace():
            empty = False
            yield checked(line.number, line.text, line.length, policy)
    if empty:
        yield nothing_in(lines)


def nothing_in(lines: Lines) -> Refused:
    """The refusal of a file that ended without a word."""
    cause = "le fichier n'a que des lignes vides" if lines.number > 1 else "le fichier est vide"
    return refused(max(lines.number, 1), cause)._replace(whole_file=True)
