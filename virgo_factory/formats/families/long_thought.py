"""`formatting: long_thought`: any long-thought dataset, recognised by the columns and tags of its rows.

A family is one file with `recognises(row)`, `read(row, options)`, which returns a Reading or its only Example, and, where
all its rows have one format, its name as FORMAT, and a line in FAMILIES; a tag set is one entry of TAG_SETS in `tags`. The name of a file is never looked at
(reference: raw_formats.md section 18, rule 1).
"""

from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

from virgo_factory.core.reasons import Reason
from virgo_factory.formats.families import insight_v, llamav_o1, rollouts, screen_traces, virgo_dsd
from virgo_factory.formats.fields import chooser_of, pair_columns
from virgo_factory.formats.layouts import chat, question_response, tagged_columns, thought_columns
from virgo_factory.formats.layouts.unknown import reason_of
from virgo_factory.formats.options import DIFFICULTIES, Options
from virgo_factory.formats.row import Reading, RejectedRow, bare, check_example


FAMILIES = (
    virgo_dsd, rollouts, insight_v, screen_traces, thought_columns, llamav_o1, chat, question_response, tagged_columns,
)  # fmt: skip
"""The first that recognises a row reads it: rows of a family may carry columns of those further down."""


@lru_cache(1024)
def _families(columns: tuple[Any, ...]) -> tuple[ModuleType, ...]:
    """Return the families that may recognise a row of some columns: a family's ANY_OF names some of which it needs one."""
    needed = ((family, getattr(family, "ANY_OF", columns)) for family in FAMILIES)
    return tuple(family for family, names in needed if not set(columns).isdisjoint(names))


def adapt(row: Mapping[str, Any], options: Options = Options()) -> Reading:
    """Return what a row of any known family gives.

    Raises RejectedRow where no family recognises it, it is of another difficulty than asked for, or no pair.
    """
    if "thought" in options.columns and "messages" not in options.columns:
        return thought_columns.read_named(row, options)

    names = tuple(row)
    if "response" not in options.columns:
        if pair_columns(names):
            row = chat.pair_of(row)
            names = tuple(row)
        elif (chosen := chooser_of(names)) and row[chosen[0]] is not None:
            raise RejectedRow(
                "a preference pair by number",
                f"{chosen[0]} says which of {', '.join(chosen[1])} is better; write the better one into a column chosen, "
                'the other into rejected ("ranking": true)',
            )

    for family in _families(names):
        if family.recognises(row):
            if options.difficulty and family is not virgo_dsd:
                _check_difficulty(row, options.difficulty)

            try:
                found = family.read(row, options)
                return found if isinstance(found, Reading) else Reading(family.FORMAT, (check_example(found),))
            except RejectedRow as error:
                return Reading(getattr(family, "FORMAT", None), (bare(error),))

    raise reason_of(row)


def _check_difficulty(row: Mapping[str, Any], level: str) -> None:
    known = row.get("difficulty")
    if not isinstance(known, str) or known not in DIFFICULTIES:
        raise RejectedRow("difficulty not known", f"expected {' or '.join(DIFFICULTIES)} in the column difficulty")

    if known != level:
        raise RejectedRow(Reason.OTHER_DIFFICULTY.text(level), f"it is {known}")
