"""The card beside a written dataset: what it was made of, how, and what was left out, for people and for programs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from virgo_factory import __version__
from virgo_factory.report.card import Card
from virgo_factory.report.table import Table, account


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
class DatasetCard:
    """What is known of a written dataset, as its JSON card tells it."""

    verb: str  # convert, mix or slice
    command: str  # the command line, as it can be entered again
    inputs: tuple[Input, ...]  # the files rows were taken from
    rows_in: int  # rows read; one row may hold several examples
    examples_in: int  # examples and rejected rows that these gave = kept + all of `dropped`
    dropped: Mapping[str, int]  # reason -> how many, most frequent first
    settings: Mapping[str, Any]  # what shaped the rows (seed, bounds, ...)
    media_dir: str | None  # the folder that relative image paths start from; None without images
    listed: tuple[Mapping[str, Any], ...] = ()  # the first rows left out, each with place, id, reason and detail
    notes: tuple[str, ...] = ()  # sentences that a reader must know
    output: Mapping[str, Any] = field(default_factory=dict)  # name, rows, bytes and SHA-256 of the file
    kept: int = 0  # rows of the output
    # what is counted (domain, source) -> value -> rows of the output
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    entry: Mapping[str, Any] = field(default_factory=dict)  # name and entry of dataset_info.json that read the output
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def card(self) -> Card:
        inputs = [
            (item.dataset, item.file, item.bytes, f"`{item.sha256}`", item.licence or "not stated")
            for item in self.inputs
        ]
        more = [("examples in them", self.examples_in)] * (self.examples_in != self.rows_in)
        columns = ("dataset", "file", "bytes", "SHA-256", "licence")
        tables = [Table("Inputs", columns, inputs, words=(1, 3, 4))] if inputs else []
        tables.append(account(self.rows_in, self.kept, self.dropped, more))
        for name, counted in self.by.items():
            rows = [(value, count, f"{count / self.kept:.1%}") for value, count in counted.items()]
            tables.append(Table(f"By {name}", (name, "rows", "share"), rows))

        if listed := self.listed[:SHOWN]:
            rows = [
                (row["place"], row["id"], ": ".join(filter(None, (row["reason"], row["detail"])))) for row in listed
            ]
            tables.append(Table(f"Left out, the first {len(listed)}", ("place", "id", "why"), rows, words=(1, 2)))

        return Card(
            name=self.output["file"],
            lead=f"{self.kept:,} long thoughts, made by `virgo-factory data {self.verb}` {self.version}.",
            tables=tables,
            settings=self.settings,
            sha256=self.output["sha256"],
            notes=self.notes,
            command=self.command,
            entry=self.entry,
            use=f"Relative image paths start from `{self.media_dir}` (`media_dir:` of a recipe)."
            if self.media_dir
            else "",
        )
