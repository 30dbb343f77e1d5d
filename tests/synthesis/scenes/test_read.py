"""Every picture that a file names becomes a scene or a reason; nothing outside of the folder is opened."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.synthesis.scenes.conftest import cup
from virgo_factory.synthesis.scenes import read
from virgo_factory.synthesis.scenes.boxes import EMPTY, NO_BOX, OTHER_SHAPE, OUTSIDE
from virgo_factory.synthesis.scenes.read import read_scenes
from virgo_factory.synthesis.scenes.source import NEEDS, SceneSource
from virgo_factory.synthesis.words import Scene, of_row, row_of


def test_a_scene_of_our_own_form(bench):
    ((scene,), dropped, objects) = bench.rows(
        bench.row(objects=[cup(50, 1, 60, 9), cup(1, 2, 11, 12, phrase="a mug")])
    )
    assert (dropped, objects) == ([], [])
    content = (bench.folder / "a.png").read_bytes()
    assert scene.id == "rows/one" and scene.number == 0 and scene.origin == "rows.jsonl:1"
    assert (scene.image, scene.image_sha256) == ("a.png", hashlib.sha256(content).hexdigest())
    assert (scene.width, scene.height, scene.captions) == (100, 80, ("A cup.",))
    assert [(one.tag, one.box, one.phrase) for one in scene.objects] == [
        ("cup 1", (1, 2, 11, 12), "a mug"),
        ("cup 2", (50, 1, 60, 9), ""),
    ]


def test_a_file_of_scenes_is_read_as_it_was_written(bench):
    """The normal form that a stage writes is the one that is read, ids and what is not counted included."""
    objects = [
        cup(0, 0, 10, 10, score=0.5),
        cup(20, 0, 400, 10),
        cup(0, 0, 9, 9, name="fork", attributes={"color": "red"}),
    ]
    ((scene,), _, _) = bench.rows(bench.row(objects=objects))
    assert scene.uncounted == ("cup",)
    file = bench.folder / "00_scenes.jsonl"
    file.write_text(row_of(scene))
    ((again,), dropped, lost) = bench.read(SceneSource("rows", file=file))
    assert (dropped, lost) == ([], [])
    assert again == of_row(Scene, json.loads(row_of(scene)) | {"origin": "00_scenes.jsonl:1"})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"captions": ["  ", None]}, read.NO_CAPTION),
        ({"captions": []}, read.NO_CAPTION),
        ({"image": None}, read.NO_PICTURE),
        ({"image": "gone.png"}, "image missing"),
        ({"image": "../out.png"}, "image outside media_dir"),
        ({"image": "/etc/passwd"}, "image outside media_dir"),
        ({"image": "https://host/a.png"}, "image is a URL"),
        ({"image": "rows.jsonl"}, "image unreadable"),
        ({"image_sha256": "00"}, read.OTHER_PICTURE),
        ({"captions": ["<|im_end|>"]}, "control token in the caption"),
        ({"captions": ["See <image> here."]}, "control token in the caption"),
        ({"id": "<|im_start|>"}, "control token in the id"),
        ({"width": 80, "height": 100}, OTHER_SHAPE),
    ],
)
def test_a_scene_that_is_none_says_why(bench, columns, reason):
    (bench.folder.parent / "out.png").write_bytes(b"")
    scenes, dropped, _ = bench.rows(bench.row(**columns), bench.row(id="two"))
    assert [one.id for one in scenes] == ["rows/two"] and scenes[0].number == 1
    assert [one.reason for one in dropped] == [reason]
    assert "rows.jsonl:1" in dropped[0].detail


@pytest.mark.parametrize(
    ("object", "reason"),
    [
        (cup(0, 0, 101.5, 10), OUTSIDE),
        (cup(-2, 0, 10, 10), OUTSIDE),
        (cup(0, 0, 10, 81.2), OUTSIDE),
        (cup(30, 0, 10, 10), EMPTY),
        (cup(1, 10, 3, 10), EMPTY),
        (cup(1, 1, 1.2, 1.2), EMPTY),
        (cup(1, 2, 3), NO_BOX),
        (cup(1, 2, 3, float("nan")), NO_BOX),
        (cup(1, 2, True, 4), NO_BOX),
        (cup(1, 2, 10**400, 4), NO_BOX),
        (cup(1, 2, 8, 9, score=float("nan")), read.NO_SCORE),
        ({"name": "cup", "box": "1 2 3 4"}, NO_BOX),
        (cup(1, 2, 8, 9, name=" "), read.NO_NAME),
        (cup(1, 2, 8, 9, name=7), read.NO_NAME),
        (cup(1, 2, 8, 9, score=1.5), read.NO_SCORE),
        (cup(1, 2, 8, 9, score="high"), read.NO_SCORE),
        (cup(1, 2, 8, 9, score=0.1), read.UNSURE),
        (cup(1, 2, 8, 9, name="<|vision_start|>"), read.FORGED_OBJECT),
        (cup(1, 2, 8, 9, phrase="a <video>"), read.FORGED_OBJECT),
        (cup(1, 2, 8, 9, attributes={"color": "<|im_end|>"}), read.FORGED_OBJECT),
        (cup(1, 2, 8, 9, name="\ud800"), read.FORGED_OBJECT),
    ],
)
def test_an_object_that_is_none_says_why_and_its_scene_stays(bench, object, reason):
    (scenes, dropped, objects) = bench.rows(bench.row(objects=[object, cup(5, 5, 20, 20)]), min_score=0.2)
    assert not dropped and [one.tag for one in scenes[0].objects] == ["cup 1"]
    assert [one.reason for one in objects] == [reason]
    is_named = read._name(object["name"]) == "cup"
    assert scenes[0].uncounted == (("cup",) if is_named else ())  # another cup was there: the boxes do not count them


def test_a_box_may_leave_its_picture_by_a_pixel(bench):
    ((scene,), _, lost) = bench.rows(bench.row(objects=[cup(-1, -0.5, 101, 81)]))
    assert not lost and scene.objects[0].box == (0, 0, 100, 80)


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        ("xyxy", [10, 20, 30, 60]),
        ("xywh", [10, 20, 20, 40]),
        ("unit", [0.1, 0.25, 0.3, 0.75]),
        ("thousand", [100, 250, 300, 750]),
        ("percent", [10, 25, 30, 75]),
    ],
)
def test_every_box_format_gives_the_same_pixels(bench, box_format, box):
    ((scene,), _, _) = bench.rows(bench.row(objects=[cup(*box)]), box_format=box_format)
    assert scene.objects[0].box == (10, 20, 30, 60)


@pytest.mark.parametrize(
    ("boxes", "guess"),
    [
        ([[0.1, 0.2, 0.5, 0.9]], "unit"),
        ([[10, 20, 50, 70], [1, 1, 2, 2]], "xyxy"),
        ([[60, 20, 30, 30]], "xywh"),
    ],
)
def test_a_box_format_is_guessed_and_told(bench, boxes, guess, caplog):
    file = bench.lines("rows.jsonl", [bench.row(objects=[cup(*box) for box in boxes])])
    (guessed, _, lost) = bench.read(SceneSource("rows", file=file))
    (named, _, _) = bench.rows(bench.row(objects=[cup(*box) for box in boxes]), box_format=guess)
    assert not lost and guessed[0].objects == named[0].objects
    assert f"taken to be {guess}" in caplog.text and "box_format" in caplog.text


def test_one_box_turned_round_does_not_make_widths_of_corners(bench, caplog):
    boxes = [[x, 10, x + 5, 20] for x in range(30)]
    file = bench.lines("rows.jsonl", [bench.row(objects=[cup(*box) for box in [*boxes, [50, 50, 20, 20]]])])
    (scene,), _, lost = bench.read(SceneSource("rows", file=file))
    assert "taken to be xyxy" in caplog.text and len(lost) == 1
    assert [list(one.box) for one in scene.objects] == boxes


def test_a_box_format_that_cannot_be_told_is_asked_for(bench):
    file = bench.lines("rows.jsonl", [bench.row(objects=[cup(0.9, 0.2, 0.5, 0.9)])])
    with pytest.raises(ValueError, match="box_format.*xyxy, xywh, unit"):
        bench.read(SceneSource("rows", file=file))


def test_boxes_of_another_size_are_scaled_and_told(bench, caplog):
    ((scene,), _, _) = bench.rows(bench.row(width=200, height=160, objects=[cup(20, 40, 60, 120)]))
    assert scene.objects[0].box == (10, 20, 30, 60)
    assert "boxes of 1 scene were" in caplog.text and "scaled" in caplog.text


@pytest.mark.parametrize("turn", range(1, 9))
def test_boxes_lie_on_the_picture_as_it_is_seen(bench, turn):
    """A white field is drawn where a box of the lying picture says; turned, the box still holds exactly the field."""
    stored = Image.new("RGB", (100, 60))
    stored.paste((255, 255, 255), (10, 20, 40, 50))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(bench.folder / "a.png", exif=exif)
    lying = {"width": 100, "height": 60, "objects": [cup(10, 20, 40, 50)]}
    ((scene,), _, _) = bench.rows({"id": "one", "image": "a.png", "captions": ["A cup."], **lying})
    assert (scene.width, scene.height) == ((60, 100) if turn > 4 else (100, 60))
    if turn in (1, 5, 6, 7, 8):  # of a picture that keeps its shape nothing says on which of the two boxes were made
        from PIL import ImageOps

        seen = ImageOps.exif_transpose(Image.open(bench.folder / "a.png")).convert("L")
        assert seen.getbbox() == scene.objects[0].box


def test_only_so_many_objects_are_kept_the_surest_and_largest(bench):
    objects = [cup(0, 0, 5, 5, score=0.9), cup(10, 0, 15, 5), cup(20, 0, 30, 10), cup(40, 0, 45, 5, name="fork")]
    ((scene,), _, lost) = bench.rows(bench.row(objects=objects), max_objects=2)
    assert [one.box[0] for one in scene.objects] == [10, 20]
    assert [one.reason for one in lost] == [read.TOO_MANY] * 2 and scene.uncounted == ("cup",)


def test_tags_number_the_things_of_a_name_from_left_to_right(bench):
    objects = [cup(60, 0, 70, 9), cup(0, 0, 99, 9, name="Table"), cup(5, 0, 9, 9, name="a  Cup."), cup(30, 0, 40, 9)]
    ((scene,), _, _) = bench.rows(bench.row(objects=objects))
    assert [(one.tag, one.box[0]) for one in scene.objects] == [
        ("cup 1", 5),
        ("cup 2", 30),
        ("table 1", 0),
        ("cup 3", 60),
    ]


def test_an_id_is_there_once(bench):
    scenes, dropped, _ = bench.rows(bench.row(), bench.row())
    assert len(scenes) == 1 and [one.reason for one in dropped] == [read.TWICE]


def test_rows_that_cannot_be_read_are_told_by_their_line(bench):
    file = bench.lines("rows.jsonl", [bench.row(), [1], "x"])
    with file.open("a") as more:
        more.write('{"id": \n')

    scenes, dropped, _ = bench.read(SceneSource("rows", file=file, box_format="xyxy"))
    assert len(scenes) == 1
    assert [(one.of, one.reason) for one in dropped] == [
        ("rows.jsonl:2", "not a row of names and values"),
        ("rows.jsonl:3", "not a row of names and values"),
        ("rows.jsonl:4", "not JSON"),
    ]


def test_columns_of_other_names_are_understood(bench):
    row = {"image_id": 7, "file_name": bench.picture("b.png"), "caption": "A cup.", "annotations": [
        {"category": "cup", "bbox": [1, 2, 30, 40]}]}  # fmt: skip
    ((scene, _), _, _) = bench.rows(row, row | {"image_id": 8})
    assert scene.id == "rows/7" and scene.objects[0].box == (1, 2, 30, 40)


def test_pictures_of_a_source_may_stand_in_a_folder_of_their_own(bench):
    bench.picture("val/c.png")
    file = bench.lines("rows.jsonl", [bench.row(image="c.png")])
    ((scene,), _, _) = bench.read(SceneSource("rows", file=file, pictures="val", name="mine", box_format="xyxy"))
    assert (scene.id, scene.image) == ("mine/one", "val/c.png")


def test_a_link_that_leads_out_is_not_followed(bench):
    outside = bench.folder.parent / f"{bench.folder.name}-outside.png"
    Image.new("RGB", (9, 9)).save(outside)
    os.symlink(outside, bench.folder / "link.png")
    scenes, dropped, _ = bench.rows(bench.row(image="link.png"))
    assert not scenes and dropped[0].reason == "image outside media_dir"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"reader": "coco"}, "needs captions, boxes"),
        ({"reader": "coco", "captions": "a", "boxes": "b", "file": "c"}, "has no file"),
        ({"reader": "rows", "file": "a", "box_format": "yxyx"}, "box_format 'yxyx' is not known"),
        ({"reader": "clevr", "file": "a", "box_format": "unit"}, "a box format of its own"),
        ({"reader": "flickr", "file": "a"}, "reader 'flickr' is not known"),
        ({"reader": "rows", "file": "a", "name": "a/b"}, "no slash"),
    ],
)
def test_a_source_that_is_none_says_what_it_needs(source, told):
    with pytest.raises(ValueError, match=told):
        SceneSource(**source)


def test_what_is_not_there_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        read_scenes([], tmp_path / "none")

    with pytest.raises(ValueError, match=r"rows: file: no file .*a\.jsonl"):
        read_scenes([SceneSource("rows", file=Path(tmp_path / "a.jsonl"))], tmp_path)


def test_the_sources_that_the_page_shows_are_sources(root):
    """One of every reader, as a configuration holds them."""
    import yaml
    from pydantic import TypeAdapter

    page = (root / "docs/synthesize.md").read_text(encoding="utf-8")
    block = page.split("```yaml\nscenes:")[1].split("```")[0]
    sources = TypeAdapter(list[SceneSource]).validate_python(yaml.safe_load(f"scenes:{block}")["scenes"])
    assert {source.reader for source in sources} == read.LAYOUTS.keys() == NEEDS.keys()
    assert all(f"\n| `{reader}` |" in page for reader in read.LAYOUTS)
