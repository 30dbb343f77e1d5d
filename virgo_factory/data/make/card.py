"""The card beside a written dataset: what it was made of, how, and what was left out, for people and for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory import __version__
from virgo_factory.data.rows.account import write_json
from virgo_factory.io.atomic import replace_file


SHOWN = 20
"""Rows left out that the Markdown card lists; the JSON card has more."""


@dataclass(frozen=True)
class Input:
    """A file that rows were taken from."""

    dataset: str
    file: str
    bytes: int
    sha256: str
    licence: str | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a written dataset.

    Attributes:
        verb: convert, mix or slice.
        command: the command line, as it can be entered again.
        inputs: the files rows were taken from.
        rows_in: rows read; one row may hold several examples.
        examples_in: examples and rejected rows that these gave = kept + all of `dropped`.
        dropped: reason -> how many, most frequent first.
        settings: what shaped the rows (seed, bounds, ...).
        media_dir: the folder that relative image paths start from; None without images.
        listed: the first rows left out, each with place, id, reason and detail.
        notes: sentences that a reader must know.
        output: name, rows, bytes and SHA-256 of the file.
        kept: rows of the output.
        by: what is counted (domain, source) -> value -> rows of the output.
        entry: name and entry of dataset_info.json that read the output.
    """

    verb: str
    command: str
    inputs: tuple[Input, ...]
    rows_in: int
    examples_in: int
    dropped: Mapping[str, int]
    settings: Mapping[str, Any]
    media_dir: str | None
    listed: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    output: Mapping[str, Any] = field(default_factory=dict)
    kept: int = 0
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    entry: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__


def card_files(path: Path) -> tuple[Path, Path]:
    """Return the paths of the Markdown and the JSON card of an output.

    >>> [str(file) for file in card_files(Path("data/mix.jsonl"))]
    ['data/mix.card.md', 'data/mix.card.json']
    """
    return path.with_suffix(".card.md"), path.with_suffix(".card.json")


def write_card(path: Path, card: Card) -> tuple[Path, Path]:
    """Write both cards of the output `path` and return their paths."""
    people, programs = card_files(path)
    write_json(programs, to_json(card))
    replace_file(people, markdown(card).encode("utf-8"))
    return people, programs


def to_json(card: Card) -> dict[str, Any]:
    """Return the card for programs."""
    return asdict(card)


def markdown(card: Card) -> str:
    """Return the card for people."""
    output = card.output
    lines = [
        f"# {output['file']}",
        "",
        f"{card.kept:,} long thoughts, made by `virgo-factory data {card.verb}` {card.version}.",
        *card.notes,
        "",
        "```bash",
        card.command,
        "```",
        "",
        "Entry for `dataset_info.json`:",
        "",
        "```json",
        entry_line(card.entry),
        "```",
    ]
    if card.media_dir:
        lines += ["", f"Relative image paths start from `{card.media_dir}` (`media_dir:` of a recipe)."]

    lines += ["", "## Inputs", "", "| dataset | file | bytes | SHA-256 | licence |", "|---|---|---|---|---|"]
    for item in card.inputs:
        cells = (item.dataset, item.file, f"{item.bytes:,}", f"`{item.sha256}`", item.licence or "not stated")
        lines.append(_row(cells))

    lines += ["", "## Rows", "", "| | |", "|---|---|", f"| rows read | {card.rows_in:,} |"]
    if card.examples_in != card.rows_in:
        lines.append(f"| examples in them | {card.examples_in:,} |")

    lines.append(f"| **kept** | **{card.kept:,}** |")
    lines += [_row((f"left out: {reason}", f"{count:,}")) for reason, count in card.dropped.items()]
    for name, counted in card.by.items():
        lines += ["", f"## By {name}", "", f"| {name} | rows | share |", "|---|---|---|"]
        lines += [_row((value, f"{count:,}", f"{count / card.kept:.1%}")) for value, count in counted.items()]

    if card.listed:
        lines += [
            "",
            f"## Left out, the first {min(SHOWN, len(card.listed))}",
            "",
            "| place | id | why |",
            "|---|---|---|",
        ]
        for row in card.listed[:SHOWN]:
            why = ": ".join(part for part in (row["reason"], row["detail"]) if part)
            lines.append(_row((row["place"], row["id"], why)))

    lines += ["", "## Settings", "", "| | |", "|---|---|"]
    lines += [_row((name, _words(value))) for name, value in card.settings.items() if value is not None]
    lines += [f"| SHA-256 of the output | `{output['sha256']}` |"]
    return "\n".join(lines) + "\n"


def entry_line(entry: Mapping[str, Any]) -> str:
    """Return the line(s) of dataset_info.json: `"name": {...}`."""
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items())


def _row(cells: tuple[str, ...]) -> str:
    """Return a row of a Markdown table; a value from a dataset cannot leave its cell."""
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
