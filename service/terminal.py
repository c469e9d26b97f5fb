"""What is printed is data: no markup in it, and control characters shown escaped, on a terminal as in JSON and CSV."""

from typing import Any

from rich.console import Console
from rich.text import Text

from service.controls import shown


def styled(text: str, style: str) -> Text:
    """Words of ours in a style; what they hold is data all the same."""
    return Text(shown(text), style)


class DataConsole(Console):
    """A console for which a string is never markup: `Text` alone bears a style."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text itself, its control characters escaped."""
        options |= {"markup": False, "emoji": False}
        return super().render_str(shown(text), **options)
