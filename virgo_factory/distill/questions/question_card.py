"""What became of the questions of each source: the card beside questions.jsonl, for people and for programs."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory import __version__
from virgo_factory.data.make.writing import partial_of
from virgo_factory.distill.questions.draw import DUPLICATE, NOT_DRAWN, SAME_PICTURE
from virgo_factory.report.card import Card, card_files
from virgo_factory.report.table import Table
from virgo_factory.rollouts.question import FILE, VisualQuestion, is_binary


OVERLAP = "its question is a benchmark's"
PICTURE_OVERLAP = "its picture is a benchmark's"
OTHER_SPLIT = "not of the train split"
NO_GOLD = "no gold answer"
UNCHECKABLE = "the gold answer cannot be checked"
SAME_ID = "the id stands there twice"
QUIET = (NOT_DRAWN, SAME_PICTURE, OTHER_SPLIT, DUPLICATE)
"""Reasons that are nothing wrong with a row: rows left out for them are counted, not listed one by one."""

LISTED = 20  # rows left out that the card lists, of each source


@dataclass(frozen=True)
class SourceCount:
    """What became of one source: `rows_in` + `extra` = `kept` + all of `dropped`."""

    source: str
    wanted: int | None  # how many were asked for; None where all are taken
    rows_in: int
    extra: int  # questions beyond the first of rows that hold several
    kept: int
    dropped: Mapping[str, int]  # reason -> questions, most frequent first
    images: int  # different pictures of the kept questions
    binary: int  # kept questions that are answered with yes or no, or by one of two options
    # the first left out that something is wrong with: id, origin, reason, detail
    listed: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class QuestionsCard:
    """What questions.jsonl was made of."""

    settings: Mapping[str, Any]  # what decided about it
    sources: tuple[SourceCount, ...]  # of each source what became of it; of a ready-made file a single entry
    notes: tuple[str, ...] = ()  # sentences that a reader must know
    # rows, bytes and SHA-256 of the file, and its number of pictures
    output: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    @property
    def kept(self) -> int:
        """Questions in the file."""
        return sum(count.kept for count in self.sources)

    def lost(self) -> str:
        """Return how many questions are left out that might have been asked, and why; "" where none is."""
        lost = sum((Counter(count.dropped) for count in self.sources), Counter())
        told = [
            f"{count:,} {reason}" for reason, count in lost.most_common() if reason not in (NOT_DRAWN, OTHER_SPLIT)
        ]
        card = card_files(Path(FILE))[0]
        return f"{FILE}: {self.kept:,} kept; left out {', '.join(told)}; see {card}" if told else ""

    def card(self) -> Card:
        """Return the card for people."""
        columns = ("source", "asked for", "rows read", "questions in them", "kept", "pictures", "yes/no or one of two")
        rows = [
            (
                *(count.source, "all" if count.wanted is None else count.wanted, count.rows_in),
                *(count.rows_in + count.extra, count.kept, count.images),
                f"{count.binary / count.kept:.0%}" if count.kept else "-",
            )
            for count in self.sources
        ]
        tables = [Table("By source", columns, rows)]
        for count in self.sources:
            if count.dropped:
                tables.append(
                    Table(
                        f"{count.source}: left out",
                        (f"left out of {count.source}", "questions"),
                        list(count.dropped.items()),
                    )
                )

            if count.listed:
                title = f"{count.source}: the first {len(count.listed)} that something is wrong with"
                rows = [
                    (row["origin"], ": ".join(filter(None, (row["reason"], row["detail"])))) for row in count.listed
                ]
                tables.append(Table(title, (f"row of {count.source}", "why"), rows, words=(1,)))

        made = f"made by `virgo-factory distill questions` {self.version}"
        lead = f"{self.kept:,} questions on {self.output['images']:,} pictures, {made}."
        return Card(FILE, lead, tables, self.settings, self.output.get("sha256", ""), self.notes)


class Account:
    """What becomes of a source's questions, while it is read."""

    def __init__(self) -> None:
        self.rows_in = self.extra = 0
        self.dropped: Counter[str] = Counter()
        self.listed: list[dict[str, str]] = []

    def drop(self, id: str, origin: str, reason: str, detail: str = "") -> None:
        self.dropped[reason] += 1
        if reason not in QUIET and len(self.listed) < LISTED:
            self.listed.append({"id": id, "origin": origin, "reason": reason, "detail": detail[:300]})

    def settled(self, source: str, wanted: int | None, kept: "Kept") -> SourceCount:
        """Return the count of the source; AssertionError where it does not add up, which is a defect of this package."""
        reasons = {reason: count for reason, count in self.dropped.most_common() if count}
        count = SourceCount(
            *(source, wanted, self.rows_in, self.extra, kept.rows, reasons),
            *(len(kept.images), kept.binary, tuple(self.listed)),
        )
        if count.rows_in + count.extra != count.kept + sum(count.dropped.values()):
            raise AssertionError(f"the account of {source} does not add up: {count}")

        return count


@dataclass
class Kept:
    """What is counted of the questions that are written."""

    rows: int = 0
    binary: int = 0
    images: set[str] = field(default_factory=set)

    def add(self, question: VisualQuestion) -> None:
        self.rows += 1
        self.binary += is_binary(question)
        self.images.update(question.images)


def write_cards(path: Path, card: QuestionsCard) -> None:
    """Write both cards of the file `path` under `partial_of` their names: publish them with the file."""
    people, programs = card_files(path)
    partial_of(people).write_text(card.card().markdown(), encoding="utf-8")
    partial_of(programs).write_text(json.dumps(asdict(card), ensure_ascii=False, indent=1), encoding="utf-8")


def read_card(path: Path) -> QuestionsCard | None:
    """Return the card of the file `path`; None where it has none."""
    _, programs = card_files(path)
    if not programs.is_file():
        return None

    content = json.loads(programs.read_text(encoding="utf-8"))
    return QuestionsCard(
        **{**content, "sources": tuple(map(count_of, content["sources"])), "notes": tuple(content["notes"])}
    )


def count_of(told: Mapping[str, Any]) -> SourceCount:
    """Return the count that a program's card tells."""
    return SourceCount(**{**told, "listed": tuple(told["listed"])})
