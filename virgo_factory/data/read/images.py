"""One look at one image: its size, and everything about it that would stop or spoil a training run.

The header is read first, so that a decompression bomb is refused before it is decoded; the rest is then decoded once, in
the worker that asked, since a truncated file has a whole header (LLaMA-Factory would stop on it in the middle of a run,
without a row: reference llamafactory_095.md section 5).
"""

import functools
import io
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from virgo_factory.core.finding import Finding
from virgo_factory.data.read.look import as_seen, doubtful_range, is_deep, is_transparent, orientation
from virgo_factory.data.read.media import BadMedia, find_image


HUGE = 64
"""An image of so many times the pixel budget is decoded at great cost and then shrunk to 1/64 or less."""
MAX_SIDE = 16_384
MAX_RATIO = 200
"""Sides of Qwen2-VL images (transformers' smart_resize refuses more; LLaMA-Factory cuts down to 180: mm_plugin.py)."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one look at an image says: its size in pixels as it is seen (0, 0 where it cannot be read) and what is wrong."""

    width: int
    height: int
    findings: tuple[Finding, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether the image can be trained on."""
        return not any(finding.severity == "error" for finding in self.findings)


def inspect(image: Any, media_dir: str | Path, max_pixels: int = 589_824, hub: str | None = None) -> ImageFacts:
    """Return the facts of an image, opened and decoded once; never raises for a bad image.

    `image` is as the row gives it, see `media.find_image`, as for `media_dir` and `hub`; `max_pixels`: the recipe's
    `image_max_pixels`.
    """
    try:
        found = find_image(image, str(media_dir), hub)
    except BadMedia as error:
        return _unreadable(error.reason.lower().replace(" ", "_"), str(error))

    return _look(found, max_pixels)


def _look(image: str | bytes, max_pixels: int) -> ImageFacts:
    name = image if isinstance(image, str) else f"an image of {len(image)} bytes"
    width = height = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes between Pillow's warning and its error are reported below
            with Image.open(image if isinstance(image, str) else io.BytesIO(image)) as opened:
                width, height = opened.size
                if opened.format == "EPS":
                    return _unreadable(
                        "image_unreadable", f"{name} is EPS, which is a program. Save it as PNG", opened.size
                    )

                findings = [*_size_findings(name, width, height, max_pixels), *_kind_findings(name, opened)]
                if not any(finding.severity == "error" for finding in findings):
                    is_cut_color = opened.mode == "RGB" and ";16" in str(opened.tile)  # Pillow keeps the upper 8 bits
                    opened.draft(None, (1, 1))  # JPEG: read all of it, but compute an eighth of each side only
                    opened.load()
                    findings += _look_findings(name, opened)
                    if is_cut_color and 0 < (most := max(high for _, high in opened.getextrema())) < 32:
                        told = f"{name} has 16 bits a channel, and uses less than an eighth of them"
                        findings.append(
                            Finding("image_range", "warning", f"{told} ({most} of 255 in 8): it is seen nearly black")
                        )
                    if orientation(opened) >= 5:
                        width, height = height, width
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error)).group()
        return _unreadable("image_too_large", f"{name}: {int(pixels):,} pixels by its header, not decoded")
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


def _kind_findings(name: str, image: Image.Image) -> list[Finding]:
    findings = []
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's JPEG with a preview behind it
        findings.append(Finding("image_animated", "warning", f"{name} has several frames; the first is seen"))

    if image.mode == "CMYK":
        findings.append(Finding("image_cmyk", "warning", f"{name} is CMYK; its colours change in the turn to RGB"))
    elif not _becomes_rgb(image.mode):
        findings.append(Finding("image_unreadable", "error", f"{name}: Pillow cannot turn {image.mode} into RGB"))

    return findings


def _look_findings(name: str, image: Image.Image) -> list[Finding]:
    """Return how a decoded image is changed before a model sees it."""
    findings = []
    if is_transparent(image):
        extrema = as_seen(image).getextrema()
        if all(low == high for low, high in extrema):
            told = f"{name} is transparent, and one colour on white: what is drawn in it cannot be seen"
            findings.append(Finding("image_invisible", "warning", told))
        else:
            findings.append(
                Finding("image_transparent", "info", f"{name} has transparent places; they are seen white")
            )

    if is_deep(image):
        depth = "16 bits" if image.mode.startswith("I;16") else "floats" if image.mode == "F" else "32 bits"
        if doubt := doubtful_range(image):
            findings.append(Finding("image_range", "warning", f"{name} has {depth} a channel, and {doubt}"))
        else:
            findings.append(Finding("image_deep", "info", f"{name} has {depth} a channel; it is seen in 8"))

    if 2 <= (turned := orientation(image)) <= 8:
        told = f"{name} is turned by its EXIF (orientation {turned}); it is seen upright, as viewers show it"
        findings.append(Finding("image_turned", "info", told))

    return findings


@functools.cache
def _becomes_rgb(mode: str) -> bool:
    try:
        as_seen(Image.new(mode, (1, 1)))
    except ValueError:
        return False

    return True


def _unreadable(code: str, detail: str, size: tuple[int, int] = (0, 0)) -> ImageFacts:
    return ImageFacts(*size, (Finding(code, "error", detail),))
