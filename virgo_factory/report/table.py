"""A table as a value: the same one is shown on a terminal, on a page and in a Markdown card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from virgo_factory.report.text import visible


class Cell(NamedTuple):
    """A cell of a colour: "red", "green", "yellow", "dim" or "bold"."""

    value: Any
    style: str = ""


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows of as many cells.

    Attributes:
        title: above the table; a terminal leaves it out.
        columns: the first is of names, further ones of figures; all of them "" for names and values without a heading.
        rows: cells as they are shown, or whole numbers, which get separators of thousands.
        words: positions of further columns that hold words: they stand at the left, and go on in the next line.
        styles: number of a row -> "bold" or "dim".
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    words: Sequence[int] = ()
    styles: Mapping[int, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[tuple[str, list[Cell]]]:
        """The rows as (style, cells of text)."""
        return [(self.styles.get(number, ""), [_cell(value) for value in row]) for number, row in enumerate(self.rows)]

    @property
    def is_left(self) -> list[bool]:
        """Of each column, whether it holds names or words."""
        return [place == 0 or place in self.words for place in range(len(self.columns))]


def _cell(value: Any) -> Cell:
    value, style = value if isinstance(value, Cell) else (value, "")
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return Cell(f"{value:,}" if is_count else "" if value is None else str(value), style)


def facts(pairs: Sequence[tuple[str, Any]], title: str = "") -> Table:
    """Return names and values as a table without a heading."""
    return Table(title, ("", ""), pairs, words=(1,))


def account(rows_in: int, kept: int, dropped: Mapping[str, int], more: Sequence[tuple[str, int]] = ()) -> Table:
    """Return the account of an output: rows in = kept + all of `dropped`.

    `more`: name -> count of what the rows gave, where one gave several; the last of them is what was kept or dropped.

    Raises:
        AssertionError: the numbers do not add up, which is a defect of this package.
    """
    if (more[-1][1] if more else rows_in) != kept + sum(dropped.values()):
        raise AssertionError(
            f"the account does not add up: {rows_in} rows in, {more}, {kept} kept, left out: {dropped}"
        )

    rows = [("rows read", rows_in), *more, ("kept", kept), *((f"left out: {why}", n) for why, n in dropped.items())]
    return Table("Rows", ("", "rows"), rows, styles={1 + len(more): "bold"})


def markdown(table: Table) -> list[str]:
    """Return the lines of a table in Markdown; a value of a dataset cannot leave its cell, nor become a link or a picture.

    >>> markdown(Table("", ("a", "n"), [("b|c\\n![x](y)", 1000)]))[2]
    '| b\\\\|c !\\\\[x](y) | 1,000 |'
    """
    lines = [_row([_clean(name) for name in table.columns])]
    lines.append(f"|{'|'.join('---' if left else '---:' for left in table.is_left)}|")
    for style, cells in table.lines:
        texts = [_clean(cell.value) for cell in cells]
        lines.append(_row([f"**{text}**" if text and style == "bold" else text for text in texts]))

    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _clean(text: str) -> str:
    return " ".join(visible(text).split()).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")
