"""Every row of a dataset, judged and counted as a training run would: the engine under check, stats, slice and mix.

Files are cut into chunks (reader.py); worker processes read, adapt, check and tokenise a chunk each, and what they found is
kept by the chunk's content (memory.py), so that unchanged rows are not measured twice. What follows from the lengths alone
(`cutoff_len`, bounds) is decided here and never kept.
"""

import functools
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import EllipsisType

from virgo_factory.core.errors import UserError
from virgo_factory.core.finding import Finding
from virgo_factory.core.policy import Drop, KnownFacts, judge
from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.files.chunks import Chunk, UnreadableFile, suffix_of
from virgo_factory.data.read.files.json_lists import is_list
from virgo_factory.data.read.reader import SHOWN, UNREADABLE, cut_file, why_unreadable
from virgo_factory.data.read.source import Settings, Source
from virgo_factory.data.rows.cache import Memory, cache_folder
from virgo_factory.data.rows.pool import Task, run_tasks
from virgo_factory.data.rows.worker import Measurer, RowRecord
from virgo_factory.data.tokens.tokens import is_known_template
from virgo_factory.formats import kind_of
from virgo_factory.io.fingerprint import file_hash


__all__ = ["MixedFormats", "RowRecord", "cache_folder", "measure"]


class MixedFormats(UserError):
    """A dataset whose rows show several formats; the message names lines of each."""


def measure(
    sources: Sequence[Source],
    settings: Settings,
    workers: int | None = None,
    cache: Path | EllipsisType | None = ...,
    rules: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[RowRecord]:
    """Yield a record of every example of every row, in the order of the files; memory does not grow with them.

    Broken rows are records, too ("not JSON"), so that all of them are told at once. Rows of a source in one of
    LLaMA-Factory's own formattings are counted, not judged. Without a tokenizer no tokens are counted; small data is
    measured in this process; `cache` is the folder where measured chunks are kept: `.virgo_factory` beside the data by
    default, None: nowhere. `progress` is told the bytes measured so far and those of all files. Raises UnreadableFile
    for a file without rows, or in an unknown encoding; MixedFormats, after all records, for a source of several
    formats; UserError for a tokenizer, template or image processor that cannot be used; ChildProcessError for a worker
    that died, with its rows.
    """
    sources = list(sources)
    size = sum(file.stat().st_size for source in sources for file in source.files)
    makes = functools.partial(Measurer, sources, settings, rules)
    knows = settings.tokenizer is None or is_known_template(settings.template)
    count = (workers or len(os.sched_getaffinity(0))) if knows else 1
    memories = [_memories(source, settings, rules, cache) for source in sources]
    seen = [_Formats() for _ in sources]
    rows = [0] * len(sources)
    done = 0
    try:
        for task in run_tasks(_tasks(sources, memories), makes, count, size):
            index, source = task.source, sources[task.source]
            if task.chunk is None:
                yield _broken(index, rows[index], task)
                rows[index] += 1
                continue

            if task.packed is not None:
                memories[index][0].put(task.chunk, task.packed)

            for number, part in _placed(task.measured.parts, rows[index], source):
                record = _settled(part, task.chunk, index, number, source, settings, rules)
                seen[index].add(record)
                yield record

            rows[index] += task.measured.rows
            done += task.chunk.bytes
            if progress:
                progress(min(done, size), size)
    finally:
        for memory in (memory for both in memories for memory in both):
            memory.close()

    problems = [found.problem(source.name) for found, source in zip(seen, sources, strict=True)]
    if problems := [problem for problem in problems if problem]:
        raise MixedFormats("\n".join(problems))


def _memories(source: Source, settings: Settings, rules: bool, cache: Path | EllipsisType | None) -> list[Memory]:
    """Return where a source's chunks are kept, and where else they may be found: without rules, those with."""
    own = Memory.of(source, settings, rules, cache)
    return [own] if rules or own.path is None else [own, Memory.of(source, settings, True, cache)]


def _tasks(sources: list[Source], memories: list[list[Memory]]) -> Iterator[Task]:
    for index, source in enumerate(sources):
        for file in source.files:
            try:
                for chunk in _chunks(file, memories[index][0]):
                    known = (memory.get(chunk) for memory in memories[index])
                    yield Task(index, chunk, next((found for found in known if found is not None), None))
            except UnreadableFile as error:
                if not error.line:  # not a file of rows at all
                    raise

                yield Task(index, None, problem=str(error), line=error.line)


def _chunks(file: Path, memory: Memory) -> Iterator[Chunk]:
    """Yield the chunks of a file; where a JSON list is cut is remembered, since only decoding all of it tells."""
    if suffix_of(file) != file.suffix or not is_list(file):  # of a packed file chunks hold the content
        yield from cut_file(file)
        return

    digest = file_hash(file)
    if known := memory.get_chunks(file, digest):
        yield from known
        return

    found = []
    for chunk in cut_file(file):
        found.append(chunk)
        yield chunk

    memory.put_chunks(found, digest)


def _broken(index: int, number: int, task: Task) -> RowRecord:
    """Return the record of the place where a file breaks off; what stands behind it cannot be read."""
    file, _, detail = task.problem.partition(f":{task.line}: ")
    detail = f"{detail.rstrip('.')}; the rows behind it cannot be read"
    reason, code = why_unreadable(detail)
    found = (Finding(code, "error", detail),)
    place = {"source": index, "number": number, "file": file}
    return RowRecord(0, 0, task.line, reason=reason, detail=detail, findings=found, **place)


def _placed(parts: list[RowRecord], first: int, source: Source) -> Iterator[tuple[int, RowRecord]]:
    """Yield the parts of a chunk's rows with the positions of these in their source; `first` is that of the chunk."""
    for row, own in itertools.groupby(parts, key=lambda part: part.row):
        own = list(own)
        for position in source.positions(first + row):
            for part in own:
                yield position, part


def _settled(
    part: RowRecord, chunk: Chunk, index: int, number: int, source: Source, settings: Settings, rules: bool
) -> RowRecord:
    reason, detail = _judged(part, number, source, settings)
    is_told = rules or part.reason in UNREADABLE
    return part._replace(
        source=index, number=number, file=chunk.file, line=chunk.line + part.line, reason=reason, detail=detail,
        findings=tuple(Finding(*found) for found in part.findings) if is_told else (),
    )  # fmt: skip


def _judged(part: RowRecord, number: int, source: Source, settings: Settings) -> tuple[str, str]:
    """Return reason and detail of a part; both empty where it is trained on."""
    limit = settings.max_samples
    if limit is not None and number >= limit and "num_samples" not in source.entry:
        return Reason.NOT_DRAWN.text(), f"max_samples: {limit}"

    if not source.is_ours:
        return part.reason, part.detail

    facts = KnownFacts(
        rejected=Drop(part.reason, part.detail) if part.reason else None,
        control_token=tuple(part.control) if part.control else None,
        responses=(part.shortest, part.longest) if settings.tokenizer is not None else (),
        has_prefix=part.prefix,
        unreadable=part.unreadable,
        tokens=part.tokens,
    )
    return judge(facts, settings.policy()) or ("", "")


class _Formats:
    """The formats that the rows of one source have shown, with the first places of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}

    def add(self, record: RowRecord) -> None:
        if record.format is not None and record.part == 0:
            self.counts[record.format] += 1
            places = self.places.setdefault(record.format, [])
            if len(places) < SHOWN:
                places.append(record.place)

    def problem(self, name: str) -> str | None:
        """Return what is wrong with a source of several formats: the lines of the rarest first."""
        if len(set(map(kind_of, self.counts))) < 2:
            return None

        formats = [name for name, _ in reversed(self.counts.most_common())]
        shown = ", ".join(f"{count} {name}" for name, count in self.counts.most_common())
        lines = [f"  {place}: {name}" for name in formats[:-1] for place in self.places[name]][: SHOWN - 1]
        lines.append(f"  {self.places[formats[-1]][0]}: {formats[-1]}")
        return "\n".join(
            [
                f"{name}: its rows are in {len(formats)} formats ({shown}). A dataset has one, or rows would be read in a "
                "way that nobody chose.",
                *lines,
                "Put each format into a file and an entry of its own, or bring all to one with: virgo-factory data convert.",
            ]
        )
