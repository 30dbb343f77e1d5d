"""Tests of virgo_factory/rollouts/pictures.py: what is stored, what is refused, and what stays the same picture."""

import hashlib
import json
import os
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from virgo_factory.distill.questions.benchmark_pictures import benchmark_pictures
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.pictures import remove_others, store_picture


pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PIXELS = 589_824


def picture(color="red", kind="PNG", mode="RGB", size=(40, 30)) -> bytes:
    image = Image.new(mode, size, color)
    ImageDraw.Draw(image).line((0, 0, 20, 20), fill="blue" if mode.startswith("RGB") else 7)
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpeg")])
def test_rgb_keeps_its_bytes_and_what_is_known_is_not_decoded_again(kind, suffix, tmp_path, monkeypatch):
    content = picture(kind=kind)
    known = {}
    stored = store_picture(content, tmp_path, tmp_path / "out", PIXELS, known)
    digest = hashlib.sha256(content).hexdigest()
    assert stored.path == f"images/{digest[:2]}/{digest[:32]}.{suffix}"
    assert (tmp_path / "out" / stored.path).read_bytes() == content
    assert stored.sha256 == stored.given_sha256 == digest
    monkeypatch.setattr("virgo_factory.rollouts.pictures.inspect", lambda *_: pytest.fail("decoded again"))
    assert store_picture(content, tmp_path, tmp_path, PIXELS, known) is stored


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("BMP", "RGB"), ("GIF", "RGB"), ("WEBP", "RGB")]
)
def test_everything_else_becomes_rgb_in_png(kind, mode, tmp_path):
    color = {"RGBA": (255, 0, 0, 0), "L": 200, "P": 3}.get(mode, "red")
    stored = store_picture(picture(color, kind, mode), tmp_path, tmp_path / "out", PIXELS)
    path = tmp_path / "out" / stored.path
    assert path.suffix == ".png" and hashlib.sha256(path.read_bytes()).hexdigest() == stored.sha256
    image = Image.open(path)
    assert (image.mode, image.size) == ("RGB", (40, 30))
    if mode == "RGBA":
        assert image.getpixel((35, 2)) == (255, 255, 255), "transparent places are white, as on paper"


def test_one_picture_in_several_formats_has_the_same_pixels(tmp_path):
    stored = [store_picture(picture(kind=kind), tmp_path, tmp_path, PIXELS) for kind in ("PNG", "BMP", "TIFF")]
    assert len({item.pixels for item in stored}) == 1
    assert len({item.given_sha256 for item in stored}) == 3
    assert store_picture(picture("green"), tmp_path, tmp_path, PIXELS).pixels != stored[0].pixels
    assert store_picture(picture(size=(30, 40)), tmp_path, tmp_path, PIXELS).pixels != stored[0].pixels


REFUSED = {
    "no picture": (None, b""),
    "image missing": ("missing.png", ".", "a\0b.png"),
    "image outside media_dir": ("../outside.png", "/etc/passwd", "link.png"),
    "image is a URL": ("https://host/a.png",),
    "image unreadable": ("text.png", b"no picture"),
    "image truncated": (picture()[:80], picture(kind="JPEG")[:-40]),
    "image ratio": (picture(size=(1, 900_000)),),
    "image not understood": (17,),
}


@pytest.mark.parametrize(("content", "reason"), [(one, reason) for reason, some in REFUSED.items() for one in some])
def test_refused_pictures(content, reason, tmp_path):
    (tmp_path / "outside.png").write_bytes(picture())
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "text.png").write_text("no picture")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(RejectedRow) as error:
        store_picture(content, folder, tmp_path / "out", PIXELS)

    assert error.value.reason == reason
    assert not (tmp_path / "out").exists(), "nothing is stored of what is refused"


def test_only_stored_pictures_are_removed(tmp_path):
    kept, gone = (store_picture(picture(color), tmp_path, tmp_path, PIXELS).path for color in ("red", "green"))
    others = [tmp_path / "images/mine.png", tmp_path / "images/ab/mine.png"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")

    remove_others(tmp_path, {kept})
    assert (tmp_path / kept).is_file() and not (tmp_path / gone).exists()
    assert all(path.is_file() for path in others)


def test_pictures_of_benchmarks(tmp_path):
    (tmp_path / "images").mkdir()
    for name, color in (("a.png", "red"), ("images/b.png", "green")):
        (tmp_path / name).write_bytes(picture(color))

    stored = [store_picture(picture(color, "BMP"), tmp_path, tmp_path / "out", PIXELS) for color in ("red", "green")]
    red, green = (one.pixels for one in stored)
    rows = [
        {"question": "x", "image": "a.png", "other": "a.png"},
        {"question": "y", "images": ["b.png", "missing.png"]},
        {"question": "z", "image_1": "b.png", "image": None},
    ]
    listed, keyed, lines = tmp_path / "list.json", tmp_path / "keyed.json", tmp_path / "lines.jsonl"
    listed.write_text(json.dumps(rows))
    keyed.write_text(json.dumps({str(number): row for number, row in enumerate(rows)}))
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = pa.Table.from_pylist([{"question": "x", "decoded_image": {"bytes": picture("red"), "path": None}}])
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "plain.txt").write_text("a.png\n")
    for path in (listed, keyed, lines):
        assert benchmark_pictures(path) == ({red, green}, 1), path

    assert benchmark_pictures(tmp_path / "rows.parquet") == ({red}, 0)
    assert benchmark_pictures(tmp_path / "plain.txt") == (set(), 0)
    assert os.listdir(tmp_path / "images") == ["b.png"], "a benchmark's pictures are not stored"
