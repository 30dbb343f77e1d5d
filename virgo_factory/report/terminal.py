"""Tables on a terminal that cut no figure, however narrow it is; and what else several verbs print alike."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from virgo_factory.report.table import Cell, Table
from virgo_factory.report.text import visible


NAME_WIDTH = 30
"""Characters of a name in a line of a table that is short of room; the rest of a longer one stands below."""

WORDS_WIDTH = 24
"""Characters that a column of words gets at the least, but for very narrow terminals."""

GAP = 2


def console(piped: int = 120, **more: Any) -> Any:
    """Return a rich console as wide as the terminal or COLUMNS says; `piped` characters where neither does."""
    from rich.console import Console

    found = Console(highlight=False, **more)
    is_known = found.is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    return found if is_known else Console(highlight=False, width=piped, **more)


def print_tables(console: Any, *tables: Table) -> None:
    """Print tables, each behind an empty line."""
    for table in tables:
        for part in fitted(table, console.width):
            console.print()
            console.print(part)


def fitted(table: Table, width: int) -> Iterator[Any]:
    """Yield rich tables that fit a width, each with the names: one where it can be; no figure is ever cut.

    Columns in which no row has anything are left out.
    """
    from rich import box
    from rich.table import Table as RichTable

    lines, is_left = table.lines, table.is_left
    filled = [place for place in range(1, len(is_left)) if not lines or any(cells[place].value for _, cells in lines)]
    longest, *widths = (
        max(_width(table.columns[place]), *(_width(cells[place].value) for _, cells in lines), 1)
        for place in (0, *filled)
    )
    is_left = [is_left[place] for place in filled]
    words = min(WORDS_WIDTH, max(8, width // 3))
    least = [min(wide, words) if left else wide for wide, left in zip(widths, is_left, strict=True)]
    gaps = GAP * len(widths)
    name_width = _name_width(longest, width - gaps - sum(widths), width - gaps - sum(least), width)
    # Beside the widest figure, however long the name.
    name_width = max(1, min(name_width, width - GAP - max(least, default=0)))
    parts: list[list[int]] = [[]]
    room = width - name_width
    for place, needed in enumerate(least):
        if parts[-1] and needed + GAP > room:
            parts.append([])
            room = width - name_width

        room -= needed + GAP
        parts[-1].append(place)

    for part in parts:
        shown = RichTable(
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0), collapse_padding=True,
            show_header=any(table.columns),
        )  # fmt: skip
        shown.add_column(_text(Cell(table.columns[0])), overflow="fold", width=name_width)
        wide, free = {}, max(width - name_width - sum(least[place] + GAP for place in part), 0)
        for rank, place in enumerate(sorted(part, key=widths.__getitem__)):  # what one leaves, the others share
            wide[place] = min(widths[place], least[place] + free // (len(part) - rank))
            free -= wide[place] - least[place]

        for place in part:
            name, justify = _text(Cell(table.columns[filled[place]])), "left" if is_left[place] else "right"
            shown.add_column(name, justify=justify, overflow="fold", width=wide[place], min_width=wide[place])

        for style, cells in lines:
            shown.add_row(*(_text(cells[place]) for place in (0, *(filled[place] for place in part))), style=style)

        yield shown


def _name_width(longest: int, left: int, left_at_most: int, width: int) -> int:
    """Return the characters of the names: all if they can be, else more than words, which they then share the room with.

    >>> [_name_width(47, left, most, 80) for left, most in ((50, 60), (9, 40), (-5, 20), (-60, -40))]
    [47, 30, 20, 20]
    """
    if longest <= left_at_most:
        return longest

    if left_at_most >= NAME_WIDTH:
        return max(NAME_WIDTH, left)

    return left_at_most if left_at_most >= width // 4 else max(8, min(longest, width // 4))


def _width(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, visible(text).split("\n")))


def _text(cell: Cell) -> Any:
    from rich.text import Text

    return Text(visible(cell.value), cell.style)


def labelled(rows: Iterable[tuple[str | Cell, str]]) -> Any:
    """Return lines of a label and a text that goes on behind it, as a rich grid."""
    from rich.table import Table as RichTable

    grid = RichTable.grid(padding=(0, GAP))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(_text(label if isinstance(label, Cell) else Cell(label)), _text(Cell(text)))

    return grid


def counted(counts: Iterable[tuple[str, int]], indent: int = 2, width: int = 0) -> Iterator[str]:
    """Yield a line for each count, figures below each other.

    >>> list(counted([("no end of thought", 2), ("not drawn", 1057)]))
    ['      2  no end of thought', '  1,057  not drawn']
    """
    counts = list(counts)
    width = max([width, *(len(f"{count:,}") for _, count in counts)])
    for words, count in counts:
        yield f"{'':{indent}}{count:>{width},}  {visible(words)}"
