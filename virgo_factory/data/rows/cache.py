"""What was measured once, kept beside the data by the content of each chunk and by all that decided about it.

A database holds the chunks of one fingerprint, added as they are measured: a killed check loses the chunks in flight. Nothing
in it is trusted: what cannot be read, or whose images have changed, is measured again.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import sqlite3
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from types import EllipsisType

from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.media import ROOTS_VARIABLE
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.read.source import Settings, Source
from virgo_factory.data.rows.worker import Measured, stamp_of
from virgo_factory.data.tokens.tokens import MODEL_FILES, model_folder
from virgo_factory.io.files import DATASET_INFO
from virgo_factory.io.fingerprint import CHECK_CODE, code_hash, file_hash


FOLDER = ".virgo_factory"
KEPT = 8
"""Files of other fingerprints that stay: of the runs with other settings that one goes back and forth between."""
_LIBRARIES = ("tokenizers", "tiktoken", "pillow", "llamafactory", "transformers")

logger = logging.getLogger(__name__)


def cache_folder(source: Source) -> Path | None:
    """Return the folder where measured chunks of a source are kept by default; None for files of the package itself.

    It is beside the data, or beside the folder that holds it, which LLaMA-Factory wants to hold data files only; for a hub
    dataset, in its media folder.
    """
    if source.hub is not None:
        return source.media_dir / FOLDER

    name = source.entry.get("file_name")
    folder = source.files[0].parent
    if len(source.files) > 1 or (isinstance(name, str) and Path(name).name == folder.name != source.files[0].name):
        folder = folder.parent

    if source.files[0].resolve().is_relative_to(DATASET_INFO.resolve().parent / "recipes"):
        return None

    return folder / FOLDER


def fingerprint(source: Source, settings: Settings, rules: bool) -> str:
    """Return a hash of all that decides about a row's record but the row and its images."""
    model = {}
    if settings.tokenizer is not None:
        folder = model_folder(settings.tokenizer)
        model = {name: file_hash(folder / name) for name in MODEL_FILES if (folder / name).is_file()}

    content = {
        "code": code_hash(CHECK_CODE),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "model": model,
        "template": settings.template,
        "prefix": read_prefix(settings.question_prefix),
        "system": settings.default_system,
        "pixels": [settings.image_min_pixels, settings.image_max_pixels],
        "marker_tokens": settings.marker_tokens,
        "formatting": source.formatting,
        "options": asdict(source.options),
        "media": [os.path.abspath(source.media_dir), os.environ.get(ROOTS_VARIABLE, "")],
        "hub": source.hub,
        "rules": rules,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=dict).encode()).hexdigest()[:16]


@functools.cache
def _version(library: str) -> str:
    """Return the version of a library; "" of one that is not installed."""
    import importlib.metadata  # 20 ms, which a check without a cache does not need

    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Memory:
    """The measured chunks of one fingerprint; without a folder it forgets everything."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._is_made = False
        if path is not None and path.is_file():
            with contextlib.suppress(sqlite3.Error):
                self._open()

    @classmethod
    def of(cls, source: Source, settings: Settings, rules: bool, cache: Path | EllipsisType | None) -> "Memory":
        """Return the memory of a source under settings."""
        folder = cache_folder(source) if cache is ... else cache
        return cls(folder and folder / f"measured-{fingerprint(source, settings, rules)}.db")

    def _open(self) -> None:
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._db.execute(
            "PRAGMA synchronous = OFF"
        )  # kills do no harm, and what a loss of power damages is not believed

    def get(self, chunk: Chunk) -> Measured | None:
        """Return what a chunk gave; None where it is not known, or one of its images has changed since."""
        with contextlib.suppress(ValueError, TypeError, zlib.error):
            packed = self._read(_key(chunk))
            measured = Measured.unpack(packed) if packed else None
            if measured and all(stamp_of(path) == stamp for path, stamp in measured.files.items()):
                return measured

        return None

    def get_chunks(self, path: Path, digest: str) -> list[Chunk] | None:
        """Return the chunks of a file of this content; None where they are not known."""
        with contextlib.suppress(ValueError, TypeError, zlib.error):
            packed = self._read(f"cut-{digest}")
            return packed and [Chunk(str(path), *values) for values in json.loads(zlib.decompress(packed))]

        return None

    def put_chunks(self, chunks: list[Chunk], digest: str) -> None:
        """Keep where a file of this content is cut: of a JSON list, only reading all of it tells."""
        values = [[getattr(chunk, field.name) for field in fields(Chunk)[1:]] for chunk in chunks]
        self._write(f"cut-{digest}", zlib.compress(json.dumps(values).encode(), 1))

    def put(self, chunk: Chunk, packed: bytes) -> None:
        self._write(_key(chunk), packed)

    def _read(self, key: str) -> bytes | None:
        with contextlib.suppress(sqlite3.Error):  # a damaged file is made anew by what is written
            found = self._db and self._db.execute("SELECT packed FROM measured WHERE key = ?", [key]).fetchone()
            return found[0] if found else None

        return None

    def _write(self, key: str, packed: bytes) -> None:
        while self.path is not None:
            try:
                if not self._is_made:
                    self._make()

                self._db.execute("INSERT OR REPLACE INTO measured VALUES (?, ?)", (key, packed))
                return
            except (OSError, sqlite3.Error) as error:
                self.close()
                if type(error) is sqlite3.DatabaseError and self.path.is_file():  # damaged, or no database
                    self.path.unlink()
                    continue

                # a full disk, a folder of someone else's: no reason to stop
                logger.warning("%s cannot be written (%s): what is measured now is not kept.", self.path, error)
                self.path = None

    def _make(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        ignore = self.path.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")

        if self._db is None:
            self._open()

        self._db.execute("CREATE TABLE IF NOT EXISTS measured (key TEXT PRIMARY KEY, packed BLOB)")
        self._is_made = True
        _forget_old(self.path)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

        self._db, self._is_made = None, False


def _key(chunk: Chunk) -> str:
    return f"{chunk.kind}-{chunk.digest}"


def _forget_old(path: Path) -> None:
    """Delete the files of all but the fingerprints used last."""
    others = [other for other in path.parent.glob("measured-*") if not other.name.startswith(path.name)]
    for other in sorted(others, key=lambda other: (stamp_of(str(other)) or [0, 0])[1], reverse=True)[KEPT:]:
        other.unlink(missing_ok=True)
