"""The behaviours of the thoughts of datasets, read in several processes."""

import functools
from collections.abc import Callable, Iterator, Sequence

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.read.chunks import Chunk
from virgo_factory.data.read.reader import cut_file, read_chunk
from virgo_factory.data.read.source import Source
from virgo_factory.data.rows.pool import each_chunk
from virgo_factory.data.show.behaviours import Behaviours, shown_by
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.formats import read_row


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
    found = Behaviours()
    count = functools.partial(_count, sources=list(sources), tokenizer=tokenizer)
    for _, _, counted in each_chunk(sources, count, workers, progress):
        found.merge(counted)

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


def _count(item: tuple[int, Chunk], sources: Sequence[Source], tokenizer: str | None) -> tuple[int, Chunk, Behaviours]:
    index, chunk = item
    found = Behaviours()
    for example in _examples(sources[index], chunk):
        if one := shown_by(example, *_measure(tokenizer)):
            found.add(one)

    return index, chunk, found


@functools.cache
def _measure(tokenizer: str | None) -> tuple[Callable[[str], int], ...]:
    return (load_vocabulary(model_folder(tokenizer)).count,) if tokenizer else ()
