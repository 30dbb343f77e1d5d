"""A text as a value: one spelling for many, then a number, formula, unit, moment or several of them."""

from pathlib import Path


def table(name: str) -> list[list[str]]:
    """Return the rows of a table beside this file, without those that begin with #; cells are apart by tabs."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and line[0] != "#"]
