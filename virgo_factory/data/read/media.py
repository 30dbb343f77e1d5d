"""Where the images of a row may lie, in whatever form the row gives them: nothing is fetched, nothing else is opened.

A path is below the media folder, or below a folder that the user named. Rows of a hub dataset come from outside: their
paths are below the media folder or in the hub's own cache. Bytes are written once, by content, so that tables hold paths
only: ten questions on one picture would else be ten copies of it in every cached table.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from virgo_factory.core.errors import UserError
from virgo_factory.core.reasons import Reason
from virgo_factory.io.atomic import replace_file


ROOTS_VARIABLE = "VIRGO_FACTORY_MEDIA_ROOTS"
PIXEL_LIMIT = 2 * 89_478_485
"""Width x height above which Pillow refuses an image as a decompression bomb (twice its MAX_IMAGE_PIXELS)."""
PATH_LIMIT = 4096
"""Characters of a path (PATH_MAX on Linux); a longer text is something else."""

MISSING = "image missing"
OUTSIDE = "image outside media_dir"
_READ = ". If it is to be read, set "
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[^,;]*((?:;[^,;]*)*),", re.IGNORECASE)


class BadMedia(UserError):
    """An image that is missing, not allowed or not readable.

    Attributes:
        reason: short words by which rows are counted.
    """

    def __init__(self, message: str, reason: str = MISSING) -> None:
        super().__init__(message)
        self.reason = reason


def find_image(image: Any, media_dir: str, hub: str | None = None) -> str | bytes:
    """Return the absolute path of an image, or its content where the row carries it.

    `image` is a path (also as `file://`), bytes, a `data:` URI in base64, a dictionary of `bytes` or `path` (the Image
    feature of `datasets`), or a Pillow image; relative paths start from `media_dir`; `hub` names the hub dataset that the row
    is of, None for a local file. Raises BadMedia for anything else, a URL, and what is not allowed, or not there.
    """
    if isinstance(image, Mapping):
        content, path = image.get("bytes"), image.get("path")
        if not isinstance(content, bytes | bytearray) and not (content is None and isinstance(path, str)):
            found = ", ".join(f"{key}: {type(value).__name__}" for key, value in image.items()) or "nothing"
            raise BadMedia(f"an image dictionary without bytes or path; found {found}", "image not understood")

        image = path if content is None else content

    if isinstance(image, bytes | bytearray):
        return bytes(image)

    if type(image).__module__.startswith("PIL."):
        buffer = BytesIO()
        image.save(buffer, "TIFF" if image.mode in ("F", "CMYK", "LAB", "YCbCr") else "PNG")
        return buffer.getvalue()

    if not isinstance(image, str):
        raise BadMedia(
            f"an image is {type(image).__name__}; expected a path, bytes, a data: URI or a dictionary of bytes or path",
            "image not understood",
        )

    if found := _DATA_URI.match(image):
        return _decode(image, found)

    image = local_path(image)
    if _URL.match(image):
        raise BadMedia(
            f"{_short(image)} is not fetched, since training uses no network. Download the images and give their paths "
            "below media_dir (virgo-factory data materialize does that for Virgo's released rows)",
            "image is a URL",
        )

    if len(image) > PATH_LIMIT:
        raise BadMedia(
            f"a text of {len(image)} characters is no path; base64 needs data:image/png;base64, in front",
            "image not understood",
        )

    return resolve_image(image, media_dir) if hub is None else _resolve_in_hub(image, media_dir, hub)


def local_path(image: str) -> str:
    """Return the path that a `file:` URL names; any other text as it is.

    >>> local_path("file:///data/a%20b.png"), local_path("file://localhost/a.png"), local_path("a%20b.png")
    ('/data/a b.png', '/a.png', 'a%20b.png')
    """
    if image[:5].lower() != "file:":
        return image

    parts = urlsplit(image)
    return unquote(parts.path) if parts.netloc.lower() in ("", "localhost") and parts.path else image


def _decode(uri: str, found: re.Match[str]) -> bytes:
    if ";base64" not in found.group(1).lower():
        raise BadMedia(f"{_short(uri)} is a data URI without ;base64", "image not understood")

    try:
        return base64.b64decode(uri[found.end() :], validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise BadMedia(f"{_short(uri)} is not base64 ({error})", Reason.UNREADABLE.text()) from None


def resolve_image(image: str, media_dir: str) -> str:
    """Return the absolute path of a local image.

    Relative paths are below `media_dir`; absolute ones must be, too, or below a folder of VIRGO_FACTORY_MEDIA_ROOTS
    (separated like PATH). `..` and links that lead out are refused, since rows come from outside.

    Raises BadMedia where it is none of these, or no such file.
    """
    _check_text(image)
    if "\\" in image and not os.path.exists(os.path.join(media_dir, image)):
        image = image.replace("\\", "/")  # written on Windows

    roots = [Path(media_dir), *(Path(root) for root in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if root)]
    path = Path(media_dir, image)
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        if os.path.isabs(image):
            raise BadMedia(
                f"{image} is outside media_dir {media_dir}{_READ}media_dir: {path.parent} "
                f"or {ROOTS_VARIABLE}={path.parent}",
                OUTSIDE,
            )

        raise BadMedia(
            f"{image} leads out of media_dir {media_dir}{_READ}{ROOTS_VARIABLE}={_target(image, media_dir)}", OUTSIDE
        )

    try:
        found = real.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadMedia(f"{path}: {error.strerror}") from None

    if not found:
        raise BadMedia(f"no file {path}{_meant(path)}")

    return str(path.absolute())


def _meant(path: Path) -> str:
    """Return the file that a path of another spelling may mean, for a message; "" where there is none."""
    names = (
        unquote(path.name),
        path.name.lower(),
        path.name.upper(),
        *(path.stem + end(path.suffix) for end in (str.lower, str.upper)),
    )
    others = (name for name in names if name != path.name and "/" not in name)
    found = next((name for name in others if os.path.isfile(os.path.join(path.parent, name))), None)
    return f"; is {found} beside it meant?" if found else ""


def _target(image: str, media_dir: str) -> str:
    """Return the folder outside to which the first link of a relative path leads, or that of the file itself."""
    base = path = os.path.realpath(media_dir)
    parts = PurePosixPath(image).parts
    for part in parts[:-1] if ".." not in parts else ():
        path = os.path.realpath(os.path.join(path, part))
        if not Path(path).is_relative_to(base):
            return path

    return os.path.dirname(os.path.realpath(os.path.join(media_dir, image)))


def _check_text(image: str) -> None:
    if "\0" in image:
        raise BadMedia("an image path holds a NUL byte")

    try:
        image.encode()
    except UnicodeEncodeError:
        raise BadMedia(f"an image path is not valid Unicode: {image!a}") from None


def _resolve_in_hub(image: str, media_dir: str, hub: str) -> str:
    """Return the path of an image of a hub dataset: below media_dir, a file of its repository, or one unpacked from it."""
    from datasets import config
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    if os.path.isabs(image):  # `datasets` gives such paths of the files that it has unpacked itself
        _check_text(image)
        real = Path(os.path.realpath(image))
        caches = (config.HF_DATASETS_CACHE, HF_HUB_CACHE)
        if not any(real.is_relative_to(os.path.realpath(cache)) for cache in caches):
            raise BadMedia(f"{image}: rows of a hub dataset give no absolute paths", OUTSIDE)

        if not real.is_file():
            raise BadMedia(f"no file {image}")

        return image

    try:
        return resolve_image(image, media_dir)
    except BadMedia as error:
        if error.reason == OUTSIDE or ".." in PurePosixPath(image).parts:
            raise

        found = try_to_load_from_cache(hub, image, repo_type="dataset") if "\0" not in image else None
        if not isinstance(found, str):
            raise BadMedia(
                f"{error}, nor a downloaded file of {hub}. Fetch the images (virgo-factory data materialize, or "
                f"hf download {hub} --repo-type dataset) and set media_dir to their folder"
            ) from None

        return found


def check_header(image: str | bytes) -> str:
    """Return the format of an image, such as "PNG", from its first bytes; nothing is decoded.

    Raises BadMedia for what is no image, has more than PIXEL_LIMIT pixels, or is EPS, which is a program.
    """
    import warnings

    from PIL import Image, UnidentifiedImageError

    name = image if isinstance(image, str) else f"{len(image)} bytes"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # half the limit
            with Image.open(image if isinstance(image, str) else BytesIO(image)) as opened:
                width, height = opened.size
                kind = opened.format or ""
    except Image.DecompressionBombError:
        raise BadMedia(f"{name}: more than {PIXEL_LIMIT} pixels, not decoded. Shrink it", "image too large") from None
    except UnidentifiedImageError:
        raise BadMedia(f"{name}: not an image that Pillow knows", Reason.UNREADABLE.text()) from None
    except Exception as error:  # decoders raise anything on broken bytes: SyntaxError, struct.error, IndexError, ...
        raise BadMedia(f"{name}: {str(error) or type(error).__name__}"[:300], Reason.UNREADABLE.text()) from None

    if width * height > PIXEL_LIMIT:
        raise BadMedia(f"{name}: {width}x{height} is more than {PIXEL_LIMIT} pixels", "image too large")

    if kind == "EPS":
        raise BadMedia(f"{name} is EPS, which is a program. Save it as PNG", Reason.UNREADABLE.text())

    return kind


def store_image(content: bytes, kind: str, folder: Path) -> str:
    """Return the path of a file with this content below the folder, written if it is not there yet.

    Safe with several processes at once, and when killed: a file is written under another name and moved.
    """
    name = hashlib.sha256(content).hexdigest()[:32]
    path = folder / name[:2] / f"{name}.{kind.lower() or 'img'}"
    if not path.is_file():
        replace_file(path, content, sync=False)  # a picture is found again by its content

    return str(path)


def outside_remedy(images: Iterable[str], media_dir: str) -> str | None:
    """Return how to make paths that lead out of media_dir readable: their common folder and the line to set.

    `images`: absolute paths, or what BadMedia says of them and of relative ones.
    """
    told = [image.partition(_READ) for image in images]
    targets = [line.partition("=")[2] for _, _, line in told if line.startswith(f"{ROOTS_VARIABLE}=")]
    folders = [
        os.path.dirname(path.partition(" is outside media_dir ")[0]) for path, _, _ in told if os.path.isabs(path)
    ]
    if targets:
        set_already = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
        roots = os.pathsep.join(dict.fromkeys(filter(None, (*set_already, *sorted(targets), *sorted(set(folders))))))
        count = f"{len(told)} image{'s lead' if len(told) > 1 else ' leads'}"
        return f"{count} out of media_dir {media_dir}, by a link or '..'. To read them: {ROOTS_VARIABLE}={roots}"

    if not folders:
        return None

    common = os.path.commonpath(folders)
    count = f"{len(folders)} image{'s' if len(folders) > 1 else ''}"
    if os.path.isdir(common) and common != os.path.sep:
        return (
            f"{count} below {common}, media_dir is {media_dir}. To read them beside paths that start from there: "
            f"{ROOTS_VARIABLE}={common}. To read only them: media_dir: {common}"
        )

    return (
        f"{count} below {common}, which does not exist on this machine; media_dir is {media_dir}. Give paths relative to "
        "media_dir in the rows, and set media_dir to the folder that holds the images here."
    )


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:90]}... ({len(text)} characters)"
