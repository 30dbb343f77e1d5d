"""Questions of benchmarks: their files found on this machine or the hub, read as a stream, pictures stored once."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from textwrap import shorten
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.files.chunks import is_data_file
from virgo_factory.data.read.reader import cut_file, place_of, read_chunk
from virgo_factory.evaluation.benchmarks import BENCHMARKS, Benchmark
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.atomic import new_file
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.rollouts.question import question_of, write_question


NOT_DRAWN = "not drawn"
OUTSIDE = "outside of the subset"
"""Of a row that the subset rule of its benchmark leaves out."""

Store = Callable[[Any, Path], tuple[str, str]]
"""A picture as a row holds it and the folder that its paths are below -> where it was stored, and its SHA-256."""


@dataclass
class Taken:
    """What became of a benchmark's rows.

    Attributes:
        revision: of the hub; "" for a folder.
        files: name -> SHA-256.
        asked: questions written.
        left_out: reason -> questions or rows.
        examples: reason -> the first of them and what is wrong with it.
    """

    benchmark: Benchmark
    place: str
    revision: str = ""
    files: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    asked: int = 0
    left_out: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, place: str, error: RejectedRow) -> None:
        """Count what cannot be asked."""
        self.left_out[error.reason] += 1
        self.examples.setdefault(error.reason, f"{place}: {error}")

    @property
    def found(self) -> int:
        """Questions that the rows hold, asked or not drawn."""
        return self.asked + self.left_out[NOT_DRAWN]


def benchmark_of(name: str) -> Benchmark:
    """Return the benchmark of that name.

    Raises:
        ValueError: there is none, with names that are near.
    """
    if name not in BENCHMARKS:
        near = get_close_matches(name.lower(), BENCHMARKS, 3, 0.5) or BENCHMARKS
        raise UserError(f"benchmarks: {name!r} is not known. Is it {' or '.join(near)}? `evaluate list` shows all.")

    return BENCHMARKS[name]


def files_of(names: Sequence[str], benchmark: Benchmark) -> list[str]:
    """Return those of the files of a dataset that hold a benchmark: by words in their paths, as far as there are such words.

    >>> from virgo_factory.evaluation.benchmarks import BENCHMARKS
    >>> files_of(["data/test-00000-of-00001.parquet", "data/testmini-0.parquet"], BENCHMARKS["mathvision"])
    ['data/test-00000-of-00001.parquet']
    """
    kept = sorted(name for name in names if is_data_file(Path(name)))
    for word in filter(None, (benchmark.config, benchmark.split)):
        there = re.compile(rf"(?:^|[/_-])(?:{word})(?=[./-])", re.IGNORECASE)
        kept = [name for name in kept if there.search(name)] or kept

    return [name for name in kept if name.endswith(".parquet")] or kept


def read_benchmark(benchmark: Benchmark, folder: Path | None, taken: Taken) -> Iterator[dict[str, Any]]:
    """Yield the questions of a benchmark in the order of its files; their pictures are as the rows hold them.

    `folder`: its own, in the layout of the hub; None: fetched from the hub and kept in its cache.

    Raises:
        ValueError: no files, a column is missing, or a row cannot be read.
    """
    ids: set[str] = set()
    for name, path in _paths(benchmark, folder, taken):
        taken.files[name] = file_hash(path)
        number = 0
        for row in chain.from_iterable(map(read_chunk, cut_file(path))):
            number += 1
            place = place_of(name, row.line, number - 1)
            if row.problem or not isinstance(row.raw, Mapping):
                raise UserError(f"{benchmark.name}: {place}: {row.problem or 'not an object of columns'}")

            if number == 1 and (missing := [column for column in benchmark.columns if column not in row.raw]):
                at = f" at revision {taken.revision}" if taken.revision else ""
                raise UserError(
                    f"{benchmark.name}: {name}{at} has no column {', '.join(missing)}. Found: {', '.join(row.raw)}. "
                    f"Expected: {', '.join(benchmark.columns)}. Is it {benchmark.hub}, split {benchmark.split}?"
                )

            taken.rows += 1
            asks = False
            try:
                for question in benchmark.ask(row.raw, name):
                    id = f"{benchmark.name}/{question['id']}"
                    if id in ids:
                        raise RejectedRow("an id is there twice", id)

                    ids.add(id)
                    asks = True
                    images = [_below(folder, path.parent, image) for image in question["images"]]
                    yield {**question, "id": id, "source": benchmark.name, "origin": place, "images": images}
            except RejectedRow as error:
                taken.leave_out(place, error)
            else:
                if not asks:
                    taken.left_out[OUTSIDE] += 1


def _below(folder: Path | None, beside: Path, image: Any) -> Any:
    """Return a picture's path as it counts from a benchmark's folder, where it is below the file's own or in `images` there."""
    if folder is None or not isinstance(image, str) or (folder / image).is_file():
        return image

    found = (place / image for place in (beside, beside / "images", folder / "images") if (place / image).is_file())
    return next((path.relative_to(folder).as_posix() for path in found), image)


def _paths(benchmark: Benchmark, folder: Path | None, taken: Taken) -> Iterator[tuple[str, Path]]:
    """Yield names and paths of a benchmark's files."""
    if folder is not None:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    else:
        info = _from_hub(benchmark)
        names, taken.revision = [file.rfilename for file in info.siblings or ()], info.sha or ""

    kept = files_of(names, benchmark)
    if not kept:
        raise UserError(
            f"{benchmark.name}: no data file in {taken.place}. Expected are the files of {benchmark.hub}, split "
            f"{benchmark.split}. Found: {', '.join(sorted(names)[:5]) or 'nothing'}."
        )

    for name in kept:
        yield name, folder / name if folder is not None else _from_hub(benchmark, name, taken.revision)


def _from_hub(benchmark: Benchmark, name: str | None = None, revision: str | None = None) -> Any:
    """Return what the hub says of a benchmark's dataset, or the path of a file of it, fetched into the cache."""
    import huggingface_hub as hub

    try:
        if name is None:
            return hub.HfApi().dataset_info(benchmark.hub)

        return Path(hub.hf_hub_download(benchmark.hub, name, repo_type="dataset", revision=revision))
    except Exception as error:  # requests' and the library's own errors for "gated", "not there" and "no network"
        reason = next(iter(str(error).strip().splitlines()), "")
        raise UserError(
            f"{benchmark.name}: {benchmark.hub} could not be fetched ({type(error).__name__}: {shorten(reason, 160)}). Where there is "
            f"a network: hf download {benchmark.hub} --repo-type dataset --local-dir DIR/{benchmark.name}, and set "
            "benchmark_dir: DIR. A gated dataset needs its terms accepted there and `hf auth login`."
        ) from None


def draw(strata: Mapping[str, str], count: int, seed: int) -> set[str]:
    """Return the ids of a draw, which has as many of each stratum as its share says; the same for the same seed."""
    members = defaultdict(list)
    for id, stratum in strata.items():
        members[stratum].append((hashlib.sha256(f"{seed} {id}".encode()).digest(), id))

    count = min(count, len(strata))
    shares = {stratum: len(ids) * count / len(strata) for stratum, ids in members.items()}
    sizes = {stratum: int(share) for stratum, share in shares.items()}
    rest = sorted(shares, key=lambda stratum: (sizes[stratum] - shares[stratum], stratum))
    for stratum in rest[: count - sum(sizes.values())]:
        sizes[stratum] += 1

    return {id for stratum, ids in members.items() for _, id in sorted(ids)[: sizes[stratum]]}


def write_questions(
    wanted: Mapping[str, int | None],
    target: Path,
    store: Store,
    benchmark_dir: Path | None = None,
    seed: int = 42,
    allow_partial: bool = False,
) -> list[Taken]:
    """Write the questions of benchmarks to `target`, which appears only when all are in it; return what became of the rows.

    `wanted`: name -> how many of its questions are drawn; None for all.
    `benchmark_dir`: folder with a sub-folder a benchmark, in the hub's layout; None for the hub.

    Raises:
        ValueError: what is wrong with any of the benchmarks, all together.
    """
    done, problems = [], []
    with new_file(target) as lines:
        for name, count in wanted.items():
            try:
                done.append(_write(benchmark_of(name), count, lines, store, benchmark_dir, seed))
                taken = done[-1]
                if taken.found < taken.benchmark.count and not allow_partial:
                    why = "; ".join(
                        f"{reason}: {times:,}"
                        + (f", the first {taken.examples[reason]}" if reason in taken.examples else "")
                        for reason, times in taken.left_out.most_common()
                    )
                    problems.append(
                        f"{name}: {taken.found:,} of {taken.benchmark.count:,} published questions in {taken.place} "
                        f"({taken.rows:,} rows{'; ' + why if why else ''}). Complete the files, or set allow_partial: true: "
                        'every table then says "n of N".'
                    )
            except ValueError as error:
                problems.append(str(error))

        if problems:
            raise UserError("\n".join(problems))

    return done


def _drawn(benchmark: Benchmark, folder: Path | None, count: int, seed: int) -> set[str]:
    """Return the ids of a draw of `count` questions; of about as many, where clusters are drawn whole."""
    strata, members = {}, defaultdict(list)
    for row in read_benchmark(benchmark, folder, Taken(benchmark, "")):
        unit = row["cluster"] if benchmark.drawn_whole else row["id"]
        strata.setdefault(unit, row["groups"].get(benchmark.draw_by, ""))
        members[unit].append(row["id"])

    total = sum(map(len, members.values()))
    units = max(1, round(count * len(members) / max(total, 1)))
    return {id for unit in draw(strata, units, seed) for id in members[unit]}


def _write(
    benchmark: Benchmark, count: int | None, lines: Any, store: Store, benchmark_dir: Path | None, seed: int
) -> Taken:
    folder = None if benchmark_dir is None else benchmark_dir / benchmark.name
    if folder is not None and not folder.is_dir():
        there = [path.name for path in benchmark_dir.iterdir() if path.is_dir()] if benchmark_dir.is_dir() else []
        raise UserError(
            f"{benchmark.name}: no folder {folder}. Folders there: {', '.join(sorted(there)[:20]) or 'none'}."
        )

    taken = Taken(benchmark, str(folder or benchmark.hub))
    drawn = None
    if count is not None:
        drawn = _drawn(benchmark, folder, count, seed)

    for question in read_benchmark(benchmark, folder, taken):
        if drawn is not None and question["id"] not in drawn:
            taken.left_out[NOT_DRAWN] += 1
            continue

        try:
            stored = [store(image, folder or Path()) for image in question["images"]]
            pictures = {"images": [path for path, _ in stored], "image_sha256": [digest for _, digest in stored]}
            line = write_question(question_of(question | pictures))
        except RejectedRow as error:
            taken.leave_out(f"{question['origin']} (id {question['id']})", error)
            continue

        taken.asked += 1
        lines.write(line)

    return taken
