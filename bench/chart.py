"""The chart of `docs/performance.svg`: panels of horizontal bars, each with its unit and the aims as marks."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 860
LABEL_WIDTH: Final = 250
BAR_WIDTH: Final = 470
BAR_HEIGHT: Final = 16
ROW: Final = 24
MARGIN: Final = 20
COLOURS: Final = {"ours": "#1a5fb4", "library": "#a51d2d", "ceiling": "#5e5c64", "other": "#26734d"}
"""Each reads at 4.5 to 1 or better on white."""


class Mark(NamedTuple):
    """An aim on a bar: where, and what is aimed at."""

    value: float
    text: str


class Bar(NamedTuple):
    """One figure: `kind` gives its colour."""

    label: str
    value: float
    kind: str
    mark: Mark | None = None


class Panel(NamedTuple):
    """Bars that share a unit and a scale."""

    title: str
    unit: str
    bars: Sequence[Bar]


def number(value: float) -> str:
    """A figure with as many digits as it deserves: 12 300, 87, 4.2."""
    if value >= 1000:  # noqa: PLR2004
        return f"{round(value, -2):,.0f}".replace(",", "\N{NO-BREAK SPACE}")
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004


def draw(title: str, description: str, panels: Sequence[Panel]) -> str:
    """The SVG document."""
    body: list[str] = []
    top = MARGIN
    for panel in panels:
        body += _panel(panel, top)
        top += ROW * (len(panel.bars) + 1) + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-labelledby="t d" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    titles = [f'<title id="t">{escape(title)}</title>', f'<desc id="d">{escape(description)}</desc>']
    background = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    return "\n".join([head, *titles, background, *body, "</svg>", ""])


def _panel(panel: Panel, top: int) -> Iterator[str]:
    highest = max([bar.value for bar in panel.bars] + [bar.mark.value for bar in panel.bars if bar.mark])
    yield f'<text x="{MARGIN}" y="{top + 14}" font-weight="600">{escape(panel.title)} ({escape(panel.unit)})</text>'
    for row, bar in enumerate(panel.bars, start=1):
        y = top + row * ROW
        length = max(1.0, BAR_WIDTH * bar.value / highest)
        yield f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>'
        yield (
            f'<rect x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" fill="{COLOURS[bar.kind]}"/>'
        )
        end = LABEL_WIDTH + length
        if bar.mark:
            x = LABEL_WIDTH + BAR_WIDTH * bar.mark.value / highest
            end = max(end, x)
            yield (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3}" y2="{y + BAR_HEIGHT + 3}" stroke="#000000" '
                'stroke-width="2" stroke-dasharray="3 2"/>'
            )
        aim = f" · aim {bar.mark.text}" if bar.mark else ""
        yield f'<text x="{end + 6:.1f}" y="{y + 13}">{number(bar.value)}{escape(aim)}</text>'
