"""The card beside an output: what it was made of, how, and what was left out, for people and for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.io.atomic import replace_file, write_json
from virgo_factory.report.table import Table, facts, markdown


@dataclass(frozen=True)
class Card:
    """What people read of an output.

    Attributes:
        lead: what it is and what made it, a sentence or two.
        tables: accounts, counts, files; each below its title.
        settings: what shaped the output; None, [] and {} were not set and are left out.
        notes: sentences that a reader must know.
        entry: name and entry of dataset_info.json that read the output.
    """

    name: str
    lead: str
    tables: Sequence[Table]
    settings: Mapping[str, Any]
    sha256: str
    notes: Sequence[str] = ()
    command: str = ""
    entry: Mapping[str, Any] = field(default_factory=dict)
    use: str = ""

    def markdown(self) -> str:
        """Return the card's text."""
        blocks = [f"# {self.name}", self.lead, "\n".join(f"- {note}" for note in self.notes)]
        if self.command:
            blocks.append(f"```bash\n{self.command}\n```")

        if self.entry:
            blocks.append(f"Entry for `dataset_info.json`:\n\n```json\n{entry_line(self.entry)}\n```")

        blocks.append(self.use)
        settings = [(name, _words(value)) for name, value in self.settings.items() if value not in (None, [], {}, ())]
        for table in (*self.tables, facts([*settings, ("SHA-256 of the output", f"`{self.sha256}`")], "Settings")):
            blocks += [f"## {table.title}" if table.title else "", "\n".join(markdown(table))]

        return "\n\n".join(filter(None, blocks)) + "\n"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def card_files(path: Path) -> tuple[Path, Path]:
    """Return the paths of the Markdown and the JSON card of an output.

    >>> [str(file) for file in card_files(Path("data/mix.jsonl"))]
    ['data/mix.card.md', 'data/mix.card.json']
    """
    return path.with_suffix(".card.md"), path.with_suffix(".card.json")


def write_card(path: Path, card: Card, content: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write the card of the output `path` for people, and `content` for programs; return their paths."""
    people, programs = card_files(path)
    write_json(programs, content)
    replace_file(people, card.markdown().encode("utf-8"))
    return people, programs


def entry_line(entry: Mapping[str, Any]) -> str:
    """Return the line(s) of dataset_info.json: `"name": {...}`."""
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items())
