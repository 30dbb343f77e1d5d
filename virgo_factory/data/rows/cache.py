"""What was measured once, kept beside the data by the content of each chunk and by all that decided about it.

A file holds the chunks of one fingerprint, a line each, appended as they are measured: a killed check loses the chunks in
flight. Nothing in it is trusted: a line that cannot be read, or whose images have changed, is measured again.
"""

import base64
import hashlib
import importlib.metadata
import json
import logging
import os
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from types import EllipsisType

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.chunks import Chunk
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

    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            libraries[name] = ""

    content = {
        "code": code_hash(CHECK_CODE),
        "libraries": libraries,
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


class Memory:
    """The measured chunks of one fingerprint; without a folder it forgets everything.

    Attributes:
        path: of the file; None where nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._at: dict[str, tuple[int, int]] = {}
        self._file = None
        if path is None or not path.is_file():
            return

        try:
            self._file = path.open("rb")
            self._index()
        except OSError as error:
            logger.warning("%s cannot be read (%s).", path, error.strerror)

    @classmethod
    def of(cls, source: Source, settings: Settings, rules: bool, cache: Path | EllipsisType | None) -> "Memory":
        """Return the memory of a source under settings."""
        folder = cache_folder(source) if cache is ... else cache
        if folder is None:
            return cls(None)

        path = folder / f"measured-{fingerprint(source, settings, rules)}.txt"
        return cls(path)

    def _index(self) -> None:
        at = 0
        for line in self._file:
            if line.endswith(b"\n"):  # else cut off by a kill
                key, _, rest = line.partition(b" ")
                self._at[key.decode("ascii", "replace")] = (at + len(key) + 1, len(rest) - 1)

            at += len(line)

    def _open(self) -> None:
        """Open the file for what is to come, behind a line that a kill cut off."""
        self.path.parent.mkdir(exist_ok=True)
        ignore = self.path.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")

        self.close()
        self._file = self.path.open("ab+")
        _forget_old(self.path)
        end = self._file.tell()
        if end:
            self._file.seek(end - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def get(self, chunk: Chunk) -> Measured | None:
        """Return what a chunk gave; None where it is not known, or one of its images has changed since."""
        try:
            packed = self._read(_key(chunk))
            measured = Measured.unpack(packed) if packed is not None else None
            if measured and all(stamp_of(path) == stamp for path, stamp in measured.files.items()):
                return measured
        except (ValueError, TypeError, zlib.error):
            pass

        self._at.pop(_key(chunk), None)
        return None

    def get_chunks(self, path: Path, digest: str) -> list[Chunk] | None:
        """Return the chunks of a file of this content; None where they are not known."""
        try:
            packed = self._read(f"cut-{digest}")
            return packed and [Chunk(str(path), *values) for values in json.loads(zlib.decompress(packed))]
        except (ValueError, TypeError, zlib.error):
            return None

    def put_chunks(self, chunks: list[Chunk], digest: str) -> None:
        """Keep where a file of this content is cut: of a JSON list, only reading all of it tells."""
        values = [[getattr(chunk, field.name) for field in fields(Chunk)[1:]] for chunk in chunks]
        self._write(f"cut-{digest}", zlib.compress(json.dumps(values).encode(), 1))

    def put(self, chunk: Chunk, packed: bytes) -> None:
        """Keep what a chunk gave."""
        self._write(_key(chunk), packed)

    def _read(self, key: str) -> bytes | None:
        if key not in self._at:
            return None

        start, size = self._at[key]
        try:
            self._file.seek(start)
            return _checked(base64.b64decode(self._file.read(size), validate=True))
        except OSError as error:
            raise UserError(error) from None

    def _write(self, key: str, packed: bytes) -> None:
        if self.path is None:
            return

        content = base64.b64encode(zlib.crc32(packed).to_bytes(4) + packed)
        try:
            if self._file is None or not self._file.writable():
                self._open()

            self._file.seek(0, os.SEEK_END)
            at = self._file.tell()
            self._file.write(key.encode() + b" " + content + b"\n")
            self._file.flush()
            self._at[key] = (at + len(key) + 1, len(content))
        except OSError as error:  # a full disk, a folder of someone else's: no reason to stop
            logger.warning("%s cannot be written (%s): what is measured now is not kept.", self.path, error.strerror)
            self.close()
            self.path, self._file = None, None
            self._at.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _key(chunk: Chunk) -> str:
    return f"{chunk.kind}-{chunk.digest}"


def _checked(content: bytes) -> bytes:
    if zlib.crc32(content[4:]).to_bytes(4) != content[:4]:
        raise UserError("checksum")

    return content[4:]


def _forget_old(path: Path) -> None:
    """Delete the files of all but the fingerprints used last."""
    others = [other for other in path.parent.glob("measured-*.txt") if other != path]
    stamps = {}
    for other in others:
        stamp = stamp_of(str(other))
        stamps[other] = stamp[1] if stamp else 0

    for other in sorted(others, key=stamps.get, reverse=True)[KEPT:]:
        other.unlink(missing_ok=True)
