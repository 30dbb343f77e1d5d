"""How many rows of which dataset and domain go into a mix, and which ones these are."""

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
from virgo_factory.data.make.sampling import (
    DUPLICATE,
    Candidates,
    domain_mask,
    domains_there,
    first_of_duplicates,
    gather,
    seeded_order,
)
from virgo_factory.data.read.source import Source


@dataclass(frozen=True)
class Share:
    """What is asked of a dataset."""

    dataset: str  # name in dataset_info.json, or a file
    domains: tuple[str, ...] = ()  # only rows of these; () for all
    amount: int | float | None = None  # a number of rows (int), a ratio (float), or None for all rows

    def __str__(self) -> str:
        domains = "+".join(self.domains)
        return self.dataset + (f"[{domains}]" if domains else "")


_SHARE = re.compile(r"(?P<dataset>.+?)(?:\[(?P<domains>[^][]+)\])?(?::(?P<amount>[^:/\\]*))?")
_AMOUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[kK%]?)")


def read_share(text: str) -> Share:
    """Return the share written as `DATASET`, `DATASET:COUNT`, `DATASET:RATIO` or `DATASET[DOMAIN+DOMAIN]:COUNT`.

    >>> read_share("virgo_dt[physics+biology]:0.9k")
    Share(dataset='virgo_dt', domains=('physics', 'biology'), amount=900)
    """
    found = _SHARE.fullmatch(text)
    if not found or found["dataset"].startswith(":") or set("[]") & set(found["dataset"]):
        raise UserError(f"{text}: write DATASET:COUNT, such as virgo_dt:3700, virgo_dt[math]:3700 or virgo_dt:0.5.")

    domains = tuple(name.strip() for name in (found["domains"] or "").split("+") if name.strip())
    amount = None if found["amount"] is None else _read_amount(text, found["amount"])
    return Share(found["dataset"], domains, amount)


def _read_amount(text: str, amount: str) -> int | float:
    found = _AMOUNT.fullmatch(amount)
    number = float(found["number"]) if found else 0
    if found and found["unit"] in "kK" and found["unit"] and round(number * 1000) >= 1:
        return round(number * 1000)

    if found and not found["unit"] and "." not in amount and number >= 1:
        return int(number)

    ratio = number / 100 if found and found["unit"] == "%" else number
    if found and 0 < ratio <= 1:
        return ratio

    raise UserError(f"{text}: {amount or 'nothing'} is neither a number of rows (3700, 3.7k) nor a ratio (0.5, 50%).")


def choose(
    candidates: Candidates,
    shares: Sequence[Share],
    sources_of: Sequence[Sequence[int]],
    seed: int,
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the positions of the chosen candidates in the order of the mix, and why how many others are left out.

    None is chosen twice, nor are two of equal content: the first one stays.

    A share without domains keeps the proportions of its domains, one of several datasets those of the datasets, too.
    `sources_of` holds of each share the positions of its datasets. Ratios are of the rows that there are. Raises UserError
    for fewer rows than asked for, and shares that overlap; all told at once.
    """
    source, digest = candidates.column("source"), candidates.column("digest")
    asked, errors = [], []
    taken = np.zeros(len(candidates), dtype=bool)
    for share, sources in zip(shares, sources_of, strict=True):
        pool = np.isin(source, list(sources))
        if share.domains:
            pool &= domain_mask(candidates, share.domains)
            if not pool.any():
                there = domains_there(candidates)
                errors.append(f"{share}: no rows of this domain. There are: {there}.")

        if (taken & pool).any():
            errors.append(f"{share}: rows of it are asked for in an earlier place as well. Ask for each domain once.")

        taken |= pool
        asked.append(pool)

    places = np.flatnonzero(taken)
    unique = np.zeros(len(candidates), dtype=bool)
    unique[places[first_of_duplicates(digest[places])]] = True
    pools = [np.flatnonzero(pool & unique) for pool in asked]
    counts = []
    for share, own, pool in zip(shares, asked, pools, strict=True):
        amount = 1.0 if share.amount is None else share.amount
        counts.append(amount if isinstance(amount, int) else int(amount * len(pool) + 0.5))
        if counts[-1] > len(pool) and (len(pool) or not share.domains):
            twice = int((own & ~unique).sum())
            more = f" (and {twice:,} {DUPLICATE}{'s' * (twice > 1)} of rows before)" if twice else ""
            errors.append(f"{share}: {counts[-1]:,} rows asked for, {len(pool):,} there{more}.")

    if not errors and not sum(counts):
        errors.append("no row is asked for: the ratios are too small for the rows there are.")

    if errors:
        raise UserError("\n  ".join(["the mix cannot be made:", *errors]) if len(errors) > 1 else errors[0])

    left_out = {
        "not drawn": sum(map(len, pools)) - sum(counts),
        "not asked for": int((~taken).sum()),
        DUPLICATE: int((taken & ~unique).sum()),
    }
    strata = source.astype(np.int64) * len(candidates.domains) + candidates.column("domain").astype(np.int64)
    drawn = [
        pool[seeded_order(digest[pool], strata[pool], seed)[:count]] for pool, count in zip(pools, counts, strict=True)
    ]
    chosen = np.concatenate([np.empty(0, dtype=np.int64), *drawn])
    return chosen[seeded_order(digest[chosen], strata[chosen], seed)], left_out


def mix(
    sources: Sequence[Source],
    sources_of: Sequence[Sequence[int]],
    records: Callable[[], Iterable[Any]],
    shares: Sequence[Share],
    target: Path,
    command: str,
    seed: int = 42,
    overwrite: bool = False,
    holdout: Path | None = None,
) -> DatasetCard:
    """Write a mix and return its card.

    `records` returns what `measure` says of `sources`, each there once; `sources_of` and `seed`: see `choose`.
    Rows that ask a question of `holdout` are left out (holdout.py).
    """
    check_targets([target], sources, overwrite)
    inputs = Inputs.of(sources)
    check_kinds(sources)
    candidates = gather(records(), rejecting(holdout, sources))
    chosen, left_out = choose(candidates, shares, sources_of, seed)
    asked = ", ".join(f"{share}:{'all' if share.amount is None else share.amount}" for share in shares)
    settings = {"asked for": asked, "seed": seed, "holdout": holdout and str(holdout)}
    (card,) = write_chosen("mix", sources, inputs, candidates, [(target, chosen, left_out)], command, settings)
    return card
