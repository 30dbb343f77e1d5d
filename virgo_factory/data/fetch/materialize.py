"""The images of the released visual rows, which name them by a relative path only, taken from where they came from.

A row is matched by its question and its answer with the question-answer pairs of LLaVA-OneVision (reference
visual_sources.md sections 2, 3 and 5); an image's own name decides between several that fit. One pass over the source, a
row group at a time; what was found stands in an append-only file, so that a run can be killed and started again.
"""

import hashlib
import io
import json
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.fetch.onevision import CONFIGS, ORIGIN, Shard, opened, shards_of
from virgo_factory.data.fetch.picture_match import (
    Wanted,
    digest_of,
    match_answer,
    match_text,
    pairs_of,
    plain,
    read_wanted,
    stem_of,
)
from virgo_factory.data.make.card import DatasetCard
from virgo_factory.data.make.pipeline import Inputs
from virgo_factory.data.read.look import as_seen, is_as_seen
from virgo_factory.data.read.source import INFO, Source, read_info, read_source
from virgo_factory.data.rows.entry import write_entry
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.files import check_folder
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.io.lock import try_lock
from virgo_factory.report.card import write_card


ROWS, UNMATCHED, STATE, IMAGES, DOWNLOADS = "rows.jsonl", "unmatched.jsonl", "state.jsonl", "images", "downloads"

NO_QUESTION, OTHER_ANSWER, UNREADABLE, SEVERAL = (
    "question not in the source",
    "question found, with other answers",
    "its image cannot be read",
    "several images fit",
)
"""Why a row has no image; rows that name no single image have reasons of their own."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow would start Ghostscript for EPS
_TEXT_ROWS, _IMAGE_ROWS = 1000, 32


@dataclass(frozen=True)
class Report:
    """What a run made."""

    out: Path
    rows_in: int  # rows read = `kept` + all of `unmatched`
    kept: int
    by_name: int  # kept rows whose image also has the name that the row gives; the others go by text alone
    by_config: Mapping[str, int]  # kept rows by the config their image is from
    unmatched: Mapping[str, int]  # reason -> rows
    images: int  # different images that the kept rows show
    searched: Sequence[str]  # configs of which every file was read, by this call or an earlier one


def materialize(
    dataset: Source,
    out: Path,
    origin: str = ORIGIN,
    configs: Sequence[str] = CONFIGS,
    progress: Callable[[str, int, int, int], None] | None = None,
) -> Report:
    """Write OUT/images, OUT/rows.jsonl (`formatting: virgo_dsd`) and OUT/unmatched.jsonl, and return the report.

    A second call with the same rows goes on where the first one stopped, and may name further configs of the origin,
    which is a folder with CONFIG/*.parquet, or a hub dataset of that layout. `progress` is told the shard's name,
    shards done, shards in all and rows matched so far. Raises UserError for no such config, a broken shard, a hub that
    cannot be reached, a folder of other rows or in use, or where no row was matched.
    """
    check_folder(out / IMAGES)
    wanted = read_wanted(row.raw for row in read_source(dataset))
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    with _State(out / STATE, wanted) as state:
        by_config, revision = shards_of(origin, configs, state.listing, state.revision)
        state.note(by_config, revision)
        shards = [shard for config in configs for shard in by_config[config]]
        for position, shard in enumerate(shards):
            if progress:
                progress(f"{shard.config}/{shard.name}", position, len(shards), int(state.is_matched().sum()))

            if not state.is_done(shard):
                with opened(origin, shard, revision, out / DOWNLOADS) as path:
                    _scan(shard, path, wanted, state, out)
                    state.finish(shard)

        if progress:
            progress("", len(shards), len(shards), int(state.is_matched().sum()))

        return _write(dataset, wanted, state, out)


def describe(report: Report, dataset: Source, origin: str, command: str) -> list[Path]:
    """Write the dataset_info.json entry and the card of what `materialize` made, and return their paths."""
    path = report.out / ROWS
    entry = {"file_name": ROWS, "formatting": "virgo_dsd"}
    info = report.out / INFO
    if dataset.name not in read_info(report.out):
        write_entry(report.out, dataset.name, entry)

    card = DatasetCard(
        verb="materialize",
        command=command,
        inputs=Inputs.of([dataset]).described(),
        output={"file": ROWS, "rows": report.kept, "bytes": path.stat().st_size, "sha256": file_hash(path)},
        rows_in=report.rows_in,
        examples_in=report.rows_in,
        kept=report.kept,
        dropped=report.unmatched,
        by={"config": report.by_config},
        settings={"images from": origin, "configs": list(report.searched), "different images": report.images},
        media_dir=str(report.out),
        entry={dataset.name: entry},
        notes=(
            f"{report.by_name} rows were matched by question, answer and the image's name, "
            f"{report.kept - report.by_name} by question and answer alone. Which configs the paper used is not known.",
        ),
    )
    return [info, *write_card(path, card.card(), card.to_json())]


class _State:
    """What was found so far: arrays in memory, one entry a row, made from the append-only file that each find goes to.

    A level says how well an image fits: 0 nothing was found, 1 the question alone, 2 an image that cannot be read, 3
    question and answer, and then 1 more for the folder and 2 more for the name of the image.
    """

    QUESTION, UNREADABLE, TEXT, FOLDER, NAME = 1, 2, 3, 1, 2

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path = path
        count = len(wanted.order)
        self.level = np.zeros(count, dtype=np.int8)
        self.several = np.zeros(count, dtype=bool)
        self.image = np.zeros((count, 16), dtype=np.uint8)
        self.line = np.zeros(count, dtype=np.int64)  # byte in the file at which the find is told in full
        self.done: dict[tuple[str, str, int, int | None], None] = {}
        self.listing: dict[str, list[Shard]] = {}
        self.revision: str | None = None
        self.digest = wanted.digest

    def __enter__(self) -> "_State":
        with ExitStack() as stack:
            self.file = stack.enter_context(self.path.open("ab+"))
            if not try_lock(self.file):
                raise UserError(f"{self.path.parent}: another run is writing there. Wait for it to end.")

            self._read()
            stack.pop_all()

        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()

    def _read(self) -> None:
        """Take up what an earlier run left; a line that was cut off by a kill is removed."""
        self.file.seek(0)
        start = 0
        for line in self.file:
            if not line.endswith(b"\n"):
                break

            try:
                entry = json.loads(line)
            except ValueError:
                raise UserError(f"{self.path}: byte {start}: not JSON. Remove the file to begin anew.") from None

            if start == 0 and entry.get("rows") != self.digest:
                raise UserError(f"{self.path.parent} holds the images of other rows. Choose another --out.")

            self._take(entry, start)
            start += len(line)

        self.file.truncate(start)
        self.file.seek(start)
        if not start:
            self.append({"rows": self.digest})

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry to the file, and take it up."""
        start = self.file.seek(0, 2)
        self.file.write(json.dumps(entry).encode() + b"\n")
        self.file.flush()
        self._take(entry, start)

    def _take(self, entry: dict[str, Any], start: int) -> None:
        if "done" in entry:
            self.done[tuple(entry["done"])] = None
        elif "shards" in entry:
            self.revision = entry["revision"]
            self.listing[entry["config"]] = [Shard(entry["config"], name, size) for name, size in entry["shards"]]
        elif "level" in entry:
            row, level = entry["row"], entry["level"]
            image = np.frombuffer(bytes.fromhex(entry.get("image", "")[:32].ljust(32, "0")), dtype=np.uint8)
            if level > self.level[row]:
                self.level[row], self.image[row], self.line[row], self.several[row] = level, image, start, False
            elif level == self.level[row] and (image != self.image[row]).any():
                self.several[row] = True

    def note(self, by_config: Mapping[str, list[Shard]], revision: str | None) -> None:
        """Keep what a hub has, so that it is not asked again; a folder (no revision) is looked at anew each time."""
        for config, shards in by_config.items():
            if revision and config not in self.listing:
                listed = [[shard.name, shard.size] for shard in shards]
                self.append({"config": config, "revision": revision, "shards": listed})

    def is_open(self, row: int, level: int) -> bool:
        """Whether a find of this level would change what is known of the row."""
        known = self.level[row]
        return level > known or (level == known and level >= self.TEXT and not self.several[row])

    def is_done(self, shard: Shard, group: int | None = None) -> bool:
        """Whether a row group of a shard, or the whole of it, needs no second look."""
        return (shard.config, shard.name, shard.size, group) in self.done

    def finish(self, shard: Shard, group: int | None = None) -> None:
        """Note that a row group, or a whole shard, needs no second look."""
        self.append({"done": [shard.config, shard.name, shard.size, group]})

    def is_matched(self) -> np.ndarray:
        """Return, of every row, whether it has its one image."""
        return (self.level >= self.TEXT) & ~self.several

    def told(self, row: int) -> dict[str, Any]:
        self.file.seek(self.line[row])
        return json.loads(self.file.readline())

    def reason(self, row: int) -> str:
        if self.level[row] >= self.TEXT:
            return SEVERAL

        return (NO_QUESTION, OTHER_ANSWER, UNREADABLE)[self.level[row]]


def _scan(shard: Shard, path: Path, wanted: Wanted, state: _State, out: Path) -> None:
    """Look for the rows' images in one file, and save those that may be theirs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            columns = {"id", "image", "conversations"}
            if not columns <= set(file.schema_arrow.names) or file.schema_arrow.field("image").type.num_fields < 2:
                raise UserError(
                    f"columns found: {', '.join(file.schema_arrow.names)}; expected id, image (bytes, path), conversations"
                )

            for group in range(file.num_row_groups):
                if not state.is_done(shard, group):
                    _scan_group(shard, file, group, wanted, state, out)
                    state.finish(shard, group)

    except (pa.ArrowException, ValueError) as error:
        remedy = "Download it again, or name other configs with --config."
        raise UserError(f"{shard.config}/{shard.name}: {error}. {remedy}") from None


def _scan_group(shard: Shard, file: Any, group: int, wanted: Wanted, state: _State, out: Path) -> None:
    finds: dict[int, list[tuple[int, int]]] = {}  # position in the group -> rows and levels
    ids: dict[int, str] = {}
    position = 0
    config = plain(shard.config)
    columns = ["id", "conversations", "image.path"]
    for batch in file.iter_batches(_TEXT_ROWS, row_groups=[group], columns=columns):
        for source_row in batch.to_pylist():
            for row, level in _fits(source_row, config, wanted, state):
                if level == state.QUESTION:
                    state.append({"row": row, "level": level})
                else:
                    finds.setdefault(position, []).append((row, level))
                    ids[position] = str(source_row["id"])

            position += 1

    if not finds:
        return

    start = 0
    for batch in file.iter_batches(_IMAGE_ROWS, row_groups=[group], columns=["image.bytes"]):
        for position in range(start, start + len(batch)):
            open_finds = [find for find in finds.get(position, ()) if state.is_open(*find)]
            if open_finds:
                content = (batch.column(0)[position - start].as_py() or {}).get("bytes")
                saved = _save_image(content, out / IMAGES)
                origin = {"config": shard.config, "id": ids[position]}
                for row, level in open_finds:
                    if saved:
                        state.append({"row": row, "level": level, **saved, **origin})
                    elif state.is_open(row, state.UNREADABLE):
                        state.append({"row": row, "level": state.UNREADABLE, **origin})

        start += len(batch)


def _fits(source_row: Mapping[str, Any], config: str, wanted: Wanted, state: _State) -> Iterator[tuple[int, int]]:
    """Yield the rows that a source row may be the image of, and how well it fits, where that is news."""
    path = (source_row["image"] or {}).get("path")
    names = {digest_of(name) for name in (stem_of(path), stem_of(source_row["id"])) if name}
    for question, answer in pairs_of(source_row["conversations"]):
        rows = wanted.rows(digest_of(match_text(question)))
        if not len(rows):
            continue

        answered = digest_of(match_answer(answer))
        for row in rows.tolist():
            level = state.QUESTION
            if wanted.answers[row] == answered:
                folder = wanted.folders[wanted.folder[row]]
                level = state.TEXT
                level += state.FOLDER if folder and folder in config else 0
                level += state.NAME if int(wanted.names[row]) in names else 0

            if state.is_open(row, level):
                yield row, level


def _save_image(content: Any, folder: Path) -> dict[str, Any] | None:
    """Save an image as RGB under a hash of its pixels; return its file, width and height, None if it is none.

    A PNG or JPEG that is seen as it is keeps its bytes; whatever else is saved as it is seen (look.py).
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                as_it_is = image.format in ("PNG", "JPEG") and is_as_seen(image)
                suffix = ".jpg" if as_it_is and image.format == "JPEG" else ".png"
                pixels = as_seen(image)
    except Exception:  # decoders raise anything on broken bytes
        return None

    digest = hashlib.sha256(f"{pixels.width}x{pixels.height}".encode() + pixels.tobytes()).hexdigest()[:32]
    known = next((name for name in (f"{digest}.png", f"{digest}.jpg") if (folder / name).exists()), None)
    if not known:
        known = f"{digest}{suffix}"
        if not as_it_is:
            buffer = io.BytesIO()
            pixels.save(buffer, "PNG")
            content = buffer.getvalue()

        replace_file(folder / known, content, sync=False)  # a loss of power is noticed at the end

    return {"image": known, "width": pixels.width, "height": pixels.height}


def _write(dataset: Source, wanted: Wanted, state: _State, out: Path) -> Report:
    """Write the rows with their images and those without, and remove images that no row shows."""
    matched = state.is_matched()
    by_config: Counter[str] = Counter()
    unmatched: Counter[str] = Counter()
    shown: set[str] = set()
    partials = {out / name: out / f"{name}.partial" for name in (ROWS, UNMATCHED)}
    with ExitStack() as files:
        kept, rest = (files.enter_context(path.open("w", encoding="utf-8")) for path in partials.values())
        for number, row in enumerate(read_source(dataset)):
            if matched[number]:
                find = state.told(number)
                shown.add(find["image"])
                by_config[find["config"]] += 1
                more = {
                    "images": [f"{IMAGES}/{find['image']}"],
                    "image_sizes": [[find["width"], find["height"]]],
                    "image_source": {"config": find["config"], "id": find["id"]},
                }
                kept.write(json.dumps({**row.raw, **more}, default=str) + "\n")
            else:
                reason = wanted.reasons.get(number) or state.reason(number)
                unmatched[reason] += 1
                rest.write(json.dumps({"row": row.place, "reason": reason, **_named(row.raw)}, default=str) + "\n")

    folder = out / IMAGES
    if gone := [name for name in sorted(shown) if not (path := folder / name).is_file() or not path.stat().st_size]:
        raise UserError(f"{folder}: {len(gone)} images are gone, {gone[0]} first. Remove {state.path} and begin anew.")

    for path, partial in partials.items():
        partial.replace(path)

    for path in folder.iterdir():
        if path.name not in shown:
            path.unlink()

    shutil.rmtree(out / DOWNLOADS, ignore_errors=True)
    by_name = int((matched & (state.level >= state.TEXT + state.NAME)).sum())
    counted = dict(unmatched.most_common())
    searched = list(dict.fromkeys(config for config, _, _, group in state.done if group is None))
    report = Report(
        out, len(matched), int(matched.sum()), by_name, dict(by_config.most_common()), counted, len(shown), searched
    )
    if not report.kept:
        why = ", ".join(f"{count} {reason}" for reason, count in counted.items())
        told = f"none of {report.rows_in} rows was matched ({why})"
        raise UserError(f"{told}; see {out / UNMATCHED}. Name other configs.")

    return report


def _named(raw: Any) -> dict[str, Any]:
    """Return what a person needs to recognise a row."""
    known = raw if isinstance(raw, Mapping) else {}
    return {key: known[key] for key in ("id", "question", "answer", "images") if key in known}
