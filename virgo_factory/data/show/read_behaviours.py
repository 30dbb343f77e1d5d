"""The behaviours of the thoughts of datasets, read in several processes."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.read.chunks import Chunk
from virgo_factory.data.read.reader import cut_file, read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.data.show.behaviours import Behaviours, shown_by
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.formats import read_row
from virgo_factory.io.workers import Lost, Workers


SMALL = 4 << 20
"""Bytes of files for which no process is started."""


def read_behaviours(
    sources: Sequence[Source],
    tokenizer: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Behaviours:
    """Return what the thoughts of all rows show; rows that give no long thought are not looked at.

    Without a tokenizer (folder or hub id) words are counted. Raises UserError for a dataset in one of LLaMA-Factory's
    own formattings, in which thoughts are not told apart; ChildProcessError where a worker died.
    """
    _check(sources)
    size = sum(file.stat().st_size for source in sources for file in source.files)
    count = (workers or len(os.sched_getaffinity(0))) if size > SMALL else 1
    found, done = Behaviours(), 0
    for chunk, counted in _counted(functools.partial(_counter, sources, tokenizer), sources, count):
        found.merge(counted)
        done += chunk.bytes
        if progress:
            progress(min(done, size), size)

    return found


def read_examples(sources: Sequence[Source]) -> Iterator[Example]:
    """Yield the examples of all rows, in this process.

    Raises UserError as `read_behaviours`.
    """
    _check(sources)
    for source in sources:
        for file in source.files:
            for chunk in cut_file(file):
                yield from _examples(source, chunk)


def _check(sources: Sequence[Source]) -> None:
    if others := [f"{source.name} ({source.formatting})" for source in sources if not source.is_ours]:
        raise UserError(
            f"{', '.join(others)}: thoughts are read in our formattings only. Add --formatting long_thought."
        )


def _examples(source: Source, chunk: Chunk) -> Iterator[Example]:
    for row in read_chunk(chunk):
        parts = () if row.problem else read_row(row.raw, source.formatting, source.options).parts
        yield from (part for part in parts if isinstance(part, Example))


Count = Callable[[tuple[int, Chunk]], Behaviours]


def _counted(make: Callable[[], Count], sources: Sequence[Source], count: int) -> Iterator[tuple[Chunk, Behaviours]]:
    items = (
        (index, chunk) for index, source in enumerate(sources) for file in source.files for chunk in cut_file(file)
    )
    if count == 1:
        one = make()
        for item in items:
            yield item[1], one(item)

        return

    pool, taken = Workers(make, count, ahead=True), []

    def noted() -> Iterator[tuple[int, Chunk]]:
        for item in items:
            taken.append(item[1])
            yield item

    try:
        for counted in pool.map(noted()):
            chunk = taken.pop(0)
            if isinstance(counted, Lost):
                raise ChildProcessError(f"{chunk.file}: a process that read it died (exit code {counted.exitcode}).")

            yield chunk, counted
    finally:
        pool.close()


def _counter(sources: Sequence[Source], tokenizer: str | None) -> Count:
    measures = (load_vocabulary(model_folder(tokenizer)).count,) if tokenizer else ()
    return functools.partial(_count, sources, measures)


def _count(
    sources: Sequence[Source], measures: tuple[Callable[[str], int], ...], item: tuple[int, Chunk]
) -> Behaviours:
    index, chunk = item
    found = Behaviours()
    for example in _examples(sources[index], chunk):
        if one := shown_by(example, *measures):
            found.add(one)

    return found
