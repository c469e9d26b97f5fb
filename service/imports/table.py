"""CSV: the columns bear the contract's names, amounts are whole centimes, an empty cell is an absent field.

`;`, a tab or `,` separates, whichever Excel's line `sep=` or the header uses; capitals in the header do not matter.
Between quotes a text may hold line ends; a record is named by the line that it starts at. A quote that is never closed,
or closed further down by another mistake, costs its own line only: reading resumes at the next one.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from domain.politique import Politique
from engine.messages import OCTETS_MAX, UnreadableMessage
from guichet.prendre_avis import (
    MessageAvisAnnule,
    MessageAvisEmis,
    MessageAvisRectifie,
    MessageEncaissementRecu,
    lire_message_de_caisse,
)
from service.imports.lines import Line, Lines
from service.imports.messages import POLICY, Checked, Refused, checked, nothing_in, refused

COLUMNS: Final = list(
    dict.fromkeys(
        name
        for message in (MessageAvisEmis, MessageAvisRectifie, MessageAvisAnnule, MessageEncaissementRecu)
        for name in message.model_fields
    )
)
"""All fields of the contract."""

REQUIRED: Final = {name for name, field in MessageAvisEmis.model_fields.items() if field.is_required()} - {"type"}
"""The columns without which no line can be an avis."""

AMOUNT: Final = re.compile(r"[0-9]{1,18}")
UNCLOSED: Final = "guillemets mal placés, ou jamais refermés"
LONE_CR: Final = "les lignes finissent par un retour chariot seul (ancien Macintosh) : enregistrez en CSV (LF ou CRLF)"

SEPARATOR_LINE: Final = re.compile(rb' *"?sep *= *([^ "])"? *\1* *', re.IGNORECASE)
"""What Excel writes before the header, to tell the separator; a spreadsheet that saves it again adds empty cells."""

SEPARATORS: Final = {";": "« ; »", "\t": "une tabulation", ",": "« , »"}
"""What separates, and how it is told."""
KNOWN: Final = f"séparateurs connus : {', '.join(SEPARATORS.values())}"

BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
AS_UTF_8: Final = "enregistrez-le en « CSV UTF-8 »"
BINARY: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"%PDF")
"""How a workbook (.xlsx, .ods; the old .xls), a gzip and a PDF begin, whatever their name."""
NOT_CSV: Final = "un classeur ou une archive, pas du CSV : enregistrez la feuille en « CSV UTF-8 »"
WIDE: Final = "des octets nuls : le fichier est en UTF-16 ; enregistrez-le en CSV UTF-8"


class Unreadable(Exception):
    """The text is no CSV record."""


def table(lines: Lines, policy: Politique = POLICY) -> Iterator[Checked | Refused]:
    """One message a record; a header that cannot be used is refused, and then nothing is read."""
    header = _header(lines)
    told = SEPARATOR_LINE.fullmatch(header.text) if header is not None else None
    if told is not None:
        header = _header(lines)
    if header is None:
        yield nothing_in(lines) if told is None else refused(lines.number, "l'en-tête manque : rien ne suit « sep= »")
        return
    separator = told[1].decode("latin-1") if told else next((s for s in ";\t" if s.encode() in header.text), ",")
    try:
        if separator not in SEPARATORS:
            raise Unreadable(f"« sep={separator} » ({KNOWN})")  # noqa: TRY301  told as the others
        columns = [name.strip().lower() for name in _without_tail(_cells(_heading(header.text), separator))]
        _check_columns(columns, separator)
    except (Unreadable, UnreadableMessage) as cause:
        yield refused(header.number, cause)._replace(whole_file=True)
        return
    for line in lines:
        record = _record(line, lines, columns, separator)
        if isinstance(record, Refused):
            yield record
        elif record:
            value = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
            yield checked(line.number, value, max(line.length, len(value)), policy)


def _header(lines: Lines) -> Line | None:
    return next((line for line in lines if line.text and not line.text.isspace()), None)


def _without_tail(cells: list[str], wanted: int = 0) -> list[str]:
    """The cells without the empty ones that a spreadsheet adds at the end, down to the columns wanted."""
    while len(cells) > wanted and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _record(line: Line, lines: Lines, columns: Sequence[str], separator: str) -> dict[str, object] | Refused:
    """The record that starts at this line, empty for a blank one; takes the further lines that belong to it."""
    if line.length > OCTETS_MAX:
        return _too_long(line)
    more = _rest_of_record(line, lines) if _open(line.text, separator) else []
    try:
        cells = _cells(_text(b"\n".join([line.text, *(each.text for each in more)])), separator)
        if not any(cell.strip() for cell in cells):
            return {}
        cells = _without_tail(cells, len(columns))
        _check_cells(cells, columns, separator)
    except (Unreadable, UnreadableMessage) as cause:
        lines.give_back(more)
        return refused(line.number, UNCLOSED if more else cause)
    return {name: _value(name, cell) for name, cell in zip(columns, cells, strict=True) if cell}


def _open(text: bytes, separator: str) -> bool:
    """Whether the line ends within quotes; a lone quote inside an unquoted cell opens nothing."""
    if text.count(b'"') % 2 == 0:
        return False
    try:
        _cells(text.decode(errors="replace"), separator)
    except Unreadable:
        return True
    return False


def _rest_of_record(line: Line, lines: Lines) -> list[Line]:
    """The lines up to the one that closes the quotes; all that fit a message if none does."""
    more: list[Line] = []
    quotes, length = line.text.count(b'"'), line.length
    while quotes % 2 and length <= OCTETS_MAX and (following := next(lines, None)) is not None:
        more.append(following)
        quotes += following.text.count(b'"')
        length += following.length
    return more


def _check_cells(cells: Sequence[str], columns: Sequence[str], separator: str) -> None:
    """Refuse a record that is not one cell a column, or a cell that has swallowed whole lines."""
    if len(cells) != len(columns):
        raise Unreadable(f"{len(cells)} colonne{'s' if len(cells) > 1 else ''}, l'en-tête en a {len(columns)}")
    if any("\n" in cell and cell.count(separator) >= len(columns) - 1 for cell in cells):
        raise Unreadable(UNCLOSED)


def _heading(octets: bytes) -> str:
    """The header's text, without the byte order marks that programs put before each other's."""
    if octets.startswith(BINARY):
        raise Unreadable(NOT_CSV)
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in octets:
        raise Unreadable(WIDE)
    return _text(octets).lstrip(BOM)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        try:
            lire_message_de_caisse(octets)  # It tells it in its own words.
        except UnreadableMessage as cause:
            raise Unreadable(f"{cause} : {AS_UTF_8}") from cause
        raise


def _cells(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as cause:
        raise Unreadable(LONE_CR if "\r" in text else UNCLOSED) from cause


def _check_columns(columns: Sequence[str], separator: str) -> None:
    """Refuse, with a sentence, a header that does not tell what each column holds."""
    if not set(columns) & set(COLUMNS):
        if all(any(name in cell for cell in columns) for name in REQUIRED):
            raise Unreadable(f"les colonnes ne se séparent pas par {SEPARATORS[separator]} ({KNOWN})")
        raise Unreadable(f"l'en-tête manque : la première ligne nomme les colonnes ({', '.join(COLUMNS)})")
    for number, name in enumerate(columns, 1):
        if not name:
            raise Unreadable(f"colonne {number} sans nom (connues : {', '.join(COLUMNS)})")
        if name not in COLUMNS:
            raise Unreadable(f"colonne {number} inconnue : « {name} » (connues : {', '.join(COLUMNS)})")
        if name in columns[: number - 1]:
            raise Unreadable(f"colonne « {name} » donnée deux fois")
    wanted = {"reference"} if "type" in columns else REQUIRED
    if missing := [name for name in COLUMNS if name in wanted and name not in columns]:
        raise Unreadable(f"colonne absente : {', '.join(missing)}")


def _value(name: str, cell: str) -> object:
    """A cell as the contract types it; what is no whole number is left for the reader to refuse."""
    return int(cell) if name.endswith("_centimes") and AMOUNT.fullmatch(cell) else cell


def _too_long(line: Line) -> Refused:
    outcome = checked(line.number, b"", line.length)
    assert isinstance(outcome, Refused)  # noqa: S101  its length alone refuses it
    return outcome
