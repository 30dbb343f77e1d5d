"""Scenes drawn by program: shapes of a colour, size and texture, some over others, with sentences, boxes and true facts.

Everything follows from seed and number, so that a server that plays a model can know what a picture shows.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw

from virgo_factory.io.atomic import new_file, replace_file
from virgo_factory.synthesis.scenes.facts import EXTREMES, RELATIONS, extreme, is_extreme, shared
from virgo_factory.synthesis.scenes.read import tagged
from virgo_factory.synthesis.words import SceneObject


WIDTH, HEIGHT = 336, 252
COLOURS = {
    "red": (215, 40, 40),
    "green": (30, 150, 60),
    "blue": (40, 80, 215),
    "yellow": (240, 205, 30),
    "purple": (140, 50, 170),
    "orange": (245, 130, 20),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
TEXTURES = ("plain", "striped", "dotted")
SIZES = {"small": (26, 34), "large": (52, 66)}  # size -> least and greatest side in pixels

FEWEST, MOST = 5, 12
SEED = 2611
FILE = "scenes.jsonl"
IMAGES = "images"

COVERED = (0.12, 0.45)  # part of the smaller of two shapes that the one in front covers, or is covered with

_COVERING = 0.35  # of the shapes after the first
_GAP = 4  # pixels between shapes that do not cover each other


@dataclass(frozen=True)
class Fact:
    """Something true of a scene, as a question with its right answer and wrong ones."""

    kind: str  # "count", "side", "end", "size", "inside", "cover", "colour" or "texture"
    question: str
    answer: str  # the right option
    wrong: tuple[str, str, str]  # three options that are clearly wrong
    tags: tuple[str, ...]  # of the objects that it is about
    told: str  # the same as a sentence


@dataclass(frozen=True)
class DrawnScene:
    """A scene with its whole truth."""

    id: str  # `demo/NUMBER`
    # as a reader of its file makes them, tags included; attributes are color, size and texture
    objects: tuple[SceneObject, ...]
    order: tuple[int, ...]  # positions in `objects` from the one at the back to the one in front
    captions: tuple[str, ...]  # sentences about it, all true

    @property
    def image(self) -> str:
        """Path of the picture beside the file."""
        return f"{IMAGES}/{self.id.rpartition('/')[2]}.png"

    def covers(self) -> list[tuple[SceneObject, SceneObject]]:
        """Return (what is in front, what it covers a part of)."""
        front = [self.objects[at] for at in self.order]
        pairs = ((one, other) for at, other in enumerate(front) for one in front[at + 1 :])
        return [(one, other) for one, other in pairs if shared(one, other)]

    def row(self) -> dict:
        """Return it as a row that `reader: rows` reads."""
        objects = [{"name": one.name, "box": one.box, "attributes": one.attributes} for one in self.objects]
        return {
            "id": self.id,
            "image": self.image,
            "width": WIDTH,
            "height": HEIGHT,
            "captions": self.captions,
            "objects": objects,
        }

    def png(self) -> bytes:
        """Return its picture."""
        picture = Image.new("RGB", (WIDTH, HEIGHT), (236, 236, 232))
        for at in self.order:
            _draw(picture, self.objects[at])

        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def facts(self) -> list[Fact]:
        """Return true facts of every kind that the scene has, the same ones each time, in an order that tells nothing."""
        rng = Random(f"facts {self.id}")
        found = [
            *_counts(self.objects, rng),
            *_sides(self.objects, rng),
            *_ends(self.objects, rng),
            *_covers(self, rng),
            *_looks(self.objects, rng),
        ]
        rng.shuffle(found)
        return found


@lru_cache(maxsize=4096)
def drawn_scene(number: int, seed: int = SEED) -> DrawnScene:
    """Return a scene of 5 to 12 shapes."""
    rng = Random(f"virgo-demo-scene-{seed}-{number}")
    placed: list[SceneObject] = []
    wanted, tries = rng.randint(FEWEST, MOST), 0
    while len(placed) < wanted and tries < 500:
        tries += 1
        size = rng.choice(list(SIZES))
        side = rng.randint(*SIZES[size])
        under = rng.choice(placed) if placed and rng.random() < _COVERING else None
        box = _near(under.box, side, rng) if under else _anywhere(side, rng)
        shape = SceneObject("", rng.choice(SHAPES), box)
        if _fits(shape, under, placed):
            colour, texture = rng.choice(list(COLOURS)), rng.choice(TEXTURES)
            placed.append(
                SceneObject("", shape.name, box, attributes={"color": colour, "size": size, "texture": texture})
            )

    objects = tagged(placed)
    order = tuple([one.box for one in objects].index(one.box) for one in placed)
    scene = DrawnScene(f"demo/{number:06}", objects, order, ())
    return DrawnScene(scene.id, objects, order, tuple(_captions(scene, rng)))


def scene_numbered(id: str, seed: int = SEED) -> DrawnScene:
    """Return the scene of an id.

    >>> scene_numbered("demo/000007") == drawn_scene(7)
    True
    """
    return drawn_scene(int(id.rpartition("/")[2]), seed)


def write_scenes(folder: Path, count: int, seed: int = SEED, first: int = 0) -> Path:
    """Write FOLDER/scenes.jsonl and FOLDER/images, and return the file; `media_dir` is the folder."""
    with new_file(folder / FILE) as file:
        for number in range(first, first + count):
            scene = drawn_scene(number, seed)
            replace_file(folder / scene.image, scene.png(), sync=False)
            file.write(json.dumps(scene.row()) + "\n")

    return folder / FILE


def looks(one: SceneObject) -> str:
    """Return an object in words without its number, such as "small striped red circle"."""
    texture = one.attributes["texture"]
    return " ".join(
        [one.attributes["size"], *([texture] if texture != "plain" else []), one.attributes["color"], one.name]
    )


def plural(name: str) -> str:
    """Return the plural of a shape's name."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


# places


def _anywhere(side: int, rng: Random) -> tuple[int, int, int, int]:
    x, y = rng.randint(_GAP, WIDTH - side - _GAP), rng.randint(_GAP, HEIGHT - side - _GAP)
    return x, y, x + side, y + side


def _near(box: tuple[int, int, int, int], side: int, rng: Random) -> tuple[int, int, int, int]:
    """Return a place at one of the corners of a box."""
    x = rng.choice((box[0], box[2])) - side // 2 + rng.randint(-8, 8)
    y = rng.choice((box[1], box[3])) - side // 2 + rng.randint(-8, 8)
    x, y = min(max(x, _GAP), WIDTH - side - _GAP), min(max(y, _GAP), HEIGHT - side - _GAP)
    return x, y, x + side, y + side


def _fits(shape: SceneObject, under: SceneObject | None, placed: Sequence[SceneObject]) -> bool:
    """Whether a shape covers a part of the one under it, and comes near no other."""
    for other in placed:
        if other is under:
            if not COVERED[0] <= covered(shape, other) <= COVERED[1]:
                return False
        elif shared(_grown(shape), other):
            return False

    return True


def _grown(one: SceneObject) -> SceneObject:
    x1, y1, x2, y2 = one.box
    return SceneObject("", one.name, (x1 - _GAP, y1 - _GAP, x2 + _GAP, y2 + _GAP))


# pictures


@lru_cache(maxsize=1024)
def _mask(name: str, side: int) -> Image.Image:
    """Return where a shape is inside of its box."""
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    end = side - 1
    if name == "circle":
        pen.ellipse((0, 0, end, end), fill=255)
    elif name == "square":
        pen.rectangle((0, 0, end, end), fill=255)
    elif name == "triangle":
        pen.polygon([(end / 2, 0), (end, end), (0, end)], fill=255)
    elif name == "diamond":
        pen.polygon([(end / 2, 0), (end, end / 2), (end / 2, end), (0, end / 2)], fill=255)
    else:
        third = side // 3
        pen.rectangle((third, 0, end - third, end), fill=255)
        pen.rectangle((0, third, end, end - third), fill=255)

    return mask


def covered(one: SceneObject, other: SceneObject) -> float:
    """Return the part of the smaller of two shapes that lies on the other, by their pixels."""
    areas = []
    both = Image.new("L", (WIDTH, HEIGHT), 255)
    for shape in (one, other):
        mask = _mask(shape.name, shape.box[2] - shape.box[0])
        areas.append(mask.histogram()[255])
        alone = Image.new("L", (WIDTH, HEIGHT))
        alone.paste(mask, shape.box[:2])
        both = ImageChops.darker(both, alone)

    return both.histogram()[255] / min(areas)


def _draw(picture: Image.Image, one: SceneObject) -> None:
    x1, y1, x2, y2 = one.box
    width, height = x2 - x1, y2 - y1
    colour = COLOURS[one.attributes["color"]]
    fill = Image.new("RGB", (width, height), colour)
    pen = ImageDraw.Draw(fill)
    dark = tuple(part // 3 for part in colour)
    if one.attributes["texture"] == "striped":
        for y in range(3, height, 9):
            pen.rectangle((0, y, width, y + 2), fill=dark)
    elif one.attributes["texture"] == "dotted":
        for y in range(6, height, 11):
            for x in range(6, width, 11):
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=dark)

    picture.paste(fill, (x1, y1), _mask(one.name, width))


# words


def _captions(scene: DrawnScene, rng: Random) -> Iterator[str]:
    """Yield what is seen: every shape once, then what covers what, counts, and which is at an end."""
    objects = scene.objects
    sentences = [f"From left to right there are {_listed([f'a {looks(one)}' for one in objects])}."]
    for one, other in scene.covers():
        sentences.append(f"The {looks(one)} covers a part of the {looks(other)}.")

    yield " ".join(sentences)
    counted = [
        f"{len(some)} {plural(name) if len(some) > 1 else name}" for name in SHAPES if (some := _of(objects, name))
    ]
    yield f"There are {len(objects)} shapes on a light ground: {_listed(counted)}."
    if one := extreme("topmost", objects):
        yield f"The {looks(one)} is higher up than everything else."


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


# facts


def _of(objects: Sequence[SceneObject], name: str) -> list[SceneObject]:
    return [one for one in objects if one.name == name]


def _counts(objects: Sequence[SceneObject], rng: Random) -> Iterator[Fact]:
    for name in SHAPES:
        if some := _of(objects, name):
            yield _count(f"How many {plural(name)} are there?", some, rng, name)

    for colour in COLOURS:
        if some := [one for one in objects if one.attributes["color"] == colour]:
            yield _count(f"How many {colour} shapes are there?", some, rng, f"{colour} shape")


def _count(question: str, some: Sequence[SceneObject], rng: Random, name: str) -> Fact:
    count = len(some)
    near = [other for other in range(max(count - 3, 0), count + 4) if other != count]
    wrong = tuple(str(other) for other in rng.sample(near, 3))
    told = f"There {'is' if count == 1 else 'are'} {count} {name if count == 1 else plural(name)}."
    return Fact("count", question, str(count), wrong, tuple(one.tag for one in some), told)


SIDES = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}
"""Relation -> how a question says it."""


def _sides(objects: Sequence[SceneObject], rng: Random) -> Iterator[Fact]:
    for other in objects:
        for relation, words in SIDES.items():
            holds = [one for one in objects if RELATIONS[relation](one, other) is True]
            fails = [one for one in objects if RELATIONS[relation](one, other) is False]
            if holds and len(fails) >= 3:
                one = rng.choice(holds)
                wrong = tuple(one.tag for one in rng.sample(fails, 3))
                question = f"Which of these is {words} {other.tag}?"
                yield Fact(
                    "side", question, one.tag, wrong, (one.tag, other.tag), f"{one.tag} is {words} {other.tag}."
                )


ENDS = {
    "leftmost": "farthest to the left",
    "rightmost": "farthest to the right",
    "topmost": "highest up",
    "lowest": "lowest down",
    "largest": "the largest in the picture",
    "smallest": "the smallest in the picture",
}
"""Extreme -> how a question says it."""


def _ends(objects: Sequence[SceneObject], rng: Random) -> Iterator[Fact]:
    for which in EXTREMES:
        for at in range(3):
            some = rng.sample(list(objects), 4)
            one = extreme(which, some)
            if one and all(is_extreme(which, other, some) is False for other in some if other is not one):
                wrong = tuple(other.tag for other in some if other is not one)
                kind = "size" if which in ("largest", "smallest") else "end"
                names = _listed(sorted(other.tag for other in some))
                question = f"Which of {names} is {ENDS[which]}?"
                tags = tuple(other.tag for other in some)
                yield Fact(kind, question, one.tag, wrong, tags, f"Of {names} {one.tag} is {ENDS[which]}.")
                break


def _covers(scene: DrawnScene, rng: Random) -> Iterator[Fact]:
    for one, other in scene.covers():
        fails = [some for some in scene.objects if some is not other and not shared(some, other) and some is not one]
        if len(fails) >= 3:
            wrong = tuple(some.tag for some in rng.sample(fails, 3))
            question = f"Which of these covers a part of {other.tag}?"
            yield Fact(
                "cover", question, one.tag, wrong, (one.tag, other.tag), f"{one.tag} covers a part of {other.tag}."
            )


def _looks(objects: Sequence[SceneObject], rng: Random) -> Iterator[Fact]:
    for one in objects:
        colour, texture = one.attributes["color"], one.attributes["texture"]
        wrong = tuple(rng.sample([other for other in COLOURS if other != colour], 3))
        yield Fact("colour", f"What colour is {one.tag}?", colour, wrong, (one.tag,), f"{one.tag} is {colour}.")
        others = [other for other in (*TEXTURES, "checked") if other != texture]
        told = f"The surface of {one.tag} is {texture}."
        yield Fact("texture", f"How is the surface of {one.tag}?", texture, tuple(others), (one.tag,), told)
