"""A dataset's entry in a team's dataset_info.json: what its rows show, and how it gets there."""

import json
import os
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.data_files import is_pattern, not_rows
from virgo_factory.data.read.files.chunks import DATA_SUFFIXES, UnreadableFile, is_data_file
from virgo_factory.data.read.media import MISSING, OUTSIDE
from virgo_factory.data.read.reader import UNREADABLE
from virgo_factory.data.read.source import (
    INFO,
    Settings,
    Source,
    find_sources,
    read_info,
    read_source,
    shown_formatting,
)
from virgo_factory.formats import FORMATTINGS
from virgo_factory.formats.layouts.chat import pair_of
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.recipes import merge_entries, read_text


SHOWN = 20
UNTAGGED = "no tags of a known format"
_COLUMNS = re.compile(r'"columns": (\{"[^{}]*"\})')
"""The line of an entry that a reason names."""
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class UnreadHub(UserError):
    """A hub dataset that is neither in the cache nor within reach."""


@dataclass(frozen=True)
class Recognised:
    """What the rows of a new dataset show."""

    entry: dict[str, Any]  # for dataset_info.json
    # folder of the rows' images, where it is not that of dataset_info.json; None for rows without
    media_dir: Path | None = None
    format: str | None = None  # the family; None where the rows were not looked at
    rows: int = 0  # rows read; `kept` and `dropped` count examples, of which a row may give several
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> how many, most frequent first
    first: Mapping[str, str] = field(default_factory=dict)  # reason -> where it was first seen, and more about it
    tokens: int = 0  # of all kept examples; 0 without a tokenizer. `longest` likewise.
    longest: int = 0


def entry_of(what: str, folder: Path, formatting: str, subset: str | None = None, split: str | None = None) -> dict:
    """Return the entry for a data file (or a folder of them) or a hub dataset, before its rows are looked at.

    Raises UserError where it is neither, for a formatting that is not ours, or for `subset` of a file.
    """
    path = Path(what)
    if formatting not in FORMATTINGS:
        raise UserError(f"--formatting {formatting}: not one of {', '.join(FORMATTINGS)}.")

    entry: dict[str, Any] = {"formatting": formatting}
    if path.exists() or is_pattern(what):
        if path.is_file() and not is_data_file(path):
            raise UserError(f"{what}: not one of {', '.join(DATA_SUFFIXES)}. {not_rows(path)}")

        if subset:
            raise UserError(f"{what}: --subset is for datasets of the hub, not for files.")

        return {"file_name": file_name(path, folder), **entry, **({"split": split} if split else {})}

    if not _HUB_ID.fullmatch(what) or is_data_file(path):
        raise UserError(
            f"{what}: no such file (paths are relative to {Path.cwd()}), and not a dataset of the hub (OWNER/NAME)."
        )

    more = {"subset": subset, "split": split}
    return {"hf_hub_url": what, **entry, **{key: value for key, value in more.items() if value}}


def file_name(path: Path, folder: Path) -> str:
    """Return how a folder's dataset_info.json names a file: relative to the folder where it lies below it.

    >>> file_name(Path("data/a/rows.jsonl"), Path("data")), file_name(Path("/x/rows.jsonl"), Path("/y"))
    ('a/rows.jsonl', '/x/rows.jsonl')
    """
    whole, base = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)


def check_name(name: str, folder: Path) -> None:
    """Raise ValueError where a dataset cannot have this name: it is taken, or `dataset:` could not say it."""
    if not name or re.search(r"[,\s]", name):
        raise UserError(f"{name!r} cannot be a name: `dataset: a,b` parts names at commas. Use letters, digits and _.")

    info = read_info(folder)
    if name in info:
        raise UserError(
            f"{folder / INFO}: {name} is there already: {json.dumps(info[name], ensure_ascii=False)}. "
            "Choose another name, or remove that entry first."
        )


def write_entry(folder: Path, name: str, entry: Mapping[str, Any]) -> Path:
    """Put an entry into a folder's dataset_info.json, which is made if missing, and return the file.

    What is there keeps its order and formatting, and the file is replaced in one move. Raises UserError where the name
    is taken, or the file is broken; nothing is written.
    """
    check_name(name, folder)
    path = (folder / INFO).resolve()  # a link stays a link
    text, _, _ = merge_entries(read_text(path) if path.exists() else "{}\n", {name: dict(entry)})
    replace_file(path, text.encode("utf-8"))
    return folder / INFO


def columns_option(told: Iterable[str]) -> str:
    """Return the `--columns` option that says what the first of some reasons would have an entry say; "" without one.

    >>> columns_option(['name it: "columns": {"images": "left, right"} in its entry'])
    "--columns 'images=left, right'"
    """
    for found in map(_COLUMNS.search, told):
        columns = json.loads(found[1]) if found else {}
        if columns and "..." not in columns.values():
            return f"--columns {shlex.quote(','.join(f'{name}={column}' for name, column in columns.items()))}"

    return ""


def is_pair(raw: Any) -> bool:
    """Whether a row looks like a preference pair, for which an entry says `"ranking": true`."""
    row = pair_of(raw) if isinstance(raw, Mapping) else {}
    return row.get("chosen") is not None and row.get("rejected") is not None


def recognise(
    name: str,
    entry: Mapping[str, Any],
    folder: Path,
    media_dir: Path | None = None,
    tokenizer: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    is_guess: bool = False,
) -> Recognised:
    """Read all rows of an entry as a run would, and return what they show.

    Images are looked for in `media_dir`, by default in the folder of dataset_info.json and in the file's own.
    `is_guess`: nobody has said the entry's formatting, so rows that show themselves to be prompts are read as such.
    Raises UnreadHub for a hub dataset that cannot be had, UserError for broken lines, several formats, or no row that
    could be trained on.
    """
    source, settings = _source(name, entry, folder, media_dir or folder, tokenizer)
    entry = dict(entry)
    if is_guess and shown_formatting(source.files) == "questions":
        entry["formatting"] = "questions"
        source = replace(source, formatting="questions", entry=entry)
    elif is_pair(_first(source)):
        entry["ranking"] = True
        source = replace(source, options=replace(source.options, ranking=True), entry=entry)

    found = _count(source, settings, entry, progress)
    beside = source.files[0].parent
    if media_dir is None and source.hub is None and {MISSING, OUTSIDE} & set(found.dropped):
        other = _count(replace(source, media_dir=beside), settings, entry, progress)
        if other.kept > found.kept:
            found = replace(other, media_dir=beside)

    if not found.kept:
        reasons = "".join(
            f"\n  {count:,} {reason}: {found.first[reason]}" for reason, count in islice(found.dropped.items(), SHOWN)
        )
        option = columns_option(found.first.values())
        reasons += f"\nTo read them so: {option}" if option else ""
        hint = "\nQVQ's chains of thought have no tags: --formatting virgo_dqvq." if UNTAGGED in found.dropped else ""
        if any(reason.startswith("no response") for reason in found.dropped):
            hint += "\nQuestions with gold answers, for stage: grpo: --formatting questions."

        raise UserError(f"{name}: none of {found.rows:,} rows can be trained on; nothing was written.{reasons}{hint}")

    return replace(found, media_dir=media_dir or found.media_dir)


def _first(source: Source) -> Any:
    """Return the first row, None where there is none to be read: what is wrong is told with all rows."""
    try:
        return next((row.raw for row in read_source(source)), None)
    except UnreadableFile:
        return None


def _source(
    name: str, entry: Mapping[str, Any], folder: Path, media_dir: Path, tokenizer: str | None
) -> tuple[Source, Settings]:
    """Return the source of an entry as if it stood in dataset_info.json already."""
    if "file_name" in entry:
        entry = {**entry, "file_name": os.path.abspath(folder / entry["file_name"])}

    with tempfile.TemporaryDirectory() as there:
        Path(there, INFO).write_text(json.dumps({name: entry}), encoding="utf-8")
        try:
            (source,), settings = find_sources(name, there, media_dir=str(media_dir), tokenizer=tokenizer)
        except ValueError as error:
            message = str(error).replace(f"{Path(there, INFO)}: ", "")
            raise (UnreadHub if "hf_hub_url" in entry else UserError)(message) from None

    return replace(source, files=tuple(map(_shortest, source.files))), settings


def _shortest(path: Path) -> Path:
    """Return a path as people would give it: relative to the current folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _count(
    source: Source, settings: Settings, entry: dict[str, Any], progress: Callable[[int, int], None] | None
) -> Recognised:
    from virgo_factory.data.rows.stream import measure

    rows = kept = tokens = longest = 0
    dropped: Counter[str] = Counter()
    first: dict[str, str] = {}
    formats: Counter[str] = Counter()
    broken: list[str] = []
    for record in measure([source], settings, cache=None, progress=progress):
        rows += record.part == 0
        if record.format:
            formats[record.format] += 1

        if not record.reason:
            kept += 1
            tokens += record.tokens
            longest = max(longest, record.tokens)
            continue

        dropped[record.reason] += 1
        place = f"{record.place}{f' (id {record.id})' if record.id else ''}"
        first.setdefault(record.reason, f"{place}{f', {record.detail}' if record.detail else ''}")
        if record.reason in UNREADABLE and len(broken) < SHOWN:
            broken.append(f"{place}: {record.detail}")

    if broken and re.search("over several lines|a second list of objects", broken[0]):  # the first line says it all
        raise UserError(broken[0])

    if broken:
        unread = sum(dropped[reason] for reason in UNREADABLE)
        more = f" (the first {SHOWN} of {unread:,})" if unread > SHOWN else ""
        raise UserError(
            "\n".join([f"{source.name}: broken lines{more}; a run would stop there. Repair or remove them:", *broken])
        )

    format = formats.most_common(1)[0][0] if formats else None
    counts = dict(dropped.most_common())
    return Recognised(entry, None, format, rows, kept, counts, first, tokens, longest)
