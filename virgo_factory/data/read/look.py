"""What a model sees of a picture: the one way from an opened file to RGB, in training, preview, distillation and evaluation.

LLaMA-Factory's own way (`convert("RGB")`, data/mm_plugin.py:233) puts transparent places on black, cuts 16 bits and
floats off at 255, and leaves a photograph lying on its side.
"""

import hashlib
import io
from typing import Any


LONGEST_SIDE = 900
"""Pixels of the longer side of a picture that a person looks at; larger ones are scaled down."""

_MAX_PNG = 300_000  # bytes; above it a picture is a photograph, and JPEG is a tenth of that

ORIENTATION = 0x0112
"""EXIF's tag of how a picture has to be turned: 1 not at all, 5 to 8 by a quarter (width and height change places)."""

_TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_METHODS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Orientation -> Pillow's Transpose, as `ImageOps.exif_transpose` has it, which copies every picture that it leaves alone."""


def as_seen(image: Any) -> Any:
    """Return a Pillow image as the model sees it: RGB, first frame, upright, on white, 8 bits a channel.

    A picture that is so already is returned itself, so that nothing changes for it. Deep pictures rarely fill their bits
    (12 of a camera in 16 of a file): white is the least of 1 (floats), 255, 1023, 4095 and 65535 that no value is above,
    floats by a hundredth; values that fit none are spread from the least to the greatest. See `doubtful_range`.

    Raises ValueError for a mode that Pillow cannot turn into RGB, and whatever decoders raise on broken bytes.
    """
    if getattr(image, "is_animated", False) and image.tell():
        image.seek(0)

    image.load()
    turned = orientation(image)
    if is_deep(image):
        seen = _eight_bits(image)
    elif may_be_transparent(image):
        seen = _on_white(image)
    else:
        seen = image if image.mode == "RGB" else image.convert("RGB")

    return seen.transpose(_METHODS[turned]) if turned in _METHODS else seen


def scaled(image: Any, longest: int = LONGEST_SIDE) -> bytes:
    """Return a Pillow image as PNG or JPEG, whichever suits it, for people: as seen, no side longer than `longest` pixels."""
    from PIL import Image

    image.draft("RGB", (2 * longest, 2 * longest))  # a large JPEG is decoded small
    image = as_seen(image)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)  # `optimize` takes seven times as long for 5 % fewer bytes
    if buffer.tell() > _MAX_PNG:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)

    return buffer.getvalue()


def is_as_seen(image: Any) -> bool:
    """Whether the model sees a picture as any viewer of files shows its bytes: RGB, upright, opaque."""
    return image.mode == "RGB" and "transparency" not in image.info and orientation(image) not in _METHODS


def orientation(image: Any) -> int:
    """Return how a picture has to be turned by its EXIF; 1 where it says nothing that can be read."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken EXIF raises anything: SyntaxError, struct.error, KeyError, ...
        return 1


def is_deep(image: Any) -> bool:
    """Whether a picture has more than 8 bits a channel."""
    return image.mode in _DEEP


def doubtful_range(image: Any) -> str:
    """Return what is doubtful about the range that a deep picture, which is decoded, is taken to have; "" where nothing is.

    The range of 8, 10 or 12 bits in more is a guess from the values; a picture that uses less than an eighth of its range
    is seen nearly black.
    """
    values = _values(image) if image.mode.startswith("I;16") else _finite(_values(image))
    low, high = float(values.min()), float(values.max())
    full = _range(low, high, image.mode == "F")
    is_usual = full == 65_535 or full in (1, 255) and not image.mode.startswith("I;16")
    if not full or not high or is_usual and high >= full / 8:
        return ""

    seen = "; it is seen nearly black" if high < full / 8 else ""
    return f"its greatest value is {high:g}, so {full} is taken as white{seen}"


def may_be_transparent(image: Any) -> bool:
    """Whether a picture can have transparent places; see `is_transparent`."""
    return image.mode in _TRANSPARENT or "transparency" in image.info


def is_transparent(image: Any) -> bool:
    """Whether a picture, which is decoded, has transparent places."""
    if not may_be_transparent(image):
        return False

    if is_deep(image):
        return bool((_values(image) == image.info["transparency"]).any())

    return _with_alpha(image).getchannel("A").getextrema()[0] < 255


def _with_alpha(image: Any) -> Any:
    if image.mode == "La":
        image = image.convert("LA")

    return image.convert("RGBA")


def _on_white(image: Any) -> Any:
    from PIL import Image

    image = _with_alpha(image)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _values(image: Any) -> Any:
    import numpy as np

    return np.asarray(image)


def _eight_bits(image: Any) -> Any:
    import numpy as np
    from PIL import Image

    values = _values(image)
    scaled = _scaled(values if image.mode.startswith("I;16") else _finite(values), image.mode == "F")

    scaled = scaled.astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        scaled[values == clear] = 255

    return Image.fromarray(scaled).convert("RGB")


def _finite(values: Any) -> Any:
    import numpy as np

    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _range(low: float, high: float, is_float: bool) -> int:
    """Return the value that is white: 1, or that of 8, 10, 12 or 16 bits; 0 where none of them can be."""
    above = 1.01 if is_float else 1  # resampling overshoots
    known = (1, 255, 1023, 4095, 65_535) if is_float else (255, 1023, 4095, 65_535)
    return next((full for full in known if high <= full * above), 0) if low >= 0 else 0


def _scaled(values: Any, is_float: bool) -> Any:
    low, high = float(values.min()), float(values.max())
    if full := _range(low, high, is_float):
        return (values * (255 / full)).round().clip(0, 255)

    return ((values - low) * (255 / (high - low))).round() if high > low else values * 0


def difference_hash(image: Any) -> bytes:
    """Return 64 bits that a picture and its copies, scaled or saved with loss, have in common but for a few.

    Each says whether a field of an 8 x 8 grid is darker than the one to its right, by more than 2 of 255, so that noise on
    a plain ground changes nothing. Colours do not count.
    """
    import numpy as np
    from PIL import Image

    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.HAMMING), dtype=np.int16)
    return np.packbits(grid[:, 1:] - grid[:, :-1] > 2).tobytes()


def pixel_digest(image: Any) -> bytes:
    """Return what is equal for pictures of the same size and colours."""
    return hashlib.blake2b(b"%dx%d " % image.size + image.tobytes(), digest_size=16).digest()
