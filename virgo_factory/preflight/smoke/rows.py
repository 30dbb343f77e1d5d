"""The rows of a smoke run: all are measured, the shortest and the longest are taken."""

import contextlib
import dataclasses
import heapq
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.data.read.files.chunks import TABLE_SUFFIXES, UnreadableFile
from virgo_factory.data.read.source import Source, read_source
from virgo_factory.data.rows.stream import measure
from virgo_factory.formats import FORMATTINGS, Options
from virgo_factory.io.atomic import TEXT
from virgo_factory.preflight.smoke.trial import STEPS, Found, Smoke, StageFailed
from virgo_factory.report.text import quoted


ACCUMULATION = 2
PER_DEVICE = 2
"""At most; the rows of a step otherwise follow the recipe."""

LOGITS = 100_000_000
"""Elements of a micro-batch's logits: 0.4 GB in float32, 1.2 GB with gradients and copies, a second of a CPU core."""

LONGEST = 4096
"""Tokens; a longer row is cut whatever the vocabulary."""


@dataclass
class Chosen:
    """The shortest and the longest rows of a source while they are read: (tokens, row number), and what became of all.

    `spare` are the shortest of those that are left out for their length, taken where no other row is.
    """

    short: list[tuple[int, int]] = field(default_factory=list)
    long: list[tuple[int, int]] = field(default_factory=list)
    spare: list[tuple[int, int]] = field(default_factory=list)
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    cut: int = 0

    def add(self, tokens: int, number: int, room: int) -> None:
        """Take a row into account; `room` is how many shortest and how many longest are wanted."""
        self.kept += 1
        _push(self.short, (-tokens, -number), room)
        _push(self.long, (tokens, -number), room)

    def numbers(self, wanted: int) -> list[int]:
        """Return the rows in order: the longest half, the rest the shortest, repeated where there are too few."""
        longest = [-number for _, number in sorted(self.long, reverse=True)][: max(wanted // 2, 1)]
        shortest = [-number for _, number in sorted(self.short, reverse=True) if -number not in longest]
        rows = (longest + shortest)[:wanted]
        return sorted((rows * math.ceil(wanted / len(rows)))[:wanted]) if rows else []


def _push(heap: list[tuple[int, int]], entry: tuple[int, int], room: int) -> None:
    (heapq.heappush if len(heap) < room else heapq.heappushpop)(heap, entry)


def rows(smoke: Smoke) -> Found:
    """Measure all rows, and write the shortest and the longest as datasets of the same names."""
    keys = smoke.keys
    per_device, accumulation = batch(keys)
    wanted = STEPS * smoke.ranks * per_device * accumulation
    longest = longest_tokens(smoke.vocabulary, per_device * (2 if keys["stage"] == "dpo" else 1))
    smoke.settings = dataclasses.replace(smoke.settings, tokenizer=str(smoke.twin))
    found = _measure(smoke, wanted, longest)
    other = dataclasses.replace(smoke.sources[0], formatting="long_thought", entry={}, options=Options())
    if smoke.data and not any(chosen.kept for chosen in found) and smoke.sources[0].formatting in FORMATTINGS:
        before, smoke.sources = smoke.sources, [other]
        again = _measure(smoke, wanted, longest)
        if any(chosen.kept for chosen in again):
            used = "long_thought, which reads that file"
            smoke.substitute(f"formatting: {before[0].formatting}", used, "that adapter")
            found = again
        else:
            smoke.sources = before

    dropped = sum((chosen.dropped for chosen in found), Counter())
    kept = sum(chosen.kept for chosen in found)
    account = f"{kept + dropped.total():,} rows: {kept:,} kept, {dropped.total():,} dropped"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common(5))
    account += f" ({reasons})" if reasons else ""
    if not kept:
        remedy = f"look at them: virgo-factory data check {quoted(smoke.data or smoke.recipe)}"
        raise StageFailed(f"{account}: nothing is left to train on", remedy)

    if kept < smoke.ranks:
        raise StageFailed(f"{account}: fewer than the {smoke.ranks} ranks", "use fewer --ranks, or more rows")

    (smoke.work / "data").mkdir()
    entries, lengths = {}, []
    shares = [wanted // len(found) + (place < wanted % len(found)) for place in range(len(found))]
    for source, chosen, share in zip(smoke.sources, found, shares, strict=True):
        if not chosen.short and chosen.spare:
            chosen.short = sorted(chosen.spare)[-max(share, 1) :]
            chosen.cut -= len(chosen.short)
            longest = max(longest, *(-tokens for tokens, _ in chosen.short))

        numbers = chosen.numbers(max(share, 1))
        if not numbers:
            raise StageFailed(f"{source.name}: none of its rows is kept ({account})", "repair or remove the dataset")

        tokens = {-number: length for length, number in chosen.long} | {-n: -length for length, n in chosen.short}
        lengths += [tokens[number] for number in numbers]
        file = write_rows(source, numbers, smoke.work / "data" / source.name.replace("/", "_"))
        entry = {key: value for key, value in source.entry.items() if key not in _PLACE_KEYS}
        entries[source.name] = {**entry, "file_name": file.name, "formatting": source.formatting}

    (smoke.work / "data" / "dataset_info.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    smoke.longest = longest if any(length > longest for length in lengths) else None
    unit = "tokens" if all(source.is_ours for source in smoke.sources) else "tokens by estimate"
    if smoke.longest:
        told = f"rows of up to {max(lengths):,} {unit}"
        smoke.substitute(told, f"cut to {longest:,} tokens", "memory and time of the longest rows")

    if cut := sum(chosen.cut for chosen in found):
        told = f"{cut:,} prompts, or rows with images, of more than {longest:,} {unit}"
        smoke.substitute(told, "left out", "memory and time of these rows")

    picked = f"taken: {len(lengths)}, the shortest and the longest, {min(lengths):,} to {max(lengths):,} {unit}"
    return f"{account}; {picked}" + (f", cut to {longest:,}" if smoke.longest else ""), ()


_PLACE_KEYS = (
    *("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"),
    *("subset", "folder", "split", "num_samples", "made_by"),
)


def batch(keys: Mapping[str, Any]) -> tuple[int, int]:
    """Return rows a rank and forward pass, and accumulation steps, of the smoke run."""
    per_device = min(int(keys.get("per_device_train_batch_size") or 8), PER_DEVICE)
    accumulates = "global_batch_size" in keys or int(keys.get("gradient_accumulation_steps") or 1) > 1
    accumulates |= keys.get("stage") == "grpo"  # a group has two responses at least
    return per_device, ACCUMULATION if accumulates else 1


def longest_tokens(vocabulary: int, sequences: int) -> int:
    """Return how long a row may be, in tokens, for minutes on a CPU; a multiple of 8.

    >>> longest_tokens(152064, 1), longest_tokens(1600, 2)
    (656, 4096)
    """
    return max(min(LOGITS // (vocabulary * sequences), LONGEST) // 8 * 8, 256)


def _measure(smoke: Smoke, wanted: int, longest: int) -> list[Chosen]:
    found = [Chosen() for _ in smoke.sources]
    own = [source.is_ours for source in smoke.sources]
    seen = Counter()
    for record in measure(smoke.sources, smoke.settings):
        chosen = found[record.source]
        if record.reason:
            chosen.dropped[record.reason] += 1
        elif own[record.source] and record.number + 1 > seen[record.source]:  # of a row with several parts the first
            seen[record.source] = record.number + 1
            whole = record.images or smoke.keys["stage"] == "grpo"
            _take(chosen, record.tokens, whole, record.number, wanted, longest)
        elif own[record.source]:
            chosen.kept += 1

    for place, source in enumerate(smoke.sources):
        if not own[place]:
            for row in read_source(source):
                tokens, images = estimate(row.raw, source.options.columns, smoke.settings.image_max_pixels)
                _take(found[place], tokens, images, row.number, wanted, longest)

    return found


def _take(chosen: Chosen, tokens: int, whole: int | bool, number: int, wanted: int, longest: int) -> None:
    if whole and tokens > longest:  # cut in an image, a row would not fit its pixels; a prompt is asked whole
        chosen.kept += 1
        chosen.cut += 1
        _push(chosen.spare, (-tokens, -number), wanted)
    else:
        chosen.add(tokens, number, wanted)


def estimate(raw: Any, columns: Mapping[str, str], max_pixels: int) -> tuple[int, int]:
    """Return about how many tokens a row in one of LLaMA-Factory's own formattings has, and how many images."""
    images = raw.get(columns.get("images", "images")) if isinstance(raw, dict) else None
    count = len(images) if isinstance(images, list) else bool(images)
    return len(json.dumps(raw, ensure_ascii=False, default=str)) // 3 + count * (max_pixels // (28 * 28)), count


def write_rows(source: Source, numbers: Sequence[int], stem: Path) -> Path:
    """Write rows of a source as they are, in JSONL or Parquet, and return the file."""
    raw = {}
    with contextlib.suppress(UnreadableFile):  # broken rows have been counted
        for row in read_source(source):
            if row.number in numbers:
                raw[row.number] = row.raw

            if row.number >= numbers[-1]:
                break

    if source.files[0].suffix in TABLE_SUFFIXES:
        import pyarrow
        import pyarrow.parquet

        file = stem.with_suffix(".parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([raw[number] for number in numbers]), file)
    else:
        file = stem.with_suffix(".jsonl")
        lines = [json.dumps(raw[number], ensure_ascii=False) + "\n" for number in numbers]
        file.write_text("".join(lines), **TEXT)

    return file
