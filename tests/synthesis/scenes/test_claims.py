"""Questions whose answer the boxes contradict are told, in the many ways in which writers put them; all others are not."""

import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_scenes.scenes import HEIGHT, WIDTH, drawn_scene
from virgo_factory.synthesis.scenes.claims import contradiction
from virgo_factory.synthesis.words import Question, Scene, SceneObject


BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def street(boxed) -> Scene:
    """Three people and two dogs to the left, a bus high above a car to the right."""
    return boxed(
        ("person", (10, 50, 60, 200)),
        ("person", (100, 60, 150, 210)),
        ("person", (200, 40, 260, 220)),
        ("dog", (70, 150, 95, 200)),
        ("dog", (300, 180, 360, 230)),
        ("wine glass", (110, 20, 120, 40)),
        ("car", (400, 100, 600, 260)),
        ("bus", (380, 10, 620, 80)),
    )


@pytest.fixture
def kitchen(boxed) -> Scene:
    return boxed(
        ("mug", (50, 300, 100, 360)),
        ("mug", (220, 310, 270, 370)),
        ("mug", (500, 290, 550, 350)),
        ("mug", (560, 100, 600, 150)),
        ("plate", (120, 380, 260, 440)),
        ("plate", (300, 380, 440, 440)),
        ("fork", (280, 385, 295, 445)),
        ("knife", (450, 385, 462, 445)),
        ("banana", (330, 390, 400, 420)),
        ("clock", (300, 20, 360, 80)),
        ("potted plant", (10, 100, 60, 260)),
        ("chair", (480, 360, 630, 478)),
    )


@pytest.fixture
def meadow(boxed) -> Scene:
    return boxed(
        ("sheep", (20, 300, 80, 360)),
        ("sheep", (140, 310, 210, 370)),
        ("sheep", (300, 290, 360, 350)),
        ("sheep", (420, 300, 480, 350)),
        ("sheep", (520, 330, 590, 400)),
        ("tree", (60, 40, 160, 260)),
        ("tree", (480, 60, 600, 270)),
        ("bird", (300, 20, 330, 40)),
        ("bird", (200, 60, 230, 80)),
        ("tractor", (340, 120, 460, 240)),
        ("fence", (0, 410, 640, 470)),
        ("child", (250, 300, 280, 380)),
    )


def asked(question: str, *options: str, answer: int = 0) -> Question:
    return Question("q", "s/1", question, options, "ABCD"[answer])


def table(scene: str, sign: str) -> list[tuple[str, ...]]:
    """Return the questions and options of a scene in claims.tsv: `+` those that are told, `-` those that are kept."""
    lines = Path(__file__).with_name("claims.tsv").read_text(encoding="utf-8").splitlines()
    found = [tuple(line.split("\t")) for line in lines if line.startswith(f"{scene}\t{sign}\t")]
    assert len(found) > 40
    return [cells[2:] for cells in found]


@pytest.mark.parametrize("scene", ["street", "kitchen", "meadow"])
def test_however_it_is_put(request, scene):
    boxes = request.getfixturevalue(scene)
    missed = [case[0] for case in table(scene, "+") if contradiction(asked(*case), boxes) is None]
    lost = [case[0] for case in table(scene, "+") if contradiction(asked(*case, answer=1), boxes)]
    assert (missed, lost) == ([], [])


@pytest.mark.slow
def test_lists_of_questions_in_words_of_their_own():
    spec = importlib.util.spec_from_file_location("scenes", BENCHMARKS / "synthesis_scenes.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for counts in benchmark.judge_wordings().values():
        assert (counts["asked"], counts["lost"], counts["lost with claim"]) == (60, 0, 0)
        assert counts["found"] >= 45 and counts["found with claim"] >= 54


@pytest.mark.parametrize("about", ["\\1 mugs", "the \\g<number>", "mugs \\"])
def test_what_a_statement_is_about_is_no_pattern(about, kitchen):
    question = asked(f"Which statement is true of {about}?", "both are left of it", "there are two of them", "x", "y")
    assert contradiction(question, kitchen) is None


def test_what_is_far_over_two_things_is_not_said_to_be_between_them(kitchen):
    between = asked("What lies between the fork and the knife?", "plate 2", "the clock", "x", "y")
    assert contradiction(between, kitchen) is None


@pytest.mark.parametrize(
    ("question", "options", "told"),
    [
        ("How many dogs are there?", ("2", "two", "3", "4"), "two"),
        ("How many dogs are there?", ("exactly 2", "at least one", "3", "4"), "at least one"),
        ("Which of these is to the left of the car?", ("person 1", "dog 2", "a tree", "a sign"), "dog 2"),
        ("Where is dog 2 relative to the car?", ("to the left", "left of it", "above", "inside"), "left of it"),
        ("Which statement is true?", ("There are two dogs.", "The bus is above the car.", "a", "b"), "The bus is above the car."),
    ],
)  # fmt: skip
def test_two_right_options_are_told(street, question, options, told):
    assert contradiction(asked(question, *options), street) == f"by the boxes another option is right too: {told}"


@pytest.mark.parametrize("scene", ["street", "kitchen"])
def test_what_boxes_do_not_say_is_kept_whatever_the_answer(request, scene):
    boxes = request.getfixturevalue(scene)
    lost = [
        (question, answer)
        for question, *options in table(scene, "-")
        for answer in range(4)
        if contradiction(asked(question, *options, answer=answer), boxes)
    ]
    assert not lost


def test_names_whose_boxes_are_not_all_there_are_not_counted(boxed):
    scene = boxed(("dog", (0, 0, 10, 10)), ("dog", (50, 0, 60, 10)), ("cat", (90, 0, 99, 9)), uncounted=("dog",))
    assert contradiction(asked("How many dogs are there?", "5", "3", "4", "6"), scene) is None
    assert contradiction(asked("How many cats are there?", "5", "3", "4", "6"), scene) == "the boxes count 1"
    assert contradiction(asked("Is dog 2 to the left of dog 1?", "Yes", "No", "a", "b"), scene)  # a tag is what it is


def test_one_thing_found_twice_is_not_counted(boxed):
    scene = boxed(("dog", (0, 0, 100, 100)), ("dog", (5, 0, 105, 100)))
    assert contradiction(asked("How many dogs are there?", "1", "3", "4", "6"), scene) is None


def test_looks_are_counted_where_every_thing_has_them(boxed):
    things = [
        ("cup", (60 * at, 0, 60 * at + 40, 40), {"color": colour}) for at, colour in enumerate(["red", "red", "blue"])
    ]
    scene = boxed(*things)
    assert contradiction(asked("How many red cups are there?", "3", "1", "4", "0"), scene) == "the boxes count 2"
    assert contradiction(asked("How many blue things are there?", "3", "2", "4", "0"), scene) == "the boxes count 1"
    assert contradiction(asked("How many of the cups are red?", "3", "1", "4", "0"), scene) == "the boxes count 2"
    assert contradiction(asked("How many green cups are there?", "1", "0", "2", "3"), scene) == "the boxes count 0"
    assert contradiction(asked("How many round cups are there?", "1", "0", "2", "3"), scene) is None
    partly = boxed(*things, ("cup", (300, 0, 340, 40)))
    assert contradiction(asked("How many red cups are there?", "4", "1", "5", "0"), partly) is None


def test_a_scene_without_boxes_says_nothing(boxed):
    assert contradiction(asked("How many dogs are there?", "5", "3", "4", "6"), boxed()) is None


def test_hostile_texts_take_no_time(street, grows_linearly):
    def work(times: int) -> None:
        long = "how many people that are " * times
        contradiction(asked(f"{long}to the left of the car and ", *["above and " * times] * 4), street)
        contradiction(asked("Where is dog 1" + " to the left of" * times, *["to the left of " * times] * 4), street)

    grows_linearly(work, 10, 40, rounds=6)


@pytest.mark.slow
def test_every_fault_of_drawn_scenes_is_found_and_no_true_question_is_lost():
    """Counts, sides, ends, sizes and covers."""
    rng = random.Random(5)
    checked, kept, found, missed = {"count", "side", "end", "size", "cover"}, 0, 0, []
    for number in range(20):
        drawn = drawn_scene(number)
        scene = Scene(drawn.id, number, drawn.image, "", WIDTH, HEIGHT, drawn.captions, drawn.objects)
        for fact in drawn.facts():
            options = [fact.answer, *fact.wrong]
            rng.shuffle(options)
            right, wrong = options.index(fact.answer), options.index(fact.wrong[0])
            assert contradiction(asked(fact.question, *options, answer=right), scene) is None, fact
            kept += 1
            if fact.kind in checked:
                found += 1
                if contradiction(asked(fact.question, *options, answer=wrong), scene) is None:
                    missed.append(fact)

    assert kept > 500 and found > 250 and not missed


WORDS = """how many|which|what|where|is|are there|of|the|and|or|,|between|dogs|dog 1|person 2|people|the car|it|not|to the left of|left|above
|below|inside|than|more|most|in|picture|corner|second|from the left|leftmost|true|statement|count|two|3|none|at least|yes|no|no,|to|relative to
|on which side of|does|stand|red|things|number of|difference between|first|from left to right|order|how do|compare|outnumber|as many|how many more|most
|farthest to the left|on the left|which side|higher|both|all|covers|directly|who|sitting|or|the other|:|?|(|[a-z]|#|\\1""".replace(
    "\n", ""
).split("|")
PHRASES = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(PHRASES, st.tuples(PHRASES, PHRASES, PHRASES, PHRASES), st.integers(0, 3))
def test_whatever_is_asked_nothing_breaks(question, options, answer):
    objects = (SceneObject("dog 1", "dog", (0, 0, 50, 50)), SceneObject("person 1", "person", (60, 0, 90, 200)),
               SceneObject("person 2", "person", (200, 0, 240, 200)), SceneObject("car 1", "car", (300, 20, 500, 150)))  # fmt: skip
    scene = Scene("s/1", 0, "a.png", "", 640, 480, ("A picture.",), objects)
    assert isinstance(contradiction(asked(question, *options, answer=answer), scene), str | None)
