"""The images of the released visual rows, which name them by a relative path only, taken from where they came from.

A row is matched by its question and its answer with the question-answer pairs of LLaVA-OneVision (reference
visual_sources.md sections 2, 3 and 5); an image's own name decides between several that fit. One pass over the source, a
row group at a time; what the rows ask for and what was found stands in a database, each group with its finds, so that a run can
be killed and started again.
"""

import hashlib
import io
import json
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.fetch.onevision import CONFIGS, ORIGIN, TEXT_ROWS, Pictures, Shard, opened, shards_of
from virgo_factory.data.fetch.picture_match import (
    asked_of,
    digest_of,
    match_answer,
    match_text,
    pairs_of,
    plain,
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


ROWS, UNMATCHED, STATE, IMAGES, DOWNLOADS = "rows.jsonl", "unmatched.jsonl", "state.sqlite", "images", "downloads"

NO_QUESTION, OTHER_ANSWER, UNREADABLE, SEVERAL = (
    "question not in the source",
    "question found, with other answers",
    "its image cannot be read",
    "several images fit",
)
"""Why a row has no image; rows that name no single image have reasons of their own."""

REMEDY = "Download it again, or name other configs with --config."

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow would start Ghostscript for EPS

_QUESTION, _UNREADABLE, _TEXT = 1, 2, 3
"""How well an image fits a row: the question alone, an image that cannot be read, question and answer; 0: nothing was found."""
_FOLDER, _NAME = 1, 2
"""What comes on top of _TEXT for the folder and for the name of the image."""

_TABLES = (
    "CREATE TABLE about (rows TEXT)",
    "CREATE TABLE wanted (row INTEGER PRIMARY KEY, question INTEGER, answer INTEGER, name INTEGER, folder TEXT, reason TEXT, "
    "level INTEGER DEFAULT 0, several INTEGER DEFAULT 0, image TEXT, width INTEGER, height INTEGER, config TEXT, id TEXT)",
    "CREATE INDEX by_question ON wanted (question)",
    "CREATE TABLE done (config TEXT, shard TEXT, size INTEGER, part INTEGER, UNIQUE (config, shard, size, part))",
    "CREATE TABLE listed (config TEXT, shard TEXT, size INTEGER, revision TEXT)",
)
"""What the rows ask for, by digests, with the best find of each; row groups that need no second look (-1: the whole shard); what
a hub has, so that it is not asked again."""
_MATCHED = f"level >= {_TEXT} AND NOT several"


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
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    with _state(dataset, out) as db:
        by_config, revision = _shards(db, origin, configs)
        shards = [shard for config in configs for shard in by_config[config]]
        for position, shard in enumerate(shards):
            if progress:
                progress(f"{shard.config}/{shard.name}", position, len(shards), _matched(db))

            if not _is_done(db, shard):
                with opened(origin, shard, revision, out / DOWNLOADS, REMEDY) as file:
                    _scan(shard, file, db, out)

        if progress:
            progress("", len(shards), len(shards), _matched(db))

        return _write(dataset, db, out)


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


@contextmanager
def _state(dataset: Source, out: Path) -> Iterator[sqlite3.Connection]:
    """Give the database of a folder, made for these rows where it is not there; nobody else may have it meanwhile."""
    with (out / f".{STATE}.lock").open("ab") as lock, closing(sqlite3.connect(out / STATE)) as db:
        if not try_lock(lock):
            raise UserError(f"{out}: another run is writing there. Wait for it to end.")

        try:
            is_new = db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            digest = hashlib.sha256()
            with db:
                db.execute("BEGIN")
                for table in _TABLES if is_new else ():
                    db.execute(table)

                for row in read_source(dataset):
                    question, answer, image, reason = asked_of(row.raw)
                    digest.update(json.dumps([question, answer, image]).encode())
                    if is_new:
                        digests = (
                            digest_of(match_text(question)),
                            digest_of(match_answer(answer)),
                            digest_of(stem_of(image)),
                        )
                        wanted = (None,) * 4 if reason else (*digests, plain(str(PurePosixPath(image).parent)))
                        db.execute(
                            "INSERT INTO wanted (row, question, answer, name, folder, reason) VALUES (?, ?, ?, ?, ?, ?)",
                            (row.number, *wanted, reason),
                        )

                db.execute("INSERT INTO about SELECT ? WHERE NOT EXISTS (SELECT * FROM about)", (digest.hexdigest(),))

            if db.execute("SELECT rows FROM about").fetchone() != (digest.hexdigest(),):
                raise UserError(f"{out} holds the images of other rows. Choose another --out.")
        except sqlite3.DatabaseError as error:
            raise UserError(f"{out / STATE}: {error}. Remove the file to begin anew.") from None

        yield db


def _shards(db: sqlite3.Connection, origin: str, configs: Sequence[str]) -> tuple[dict[str, list[Shard]], str | None]:
    """Return the shards of each config and their revision, and keep what a hub has; a folder (no revision) is looked at anew."""
    known: dict[str, list[Shard]] = {}
    revision = None
    for config, name, size, revision in db.execute("SELECT * FROM listed ORDER BY rowid").fetchall():
        known.setdefault(config, []).append(Shard(config, name, size))

    found, revision = shards_of(origin, configs, known, revision)
    if revision:
        rows = [
            (one.config, one.name, one.size, revision)
            for config in found
            if config not in known
            for one in found[config]
        ]
        with db:
            db.executemany("INSERT INTO listed VALUES (?, ?, ?, ?)", rows)

    return found, revision


def _matched(db: sqlite3.Connection, more: str = "") -> int:
    """Return how many rows have their one image."""
    return db.execute(f"SELECT count(*) FROM wanted WHERE {_MATCHED} {more}").fetchone()[0]


def _is_done(db: sqlite3.Connection, shard: Shard, part: int = -1) -> bool:
    """Whether a row group of a shard, or the whole of it, needs no second look."""
    key = (shard.config, shard.name, shard.size, part)
    return (
        db.execute("SELECT 1 FROM done WHERE (config, shard, size, part) = (?, ?, ?, ?)", key).fetchone() is not None
    )


def _finish(db: sqlite3.Connection, shard: Shard, part: int = -1) -> None:
    db.execute("INSERT INTO done VALUES (?, ?, ?, ?)", (shard.config, shard.name, shard.size, part))


def _scan(shard: Shard, file: Any, db: sqlite3.Connection, out: Path) -> None:
    """Look for the rows' images in one file, and save those that may be theirs."""
    for group in range(file.num_row_groups):
        if not _is_done(db, shard, group):
            with db:  # a group's finds are there together
                _scan_group(shard, file, group, db, out)
                _finish(db, shard, group)

    with db:
        _finish(db, shard)


def _scan_group(shard: Shard, file: Any, group: int, db: sqlite3.Connection, out: Path) -> None:
    finds: dict[int, list[tuple[int, int]]] = {}  # position in the group -> rows and levels
    ids: dict[int, str] = {}
    position = 0
    config = plain(shard.config)
    columns = ["id", "conversations", "image.path"]
    for batch in file.iter_batches(TEXT_ROWS, row_groups=[group], columns=columns):
        for source_row in batch.to_pylist():
            for row, level in _fits(source_row, config, db):
                if level == _QUESTION:
                    _note(db, row, level)
                else:
                    finds.setdefault(position, []).append((row, level))
                    ids[position] = str(source_row["id"])

            position += 1

    pictures = Pictures(file, group)
    for position, found in finds.items():
        open_finds = [find for find in found if _is_news(db, *find)]
        if open_finds:
            saved = _save_image(pictures.at(position), out / IMAGES)
            for row, level in open_finds:
                if saved:
                    _note(db, row, level, *saved, shard.config, ids[position])
                else:
                    _note(db, row, _UNREADABLE)


def _fits(source_row: Mapping[str, Any], config: str, db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Yield the rows that a source row may be the image of, and how well it fits, where that is news."""
    path = (source_row["image"] or {}).get("path")
    names = {digest_of(name) for name in (stem_of(path), stem_of(source_row["id"])) if name}
    for question, answer in pairs_of(source_row["conversations"]):
        rows = db.execute(
            "SELECT row, answer, name, folder FROM wanted WHERE question = ?", (digest_of(match_text(question)),)
        ).fetchall()
        answered = digest_of(match_answer(answer)) if rows else None
        for row, own, name, folder in rows:
            level = _QUESTION
            if own == answered:
                level = _TEXT
                level += _FOLDER if folder and folder in config else 0
                level += _NAME if name in names else 0

            if _is_news(db, row, level):
                yield row, level


def _is_news(db: sqlite3.Connection, row: int, level: int) -> bool:
    """Whether a find of this level would change what is known of the row."""
    known, several = db.execute("SELECT level, several FROM wanted WHERE row = ?", (row,)).fetchone()
    return level > known or (level == known and level >= _TEXT and not several)


def _note(db: sqlite3.Connection, row: int, level: int, image: str | None = None, *about: Any) -> None:
    """Keep the find that fits a row best; of two that fit alike with other pictures none is its own.

    `about`: width, height, config and id of the image.
    """
    known, other = db.execute("SELECT level, image FROM wanted WHERE row = ?", (row,)).fetchone()
    if level > known:
        told = (*about, None, None, None, None)[:4]
        db.execute(
            "UPDATE wanted SET level = ?, several = 0, image = ?, width = ?, height = ?, config = ?, id = ? WHERE row = ?",
            (level, image, *told, row),
        )
    elif level == known and image != other:
        db.execute("UPDATE wanted SET several = 1 WHERE row = ?", (row,))


def _save_image(content: Any, folder: Path) -> tuple[str, int, int] | None:
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

    return known, pixels.width, pixels.height


def _write(dataset: Source, db: sqlite3.Connection, out: Path) -> Report:
    """Write the rows with their images and those without, and remove images that no row shows."""
    shown = {name for (name,) in db.execute(f"SELECT DISTINCT image FROM wanted WHERE {_MATCHED}")}
    unmatched: Counter[str] = Counter()
    partials = {out / name: out / f"{name}.partial" for name in (ROWS, UNMATCHED)}
    finds = db.execute("SELECT reason, level, several, image, width, height, config, id FROM wanted ORDER BY row")
    with ExitStack() as files:
        kept, rest = (files.enter_context(path.open("w", encoding="utf-8")) for path in partials.values())
        for row, (reason, level, several, image, width, height, config, id) in zip(
            read_source(dataset), finds, strict=True
        ):
            if level >= _TEXT and not several:
                more = {
                    "images": [f"{IMAGES}/{image}"],
                    "image_sizes": [[width, height]],
                    "image_source": {"config": config, "id": id},
                }
                kept.write(json.dumps({**row.raw, **more}, default=str) + "\n")
            else:
                reason = reason or (SEVERAL if several else (NO_QUESTION, OTHER_ANSWER, UNREADABLE)[level])
                unmatched[reason] += 1
                rest.write(json.dumps({"row": row.place, "reason": reason, **_named(row.raw)}, default=str) + "\n")

    folder = out / IMAGES
    if gone := [name for name in sorted(shown) if not (path := folder / name).is_file() or not path.stat().st_size]:
        raise UserError(
            f"{folder}: {len(gone)} images are gone, {gone[0]} first. Remove {out / STATE} and begin anew."
        )

    for path, partial in partials.items():
        partial.replace(path)

    for path in folder.iterdir():
        if path.name not in shown:
            path.unlink()

    shutil.rmtree(out / DOWNLOADS, ignore_errors=True)
    by_config = db.execute(
        f"SELECT config, count(*) FROM wanted WHERE {_MATCHED} GROUP BY config ORDER BY count(*) DESC, min(row)"
    )
    searched = db.execute("SELECT config FROM done WHERE part = -1 GROUP BY config ORDER BY min(rowid)")
    report = Report(
        out,
        rows_in=_matched(db) + unmatched.total(),
        kept=_matched(db),
        by_name=_matched(db, f"AND level >= {_TEXT + _NAME}"),
        by_config=dict(by_config),
        unmatched=dict(unmatched.most_common()),
        images=len(shown),
        searched=[config for (config,) in searched],
    )
    if not report.kept:
        why = ", ".join(f"{count} {reason}" for reason, count in report.unmatched.items())
        told = f"none of {report.rows_in} rows was matched ({why})"
        raise UserError(f"{told}; see {out / UNMATCHED}. Name other configs.")

    return report


def _named(raw: Any) -> dict[str, Any]:
    """Return what a person needs to recognise a row."""
    known = raw if isinstance(raw, Mapping) else {}
    return {key: known[key] for key in ("id", "question", "answer", "images") if key in known}
