"""A question's picture: opened, decoded, and stored once by its content, so that a folder of questions is complete."""

import hashlib
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import as_seen, is_as_seen, pixel_digest
from virgo_factory.data.read.media import BadMedia, check_header, find_image, store_image
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.atomic import new_file
from virgo_factory.rollouts.question import FILE, IMAGES, is_blank, question_of, write_question


_KNOWN = 10_000
_STORED = re.compile(r"[0-9a-f]{2}/\.?[0-9a-f]{32}\.[a-z]+(?:\.\d+\.partial)?")


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the folder."""

    path: str  # relative to the folder of questions.jsonl
    sha256: str  # of the stored bytes
    given_sha256: str  # of the bytes as they were given
    pixels: bytes  # of size and colours: equal for one picture in several files and formats


def store_picture(
    picture: Any, media_dir: Path, folder: Path, max_pixels: int, known: dict[str, StoredPicture] | None = None
) -> StoredPicture:
    """Store a picture below `folder`/images and return where; RejectedRow for one that no run could use.

    A PNG or JPEG that is seen as it is keeps its bytes; whatever else is stored as the model sees it (data/read/look.py). It is given as
    bytes, or as a path below `media_dir` (None where the source has none). `known` are those stored before, by the hash of their bytes as
    given: many questions are on one picture, which is then decoded once.
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
    done = StoredPicture(str(path), hashlib.sha256(stored).hexdigest(), given, pixel_digest(pixels))
    if known is not None:
        if len(known) >= _KNOWN:
            known.clear()

        known[given] = done

    return done


def write_questions(
    rows: Iterable[tuple[Mapping[str, Any], Sequence[str | bytes]]],
    folder: Path,
    media_dir: Path = Path("."),
    max_pixels: int = 768 * 768,
) -> list[tuple[str, RejectedRow]]:
    """Write FOLDER/questions.jsonl with its pictures, whole or not at all, and return the id of each row left out, and why.

    A row is the columns of a question (question.VisualQuestion) without its pictures, and these: bytes, or paths below `media_dir`.
    Where the file is there already nothing is done.
    """
    if (folder / FILE).is_file():
        return []

    left_out: list[tuple[str, RejectedRow]] = []
    known: dict[str, StoredPicture] = {}
    ids: set[str] = set()
    with new_file(folder / FILE) as file:
        for row, pictures in rows:
            try:
                stored = [store_picture(picture, media_dir, folder, max_pixels, known) for picture in pictures]
                names, hashes = [one.path for one in stored], [one.sha256 for one in stored]
                question = question_of({**row, "images": names, "image_sha256": hashes})
                if is_blank(question.gold) or question.id in ids:
                    raise RejectedRow("no gold answer" if is_blank(question.gold) else "an earlier row has its id")
            except RejectedRow as error:
                left_out.append((str(row.get("id")), error))
                continue

            ids.add(question.id)
            file.write(write_question(question))

    return left_out


def remove_others(folder: Path, kept: set[str]) -> None:
    """Remove the pictures below `folder`/images that are not `kept` (paths relative to `folder`)."""
    root = folder / IMAGES
    for path in root.glob("??/*"):
        if str(path.relative_to(folder)) not in kept and _STORED.fullmatch(str(path.relative_to(root))):
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
