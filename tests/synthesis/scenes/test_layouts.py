"""Every layout is read as its makers write it: small files of each, and CLEVR's real scenes with their pictures."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from virgo_factory.data.read.files.chunks import UnreadableFile
from virgo_factory.data.read.files.json_lists import read_lists
from virgo_factory.synthesis.scenes.layouts import coco, dci, docci
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Scene, of_row, row_of


def coco_files(bench, boxes: list[dict], more: dict | None = None):
    """Captions and boxes of two pictures, in no order."""
    images = [
        {"id": 9, "file_name": bench.picture("000000000009.png"), "width": 100, "height": 80},
        {"id": 4, "file_name": bench.picture("000000000004.png"), "width": 100, "height": 80},
    ]
    captions = [{"id": 1, "image_id": 4, "caption": "A dog."}, {"id": 2, "image_id": 9, "caption": "Two cups. "},
                {"id": 3, "image_id": 4, "caption": "A brown dog."}]  # fmt: skip
    categories = [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 47, "name": "cup"}]
    written = {"info": {"year": 2017}, "annotations": captions, "licenses": [{"id": 1}], "images": images}
    return (
        bench.json("captions.json", written),
        bench.json(
            "instances.json", {"images": images, "annotations": boxes, "categories": categories} | (more or {})
        ),
    )


def test_coco(bench):
    boxes = [
        {"image_id": 9, "category_id": 47, "bbox": [50, 10, 20, 30], "segmentation": [[1, 2, 3, 4]], "iscrowd": 0},
        {"image_id": 4, "category_id": 18, "bbox": [1.4, 2.6, 30, 40], "iscrowd": 0},
        {"image_id": 9, "category_id": 47, "bbox": [5, 10, 20, 30], "iscrowd": 0},
        {"image_id": 4, "category_id": 18, "bbox": [0, 0, 90, 40], "iscrowd": 1},
        {"image_id": 4, "category_id": 99, "bbox": [0, 0, 90, 40], "iscrowd": 0},
    ]
    captions, instances = coco_files(bench, boxes)
    (cups, dog), dropped, lost = bench.read(SceneSource("coco", captions=captions, boxes=instances))
    assert not dropped
    assert (cups.id, cups.captions) == ("coco/000000000009", ("Two cups.",))
    assert [(one.tag, one.box) for one in cups.objects] == [("cup 1", (5, 10, 25, 40)), ("cup 2", (50, 10, 70, 40))]
    assert dog.captions == ("A dog.", "A brown dog.") and [one.box for one in dog.objects] == [(1, 3, 31, 43)]
    assert [one.reason for one in lost] == [coco.CROWD, "an object has no name"]
    assert (cups.uncounted, dog.uncounted) == ((), ("dog",))  # a crowd is there too: one box is not one dog


def test_coco_panoptic_segments_are_objects(bench):
    segments = [{"id": 1, "category_id": 47, "bbox": [5, 10, 20, 30], "iscrowd": 0}]
    captions, instances = coco_files(bench, [{"image_id": 9, "segments_info": segments}])
    (cups, dog), _, _ = bench.read(SceneSource("coco", captions=captions, boxes=instances))
    assert [one.tag for one in cups.objects] == ["cup 1"] and dog.objects == ()


def test_coco_files_in_the_wrong_place_are_told(bench):
    captions, instances = coco_files(bench, [{"image_id": 9, "category_id": 47, "bbox": [5, 10, 20, 30]}])
    with pytest.raises(ValueError, match=r"instances\.json:1: an annotation without `caption`"):
        bench.read(SceneSource("coco", captions=instances, boxes=instances))

    with pytest.raises(ValueError, match=r"captions\.json:1: an annotation without `bbox`"):
        bench.read(SceneSource("coco", captions=captions, boxes=captions))

    cut = bench.folder / "cut.json"
    cut.write_text(captions.read_text()[:-40])
    with pytest.raises(UnreadableFile, match=r"cut\.json:1: not JSON"):
        bench.read(SceneSource("coco", captions=cut, boxes=instances))


def test_a_folder_where_a_file_of_rows_is_read(bench):
    with pytest.raises(ValueError, match="a folder. Name the file of rows in it"):
        bench.read(SceneSource("rows", file=bench.folder))


def test_lists_of_one_object_are_read_in_pieces(tmp_path):
    """Of any length, over the pieces that the file is read in, whatever stands around them."""
    file = tmp_path / "lists.json"
    lists = {
        "info": {"a": [1]},
        "skipped": [{"x": "y" * 50}] * 9000,
        "b": [{"n": n} for n in range(5000)],
        "c": [],
        "d": [[1]],
    }
    file.write_text(json.dumps(lists, indent=1))
    found = list(read_lists(file, ("b", "c", "d")))
    assert [item for key, _, item in found if key == "b"] == lists["b"]
    assert [(key, item) for key, _, item in found if key != "b"] == [("d", [1])]
    text = file.read_text().splitlines()
    assert all(text[line - 1].strip() == "{" for key, line, _ in found if key == "b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "expecting an object"),
        ('{"b": 1}', "b is not a list"),
        ('{"b": [1, 2', "not JSON"),
        ('{"b": [1 2]}', "expecting ',' or ']' in b"),
        ('{"b": [1] "c": 2}', "expecting ',' or '}'"),
        ('{"b": [1', "not JSON"),
    ],
)
def test_lists_that_break_off_say_where(tmp_path, text, told):
    file = tmp_path / "lists.json"
    file.write_text(text)
    with pytest.raises(UnreadableFile, match=told):
        list(read_lists(file, ("b",)))


def test_visual_genome(bench):
    bench.picture("VG_100K_2/7.png")
    regions = [{"id": 7, "regions": [
        {"x": 10, "y": 10, "width": 20, "height": 20, "phrase": "a red cup"}, {"x": 0, "y": 0, "width": 100, "height": 80, "phrase": "a kitchen"}]}]  # fmt: skip
    objects = [
        {"image_id": 8, "objects": [{"x": 0, "y": 0, "w": 9, "h": 9, "names": ["fork"]}]},
        {"image_id": 7, "objects": [{"x": 11, "y": 10, "w": 20, "h": 20, "names": ["cup"], "synsets": ["cup.n.01"]}]},
    ]
    images = [{"image_id": 7, "url": "https://h/a/VG_100K_2/7.png", "width": 100, "height": 80, "coco_id": None},
              {"image_id": 8, "url": "https://h/a/VG_100K/8.png", "width": 100, "height": 80}]  # fmt: skip
    source = SceneSource(
        "visual_genome",
        regions=bench.json("region_descriptions.json", regions),
        objects=bench.json("objects.json", objects),
        images=bench.json("image_data.json", images),
    )
    (scene,), dropped, _ = bench.read(source)
    assert (scene.id, scene.image) == ("visual_genome/7", "VG_100K_2/7.png")
    assert scene.captions == ("a red cup", "a kitchen")
    assert [(one.tag, one.box, one.phrase) for one in scene.objects] == [("cup 1", (11, 10, 31, 30), "a red cup")]
    assert scene.uncounted == ("cup",)
    assert [(one.of, one.reason) for one in dropped] == [("visual_genome/8", "no caption")]


def test_docci_with_grounded_sam(bench):
    rows = [
        {
            "example_id": f"train_{n}",
            "image_file": bench.picture(f"train_{n}.jpg"),
            "description": "A cup.",
            "split": "train",
        }
        for n in range(4)
    ]
    found = {"image_path": "/elsewhere/train_0.jpg", "img_width": 200, "img_height": 160, "box_format": "xyxy", "annotations": [
        {"class_name": "cup.", "bbox": [20.5, 20, 60, 80], "segmentation": {"size": [1, 1]}, "score": [0.75]},
        {"class_name": "cup.", "bbox": [100, 20, 140, 80], "score": 0.3}]}  # fmt: skip
    bench.json("boxes/train_0.json", found)
    bench.json("boxes/train_2.json", found | {"box_format": "cxcywh"})
    bench.json("boxes/train_3.json", [1])
    source = SceneSource("docci", captions=bench.lines("docci.jsonl", rows), boxes=bench.folder / "boxes")
    (scene,), dropped, lost = bench.read(source, min_score=0.5)
    assert scene.id == "docci/train_0" and [(one.tag, one.box, one.score) for one in scene.objects] == [
        ("cup 1", (10, 10, 30, 40), 0.75)
    ]
    assert [one.reason for one in lost] == ["an object's score is below min_score"] and scene.uncounted == ("cup",)
    assert [(one.of, one.reason) for one in dropped] == [
        ("docci/train_1", docci.NO_BOXES),
        ("docci/train_2", docci.NO_FORMAT),
        ("train_3.json", "not a row of names and values"),
    ]


def test_dci(bench):
    def mask(x: int, label: str, quality: int) -> dict:
        bounds = {"topLeft": {"x": x, "y": 10}, "bottomRight": {"x": x + 10, "y": 30}}
        return {"bounds": bounds, "label": label, "caption": f"A {label}.", "mask_quality": quality, "parent": -1}

    masks = {"0": mask(50, "cup", 0), "1": mask(10, "cup", 1), "2": mask(1, "fork", 2), "3": {"label": "x"}}
    row = {"image": bench.picture("sa_1.jpg"), "short_caption": "Cups.", "extra_caption": "", "mask_data": masks}
    bench.json("complete/b.json", row)
    (bench.folder / "complete/c.json").write_text("{")
    (scene,), dropped, lost = bench.read(SceneSource("dci", file=bench.folder / "complete"))
    assert (scene.id, scene.captions, scene.origin) == ("dci/sa_1", ("Cups.",), "b.json")
    assert [(one.tag, one.box, one.phrase) for one in scene.objects] == [
        ("cup 1", (10, 10, 20, 30), "A cup."),
        ("cup 2", (50, 10, 60, 30), "A cup."),
    ]
    assert {one.reason for one in lost} == {dci.UNUSABLE, "an object's box is not four numbers"}
    assert [(one.of, one.reason) for one in dropped] == [("c.json", "not JSON")]


def test_grit(bench):
    caption = "a brown dog on the grass"
    row = {"key": "000012", "caption": caption, "width": 100, "height": 80, "url": "https://host/x.jpg", "clip": 0.3,
           "noun_chunks": [[0, 11, 0.1, 0.25, 0.5, 0.75, 0.8], [15.0, 24.0, 0, 0.5, 1, 1, 0.9], [3, 99, 0, 0, 1, 1, 0.9]],
           "ref_exps": [[0, 24, 0.1, 0.25, 0.5, 0.75, 0.8]]}  # fmt: skip
    bench.picture("000012.jpg")
    (scene,), _, lost = bench.read(SceneSource("grit", file=bench.lines("grit.jsonl", [row])))
    assert scene.id == "grit/000012" and scene.image == "000012.jpg"
    assert [(one.tag, one.box, one.score, one.phrase) for one in scene.objects] == [
        ("brown dog 1", (10, 20, 50, 60), 0.8, caption),
        ("grass 1", (0, 40, 100, 80), 0.9, ""),
    ]
    assert scene.uncounted == ("brown dog", "grass") and [one.reason for one in lost] == ["an object has no name"]


@pytest.mark.parametrize("column", [None, "result"])
def test_florence2(bench, column):
    tasks = {
        "<MORE_DETAILED_CAPTION>": "A cup on a table.",
        "<OD>": {"bboxes": [[10.2, 10, 30, 40], [50, 10, 70, 40]], "labels": ["cup", "cup"]},
        "<DENSE_REGION_CAPTION>": {
            "bboxes": [[10, 10, 30, 40], [0, 0, 99, 79]],
            "labels": ["white cup", "wooden table"],
        },
    }
    row = {"image": bench.picture("f.png"), "width": 100, "height": 80} | ({column: tasks} if column else tasks)
    (scene,), _, _ = bench.read(SceneSource("florence2", file=bench.lines("f.jsonl", [row])))
    assert scene.id == "florence2/f" and scene.captions == ("A cup on a table.", "wooden table")
    assert [(one.tag, one.box, one.phrase) for one in scene.objects] == [
        ("cup 1", (10, 10, 30, 40), "white cup"),
        ("cup 2", (50, 10, 70, 40), ""),
    ]
    assert scene.uncounted == ()


def test_florence2_grounded_phrases_are_not_counted(bench):
    row = {"image": bench.picture("f.png"), "<CAPTION>": "A cup.", "<CAPTION_TO_PHRASE_GROUNDING>": {
        "bboxes": [[10.2, 10, 30, 40]], "labels": ["A cup"]}}  # fmt: skip
    (scene,), _, _ = bench.read(SceneSource("florence2", file=bench.lines("f.jsonl", [row])))
    assert [one.tag for one in scene.objects] == ["cup 1"] and scene.uncounted == ("cup",)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_real_clevr_scenes_have_the_boxes_that_their_pictures_show(shared_data, split):
    from virgo_factory.synthesis.scenes.read import read_scenes

    folder = shared_data / "clevr"
    source = SceneSource("clevr", file=folder / f"scenes/CLEVR_{split}_scenes.json", pictures="images")
    scenes = list(read_scenes([source], folder))
    assert len(scenes) == 5
    for scene in scenes:
        pixels = np.asarray(Image.open(folder / scene.image).convert("RGB")).astype(int)
        coloured = pixels.max(axis=2) - pixels.min(axis=2) > 40  # the ground is grey, and no thing of these is
        (thing,) = scene.objects
        x1, y1, x2, y2 = thing.box
        columns, rows = np.flatnonzero(coloured.sum(axis=0) > 1), np.flatnonzero(coloured.sum(axis=1) > 1)
        u1, v1, u2, v2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        both = (min(x2, u2) - max(x1, u1)) * (min(y2, v2) - max(y1, v1))
        assert both / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - both) > 0.75, scene.id
        assert thing.attributes.keys() == {"color", "size", "material"}
        assert thing.phrase in scene.captions[0].lower() and thing.name in thing.phrase


def test_clevr_scenes_of_several_things(bench, shared_data):
    """Several things are told from left to right and from the nearest on; a scene that lacks something is dropped."""
    scene = json.loads((shared_data / "clevr/scenes/CLEVR_val_scenes.json").read_text())["scenes"][0]
    other = scene["objects"][0] | {
        "shape": "sphere",
        "color": "red",
        "pixel_coords": [60, 60, 9.0],
        "3d_coords": [-2, 2, 0.7],
    }
    bench.picture("val/CLEVR_val_000000.png", (320, 240))
    bench.picture("val/x.png", (320, 240))
    several = scene | {"objects": [*scene["objects"], other]}
    broken = scene | {"objects": [{"shape": "cube"}], "image_filename": "x.png"}
    file = bench.json("scenes.json", {"info": {}, "scenes": [several, broken]})
    (found,), dropped, _ = bench.read(SceneSource("clevr", file=file))
    assert [one.tag for one in found.objects] == ["sphere 1", "cube 1"]
    assert found.captions == (
        "2 things stand on a plain grey ground. From left to right: a large red metal sphere and a large blue metal cube.",
        "From the nearest to the farthest: a large blue metal cube and a large red metal sphere.",
    )
    assert [(one.of, one.reason) for one in dropped] == [("clevr/x", "no objects that CLEVR has")]


JUNK = (None, True, 0, -1, 1e999, 10**400, "", "x", "<|im_end|>", "../x", [], [None], [[]], {}, {"x": 1}, float("nan"))


def junked(value: object, rng: random.Random) -> object:
    """Return JSON in which one place holds something else."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        return value | {key: junked(value[key], rng)}

    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], junked(value[at], rng), *value[at + 1 :]]

    return rng.choice(JUNK)


@pytest.mark.slow
def test_files_with_anything_in_any_place_give_scenes_or_reasons(bench):
    """Or, where a whole file is none of its layout, an error for people (a ValueError); never another one."""
    picture, _ = bench.picture("a.png"), bench.picture("VG/a.png")
    box, size = [1, 2, 30, 40], {"width": 100, "height": 80}
    mask = {
        "bounds": {"topLeft": {"x": 1, "y": 2}, "bottomRight": {"x": 9, "y": 9}},
        "label": "cup",
        "mask_quality": 0,
    }
    thing = {"shape": "cube", "color": "red", "size": "small", "material": "metal", "3d_coords": [1, 1, 0.3],
             "pixel_coords": [50, 40, 9.0], "rotation": 3.0}  # fmt: skip
    found = {"annotations": [{"class_name": "cup", "bbox": box, "score": [0.5]}], "img_width": 100, "img_height": 80}
    tasks = {"<CAPTION>": "A cup.", "<OD>": {"bboxes": [box], "labels": ["cup"]}, "<DENSE_REGION_CAPTION>": {
        "bboxes": [box], "labels": ["a cup"]}}  # fmt: skip
    span = [0, 5, 0.1, 0.1, 0.5, 0.5, 0.9]
    files = {
        "rows": {"file": [{"id": "a", "image": picture, "captions": ["A cup."], "objects": [{"name": "cup", "box": box,
                           "attributes": {"color": "red"}}], **size}]},
        "coco": {"captions": {"images": [{"id": 1, "file_name": picture, **size}], "annotations": [
                              {"image_id": 1, "caption": "A cup."}]},
                 "boxes": {"annotations": [{"image_id": 1, "category_id": 2, "bbox": box}], "categories": [
                           {"id": 2, "name": "cup"}]}},
        "visual_genome": {"regions": [{"id": 1, "regions": [{"x": 1, "y": 2, "width": 3, "height": 4, "phrase": "a cup"}]}],
                          "objects": [{"image_id": 1, "objects": [{"x": 1, "y": 2, "w": 3, "h": 4, "names": ["cup"]}]}],
                          "images": [{"image_id": 1, "url": "https://h/x/VG/a.png", **size}]},
        "docci": {"captions": [{"example_id": "a", "image_file": picture, "description": "A cup."}], "boxes/a": found},
        "dci": {"file/a": {"image": picture, "short_caption": "A cup.", "extra_caption": "", "mask_data": {"0": mask}}},
        "grit": {"file": [{"key": "a", "caption": "a cup", "image": picture, "noun_chunks": [span], "ref_exps": [span]}]},
        "florence2": {"file": [{"image": picture, **size, **tasks}]},
        "clevr": {"file": [{"image_filename": picture, "objects": [thing], "directions": {"front": [1, 0, 0], "right": [0, 1, 0]}}]},
    }  # fmt: skip
    rng = random.Random(3)
    for reader, contents in files.items():
        kept = 0
        for number in range(40):
            spoiled = rng.choice(list(contents)) if number else ""
            paths = {}
            for name, content in contents.items():
                content = junked(content, rng) if name == spoiled else content
                key, _, inside = name.partition("/")
                path = bench.json(f"{reader}{number}/{name}.json", content)
                paths[key] = path.parent if inside else path

            options = {"box_format": "xyxy"} if reader == "rows" else {}
            try:
                scenes, _, _ = bench.read(SceneSource(reader, **paths, **options))
            except ValueError:
                assert spoiled
            else:
                kept += len(scenes)
                for scene in scenes:
                    assert of_row(Scene, json.loads(row_of(scene))) == scene

        assert kept > 5, reader
