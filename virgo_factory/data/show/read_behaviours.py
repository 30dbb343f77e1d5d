"""The behaviours of the thoughts of datasets, read in several processes."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.reader import ReadRow, read_chunk
from virgo_factory.data.read.source import Source, SourceRow, raw_rows
from virgo_factory.data.rows.pool import each_chunk
from virgo_factory.data.show.behaviours import Behaviours, Shown, shown_by
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.formats import read_row


def read_behaviours(
    sources: Sequence[Source],
    tokenizer: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Behaviours:
    """Return what the thoughts of all rows of the sources' splits show; rows that give no long thought are not counted.

    Without a tokenizer (folder or hub id) words are counted. Raises UserError for a dataset in one of LLaMA-Factory's
    own formattings, in which thoughts are not told apart; ChildProcessError where a worker died.
    """
    _check(sources)
    found, read = Behaviours(), Counter()
    look = functools.partial(_look, sources=list(sources), tokenizer=tokenizer)
    for index, _, shown in each_chunk(sources, look, workers, progress):
        for number, row in enumerate(shown, start=read[index]):
            for one in row * len(sources[index].positions(number)):
                found.add(one)

        read[index] += len(shown)

    return found


def read_examples(sources: Sequence[Source]) -> Iterator[Example]:
    """Yield the examples of all rows of the sources' splits, in this process.

    Raises UserError as `read_behaviours`.
    """
    _check(sources)
    for source in sources:
        for row in raw_rows(source):
            yield from _examples(source, row)


def _check(sources: Sequence[Source]) -> None:
    if others := [f"{source.name} ({source.formatting})" for source in sources if not source.is_ours]:
        raise UserError(
            f"{', '.join(others)}: thoughts are read in our formattings only. Add --formatting long_thought."
        )


def _examples(source: Source, row: ReadRow | SourceRow) -> list[Example]:
    parts = () if row.problem else read_row(row.raw, source.formatting, source.options).parts
    return [part for part in parts if isinstance(part, Example)]


def _look(
    item: tuple[int, Chunk], sources: Sequence[Source], tokenizer: str | None
) -> tuple[int, Chunk, list[list[Shown]]]:
    """Return what the thoughts of each row of a chunk show; which of the rows are meant is known to who counts them."""
    index, chunk = item
    shown = (
        [shown_by(example, *_measure(tokenizer)) for example in _examples(sources[index], row)]
        for row in read_chunk(chunk)
    )
    return index, chunk, [list(filter(None, row)) for row in shown]


@functools.cache
def _measure(tokenizer: str | None) -> tuple[Callable[[str], int], ...]:
    return (load_vocabulary(model_folder(tokenizer)).count,) if tokenizer else ()
