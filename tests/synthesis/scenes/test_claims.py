"""Questions whose answer the boxes contradict are told, in the many ways in which writers put them; all others are not."""

import random

import pytest

from virgo_factory.demo.scenes import HEIGHT, WIDTH, drawn_scene
from virgo_factory.synthesis.scenes.claims import contradiction
from virgo_factory.synthesis.words import Question, Scene


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


def asked(question: str, *options: str, answer: int = 0) -> Question:
    return Question("q", "s/1", question, options, "ABCD"[answer])


WRONG = [
    # counts
    ("How many people are visible in the picture?", "2", "3", "4", "5"),
    ("How many people are there?", "Two", "Three", "Four", "Five"),
    ("Looking closely, how many people are there?", "Two", "Three", "Four", "Five"),
    ("In the picture, how many dogs can be seen?", "One dog", "Two dogs", "Three dogs", "Four dogs"),
    ("What is the number of dogs in the image?", "three", "two", "one", "four"),
    ("How many wine glasses does the picture show?", "None", "One", "Two", "Three"),
    ("How many people are to the left of the car?", "two", "three", "four", "one"),
    ("How many dogs stand to the right of person 3?", "none of them", "one", "two", "three"),
    ("How many dogs are there?", "More than two", "Exactly two", "One", "None"),
    ("How many dogs are there?", "At least 3", "2", "1", "0"),
    ("How many more people than dogs are there?", "Two", "One", "Three", "None"),
    ("Of which are there exactly two?", "people", "dogs", "cars", "buses"),
    ("Which of these are there the most of?", "dogs", "people", "cars", "buses"),
    # yes or no
    ("Is the bus above the car?", "No", "Yes", "It cannot be seen", "Only partly"),
    ("Is the bus below the car?", "Yes, it is below", "No, it is above", "They overlap", "unknown"),
    ("Is dog 1 standing to the left of person 1?", "Yes", "No", "unclear", "there is no dog"),
    ("Are there three dogs?", "Yes", "No", "unclear", "hidden"),
    ("Are there more dogs than people?", "Yes", "No", "as many", "unclear"),
    ("Is there a dog to the right of the bus?", "Yes", "No", "maybe", "behind it"),
    # how one stands to another
    ("Where is the bus in relation to the car?", "Below it", "Above it", "Inside it", "In front of it"),
    ("Where is dog 1 relative to person 1?", "To the left", "To the right", "Above", "Behind"),
    ("Where does dog 1 stand to person 1?", "left of it", "right of it", "above it", "behind it"),
    ("On which side of the car is dog 2?", "On the right", "On the left", "On top", "Behind it"),
    ("Is dog 1 to the left or to the right of person 3?", "to the right", "to the left", "above", "inside"),
    ("Where is the second person from the left located relative to the leftmost person?", "to the left", "to the right", "on top", "inside"),
    ("What is the position of the car relative to the bus?", "above", "below", "inside", "in front"),
    ("Where is dog 1?", "To the right of the car", "To the left of the car", "In the bus", "On a table"),
    ("In which part of the picture is the bus?", "lower left", "upper right", "the bottom", "lower right"),
    ("Which of these is true of dog 1?", "It is to the left of person 1", "It is to the left of the car", "It barks", "It is asleep"),
    # which one stands somewhere
    ("Which of these is to the right of person 3?", "person 1", "dog 2", "person 2", "dog 1"),
    ("What is above the car?", "dog 2", "the bus", "person 1", "dog 1"),
    ("Which person is farthest to the left?", "person 2", "person 1", "person 3", "nobody"),
    ("Which of person 1, person 2, person 3 and dog 1 is farthest to the right?", "dog 1", "person 3", "person 1", "person 2"),
    ("Which of these is highest up?", "the car", "the bus", "dog 1", "dog 2"),
    ("Which takes up the most space?", "dog 1", "the car", "person 1", "dog 2"),
    ("Which of these covers a part of the car?", "person 1", "a tree", "a sign", "a lamp"),
    # statements
    ("Which statement is true?", "Dog 1 is to the left of person 1.", "There are two dogs.", "There is no car.", "It rains."),
    ("Which of these statements is correct?", "There are five people.", "There are three people.", "It rains.", "It snows."),
    ("Which statement is not true?", "There are two dogs.", "The bus is below the car.", "The car is below the bus.", "It rains."),
    ("Which of the following is false?", "The bus is above the car.", "There are four dogs.", "It rains.", "It snows."),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_answer_is_told_and_the_right_one_is_not(street, case):
    question, wrong, right, *others = case
    assert contradiction(asked(question, wrong, right, *others), street)
    assert contradiction(asked(question, wrong, right, *others, answer=1), street) is None


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


KEPT = [
    ("How many people are wearing hats?", "1", "2", "4", "5"),
    ("How many people walking the dog are there?", "1", "2", "4", "5"),
    ("How many animals are there?", "1", "2", "3", "4"),
    ("How many objects are there?", "1", "2", "3", "4"),
    ("How many wheels does the car have?", "1", "2", "3", "4"),
    ("How many people are in the car?", "1", "2", "3", "4"),
    ("How many people are above the age of 30?", "1", "2", "3", "4"),
    ("How many other dogs are there?", "1", "2", "3", "4"),
    ("How many dogs are there?", "several", "a few", "a lot", "many"),
    ("How many red dogs are there?", "1", "3", "4", "5"),
    ("How many colours does the bus have?", "1", "2", "3", "4"),
    ("How many legs do the two dogs have in total?", "8", "2", "3", "4"),
    ("Is the person left of the car wearing a hat?", "Yes", "No", "a", "b"),
    ("Is the dog to the left of the car?", "No", "Yes", "a", "b"),  # which of the two?
    ("Is the car faster than the bus?", "Yes", "No", "a", "b"),
    ("Are there two people holding hands?", "Yes", "No", "a", "b"),
    ("What colour is the car to the right of dog 2?", "red", "blue", "green", "black"),
    ("Which of these is directly above the car?", "the bus", "dog 2", "a", "b"),
    ("Which of these is closest to the car?", "person 1", "dog 2", "bus", "person 2"),
    ("Which is the largest?", "the car", "the bus", "dog 1", "dog 2"),  # a near cup is larger than a far bus
    ("Where is the bus parked?", "to the left", "on a lawn", "in a garage", "nowhere"),
    ("Where is the bus going?", "to the left of town", "b", "c", "d"),
    ("Where is the bus relative to the car?", "behind it", "in front of it", "near it", "far from it"),
    ("Where is dog 2 relative to person 3?", "in front of it", "slightly to the left", "behind it", "on it"),
    ("What would dog 1 do if person 1 left?", "Run", "Stay", "Bark", "Sleep"),
    ("Why does person 1 stand to the left of dog 1?", "To rest", "To play", "To eat", "To wait"),
    ("Which statement is true?", "The dog is happy.", "There are two happy dogs.", "It rains.", "It snows."),
]  # fmt: skip


@pytest.mark.parametrize("case", KEPT, ids=[case[0] for case in KEPT])
def test_what_boxes_do_not_say_is_kept_whatever_the_answer(street, case):
    question, *options = case
    if (
        question == "Where is dog 2 relative to person 3?"
    ):  # one of its options is wrong by the boxes, the answer is not
        assert contradiction(asked(question, *options), street) is None
        return

    for answer in range(4):
        assert contradiction(asked(question, *options, answer=answer), street) is None


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
