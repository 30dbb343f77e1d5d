"""One look at one image: its size, and everything about it that would stop or spoil a training run.

The header is read first, so that a decompression bomb is refused before it is decoded; the rest is then decoded once, in
the worker that asked, since a truncated file has a whole header (LLaMA-Factory would stop on it in the middle of a run,
without a row: reference llamafactory_095.md section 5).
"""

import base64
import binascii
import functools
import io
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from virgo_factory.datasets.finding import Finding
from virgo_factory.datasets.media import BadMedia, resolve_image


BOMB_PIXELS = 2 * 89_478_485
"""Pillow refuses to open more (twice its MAX_IMAGE_PIXELS, Pillow's own default), and so would the training run."""
HUGE = 64
"""An image of so many times the pixel budget is decoded at great cost and then shrunk to 1/64 or less."""
MAX_SIDE = 16_384
MAX_RATIO = 200
"""Sides of Qwen2-VL images (transformers' smart_resize refuses more; LLaMA-Factory cuts down to 180: mm_plugin.py)."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one look at an image says: its size in pixels (0, 0 where it cannot be read) and what is wrong with it."""

    width: int
    height: int
    findings: tuple[Finding, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether the image can be trained on."""
        return not any(finding.severity == "error" for finding in self.findings)


def inspect(image: Any, media_dir: str | Path, max_pixels: int = 589_824) -> ImageFacts:
    """Return the facts of an image, opened and decoded once; never raises for a bad image.

    Args:
        image: as the row gives it: a path below `media_dir` (or an allowed absolute one), bytes, a dictionary of `bytes`
            or `path` (as `datasets` stores images), or a base64 data URI.
        media_dir: folder of relative paths.
        max_pixels: the recipe's `image_max_pixels`.
    """
    try:
        source, name = _open(image, media_dir)
    except BadMedia as error:
        return _unreadable(_media_code(error), str(error))

    return _look(source, name, max_pixels)


def _open(image: Any, media_dir: str | Path) -> tuple[str | io.BytesIO, str]:
    """Return what Pillow is to open, and how people call it. Raises BadMedia: nothing that may be opened."""
    if isinstance(image, Mapping):
        content, path = image.get("bytes"), image.get("path")
        if content is None and isinstance(path, str):
            image = path
        elif isinstance(content, (bytes, bytearray)):
            image = bytes(content)
        else:
            raise BadMedia(f"an image dictionary without bytes or path; its keys: {', '.join(map(str, image))}")

    if isinstance(image, (bytes, bytearray)):
        return io.BytesIO(image), f"{len(image)} bytes"

    if not isinstance(image, str):
        raise BadMedia(f"an image is {type(image).__name__}; expected a path, bytes or a dictionary of them")

    if found := _DATA_URI.match(image):
        return io.BytesIO(_decoded(image, found)), f"{found.group(1) or 'data'} URI of {len(image)} characters"

    if _URL.match(image):
        raise BadMedia(
            f"{_short(image)} is a URL, which is not fetched. Download it below media_dir and give its path"
        )

    if len(image) > 4096:
        raise BadMedia(f"a text of {len(image)} characters is no path. Base64 needs data:image/png;base64, in front")

    return resolve_image(image, str(media_dir)), _short(image)


def _decoded(uri: str, found: re.Match[str]) -> bytes:
    if ";base64" not in found.group(2).lower():
        raise BadMedia(f"{_short(uri)} is a data URI without ;base64")

    try:
        return base64.b64decode(uri[found.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMedia(f"{_short(uri)} is not base64 ({error})") from None


def _look(source: str | io.BytesIO, name: str, max_pixels: int) -> ImageFacts:
    width = height = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes between Pillow's warning and its error are reported below
            with Image.open(source) as image:
                width, height = image.size
                if image.format == "EPS":
                    return _unreadable(
                        "image_unreadable", f"{name} is EPS, which is a program. Save it as PNG", image.size
                    )

                frames = getattr(image, "n_frames", 1)
                findings = [*_size_findings(name, width, height, max_pixels), *_kind_findings(name, image, frames)]
                if not any(finding.severity == "error" for finding in findings):
                    image.draft(None, (1, 1))  # JPEG: read all of it, but compute an eighth of each side only
                    image.load()
    except Image.DecompressionBombError as error:
        return _unreadable("image_bomb", f"{name}: {str(error).rstrip('.')}. Not decoded; shrink it", (width, height))
    except UnidentifiedImageError:
        return _unreadable("image_unreadable", f"{name} is not an image that Pillow knows")
    except Exception as error:  # decoders raise anything on broken bytes: SyntaxError, struct.error, IndexError, ...
        kind = "image_truncated" if width else "image_unreadable"
        return _unreadable(kind, f"{name}: {str(error) or type(error).__name__}", (width, height))

    return ImageFacts(width, height, tuple(findings))


def _size_findings(name: str, width: int, height: int, max_pixels: int) -> list[Finding]:
    pixels = width * height
    if not pixels:
        return [Finding("image_unreadable", "error", f"{name} is {width}x{height}")]

    factor = min(1.0, math.sqrt(max_pixels / pixels))
    if min(width, height) * factor < 1:  # LLaMA-Factory shrinks both sides by the factor and rounds down
        return [
            Finding("image_ratio", "error", f"{name} is {width}x{height}: shrunk to {max_pixels} pixels, a side is 0")
        ]

    ratio = max(width, height) / min(width, height)
    if ratio > MAX_RATIO:
        return [
            Finding("image_ratio", "warning", f"{name} is {width}x{height}: sides 1:{ratio:.0f}, is squeezed to 1:180")
        ]

    if pixels > HUGE * max_pixels or max(width, height) > MAX_SIDE:
        return [Finding("image_huge", "warning", f"{name} is {width}x{height}; {max_pixels} pixels are kept of it")]

    return []


def _kind_findings(name: str, image: Image.Image, frames: int) -> list[Finding]:
    findings = []
    if frames > 1 and image.format != "MPO":  # a JPEG of a camera with a preview behind it
        findings.append(Finding("image_animated", "warning", f"{name} has {frames} frames; the first is seen"))

    if image.mode == "CMYK":
        findings.append(Finding("image_cmyk", "warning", f"{name} is CMYK; its colours change in the turn to RGB"))
    elif not _becomes_rgb(image.mode):
        findings.append(Finding("image_unreadable", "error", f"{name}: Pillow cannot turn {image.mode} into RGB"))

    return findings


@functools.cache
def _becomes_rgb(mode: str) -> bool:
    try:
        Image.new(mode, (1, 1)).convert("RGB")
    except ValueError:
        return False

    return True


def _media_code(error: BadMedia) -> str:
    text = str(error)
    if text.startswith("no file"):
        return "image_missing"

    return "image_outside" if "outside media_dir" in text or "leads out" in text else "image_not_usable"


def _unreadable(code: str, detail: str, size: tuple[int, int] = (0, 0)) -> ImageFacts:
    return ImageFacts(*size, (Finding(code, "error", detail),))


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:90]}... ({len(text)} characters)"
