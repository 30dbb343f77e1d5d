"""The demo's picture questions: the gold answer is what the scene holds, found again by another way; one picture each."""

import hashlib
import json
import re
from collections import Counter
from random import Random

import pytest

from demo_rows import scenes
from virgo_factory.answers import score
from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.data.tokens.image_size import image_tokens
from virgo_factory.demo import visual_rows
from virgo_factory.demo.visual import SOURCES, draw
from virgo_factory.rollouts.question import VisualQuestion, read_questions


COUNT = 80
"""Questions of each source that are looked at."""


def answer(question: str, kind: str, rows: list[list[str]]) -> str:
    """Return the answer to a question about a scene, worked out from the question's words."""
    everything = [place for row in rows for place in row]
    if found := re.fullmatch(r"How many (\w+?)(?: shape)?s are there\?", question):
        return str(sum(found[1] in place.split() for place in everything))

    if found := re.fullmatch(r"Is there an? (.+)\?", question):
        return "yes" if found[1] in everything else "no"

    if kind == "table":
        letters, digits = rows
        (asked,) = re.fullmatch(r"(?:Which number is|What is the sum of the numbers) under (.+)\?", question).groups()
        return str(sum(int(digits[letters.index(letter)]) for letter in re.findall(r"\b[A-D]\b", asked)))

    bars = {colour: int(height) for colour, height in map(str.split, everything)}
    if found := re.fullmatch(r"Which colour has the (tallest|lowest) bar\?", question):
        return (max if found[1] == "tallest" else min)(bars, key=bars.get)

    if found := re.fullmatch(r"How tall is the (\w+) bar\?", question):
        return str(bars[found[1]])

    if found := re.fullmatch(r"How much taller is the (\w+) bar than the (\w+) bar\?", question):
        return str(bars[found[1]] - bars[found[2]])

    one, other = re.fullmatch(r"Is the (\w+) bar taller than the (\w+) bar\?", question).groups()
    return "yes" if bars[one] > bars[other] else "no"


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_gold_is_what_the_scene_holds(source):
    rng = Random(f"test-{source}")
    asked = Counter()
    for _ in range(COUNT):
        task = visual_rows.make_task(rng, source)
        assert answer(task.question, task.scene.kind, task.scene.rows) == task.answer
        asked[re.sub(r"\b(red|green|blue|orange|circle|square|triangle|[A-D]|\d)s?\b", "_", task.question)] += 1

    expected = {"shapes": 2, "bars": 4, "tables": 3, "yes_no": 2}[source]
    assert len(asked) >= expected, "some way of asking never came up"


def test_a_picture_is_six_tokens():
    task = visual_rows.make_task(Random(2), "bars")
    assert image_tokens(*draw(task.scene, Random(2)).size, max_pixels=65536) == 6


def test_scenes_that_ship_are_the_generators():
    shipped = [json.loads(line) for line in scenes.PATH.read_text(encoding="utf-8").splitlines()]
    assert shipped == scenes.make_rows()
    assert len({row["question"] for row in shipped}) == len(shipped) == scenes.COUNT


def test_scenes_are_long_thoughts_that_end_in_the_right_answer():
    for row in scenes.make_rows():
        thought = LongThought.parse(row["combined_text"])
        *lines, question = row["question"].splitlines()
        kind = {"Row": "shapes", "Bar": "bars", "Let": "table"}[lines[0][:3]]
        rows = [re.sub(r"^[\w ]+: |\.$", "", line).split(", ") for line in lines]
        if kind == "shapes":
            rows = [[re.sub(r"^\d ", "", place) for place in places] for places in rows]

        assert score(row["combined_text"], answer(question, kind, rows)).verdict == "correct"
        assert all(line in thought.thought for line in lines)


def test_questions_are_read_and_their_pictures_are_there(tmp_path):
    path = visual_rows.write_questions(tmp_path / "questions", 40)
    questions = list(read_questions(path))
    assert Counter(question.source for question in questions) == dict.fromkeys(SOURCES, 10)
    assert len({question.image_sha256 for question in questions}) == 40
    for question in questions:
        (image,) = question.images
        content = (path.parent / image).read_bytes()
        assert (hashlib.sha256(content).hexdigest(),) == question.image_sha256
        right = score(f"\\boxed{{{question.gold}}}", question.gold, question.asked)
        assert right.verdict == "correct"
        assert score("\\boxed{purple}", question.gold, question.asked).verdict == "wrong"


def test_questions_are_the_same_for_a_seed_and_avoid_pictures_that_are_taken(tmp_path):
    first = visual_rows.write_questions(tmp_path / "1", 12)
    assert first.read_bytes() == visual_rows.write_questions(tmp_path / "2", 12).read_bytes()
    assert first.read_bytes() != visual_rows.write_questions(tmp_path / "3", 12, seed=7).read_bytes()
    some: VisualQuestion = next(read_questions(first))
    other = visual_rows.write_questions(tmp_path / "4", 12, taken=frozenset(some.image_sha256))
    assert some.image_sha256 not in {question.image_sha256 for question in read_questions(other)}


def test_the_base_meets_no_marker_and_no_two_ways_of_showing_at_once(tmp_path):
    rows = list(visual_rows.base_rows(tmp_path, 200))
    told = "".join(message["content"] for row in rows for message in row["messages"])
    assert not [marker for marker in MARKERS if marker in told]
    for row in rows:
        question = row["messages"][0]["content"]
        assert (
            question.count("<image>")
            == len(row["images"])
            == (0 if re.search(r"(Row 1|Bars|Letters): ", question) else 1)
        )
        assert all((tmp_path / image).is_file() for image in row["images"])

    in_words = sum(not row["images"] for row in rows) / len(rows)
    assert abs(in_words - visual_rows.IN_WORDS) < 0.1
