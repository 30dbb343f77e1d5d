"""A table is the same on a terminal and in Markdown: nothing is cut, and no value of a dataset leaves its cell."""

import io

import pytest
from rich.console import Console

from virgo_factory.report.table import Cell, Table, account, facts, markdown
from virgo_factory.report.terminal import console, labelled, print_tables


LONG = "a_name_of_forty_letters_that_goes_on_xyz"
PRICE = "31 GB of the node's memory a GPU, and a slower optimiser step"
TABLE = Table(
    "",
    ("change", "a GPU", "tokens", "fits", "price"),
    [(LONG, "193.0 GB", 123_456_789, Cell("no", "red"), PRICE), ("[red]x[/]", "4.4 GB", None, "yes", "")],
    words=(3, 4),
    styles={1: "bold"},
)


def printed(table: Table, width: int, colours: bool = False) -> str:
    """Return what a console of a width prints."""
    file = io.StringIO()
    print_tables(Console(file=file, width=width, force_terminal=colours, highlight=False), table)
    return file.getvalue()


@pytest.mark.parametrize("width", [26, 40, 60, 80, 120, 200])
def test_no_figure_is_cut_at_any_width(width):
    text = printed(TABLE, width)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("193.0 GB", "4.4 GB", "123,456,789", "[red]x[/]" if width >= 40 else "[red]"):
        assert figure in text, figure

    letters = [character for character in LONG + PRICE if character != " "]
    assert set(letters) <= set(text) and "…" not in text


def test_a_wide_table_is_parted_and_each_part_has_the_names():
    table = Table("", ("", *(f"column {n}" for n in range(20))), [("first", *(10**6 + n for n in range(20)))])
    text = printed(table, 80)
    assert text.count("first") > 1
    assert all(f"{10**6 + n:,}" in text and f"column {n}" in text for n in range(20))


def test_a_column_in_which_no_row_has_anything_is_left_out():
    table = Table("", ("", "rows", "paper", "why"), [("a", 0, None, "x"), ("b", None, "", "y")], (3,))
    assert [line.split() for line in printed(table, 80).split("\n")[1:5:2]] == [["rows", "why"], ["a", "0", "x"]]


def test_columns_stand_below_each_other():
    first, _, second, third = printed(
        Table("", ("", "rows", "why"), [("a", 1234, "x"), ("b", 5, "y")], (2,)), 80
    ).split("\n")[1:5]
    assert first.split() == ["rows", "why"] and second == "a  1,234  x  " and third == "b      5  y  "


def test_wide_letters_and_control_characters():
    text = printed(Table("", ("", "n"), [("中文中文", 1), ("\x1b[31mred", 2)]), 80, colours=True)
    assert "\\x1b[31mred" in text and "\x1b[31m" not in text
    assert "中文中文    1" in text or "中文中文   " in text


def test_the_width_is_the_terminals_or_columns_or_given(monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert console(120).width == 77
    monkeypatch.delenv("COLUMNS")
    assert console(120).width == 120


def test_labels_with_text_that_goes_on_behind_them():
    file = io.StringIO()
    Console(file=file, width=30).print(labelled([("takes", "word " * 9), (Cell("fits", "green"), "[b]x")]))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[0].startswith("takes  word") and lines[1].startswith("       word") and lines[-1] == "fits   [b]x"


def test_markdown():
    table = Table(
        "T", ("name", "n", "why"), [("a|b\n# c", 1000, "<img src=x>"), ("![x](y)", None, "\x1b")], (2,), {0: "bold"}
    )
    assert markdown(table) == [
        "| name | n | why |",
        "|---|---:|---|",
        "| **a\\|b # c** | **1,000** | **&lt;img src=x>** |",
        "| !\\[x](y) |  | \\x1b |",
    ]


def test_an_account_adds_up():
    table = account(5, 4, {"x": 1, "y": 1}, [("examples in them", 6)])
    assert markdown(table)[2:] == [
        *("| rows read | 5 |", "| examples in them | 6 |", "| **kept** | **4** |"),
        *("| left out: x | 1 |", "| left out: y | 1 |"),
    ]
    for wrong in ((5, 4, {}, ()), (5, 4, {"x": 1}, [("examples in them", 6)])):
        with pytest.raises(AssertionError, match="does not add up"):
            account(*wrong)


def test_facts_have_no_heading():
    assert printed(facts([("rows", 1000), ("model", "x")]), 80).split() == ["rows", "1,000", "model", "x"]
