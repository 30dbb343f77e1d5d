"""Questions on pictures drawn by program: what a picture shows is known, so that each gold answer is computed from it.

Pictures are small enough for a model of a million parameters: 84 x 56 pixels, six image tokens of Qwen2-VL. They show
shapes to count, a bar chart or a table; each can be drawn, and each can be told in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw, ImageFont


CELL = 28  # pixels a side of one image token, and of one cell of a picture

WIDTH, HEIGHT = 3 * CELL, 2 * CELL
COLOURS = {"red": (220, 30, 30), "green": (20, 150, 50), "blue": (30, 60, 220), "orange": (250, 150, 10)}
SHAPES = ("circle", "triangle")
LETTERS = "ABCD"
NOTHING = "nothing"
UNIT = 12  # pixels of one step of a bar

TALLEST = 4
LARGEST = 4  # digit of a table

FRAME = 2
"""Pixels of the line around a picture. It tells the six cells apart, which a tiny model's positions barely do."""

JITTER = 1  # pixels by which a shape, a bar or a table is moved, and by which the size of shapes differs


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    kind: str  # "shapes", "bars" or "table"
    # for shapes two rows of three, such as "red circle" or "nothing"; for bars one row of "red 4"; for a table its
    # letters, then a row of digits
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> list[str]:
        """Return the scene in words; the places of shapes are numbered.

        >>> Scene("bars", (("red 4", "blue 2", "green 1"),)).lines()
        ['Bars: red 4, blue 2, green 1.']
        >>> Scene("shapes", (("red circle", "nothing", "blue triangle"),) * 2).lines()[1]
        'Row 2: 4 red circle, 5 nothing, 6 blue triangle.'
        """
        names = {"shapes": ("Row 1", "Row 2"), "bars": ("Bars",), "table": ("Letters", "Numbers")}[self.kind]
        rows = self.rows
        if self.kind == "shapes":
            rows = [
                [f"{3 * row + place} {shape}" for place, shape in enumerate(shapes, start=1)]
                for row, shapes in enumerate(rows)
            ]

        return [f"{name}: {', '.join(row)}." for name, row in zip(names, rows, strict=True)]


@dataclass(frozen=True)
class Task:
    """A question about a scene, the steps to its answer, and the answer."""

    source: str  # "shapes", "bars", "tables" or "yes_no"
    scene: Scene
    question: str
    steps: tuple[str, ...]  # sentences that lead from the scene in words to the answer
    answer: str
    kind: str  # of the answer, one of answers.KINDS


def shapes_scene(rng: Random) -> Scene:
    """Return two to five shapes in six places."""
    places = [NOTHING] * 6
    for place in rng.sample(range(6), rng.randint(2, 5)):
        places[place] = f"{rng.choice(list(COLOURS)[:3])} {rng.choice(SHAPES)}"

    return Scene("shapes", tuple(tuple(places[3 * row : 3 * row + 3]) for row in range(2)))


def bars_scene(rng: Random) -> Scene:
    """Return three bars of different colours and different heights."""
    heights = rng.sample(range(1, TALLEST + 1), 3)
    colours = rng.sample(list(COLOURS), 3)
    return Scene("bars", (tuple(f"{colour} {height}" for colour, height in zip(colours, heights, strict=True)),))


def table_scene(rng: Random) -> Scene:
    """Return three different letters above three digits."""
    digits = tuple(str(rng.randint(1, LARGEST)) for _ in range(3))
    return Scene("table", (tuple(rng.sample(LETTERS, 3)), digits))


def count_shapes(rng: Random) -> Task:
    """How many shapes of a colour, or of a form, there are."""
    scene = shapes_scene(rng)
    word = rng.choice([*list(COLOURS)[:3], *SHAPES])
    wanted = f"{word} shapes" if word in COLOURS else f"{word}s"
    counts = [sum(word in place.split() for place in row) for row in scene.rows]
    steps = (
        f"I count {wanted}: row 1 has {counts[0]}, row 2 has {counts[1]}.",
        f"{counts[0]} + {counts[1]} = {sum(counts)}.",
    )
    return Task("shapes", scene, f"How many {wanted} are there?", steps, str(sum(counts)), "count")


def find_shape(rng: Random) -> Task:
    """Whether there is a shape of a colour and form; there is in half of the questions."""
    scene = shapes_scene(rng)
    there = sorted({place for row in scene.rows for place in row} - {NOTHING})
    every = [f"{colour} {shape}" for colour in list(COLOURS)[:3] for shape in SHAPES]
    absent = [shape for shape in every if shape not in there]
    wanted = rng.choice(there if rng.random() < 0.5 else absent)
    rows = [number for number, row in enumerate(scene.rows, start=1) if wanted in row]
    found = f"in row {rows[0]}" if rows else "in no row"
    steps = (f"I look for a {wanted}: it is {found}.",)
    return Task("yes_no", scene, f"Is there a {wanted}?", steps, "yes" if rows else "no", "boolean")


def read_bars(rng: Random) -> Task:
    """Which bar is tallest or lowest, how tall one is, or by how much one is taller than another."""
    scene = bars_scene(rng)
    heights = _heights(scene)
    ordered = sorted(heights, key=heights.get)
    ask = rng.choice(("tallest", "lowest", "value", "difference"))
    if ask in ("tallest", "lowest"):
        answer = ordered[-1] if ask == "tallest" else ordered[0]
        word = "largest" if ask == "tallest" else "smallest"
        numbers = ", ".join(str(height) for height in heights.values())
        steps = (f"The {word} of {numbers} is {heights[answer]}, and that is {answer}.",)
        return Task("bars", scene, f"Which colour has the {ask} bar?", steps, answer, "text")

    if ask == "value":
        colour = rng.choice(list(heights))
        steps = (f"The {colour} bar is {heights[colour]}.",)
        return Task("bars", scene, f"How tall is the {colour} bar?", steps, str(heights[colour]), "number")

    low, high = sorted(rng.sample(list(heights), 2), key=heights.get)
    gap = heights[high] - heights[low]
    steps = (f"{high} is {heights[high]}, {low} is {heights[low]}.", f"{heights[high]} - {heights[low]} = {gap}.")
    question = f"How much taller is the {high} bar than the {low} bar?"
    return Task("bars", scene, question, steps, str(gap), "number")


def compare_bars(rng: Random) -> Task:
    """Whether one bar is taller than another."""
    scene = bars_scene(rng)
    heights = _heights(scene)
    one, other = rng.sample(list(heights), 2)
    taller = heights[one] > heights[other]
    relation = "more" if taller else "less"
    steps = (
        f"{one} is {heights[one]}, {other} is {heights[other]}.",
        f"{heights[one]} is {relation} than {heights[other]}.",
    )
    question = f"Is the {one} bar taller than the {other} bar?"
    return Task("yes_no", scene, question, steps, "yes" if taller else "no", "boolean")


def read_table(rng: Random) -> Task:
    """Which number stands under a letter, what two or all of them add up to."""
    scene = table_scene(rng)
    letters, digits = scene.rows
    ask = rng.choice(("one", "two", "all"))
    if ask == "one":
        column = rng.randrange(3)
        steps = (f"{letters[column]} is letter {column + 1}, and number {column + 1} is {digits[column]}.",)
        return Task("tables", scene, f"Which number is under {letters[column]}?", steps, digits[column], "number")

    columns = sorted(rng.sample(range(3), 2)) if ask == "two" else range(3)
    names, numbers = [letters[column] for column in columns], [digits[column] for column in columns]
    total = sum(map(int, numbers))
    told = f"{', '.join(names[:-1])} and {names[-1]}"
    steps = (f"Under {told} are {', '.join(numbers)}.", f"{' + '.join(numbers)} = {total}.")
    question = f"What is the sum of the numbers under {told}?"
    return Task("tables", scene, question, steps, str(total), "number")


SOURCES: dict[str, tuple[Callable[[Random], Task], ...]] = {
    "shapes": (count_shapes,),
    "bars": (read_bars,),
    "tables": (read_table,),
    "yes_no": (find_shape, compare_bars),
}
"""Source of a question -> what draws one."""


def _heights(scene: Scene) -> dict[str, int]:
    return {colour: int(height) for colour, height in (bar.split() for bar in scene.rows[0])}


def draw(scene: Scene, rng: Random) -> Image.Image:
    """Return the picture of a scene, 84 x 56 pixels, RGB; `rng` moves and scales what is drawn a little."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    {"shapes": _draw_shapes, "bars": _draw_bars, "table": _draw_table}[scene.kind](pen, scene, rng)
    pen.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline="black", width=FRAME)
    return picture


def _draw_shapes(pen: ImageDraw.ImageDraw, scene: Scene, rng: Random) -> None:
    for row, places in enumerate(scene.rows):
        for column, place in enumerate(places):
            if place == NOTHING:
                continue

            colour, shape = place.split()
            x = column * CELL + CELL // 2 + rng.randint(-JITTER, JITTER)
            y = row * CELL + CELL // 2 + rng.randint(-JITTER, JITTER)
            half = 9 + rng.randint(-JITTER, JITTER)
            box = (x - half, y - half, x + half, y + half)
            if shape == "circle":
                pen.ellipse(box, fill=COLOURS[colour])
            else:
                pen.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=COLOURS[colour])


def _draw_bars(pen: ImageDraw.ImageDraw, scene: Scene, rng: Random) -> None:
    for column, bar in enumerate(scene.rows[0]):
        colour, height = bar.split()
        left = column * CELL + 6 + rng.randint(-JITTER, JITTER)
        pen.rectangle((left, HEIGHT - 3 - UNIT * int(height), left + 16, HEIGHT - 3), fill=COLOURS[colour])


def _draw_table(pen: ImageDraw.ImageDraw, scene: Scene, rng: Random) -> None:
    font = ImageFont.load_default(22)
    right, down = rng.randint(-JITTER, JITTER), rng.randint(-JITTER, JITTER)
    for row, texts in enumerate(scene.rows):
        for column, text in enumerate(texts):
            middle = (column * CELL + CELL // 2 + right, row * CELL + CELL // 2 + down)
            pen.text(middle, text, fill="black", font=font, anchor="mm", stroke_width=1)

    pen.line((0, CELL, WIDTH, CELL), fill="black", width=1)
