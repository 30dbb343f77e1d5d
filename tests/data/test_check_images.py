"""What one look at an image finds: every way in which an image stops or spoils training, on files made here."""

import base64
import io
import struct
import zlib

import pytest
from PIL import Image, ImageDraw

from virgo_factory.data.read.images import inspect


def _picture(size=(64, 48), mode="RGB"):
    image = Image.new(mode, size)
    ImageDraw.Draw(image).line((0, 0, *size), fill=(255,) * len(image.getbands()) if mode != "L" else 255, width=3)
    return image


def _bytes(kind="PNG", image=None, **options):
    buffer = io.BytesIO()
    (image or Image.effect_noise((200, 160), 60).convert("RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


def _png_header(width, height):
    """A PNG that says it has so many pixels, and holds none."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _codes(facts):
    return [(finding.code, finding.severity) for finding in facts.findings]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_good_image_has_a_size_and_no_finding(kind, tmp_path):
    (tmp_path / "a.img").write_bytes(_bytes(kind))
    assert (inspect("a.img", tmp_path).width, inspect("a.img", tmp_path).height) == (200, 160)
    assert inspect("a.img", tmp_path).findings == ()


@pytest.mark.parametrize(
    "form",
    [
        lambda content, path: content,
        lambda content, path: {"bytes": content, "path": None},
        lambda content, path: {"bytes": None, "path": "a.png"},
        lambda content, path: str(path),
        lambda content, path: "data:image/png;base64," + base64.b64encode(content).decode(),
    ],
    ids=["bytes", "dictionary of bytes", "dictionary of a path", "absolute path", "data URI"],
)
def test_every_form_in_which_a_row_may_give_an_image(form, tmp_path):
    content = _bytes()
    (tmp_path / "a.png").write_bytes(content)
    facts = inspect(form(content, tmp_path / "a.png"), tmp_path)
    assert (facts.width, facts.height, facts.findings) == (200, 160, ())


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [
        ("https://example.org/a.png", "image_is_a_url", "give their paths below media_dir"),
        ("s3://bucket/a.png", "image_is_a_url", "is not fetched"),
        ("gone.png", "image_missing", "no file"),
        ("../secret.png", "image_outside_media_dir", "leads out of media_dir"),
        ("link.png", "image_outside_media_dir", "leads out of media_dir"),
        ("/etc/hostname", "image_outside_media_dir", "VIRGO_FACTORY_MEDIA_ROOTS=/etc"),
        ("text.png", "image_unreadable", "not an image"),
        ("empty.png", "image_unreadable", "not an image"),
        ("data:image/png;base64,@@@", "image_unreadable", "is not base64"),
        ("A" * 5000, "image_not_understood", "base64 needs data:image/png;base64, in front"),
        ({"url": "x"}, "image_not_understood", "without bytes or path"),
        (7, "image_not_understood", "an image is int"),
        (None, "image_not_understood", "an image is NoneType"),
        (b"", "image_unreadable", "not an image"),
    ],
)
def test_what_cannot_be_opened_says_why_and_what_to_do(image, code, words, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "secret.png").write_bytes(_bytes())
    (media / "link.png").symlink_to(tmp_path / "secret.png")
    (media / "text.png").write_text("not a picture")
    (media / "empty.png").write_bytes(b"")
    facts = inspect(image, media)
    assert _codes(facts) == [(code, "error")]
    assert words in facts.findings[0].detail
    assert not facts.is_readable


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_cut_off_is_found_by_decoding_all_of_it(kind, share):
    content = _bytes(kind)
    facts = inspect(content[: int(share * len(content))], ".")
    assert [finding.severity for finding in facts.findings] == ["error"]
    assert facts.findings[0].code in ("image_truncated", "image_unreadable")


def test_a_progressive_jpeg_is_read_to_its_end_as_well():
    content = _bytes("JPEG", progressive=True)
    assert inspect(content, ".").findings == ()
    assert _codes(inspect(content[:-500], ".")) == [("image_truncated", "error")]


def test_a_changed_byte_in_a_png_is_found():
    content = bytearray(_bytes())
    content[len(content) // 2] ^= 0xFF
    assert not inspect(bytes(content), ".").is_readable


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size):
    facts = inspect(_png_header(*size), ".")
    assert _codes(facts) == [("image_too_large", "error")]
    assert f"{size[0] * size[1]:,} pixels by its header, not decoded" in facts.findings[0].detail


def test_an_image_far_larger_than_the_budget_is_told_of():
    content = _bytes(image=Image.new("L", (3_000, 2_500)))
    assert _codes(inspect(content, ".", max_pixels=100_000)) == [("image_huge", "warning")]
    assert inspect(content, ".", max_pixels=589_824).findings == ()


@pytest.mark.parametrize(
    ("size", "codes"),
    [
        ((2_010, 10), ["image_ratio"]),
        ((10, 2_010), ["image_ratio"]),
        ((60_000, 1), ["image_ratio"]),
        ((2_000, 10), []),
    ],
)
def test_long_narrow_images(size, codes):
    assert _codes(inspect(_bytes(image=Image.new("L", size)), ".")) == [(code, "warning") for code in codes]


def test_an_image_that_shrinking_leaves_without_a_side_is_an_error():
    facts = inspect(_bytes(image=Image.new("L", (60_000, 1))), ".", max_pixels=50_000)
    assert _codes(facts) == [("image_ratio", "error")]
    # what LLaMA-Factory would do (data/mm_plugin.py, _preprocess_image)
    factor = (50_000 / 60_000) ** 0.5
    assert int(1 * factor) == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_told_of(kind):
    frames = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (0, 90, 180)]
    content = _bytes(kind, frames[0], save_all=True, append_images=frames[1:])
    assert _codes(inspect(content, ".")) == [("image_animated", "warning")]


def test_cmyk_is_told_of():
    assert _codes(inspect(_bytes("JPEG", _picture(mode="CMYK")), ".")) == [("image_cmyk", "warning")]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_modes_that_training_turns_into_rgb_are_no_finding(mode):
    image = Image.new("L", (40, 30)).convert(mode) if mode != "I;16" else Image.new(mode, (40, 30))
    facts = inspect(_bytes(image=image), ".")
    try:
        Image.open(io.BytesIO(_bytes(image=image))).convert("RGB")
        converts = True
    except ValueError:
        converts = False

    assert facts.is_readable == converts


def test_eps_is_never_run():
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
    facts = inspect(content, ".")
    assert _codes(facts) == [("image_unreadable", "error")]
    assert "EPS, which is a program" in facts.findings[0].detail


def test_real_pictures_have_the_size_that_their_header_says(shared_data):
    pictures = sorted([*shared_data.glob("tabmwp/tables/*.png"), *shared_data.glob("mathvision/images/*.jpg")])[:40]
    assert len(pictures) == 40
    for picture in pictures:
        facts = inspect(picture.relative_to(shared_data).as_posix(), shared_data)
        with Image.open(picture) as opened:
            assert (facts.width, facts.height) == opened.size

        assert facts.is_readable
