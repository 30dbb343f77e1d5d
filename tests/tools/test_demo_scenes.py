"""The demo's scenes: what is said of them is what their pixels show, and a reader finds again what was drawn."""

import re

import numpy as np
from PIL import Image

from demo_scenes.scenes import (
    COLOURS,
    FEWEST,
    MOST,
    TEXTURES,
    covered,
    drawn_scene,
    looks,
    scene_numbered,
    write_scenes,
)
from virgo_factory.synthesis.scenes.read import read_scenes
from virgo_factory.synthesis.scenes.source import SceneSource


def test_scenes_are_the_same_for_a_seed_and_read_as_they_were_drawn(tmp_path):
    first, again = write_scenes(tmp_path / "a", 6), write_scenes(tmp_path / "b", 6)
    assert first.read_bytes() == again.read_bytes() != write_scenes(tmp_path / "c", 6, seed=1).read_bytes()
    scenes = list(read_scenes([SceneSource("rows", file=first, box_format="xyxy")], tmp_path / "a"))
    assert [scene.id for scene in scenes] == [f"demo/{number:06}" for number in range(6)]
    for scene in scenes:
        drawn = scene_numbered(scene.id)
        assert (scene.objects, scene.captions) == (drawn.objects, drawn.captions)
        assert (
            (tmp_path / "a" / scene.image).read_bytes() == (tmp_path / "b" / scene.image).read_bytes() == drawn.png()
        )


def test_the_picture_shows_each_shape_in_its_box_in_its_colour(tmp_path):
    for number in range(12):
        drawn = drawn_scene(number)
        assert FEWEST <= len(drawn.objects) <= MOST
        write_scenes(tmp_path, 1, first=number)
        pixels = np.asarray(Image.open(tmp_path / drawn.image)).astype(int)
        everywhere = np.zeros(pixels.shape[:2], bool)
        for one in drawn.objects:
            x1, y1, x2, y2 = one.box
            inside = pixels[y1:y2, x1:x2]
            colour = np.array(COLOURS[one.attributes["color"]])
            is_plain, is_dark = (inside == colour).all(axis=2), (inside == colour // 3).all(axis=2)
            assert is_plain.mean() > 0.08, (drawn.id, one)
            if not any(one in pair for pair in drawn.covers()):
                assert is_dark.any() == (one.attributes["texture"] != "plain"), (drawn.id, one)

            everywhere[y1:y2, x1:x2] = True

        ground = (pixels == pixels[0, 0]).all(axis=2)
        assert not (~ground & ~everywhere).any()  # nothing is drawn outside of the boxes


def test_what_covers_another_is_in_front_by_its_pixels():
    pairs = [(drawn_scene(number), *pair) for number in range(60) for pair in drawn_scene(number).covers()]
    assert len(pairs) > 60
    for drawn, one, other in pairs:
        assert covered(one, other) >= 0.12
        order = [drawn.objects[at] for at in drawn.order]
        assert order.index(one) > order.index(other)


def test_facts_are_of_every_kind_and_their_options_differ():
    kinds = set()
    for number in range(20):
        drawn = drawn_scene(number)
        tags = {one.tag: one for one in drawn.objects}
        for fact in drawn.facts():
            kinds.add(fact.kind)
            assert len({fact.answer, *fact.wrong}) == 4 and set(fact.tags) <= set(tags), fact
            if fact.kind == "colour":
                assert tags[fact.tags[0]].attributes["color"] == fact.answer
            elif fact.kind == "texture":
                assert tags[fact.tags[0]].attributes["texture"] == fact.answer and fact.answer in TEXTURES
            elif fact.kind == "count":
                word = re.search(r"How many (\w+)", fact.question)[1]
                named = [one for one in drawn.objects if f"{one.name}s" in (word, word.replace("crosses", "crosss"))]
                coloured = [one for one in drawn.objects if one.attributes["color"] == word]
                assert len(named or coloured) == int(fact.answer) == len(fact.tags)

    assert kinds == {"count", "side", "end", "size", "cover", "colour", "texture"}


def test_captions_name_every_shape():
    for number in range(20):
        drawn = drawn_scene(number)
        assert all(looks(one) in drawn.captions[0] for one in drawn.objects)
