"""Prompts by how often a model was right: those that are always or never answered rightly teach reinforcement nothing.

Of 16 responses to a question of pass rate p all are alike with p^16 + (1 - p)^16: 0.85 at 0.01, 0.19 at 0.1, 0.00 at 0.5.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.make.card import DatasetCard
from virgo_factory.data.make.kept_rows import check_whole, kept_entry, suffix_for, write_kept
from virgo_factory.data.make.pipeline import Inputs, check_targets, has_images_below
from virgo_factory.data.make.writing import partial_of, published
from virgo_factory.data.read.reader import first_row, why_unreadable
from virgo_factory.data.read.source import Source, raw_rows
from virgo_factory.formats.families.questions import PASS_RATES, pass_rate, rate_columns
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.atomic import TEXT
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.report.card import write_card


NO_RATE = "no pass rate"


def read_rates(text: str) -> tuple[float, float]:
    """Return the bounds written as `0.1:0.9`, `:0.5` or `0.5:`, both included.

    >>> read_rates("0.1:0.9"), read_rates(":0.5")
    ((0.1, 0.9), (0.0, 0.5))
    """
    share = r"(\d*\.?\d+)?"
    found = re.fullmatch(f"{share}:{share}", text.strip())
    if found and any(found.groups()):
        low, high = float(found[1] or 0), float(found[2] or 1)
        if low <= high <= 1:
            return low, high

    raise UserError(f"--pass-rate {text}: write LOW:HIGH, shares from 0 to 1, such as 0.1:0.9, :0.5 or 0.5:.")


def slice_source(
    source: Source, out: Path, bounds: tuple[float, float], command: str, overwrite: bool, column: str | None = None
) -> dict[str, Any]:
    """Write the rows of a dataset whose own column has a pass rate within bounds, as they are; return the card for programs.

    `column` says whose rate is meant where rows have several; by default what the entry's `columns` name `pass_rate`.
    Raises UserError where an output is in the way or of another kind than the rows, rows have several rates and none
    is named, or none fits.
    """
    check_whole(source)
    column = column or source.options.columns.get("pass_rate")
    row = first_row(source.files[0])
    names = rate_columns(tuple(row)) if isinstance(row, Mapping) else ()
    if column is None and len(names) > 1:
        raise UserError(
            f"{source.name}: {', '.join(names)} are pass rates of several models. Say which is meant: "
            f"--pass-rate-column {names[0]}."
        )

    if out.suffix != suffix_for(source):
        raise UserError(
            f"{out}: the rows of {source.name} stay as they are, in a {suffix_for(source)} file. Name one."
        )

    check_targets([out], [source], overwrite)
    inputs = Inputs.of([source])
    fates, rates = [], []
    for row in raw_rows(source):
        rate, problem = (None, why_unreadable(row.problem)[0]) if row.problem else _rate_of(row.raw, column)
        fates.append(problem or _fate(rate, bounds))
        rates.append(rate)

    _check_some(
        fates, source.name, f"{column} (pass rates in row 1: {', '.join(names) or 'none'})" if column else None
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with published([out]):
        write_kept(source, np.array([not fate for fate in fates]), out)
        entry = kept_entry(source, out)
        if column and source.formatting == "questions":  # a curriculum takes the same rate
            entry["columns"] = {**entry.get("columns", {}), "pass_rate": column}

        media_dir = str(source.media_dir) if not source.is_ours or has_images_below(source) else None
        place = {"media_dir": media_dir, "entry": {out.stem: entry}, "inputs": inputs.described()}
        return _described(fates, rates, out, bounds, column, command=command, **place)


def slice_rated(
    rows: Iterable[tuple[Mapping[str, Any], float | None]],
    folder: Path,
    out: Path,
    bounds: tuple[float, float],
    command: str,
    overwrite: bool,
) -> dict[str, Any]:
    """Write questions with the pass rate that was counted for each, those within bounds; return the card for programs.

    A rate is None where no response was judged; image paths start from `folder`.
    """
    if out.suffix != ".jsonl":
        raise UserError(f"{out}: questions are written as .jsonl.")

    check_targets([out], [], overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    fates, rates = [], []

    def kept() -> Iterator[str]:
        for row, rate in rows:
            fates.append(_fate(rate, bounds))
            rates.append(rate)
            if not fates[-1]:
                yield json.dumps({**row, PASS_RATES[0]: round(rate, 4)}, ensure_ascii=False) + "\n"

    with published([out]):
        with partial_of(out).open("w", **TEXT) as file:
            file.writelines(kept())

        _check_some(fates, str(folder))
        entry = {"file_name": out.name, "formatting": "questions"}
        place = {"media_dir": str(folder), "entry": {out.stem: entry}, "inputs": ()}
        return _described(fates, rates, out, bounds, command=command, **place)


def _rate_of(raw: Any, column: str | None) -> tuple[float | None, str]:
    """Return the rate that a row has, and why what stands there is none."""
    try:
        return pass_rate(raw, column) if isinstance(raw, Mapping) else None, ""
    except RejectedRow as error:
        return None, error.reason


def _fate(rate: float | None, bounds: tuple[float, float]) -> str:
    """Return why a row is left out; "" where it stays."""
    if rate is None:
        return NO_RATE

    low, high = bounds
    return f"right less often than {low:g}" if rate < low else f"right more often than {high:g}" if rate > high else ""


def _check_some(fates: list[str], name: str, column: str | None = None) -> None:
    if all(fates):
        columns = column or f"{' or '.join(PASS_RATES)}, or pass_rate with a model's name before or behind it"
        told = "".join(f"\n  {count:,} {fate}" for fate, count in Counter(fates).most_common())
        raise UserError(
            f"{name}: none of {len(fates):,} rows has a pass rate within the bounds; nothing was written.{told}\nThe column is "
            f"{columns}. To measure it: virgo-factory distill run, then name its folder here."
        )


def _described(
    fates: list[str],
    rates: list[float | None],
    out: Path,
    bounds: tuple[float, float],
    column: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Write the card of the rows at `partial_of(out)`, and return it for programs."""
    known = [rate for rate in rates if rate is not None]
    told = {"mean": round(float(np.mean(known)), 4)}
    told |= {"never right": known.count(0.0), "always right": known.count(1.0)}
    written, kept = partial_of(out), fates.count("")
    card = DatasetCard(
        verb="slice",
        rows_in=len(fates),
        examples_in=len(fates),
        kept=kept,
        dropped=dict(Counter(filter(None, fates)).most_common()),
        settings={"pass rate": f"{bounds[0]:g} to {bounds[1]:g}", "column": column},
        notes=(_note(told),),
        output={"file": out.name, "rows": kept, "bytes": written.stat().st_size, "sha256": file_hash(written)},
        **more,
    )
    lead = f"{kept:,} rows by pass rate, made by `virgo-factory data slice` {card.version}."
    content = card.to_json() | {"rates": told}
    write_card(out, replace(card.card(), lead=lead), content)
    return content


def _note(rates: dict[str, Any]) -> str:
    return f"Of the rows with a pass rate: right {rates['mean']:.0%} of the time; {rates['never right']:,} never, {rates['always right']:,} always."
