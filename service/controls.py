"""Control characters, as they are shown and written: escaped; and cells that no spreadsheet computes."""

import json
import re
from typing import Final

# C0 but for the line feed, DEL, C1, line and paragraph separators, what turns the direction of text or is not seen at
# all (Unicode's Default_Ignorable_Code_Point: two names that look alike must not be told apart by nothing), lone
# surrogates.
CONTROLS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_LAST_OF_16_BITS: Final = 0xFFFF

_SIGNS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
FORMULA: Final = re.compile(rf"\s*[{_SIGNS}]|[\t\r]")
"""How a cell begins that a spreadsheet would compute, whatever blank comes first and in full width too."""

_CUT: Final = re.compile(rf"(;\s*)(?=[{_SIGNS}])")
"""Where a spreadsheet set in French, which parts cells at semicolons, would begin another that it would compute."""


def shown(text: str) -> str:
    """The text with its control characters escaped, ESC as `x1b` after a backslash."""
    return CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > _LAST_OF_16_BITS:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  one byte


def json_text(value: object) -> str:
    """JSON for a person and for a program: accents as they are, control characters as JSON escapes them."""
    return escaped_json(json.dumps(value, ensure_ascii=False, indent=2))


def escaped_json(text: str) -> str:
    """JSON already written, its control characters as JSON escapes them (a pair for what has more than 16 bits)."""
    return CONTROLS.sub(lambda found: json.dumps(found[0])[1:-1], text)


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = _CUT.sub(r"\1'", text)
    return f"'{text}" if FORMULA.match(text) else text
