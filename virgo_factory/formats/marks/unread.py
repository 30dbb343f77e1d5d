"""Columns that may judge the response under a name that is in no table: they are told, and never read."""

import functools
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.marks.names import kinds_of, snake
from virgo_factory.formats.marks.values import is_doubtful, said


MOST_VALUES = 8
"""Of a column that judges; one with more is a category, a number or a text."""
_MOST_KEYS = 64
"""Of an object whose keys are looked at; one with more is a table."""
_LONGEST = 40
_OF_OTHERS = LazyPattern(
    r"(?:\w+_)?(?:ids?|uuid|idx|index|number|no|nr|num|count|seed|version|level|difficulty|rank|turn|round|step|fold|shard|part|page"
    r"|answers?|gold|gt|ground_truth|truth|labels?|targets?|choices?|options?|responses?|outputs?|completions?|solutions?|thoughts?"
    r"|thinking|reasoning|questions?|problems?|prompts?|instructions?|inputs?|texts?|system|split|source|domain|language|[a-j])"
    r"|(?:has|have|with|contains?|includes?|is|num|n)_(?:an?_)?(?:images?|imgs?|pictures?|visual|text|multi\w*|mcq?|choice|options?)"
)
"""Names of what is asked, answered or counted: a 0 or a "no" there judges nothing."""


@functools.lru_cache(1024)
def _unknown(columns: tuple[Any, ...]) -> tuple[str, ...]:
    words = {name: snake(name) for name in columns if isinstance(name, str)}
    return tuple(name for name, word in words.items() if not (kinds_of(word) or _OF_OTHERS.fullmatch(word)))


class UnreadMarks:
    """What the rows of a part of a file have in columns that may judge.

    Values that are neither a yes nor a no are told once, and a column with too many of them, or with others than short
    ones, is told as None once and then left alone.

    Args:
        named: columns that the dataset's entry names.
    """

    def __init__(self, named: Collection[str] = ()) -> None:
        self._left, self._neutral = set(named), {}

    def of(self, row: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Return places (`chk`, `meta.chk`) and values of a row."""
        found = self._values("", row)
        for column, value in row.items():
            if type(value) is dict and len(value) < _MOST_KEYS and column not in self._left:
                found += self._values(f"{column}.", value)

        return found

    def _values(self, at: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        found = []
        for name in _unknown(tuple(values)):
            place, value = f"{at}{name}", values[name]
            if value is None or type(value) is dict or place in self._left:
                continue

            is_short = isinstance(value, bool | int | float) or isinstance(value, str) and len(value) <= _LONGEST
            answer = said(value) if is_short else "?"
            if answer is None:
                continue

            if answer == "?" and not (isinstance(value, str) and is_doubtful(value)):
                seen = self._neutral.setdefault(place, set())
                if is_short and isinstance(value, str) and value in seen:
                    continue

                if not is_short or not isinstance(value, str) or len(seen) == MOST_VALUES:
                    self._left.add(place)
                    value = None
                else:
                    seen.add(value)

            found.append((place, value))

        return found


def judging_value(values: Counter[Any]) -> tuple[str, Any] | None:
    """Return the rarest value of a column that judges, behind its severity: a warning of words of judgement, an info of yes and no.

    >>> (
    ...     judging_value(Counter({True: 7, False: 1})),
    ...     judging_value(Counter(good=1, bad=7)),
    ...     judging_value(Counter(math=7, no=1)),
    ... )
    (('info', False), ('warning', 'bad'), None)
    """
    if None in values or len(values) > MOST_VALUES:
        return None

    words = [value for value in values if isinstance(value, str) and is_doubtful(value)]
    if words:
        return "warning", min(words, key=values.get)

    answers = set(map(said, values))
    return ("info", min(values, key=values.get)) if False in answers and "?" not in answers else None
