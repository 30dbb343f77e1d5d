"""Part of a dataset: rows by length and domain, and nested sets of the first 1K, 3K, 5K of one order."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.make.card import DatasetCard
from virgo_factory.data.make.holdout import rejecting
from virgo_factory.data.make.pipeline import Inputs, check_kinds, check_targets, write_chosen
from virgo_factory.data.make.sampling import domain_names, domains_there, gather, seeded_order
from virgo_factory.data.read.source import Source


@dataclass(frozen=True)
class Wanted:
    """Which rows are wanted."""

    rows: tuple[int, ...] = ()  # sizes of the nested outputs; () for one output of all rows that fit
    domains: tuple[str, ...] = ()  # only rows of these; () for all
    seed: int = 42  # of the order from which the first rows are taken


def read_rows(text: str | None) -> tuple[int, ...]:
    """Return the sizes written as `1000,3000,5000` or `1k,3k`.

    >>> read_rows("1k,3000")
    (1000, 3000)
    """
    sizes = []
    for item in (text or "").split(",") if text else []:
        found = re.fullmatch(r"(\d+)(k?)", item.strip().lower())
        if not found or not int(found[1]):
            raise UserError(f"--rows {text}: write whole numbers, such as 1000,3000,5000.")

        sizes.append(int(found[1]) * (1000 if found[2] else 1))

    return tuple(sizes)


def read_bounds(text: str | None) -> tuple[int | None, int | None]:
    """Return the bounds written as `2001:4000`, `:2000` or `4001:`.

    >>> read_bounds("2001:4000"), read_bounds(":2000")
    ((2001, 4000), (None, 2000))
    """
    if text is None:
        return None, None

    found = re.fullmatch(r"(\d*):(\d*)", text.strip())
    low, high = (int(part) if part else None for part in found.groups()) if found else (None, None)
    if low is None and high is None or (low is not None and high is not None and low > high):
        raise UserError(f"--tokens {text}: write FROM:TO, such as 2001:4000, :2000 or 4001:.")

    return low, high


def read_names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def output_files(target: Path, rows: Sequence[int]) -> list[Path]:
    """Return the output of each size: `target` itself for one, NAME-1k, NAME-3k for several.

    >>> [path.name for path in output_files(Path("dt.jsonl"), (1000, 3000, 4213))]
    ['dt-1k.jsonl', 'dt-3k.jsonl', 'dt-4213.jsonl']
    """
    if len(rows) < 2:
        return [target]

    names = [f"{count // 1000}k" if count % 1000 == 0 else str(count) for count in rows]
    return [target.with_name(f"{target.stem}-{name}{target.suffix}") for name in names]


def cut(
    sources: Sequence[Source],
    records: Callable[[], Iterable[Any]],
    target: Path,
    wanted: Wanted,
    command: str,
    settings: dict[str, Any],
    overwrite: bool = False,
    holdout: Path | None = None,
) -> list[DatasetCard]:
    """Write the wanted rows and return the card of each output, the smallest first.

    Without `rows` the rows keep their order. With it they are taken from one seeded order whose every prefix keeps the
    shares of the domains, so that a smaller output is the beginning of a larger one. `records` returns what `measure`
    says, with the bounds of length already applied. Rows that ask a question of `holdout` are left out (holdout.py).
    Raises UserError where an output is in the way, no row fits, or fewer than asked for.
    """
    sizes = sorted(set(wanted.rows))
    targets = output_files(target, sizes)
    check_targets(targets, sources, overwrite)
    inputs = Inputs.of(sources)
    check_kinds(sources)
    domains = domain_names(wanted.domains)
    held_out = rejecting(holdout, sources)

    def reject(record: Any) -> str:
        if domains and (record.domain or "none").casefold() not in domains:
            return "another domain"

        return held_out(record)

    candidates = gather(records(), reject)
    there = len(candidates)
    if not there:
        why = "\n".join(f"  {count:,} {reason}" for reason, count in candidates.dropped.most_common(10))
        raise UserError(f"none of {candidates.rows_in:,} rows fits; nothing was written.\n{why}")

    if too_many := [size for size in sizes if size > there]:
        asked = ", ".join(f"{size:,}" for size in too_many)
        raise UserError(
            f"--rows {asked}: {there:,} rows fit (by domain: {domains_there(candidates)}). Nothing was written."
        )

    order = np.arange(there)
    if sizes:
        order = seeded_order(candidates.column("digest"), candidates.column("domain"), wanted.seed)

    settings = {
        "seed": wanted.seed if sizes else None,
        "domains": ", ".join(wanted.domains) or None,
        "holdout": holdout and str(holdout),
        **settings,
    }
    outputs = [
        (path, order[:size], {"not among the first": there - size})
        for path, size in zip(targets, sizes or [there], strict=True)
    ]
    return write_chosen("slice", sources, inputs, candidates, outputs, command, settings)
