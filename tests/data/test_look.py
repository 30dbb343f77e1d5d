"""What a model sees of a picture, compared with pixels that are computed by hand."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import as_seen, scaled


def opened(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def gray(*values, dtype=np.uint8):
    return np.array([values], dtype=dtype)


GRAY = [
    # (picture, gray values seen)
    (Image.fromarray(gray(0, 128, 257, 32768, 65535, dtype=np.uint16)), [0, 0, 1, 128, 255]),
    (Image.fromarray(gray(0, 16, 2048, 4095, dtype=np.uint16)), [0, 1, 128, 255]),  # 12 bits of a camera
    (Image.fromarray(gray(0, 512, 1023, dtype=np.uint16)), [0, 128, 255]),
    (Image.fromarray(gray(0, 128, 255, dtype=np.uint16)), [0, 128, 255]),
    (Image.fromarray(gray(0, 2048, 4095, dtype=np.int32)), [0, 128, 255]),
    (Image.fromarray(gray(0.0, 2047.5, 4095.0, dtype=np.float32)), [0, 128, 255]),
    (Image.fromarray(gray(0, 4096, dtype=np.uint16)), [0, 16]),
    (Image.fromarray(gray(0.0, 0.25, 1.0, dtype=np.float32)), [0, 64, 255]),
    (Image.fromarray(gray(0.0, 1.0, 1.0, dtype=np.float32)), [0, 255, 255]),
    (Image.fromarray(gray(0.0, 100.4, 255.0, dtype=np.float32)), [0, 100, 255]),
    (Image.fromarray(gray(0.0, 32896.0, 65535.0, dtype=np.float32)), [0, 128, 255]),
    (Image.fromarray(gray(0.0, 0.5, 1.001, dtype=np.float32)), [0, 128, 255]),
    (Image.fromarray(gray(0.0, 100.4, 256.0, dtype=np.float32)), [0, 100, 255]),
    (Image.fromarray(gray(-1.0, 0.0, 1.0, dtype=np.float32)), [0, 128, 255]),
    (Image.fromarray(gray(0.5, float("nan"), 1.0, dtype=np.float32)), [128, 0, 255]),
    (Image.fromarray(gray(-7.0, -7.0, dtype=np.float32)), [0, 0]),
    (Image.fromarray(gray(0, 1, 255, dtype=np.int32)), [0, 1, 255]),
    (Image.fromarray(gray(0, 32896, 65535, dtype=np.int32)), [0, 128, 255]),
    (Image.fromarray(gray(-1000, 0, 1000, dtype=np.int32)), [0, 128, 255]),
]


@pytest.mark.parametrize(("picture", "seen"), GRAY, ids=lambda value: f"{value}"[:40])
def test_more_than_8_bits_are_scaled_by_their_range(picture, seen):
    found = as_seen(opened(picture, "TIFF"))
    assert found.mode == "RGB"
    assert np.asarray(found)[0].tolist() == [[value] * 3 for value in seen]


def transparent(mode):
    """A black dot on a transparent ground, in a mode; two pixels wide."""
    image = Image.new("LA" if mode == "LA" else "RGBA", (2, 1), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 255) if mode == "LA" else (0, 0, 0, 255))
    return image


CLEAR = [
    ("RGBA", opened(transparent("RGBA"))),
    ("LA", opened(transparent("LA"))),
    ("a palette", opened(transparent("RGBA").quantize(2), transparency=transparent("RGBA").quantize(2).getpixel((0, 0)))),
    ("WebP", opened(transparent("RGBA"), "WEBP", lossless=True)),
    ("one gray value", opened(Image.fromarray(gray(7, 0)), transparency=7)),
    ("one colour", opened(Image.fromarray(np.array([[[1, 2, 3], [0, 0, 0]]], dtype=np.uint8)), transparency=(1, 2, 3))),
    ("one value of 16 bits", opened(Image.fromarray(gray(9, 0, dtype=np.uint16)), transparency=9)),
]  # fmt: skip


@pytest.mark.parametrize("picture", [picture for _, picture in CLEAR], ids=[name for name, _ in CLEAR])
def test_transparent_places_are_white(picture):
    assert np.asarray(as_seen(picture)).tolist() == [[[255] * 3, [0] * 3]]


def test_half_transparent_is_half_white():
    assert as_seen(opened(Image.new("RGBA", (1, 1), (255, 0, 0, 128)))).getpixel((0, 0)) == (255, 127, 127)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_as_viewers_show_it(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.effect_noise((32, 16), 90).convert("RGB")
    found = as_seen(opened(image, kind, exif=exif))
    expected = ImageOps.exif_transpose(opened(image, kind, exif=exif)).convert("RGB")
    assert (found.size, found.tobytes()) == (expected.size, expected.tobytes())
    assert found.size == ((16, 32) if orientation > 4 else (32, 16))
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    facts = inspect(buffer.getvalue(), ".")
    assert (facts.width, facts.height) == found.size


def test_an_ordinary_picture_is_the_picture_itself():
    picture = opened(Image.effect_noise((32, 16), 90).convert("RGB"), "JPEG")
    assert as_seen(picture) is picture
    before = picture.tobytes()
    assert as_seen(picture).tobytes() == before


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_are_turned_to_rgb_as_before(mode):
    image = Image.effect_noise((8, 8), 90).convert("RGB").convert(mode)
    assert as_seen(image).tobytes() == image.convert("RGB").tobytes()


def test_of_several_frames_the_first_is_seen():
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(
        buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (2, 2), "blue")]
    )
    picture = Image.open(buffer)
    picture.seek(1)
    assert as_seen(picture).getpixel((0, 0)) == (255, 0, 0) and not inspect(buffer.getvalue(), ".").findings == ()


FINDINGS = [
    ("transparent.png", [("image_transparent", "info")], (120, 80)),
    ("transparent_gray.png", [("image_transparent", "info")], (120, 80)),
    ("gray16.png", [("image_deep", "info")], (120, 80)),
    ("exif6.jpg", [("image_turned", "info")], (80, 120)),
]


@pytest.mark.parametrize(("name", "findings", "size"), FINDINGS)
def test_each_is_told(shared_data, name, findings, size):
    folder = shared_data.parent / "faults"
    if not folder.is_dir():
        pytest.skip("no fault files here")

    facts = inspect(name, folder)
    assert [(found.code, found.severity) for found in facts.findings] == findings
    assert (facts.width, facts.height) == size and facts.is_readable


def test_an_opaque_alpha_channel_is_nothing_to_tell():
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(buffer, "PNG")
    assert inspect(buffer.getvalue(), ".").findings == ()


def test_white_lines_on_a_transparent_ground_cannot_be_seen():
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    image.putpixel((3, 3), (255, 255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert [(found.code, found.severity) for found in inspect(buffer.getvalue(), ".").findings] == [
        ("image_invisible", "warning")
    ]


DARK = [
    # (greatest value, type, whether its range is doubtful)
    (1000, np.float32, True),
    (1.5, np.float32, True),
    (3000, np.float32, True),
    (1023, np.uint16, True),
    (5000, np.uint16, True),
    (4095, np.int32, True),
    (4095, np.uint16, True),
    (255, np.uint16, True),
    (20, np.int32, True),
    (1.001, np.float32, False),
    (256, np.float32, False),
    (9000, np.uint16, False),
    (0, np.uint16, False),
]


def test_a_color_picture_of_12_bits_in_16_is_told():
    """Pillow keeps the upper 8 bits of colors, of which 4 are left."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def png(greatest):
        lines = b"".join(b"\x00" + struct.pack(">3H", greatest, 0, 7) * 4 for _ in range(4))
        head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")

    (finding,) = inspect(png(4095), ".").findings
    assert (finding.code, finding.severity) == ("image_range", "warning") and "nearly black" in finding.detail
    assert inspect(png(65535), ".").findings == () == inspect(png(0), ".").findings


@pytest.mark.parametrize(("greatest", "dtype", "is_doubtful"), DARK)
def test_a_picture_that_may_have_another_range_is_a_warning(greatest, dtype, is_doubtful):
    picture = Image.fromarray(np.linspace(0, greatest, 400).reshape(20, 20).astype(dtype))
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF")
    (finding,) = inspect(buffer.getvalue(), ".").findings
    seen = np.asarray(as_seen(Image.open(buffer))).max()
    assert ("nearly black" in finding.detail) == (0 < seen < 32)
    assert (finding.code, finding.severity) == (("image_range", "warning") if is_doubtful else ("image_deep", "info"))
    assert (f"greatest value is {greatest:g}" in finding.detail) == is_doubtful


@pytest.mark.parametrize(
    ("image", "kind", "size", "corner"),
    [
        (Image.new("RGB", (300, 200), "red"), "PNG", (300, 200), (255, 0, 0)),
        (Image.new("RGBA", (10, 10), (0, 0, 0, 0)), "PNG", (10, 10), (255, 255, 255)),
        (Image.new("L", (3000, 1000), 7), "PNG", (900, 300), (7, 7, 7)),
        (Image.effect_noise((1200, 1200), 90), "JPEG", (900, 900), None),
        (Image.new("CMYK", (20, 20)), "PNG", (20, 20), (255, 255, 255)),
        (Image.new("P", (5, 5)), "PNG", (5, 5), (0, 0, 0)),
    ],
)
def test_scaled(image, kind, size, corner):
    saved = Image.open(io.BytesIO(scaled(image)))
    assert (saved.format, saved.size) == (kind, size)
    assert corner is None or saved.convert("RGB").getpixel((0, 0)) == corner
