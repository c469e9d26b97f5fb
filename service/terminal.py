"""What is printed is data: no markup in it, and control characters shown escaped, on a terminal as in JSON and CSV."""

import json
import re
from typing import Any, Final

from rich.console import Console
from rich.text import Text

# C0 but for the line feed, DEL, C1, line and paragraph separators, what turns the direction of text, lone surrogates.
CONTROLS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


def shown(text: str) -> str:
    """The text with its control characters escaped, ESC as `x1b` after a backslash."""
    return CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  one byte


def json_text(value: object) -> str:
    """JSON for a person and for a program: accents as they are, control characters as JSON escapes them."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def styled(text: str, style: str) -> Text:
    """Words of ours in a style; what they hold is data all the same."""
    return Text(shown(text), style)


class DataConsole(Console):
    """A console for which a string is never markup: `Text` alone bears a style."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text itself, its control characters escaped."""
        options |= {"markup": False, "emoji": False}
        return super().render_str(shown(text), **options)
