"""Which rows are taken: one seeded order of all usable rows, whose every prefix keeps the shares of its domains; or some of a stream."""

import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from virgo_factory.data.check.duplicates import STEP, mix


T = TypeVar("T")

SCIENCE = ("physics", "chemistry", "biology")
"""What `science` stands for beside itself: STILL-2 names these, the paper (Virgo section 2.1) says science."""

DUPLICATE = "exact duplicate"


@dataclass
class Candidates:
    """The usable examples of some datasets, about 30 bytes each, in the order in which they were read."""

    source: array = field(default_factory=lambda: array("H"))  # position of the dataset
    number: array = field(default_factory=lambda: array("Q"))  # of the row in it
    part: array = field(default_factory=lambda: array("L"))  # of the example in the row
    digest: array = field(default_factory=lambda: array("Q"))  # 64 bits of the example's content
    domain: array = field(default_factory=lambda: array("L"))  # position in `domains`
    domains: list[str | None] = field(default_factory=list)  # in order of appearance; None for rows that name none
    rows_in: int = 0
    examples_in: int = 0  # examples and rejected rows that the rows gave
    dropped: Counter = field(default_factory=Counter)  # reason -> examples that are no candidates

    def __len__(self) -> int:
        return len(self.digest)

    def column(self, name: str) -> np.ndarray:
        """Return a column as a NumPy array, without copying it."""
        values: array = getattr(self, name)
        return np.frombuffer(values, dtype=f"u{values.itemsize}") if values else np.empty(0, dtype=np.uint64)


def gather(records: Iterable[Any], reject: Callable[[Any], str] = lambda record: "") -> Candidates:
    """Return the candidates among `measure.RowRecord`s.

    Records are in file order. `reject` says why one that has no reason itself is dropped; "" keeps it.
    """
    found = Candidates()
    codes: dict[str | None, int] = {}
    last = None
    for record in records:
        if (record.source, record.number) != last:
            last = (record.source, record.number)
            found.rows_in += 1

        found.examples_in += 1
        if reason := record.reason or reject(record):
            found.dropped[reason] += 1
            continue

        found.source.append(record.source)
        found.number.append(record.number)
        found.part.append(record.part)
        found.digest.append(record.digest)
        found.domain.append(codes.setdefault(record.domain, len(codes)))

    found.domains = list(codes)
    return found


def first_of_duplicates(digests: np.ndarray) -> np.ndarray:
    """Return a mask of the examples that are the first with their content.

    >>> first_of_duplicates(np.array([7, 8, 7], dtype=np.uint64)).tolist()
    [True, True, False]
    """
    is_first = np.zeros(len(digests), dtype=bool)
    is_first[np.unique(digests, return_index=True)[1]] = True
    return is_first


def seeded_order(digests: np.ndarray, strata: np.ndarray, seed: int) -> np.ndarray:
    """Return the order in which examples are taken, as positions.

    It depends on the examples' content and the seed alone, not on where they stand or who read them. Every prefix
    holds each stratum in proportion, up to rounding: the k-th of the n examples of a stratum stands at (k + 1/2) / n.
    Digests are all different; a stratum is a small number, such as that of a domain.
    """
    if not len(digests):
        return np.empty(0, dtype=np.int64)

    luck = mix((digests.astype(np.uint64) ^ mix(np.array([seed % 2**64], dtype=np.uint64) + STEP)) + STEP)
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    by_stratum = np.lexsort((luck, stratum))
    rank = np.empty(len(digests))
    rank[by_stratum] = np.arange(len(digests)) - (np.cumsum(sizes) - sizes)[stratum[by_stratum]]
    return np.lexsort((luck, (rank + 0.5) / sizes[stratum]))


def domain_names(domains: Iterable[str]) -> set[str]:
    """Return the names that are meant, without case; `science` includes physics, chemistry and biology.

    >>> sorted(domain_names(["Science"]))
    ['biology', 'chemistry', 'physics', 'science']
    """
    names = {name.casefold() for name in domains}
    return names | set(SCIENCE) if "science" in names else names


def domain_mask(candidates: Candidates, domains: Iterable[str]) -> np.ndarray:
    """Return a mask of the candidates of the named domains (see `domain_names`); `none` names those without."""
    names = domain_names(domains)
    wanted = [code for code, name in enumerate(candidates.domains) if (name or "none").casefold() in names]
    return np.isin(candidates.column("domain"), wanted)


def domains_there(candidates: Candidates) -> str:
    """Return the domains with their numbers of rows, for messages."""
    counts = np.bincount(candidates.column("domain").astype(np.int64), minlength=len(candidates.domains))
    pairs = sorted(zip(counts, candidates.domains, strict=True), key=lambda pair: -pair[0])
    return ", ".join(f"{name or 'none'} {count:,}" for count, name in pairs[:20]) or "no rows"


def some_of(stream: Iterable[T], count: int, seed: int) -> list[T]:
    """Return so many of a stream in their order, each as likely as any other; the others are not held."""
    rng, kept = random.Random(seed), []
    for number, one in enumerate(stream):
        if number < count:
            kept.append((number, one))
        elif (place := rng.randrange(number + 1)) < count:
            kept[place] = (number, one)

    return [one for _, one in sorted(kept, key=lambda pair: pair[0])]
