"""The check of whole datasets: what is wrong with each row, what shows only across rows, and what will be trained on.

Memory: about 55 bytes a row and the length of its id (digests and places, in arrays), 133 MB for a million rows with what
sorting takes, and 20 findings of a kind; with `near` 250 bytes a row more, with a benchmark 12 bytes for each of its 8-grams.
"""

import contextlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any, TextIO

import numpy as np

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.core.policy import cut_note
from virgo_factory.core.reasons import Reason
from virgo_factory.data.check.duplicates import HASHES, near_duplicates, repeated
from virgo_factory.data.check.near_duplicates import read_texts
from virgo_factory.data.check.overlap import Overlaps, Question
from virgo_factory.data.read.media import outside_remedy
from virgo_factory.data.read.source import Settings, Source
from virgo_factory.data.rows.account import DatasetAccount
from virgo_factory.data.rows.findings import Findings, Kind, RowFinding
from virgo_factory.data.rows.row_positions import Places
from virgo_factory.data.rows.stream import MixedFormats, RowRecord, measure
from virgo_factory.data.rows.worker import digest
from virgo_factory.formats import kind_of
from virgo_factory.io.atomic import new_file


_DERIVED_ID = re.compile(r"[0-9a-f]{12}(-\d+)?")
"""An id that a format made of the question, for a row without one (formats/row.py): the same question, perhaps of another picture."""


@dataclass
class Tokens:
    """Tokens of the rows that will be trained on; `longest` is the longest row."""

    prompt: int = 0
    response: int = 0
    image: int = 0
    total: int = 0
    longest: int = 0


@dataclass(frozen=True)
class Report:
    """What a check found."""

    accounts: list[DatasetAccount]  # of each dataset, rows in, kept and dropped by reason
    kinds: list[Kind]  # of findings, most important first
    tokens: Tokens | None  # of the kept rows; None where nothing counted them
    notes: list[str]  # what was not looked at, and why

    def count(self, severity: str) -> int:
        return sum(kind.count for kind in self.kinds if kind.severity == severity)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints; keys are only ever added."""
        datasets = [
            {
                "name": account.name,
                "role": account.role,
                "format": account.format or None,
                "rows": account.rows_in,
                "examples": account.rows_in + account.extra,
                "kept": account.kept,
                "dropped": account.reasons,
                "notes": account.notes,
            }
            for account in self.accounts
        ]
        kinds = [{name: value for name, value in asdict(kind).items() if name != "shown"} for kind in self.kinds]
        return {
            "virgo_factory": __version__,
            "summary": {
                **{name: sum(entry[name] for entry in datasets) for name in ("rows", "examples", "kept")},
                "errors": self.count("error"),
                "warnings": self.count("warning"),
                "tokens": asdict(self.tokens) if self.tokens else None,
            },
            "datasets": datasets,
            "kinds": kinds,
            "findings": [found.to_json() for kind in self.kinds for found in kind.shown],
            "notes": self.notes,
        }


def audit(
    sources: Sequence[Source],
    settings: Settings,
    *,
    near: bool = False,
    benchmark: Sequence[Question] = (),
    findings_file: Path | None = None,
    workers: int | None = None,
    cache: Path | EllipsisType | None = ...,
    progress: Callable[..., None] | None = None,
) -> Report:
    """Check every row of the sources, in one pass and, with `near` or a benchmark, a second one over the texts.

    Without a tokenizer lengths are not checked, everything else is. `near`: near duplicates, too; `benchmark`:
    questions that must not be trained on; `findings_file`: JSONL of every finding; `cache` and `progress` as `measure`
    takes them. Raises UnreadableFile where a file is not what its name says.
    """
    with _written(findings_file, sources) as file:
        findings = Findings(file)
        ledger = _Ledger(sources, settings, findings)
        with contextlib.suppress(MixedFormats):  # told below, row by row
            for record in measure(sources, settings, workers=workers, cache=cache, rules=True, progress=progress):
                ledger.enter(record)

        ledger.compare()
        notes = ledger.notes()
        if near or benchmark:
            notes += _compare_texts(ledger, findings, sources, near, benchmark, workers, progress)

    kinds = findings.ranked()
    for kind in kinds:
        if kind.code == "image_outside_media_dir":
            kind.remedy = _media_remedy(kind, sources)

    return Report(ledger.accounts, kinds, ledger.tokens if settings.tokenizer else None, notes)


@contextlib.contextmanager
def _written(path: Path | None, sources: Sequence[Source]) -> Iterator[TextIO | None]:
    """Yield a file that stands at `path` once it is complete; None without a path."""
    if path is None:
        yield None
        return

    if any(path.resolve() == Path(file).resolve() for source in sources for file in source.files):
        raise UserError(f"{path} is the data. Name another file for the findings.")

    with new_file(path) as file:
        yield file


def _media_remedy(kind: Kind, sources: Sequence[Source]) -> str:
    """Return the line that makes the images readable, if the paths have a folder in common."""
    media_dir = next(source.media_dir for source in sources if source.name == kind.shown[0].dataset)
    details = [re.sub(r"^image \d+ of \d+: ", "", found.detail) for found in kind.shown]
    remedy = outside_remedy(details, str(media_dir)) or kind.remedy
    return re.sub(r"^\d+ images?", f"The first {len(details)}", remedy) if kind.count > len(details) else remedy


class _Ledger:
    """Takes the records in, one after the other.

    Attributes:
        duplicates: keys of the rows that stand there before.
    """

    def __init__(self, sources: Sequence[Source], settings: Settings, findings: Findings) -> None:
        self.sources, self.settings, self.findings = sources, settings, findings
        self.tokens = Tokens()
        self.accounts = [DatasetAccount(source.name, source.role, 0) for source in sources]
        self.places = Places()
        self.formats: list[Counter[str]] = [Counter() for _ in sources]
        self._format_names: dict[str, int] = {"": 0}
        self._format_of = array("B")
        self.duplicates = np.empty(0, np.uint64)
        self._digests, self._questions, self._ids, self._answers = (array("Q") for _ in range(4))

    def enter(self, record: RowRecord) -> None:
        account = self.accounts[record.source]
        if record.part == 0:
            account.rows_in += 1
        else:
            account.extra += 1

        if record.reason:
            account.reasons[record.reason] = account.reasons.get(record.reason, 0) + 1
        else:
            account.kept_for[account.role] = account.kept_for.get(account.role, 0) + 1
            self._count_tokens(record)
            if cut := cut_note(record.tokens, self.settings.policy()):
                account.notes[cut] = account.notes.get(cut, 0) + 1

        name = self.sources[record.source].name
        place = (name, record.file, record.line, record.number, record.id)
        for found in record.findings:
            if found.severity == "info" and record.reason:
                continue

            if found.code == "note":
                account.notes[found.detail] = account.notes.get(found.detail, 0) + 1
            else:
                self.findings.add(RowFinding(*place, found.code, found.severity, found.detail))

        if record.reason and not any(found.severity == "error" for found in record.findings):
            code, severity = self._reason_kind(record.reason, account.role)
            if code:
                self.findings.add(RowFinding(*place, code, severity, record.detail), record.reason)

        self._remember(record)

    def _count_tokens(self, record: RowRecord) -> None:
        tokens = self.tokens
        tokens.prompt += record.prompt_tokens
        tokens.response += record.response_tokens
        tokens.image += record.image_tokens
        tokens.total += record.tokens
        tokens.longest = max(tokens.longest, record.tokens)

    def _reason_kind(self, reason: str, role: str) -> tuple[str, str]:
        """Return code and severity of the finding that a dropped row is; "" for rows that are only not selected.

        A row of an evaluation set that is dropped stops the run: it would change the benchmark.
        """
        known = Reason.of(reason)
        code = "overlong" if known is Reason.OVERLONG else _code_of(reason)
        if role == "eval":
            return code, "error"

        if known and known.is_selection:
            return "", ""

        is_warning = known and known.is_mark or (known is Reason.OVERLONG and self.settings.overlong != "error")
        return code, "warning" if is_warning else "error"

    def _remember(self, record: RowRecord) -> None:
        self.places.add(record.source, record.file, record.line, record.number, record.id)
        shown = record.format or ""
        self.formats[record.source][shown] += 1
        self._format_of.append(self._format_names.setdefault(shown, len(self._format_names)))
        row = len(self.places)
        self._digests.append(record.digest or _unlike(row))  # a row that gives no example is like no other
        self._questions.append(record.question_digest)
        self._answers.append(0 if record.reason else record.answer_digest)
        self._ids.append(
            digest(f"{record.source}\0{record.id}".encode("utf-8", "surrogatepass")) if record.id else _unlike(row)
        )

    def compare(self) -> None:
        """Add what shows only across rows: mixed formats, rows and ids that stand there twice."""
        self._compare_formats()
        again = []
        for row, first in repeated(np.frombuffer(self._digests, np.uint64)):
            again.append(row)
            self._add(row, "duplicate", "warning", f"as {self.places.place(first)}")

        self.duplicates = self.places.keys()[again]
        for row, first in repeated(np.frombuffer(self._ids, np.uint64)):
            if not _DERIVED_ID.fullmatch(self.places.id(row)):
                is_same = self._questions[row] == self._questions[first]
                detail = f"also the id of {self.places.place(first)}"
                self._add(row, "duplicate_id", "warning", detail + ("" if is_same else ", another question"))

        answers = np.frombuffer(self._answers, np.uint64)
        told = np.flatnonzero(answers)
        for again, first in repeated(np.frombuffer(self._questions, np.uint64)[told]):
            row, first = told[[again, first]].tolist()
            if answers[row] != answers[first]:
                self._add(row, "answers_differ", "warning", f"boxed otherwise at {self.places.place(first)}")

    def _compare_formats(self) -> None:
        names = list(self._format_names)
        for index, counts in enumerate(self.formats):
            shown = {name: count for name, count in counts.items() if name}
            if not shown:
                continue

            usual = max(shown, key=shown.get)
            self.accounts[index].format = usual
            same = [self._format_names[name] for name in shown if kind_of(name) == kind_of(usual)]
            if len(shown) == len(same):
                continue

            here = np.frombuffer(self.places.sources, np.uint16) == index
            of = np.frombuffer(self._format_of, np.uint8)
            others = here & ~np.isin(of, [*same, 0])
            for row in np.flatnonzero(others).tolist():
                self._add(row, "mixed_formats", "error", f"{names[of[row]]}; {shown[usual]} rows are {usual}")

    def _add(self, row: int, code: str, severity: str, detail: str) -> None:
        self.findings.add(self.places.finding(row, self.sources, code, severity, detail))

    def notes(self) -> list[str]:
        """Return what was not looked at, and why."""
        notes = []
        if self.settings.tokenizer is None:
            notes.append("Lengths were not checked: no tokenizer. Give the model's: --tokenizer DIR|ID.")

        for source in self.sources:
            if not source.is_ours:
                notes.append(
                    f"{source.name}: formatting {source.formatting} is LLaMA-Factory's own; its rows were only counted."
                )

        return notes


def _compare_texts(
    ledger: _Ledger,
    findings: Findings,
    sources: Sequence[Source],
    near: bool,
    benchmark: Sequence[Question],
    workers: int | None,
    progress: Callable[..., None] | None,
) -> list[str]:
    """Add near duplicates and overlap with the benchmark; return notes."""
    places, overlaps, sketches = Places(), Overlaps(benchmark), bytearray()
    first_of: dict[int, int] = {}
    for source, chunk, texts in read_texts(sources, near, bool(benchmark), workers, progress):
        first = first_of.get(source, 0)
        first_of[source] = first + texts.rows
        meant = [position for position, row in enumerate(texts.numbers) if sources[source].positions(first + row)]
        for position in meant:
            if texts.grams is not None:
                overlaps.add_grams(len(places), texts.grams[position])

            number = sources[source].positions(first + texts.numbers[position]).start
            places.add(source, chunk.file, texts.lines[position], number, texts.ids[position])

        if texts.sketches is not None:
            sketches += texts.sketches[meant].tobytes()

    if near:
        table = np.frombuffer(sketches, np.uint16).reshape(-1, HASHES)
        is_again = np.isin(places.keys(), ledger.duplicates)
        for row, earlier, similarity in near_duplicates(table):
            if is_again[row]:
                continue  # told already, as an exact duplicate

            detail = f"{similarity:.0%} of the word sequences of {places.place(earlier)}"
            findings.add(places.finding(row, sources, "near_duplicate", "warning", detail))

    for overlap in overlaps.found(len(places)):
        question = benchmark[overlap.question]
        code = "benchmark_copy" if overlap.is_copy else "benchmark_overlap"
        words = " ".join(question.text.split())
        shown = words if len(words) <= 60 else f"{words[:57]}..."
        detail = f"{overlap.shared} of {overlap.of} 8-grams of {question.place}: {shown}"
        findings.add(places.finding(overlap.row, sources, code, "warning", detail))

    if not benchmark:
        return []

    short = f"; {overlaps.short} shorter than 8 words were not looked for" if overlaps.short else ""
    return [f"Questions compared with {len(benchmark)} of the benchmark{short}."]


def _code_of(reason: str) -> str:
    """Return the code of a reason: "no </think>" is no_end_of_think, "no <think>" is no_think."""
    return re.sub(r"\W+", "_", reason.lower().replace("</", "end of ")).strip("_")


def _unlike(row: int) -> int:
    """Return a number that no other row has."""
    return digest(f"\0row {row}".encode())
