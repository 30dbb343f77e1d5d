"""A question's picture: opened, decoded, and stored once by its content, so that a folder of questions is complete."""

import contextlib
import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import as_seen, is_as_seen
from virgo_factory.data.read.media import BadMedia, check_header, find_image, store_image
from virgo_factory.formats.picture_columns import names_pictures, picture_values
from virgo_factory.formats.row import RejectedRow


IMAGES = "images"
"""Folder of the pictures beside questions.jsonl."""

_KNOWN = 10_000
_STORED = re.compile(r"[0-9a-f]{2}/\.?[0-9a-f]{32}\.[a-z]+(?:\.\d+\.partial)?")


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the folder.

    Attributes:
        path: relative to the folder of questions.jsonl.
        sha256: of the stored bytes.
        given_sha256: of the bytes as they were given.
        pixels: of size and colours: equal for one picture in several files and formats.
    """

    path: str
    sha256: str
    given_sha256: str
    pixels: bytes


def store_picture(
    picture: Any, media_dir: Path, folder: Path, max_pixels: int, known: dict[str, StoredPicture] | None = None
) -> StoredPicture:
    """Store a picture below `folder`/images and return where.

    A PNG or JPEG that is seen as it is keeps its bytes; whatever else is stored as the model sees it (data/read/look.py).

    Args:
        picture: a path below `media_dir`, or bytes; None where the source has none.
        media_dir: nothing outside is opened.
        folder: of questions.jsonl.
        max_pixels: the recipe's `image_max_pixels`.
        known: pictures stored before in this folder, by the hash of their bytes as given; this one is entered. Many
            questions are on one picture, which is then decoded once.

    Raises:
        RejectedRow: missing, outside, not a picture that can be decoded whole, or one that no run could use.
    """
    if picture is None or picture == b"":
        raise RejectedRow("no picture")

    try:
        found = find_image(picture, str(media_dir))
        content = found if isinstance(found, bytes) else Path(found).read_bytes()
        given = hashlib.sha256(content).hexdigest()
        if known is not None and given in known:
            return known[given]

        kind = check_header(content)
    except BadMedia as error:
        raise RejectedRow(error.reason, str(error)) from None
    except OSError as error:
        raise RejectedRow("image missing", f"{picture}: {error.strerror}"[:300]) from None

    facts = inspect(content, media_dir, max_pixels)
    if not facts.is_readable:
        finding = next(finding for finding in facts.findings if finding.severity == "error")
        named = f"{picture}: " if isinstance(picture, str) else ""
        raise RejectedRow(finding.code.replace("_", " "), f"{named}{finding.detail}"[:300])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes, which `inspect` has looked at
        try:
            with Image.open(io.BytesIO(content)) as opened:
                as_it_is = kind in ("PNG", "JPEG") and is_as_seen(opened)
                pixels = as_seen(opened)
        except Exception as error:  # decoders raise anything; a JPEG was looked at in an eighth of its size only
            raise RejectedRow(Reason.UNREADABLE.text(), str(error)[:300]) from None

    stored = content
    if not as_it_is:
        buffer = io.BytesIO()
        pixels.save(buffer, "PNG")
        stored, kind = buffer.getvalue(), "PNG"

    path = Path(store_image(stored, kind, folder / IMAGES)).relative_to(folder)
    done = StoredPicture(str(path), hashlib.sha256(stored).hexdigest(), given, _pixel_digest(pixels))
    if known is not None:
        if len(known) >= _KNOWN:
            known.clear()

        known[given] = done

    return done


def _pixel_digest(image: Image.Image) -> bytes:
    return hashlib.blake2b(b"%dx%d " % image.size + image.tobytes(), digest_size=16).digest()


def remove_others(folder: Path, kept: set[str]) -> None:
    """Remove the pictures below `folder`/images that are not `kept` (paths relative to `folder`)."""
    root = folder / IMAGES
    for path in root.glob("??/*"):
        if str(path.relative_to(folder)) not in kept and _STORED.fullmatch(str(path.relative_to(root))):
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def benchmark_pictures(path: Path) -> tuple[set[bytes], int]:
    """Return the pixel digests of a benchmark's pictures, and how many that its rows name could not be opened.

    Pictures are looked for in columns that are named like them (formats/picture_columns.py): bytes of a Parquet file, or
    paths from the folder of the file or from `images/` in it.
    """
    digests: set[bytes] = set()
    missing = 0
    known: set[Any] = set()
    for value in _values(path):
        key = value if isinstance(value, str) else hashlib.sha256(value).digest()
        if key in known:
            continue

        known.add(key)
        digest = _digest_of(value, path.parent)
        if digest is None:
            missing += 1
        else:
            digests.add(digest)

    return digests, missing


def _digest_of(value: str | bytes, folder: Path) -> bytes | None:
    for place in (folder, folder / IMAGES):
        try:
            found = find_image(value, str(place))
            check_header(found)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(found if isinstance(found, str) else io.BytesIO(found)) as opened:
                    return _pixel_digest(as_seen(opened))
        except Exception:  # BadMedia, and whatever decoders raise on broken bytes
            continue

    return None


def _values(path: Path) -> Iterator[str | bytes]:
    """Yield what stands in a benchmark's image columns."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if names_pictures(name)]
        for batch in file.iter_batches(32, columns=names) if names else ():
            for row in batch.to_pylist():
                yield from _in_row(row)
    elif kind in (".json", ".jsonl"):
        from virgo_factory.data.read.reader import is_list
        from virgo_factory.distill.sources.json_items import json_items
        from virgo_factory.rollouts.question import read_lines

        whole = kind == ".json" or is_list(path)
        for _, row in json_items(path) if whole else read_lines(path):
            if isinstance(row, Mapping):
                yield from _in_row(row)


def _in_row(row: Mapping[str, Any]) -> Iterator[str | bytes]:
    with contextlib.suppress(RejectedRow):  # a column of numbers
        for value in picture_values(row):
            value = (value.get("bytes") or value.get("path")) if isinstance(value, Mapping) else value
            if isinstance(value, str | bytes) and value:
                yield value
