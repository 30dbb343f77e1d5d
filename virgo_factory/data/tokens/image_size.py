"""How many tokens an image takes, from its size alone: LLaMA-Factory's resizing, then the Qwen-VL processors'."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError


PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Where a model folder has the settings of its image processor: the second, below `image_processor`, if saved by transformers 5."""


@dataclass(frozen=True)
class ImageProcessor:
    """The sizes of a Qwen-VL image processor (its settings in a model folder); those of Qwen2-VL by default."""

    patch_size: int = 14  # side of a patch, in pixels
    merge_size: int = 2  # patches a side that become one token
    min_pixels: int = 56 * 56  # of an image after resizing
    max_pixels: int = 28 * 28 * 1280  # of an image after resizing


def read_processor(folder: Path) -> ImageProcessor:
    """Return the image processor of a model folder.

    Raises UserError where its settings are missing, or not those of a Qwen-VL model.
    """
    path = folder / PROCESSOR_FILES[0]
    config = image_settings(folder)
    if config is None:
        raise UserError(f"{path}: no such file, so images cannot be counted. Name the folder of a vision model.")

    kind = config.get("image_processor_type", "")
    if not kind.startswith("Qwen2VLImageProcessor"):
        raise UserError(f"{path}: image_processor_type {kind!r} is not Qwen2VLImageProcessor, whose sizes are known.")

    size = {**{"shortest_edge": ImageProcessor.min_pixels, "longest_edge": ImageProcessor.max_pixels}}
    size |= config.get("size") or {}
    return ImageProcessor(
        patch_size=config.get("patch_size", ImageProcessor.patch_size),
        merge_size=config.get("merge_size", ImageProcessor.merge_size),
        min_pixels=config.get("min_pixels") or size["shortest_edge"],
        max_pixels=config.get("max_pixels") or size["longest_edge"],
    )


def image_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a model folder's image processor as preprocessor_config.json has them; None without any."""
    for name in PROCESSOR_FILES:
        if (folder / name).is_file():
            config = json.loads((folder / name).read_text(encoding="utf-8"))
            config = config if name == PROCESSOR_FILES[0] else config.get("image_processor")
            if config is not None:
                return config

    return None


def image_tokens(
    width: int,
    height: int,
    min_pixels: int = 32 * 32,
    max_pixels: int = 768 * 768,
    processor: ImageProcessor = ImageProcessor(),
) -> int:
    """Return the number of image tokens, without those around them; 0 for an image that no run could use.

    The bounds are the recipe's `image_min_pixels` and `image_max_pixels`.

    >>> image_tokens(768, 768), image_tokens(10, 10), image_tokens(4000, 3000, max_pixels=262144)
    (729, 4, 336)
    """
    width, height = trained_size(width, height, min_pixels, max_pixels)
    if min(width, height) < 1:
        return 0

    height, width = smart_resize(height, width, processor)
    factor = processor.patch_size * processor.merge_size
    return (height // factor) * (width // factor)


def trained_size(width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return width and height after LLaMA-Factory's resizing (0.9.5, data/mm_plugin.py:218-235 and 1912-1927)."""
    if width * height > max_pixels:
        factor = math.sqrt(max_pixels / (width * height))
        width, height = int(width * factor), int(height * factor)

    if min(width, height) < 1:
        return 0, 0

    if width * height < min_pixels:
        factor = math.sqrt(min_pixels / (width * height))
        width, height = int(width * factor), int(height * factor)

    if min(width, height) < 28:
        width, height = max(width, 28), max(height, 28)

    if width / height > 200:
        width = height * 180

    if height / width > 200:
        height = width * 180

    return width, height


def smart_resize(height: int, width: int, processor: ImageProcessor) -> tuple[int, int]:
    """Return height and width as multiples of a token's side within the processor's pixels.

    The rule of transformers 4.57.6 (models/qwen2_vl/image_processing_qwen2_vl.py:53), which cannot be imported without
    torch.
    """
    side = processor.patch_size * processor.merge_size
    new_height, new_width = round(height / side) * side, round(width / side) * side
    if new_height * new_width > processor.max_pixels:
        beta = math.sqrt((height * width) / processor.max_pixels)
        new_height = max(side, math.floor(height / beta / side) * side)
        new_width = max(side, math.floor(width / beta / side) * side)
    elif new_height * new_width < processor.min_pixels:
        beta = math.sqrt(processor.min_pixels / (height * width))
        new_height = math.ceil(height * beta / side) * side
        new_width = math.ceil(width * beta / side) * side

    return new_height, new_width
