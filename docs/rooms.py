"""Draws the rooms of `ARCHITECTURE.md` from the imports of the code: `make architecture`."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "ARCHITECTURE.md"
BEGIN: Final = (
    "<!-- Drawn by docs/rooms.py (make architecture) from the imports; a test says whether it is current. -->\n"
)
END: Final = "<!-- drawing ends -->\n"

ROOMS: Final = (
    "domain",
    "engine",
    "kiosque",
    "guichet",
    "consumers",
    "projections",
    "publication",
    "preuve",
    "api",
    "service",
)


def imported(source: str) -> Iterator[str]:
    """Every module that a source imports, by its absolute name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case _:
                pass


def imports(root: Path) -> dict[str, set[str]]:
    """For each room, the other rooms that one of its modules imports."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room in ROOMS:
        for file in (root / room).rglob("*.py"):
            heads = {module.partition(".")[0] for module in imported(file.read_text("utf-8"))}
            found[room] |= heads & set(ROOMS) - {room}
    return found


def floors(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The rooms by floor, the lowest first: each stands above all that it imports. Raises ValueError on a circle."""
    heights: dict[str, int] = {}
    while len(heights) < len(graph):
        free = {room for room in graph if room not in heights and graph[room] <= heights.keys()}
        if not free:
            raise ValueError(f"a circle of imports among {sorted(graph.keys() - heights.keys())}")
        heights |= dict.fromkeys(free, 1 + max(heights.values(), default=0))
    return [[room for room in graph if heights[room] == floor] for floor in sorted(Counter(heights.values()))]


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows worth drawing: those that no longer way says already."""

    def below(room: str) -> set[str]:
        return graph[room].union(*(below(lower) for lower in graph[room]))

    return {
        room: {lower for lower in lowers if not any(lower in below(other) for other in lowers)}
        for room, lowers in graph.items()
    }


def drawing(graph: Mapping[str, set[str]]) -> str:
    """The rooms as a Mermaid diagram: an arrow means 'imports', also what is below the room it points at."""
    lines = ["```mermaid", "flowchart TD"]
    for floor in reversed(floors(graph)):
        lines += [f'    {room}["{room}/"]' for room in floor]
    for room, lowers in reversed(reduced(graph).items()):
        lines += [f"    {room} --> {lower}" for lower in sorted(lowers)]
    return "\n".join([*lines, "```", ""])


def drawn(page: str, graph: Mapping[str, set[str]]) -> str:
    """The page with its drawing made again. Raises ValueError if its marks are gone."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has lost the marks between which it is drawn")
    return f"{before}{begin}\n{drawing(graph)}\n{end}{after}"


def main() -> None:
    """Draw the page again."""
    PAGE.write_text(drawn(PAGE.read_text("utf-8"), imports(ROOT)), "utf-8")


if __name__ == "__main__":
    main()
