"""The rules about one row: loops, tiny thoughts, answers that the thought never mentions; on real responses and made ones."""

import json
import random
from collections import Counter

import pytest

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.finding import Finding
from virgo_factory.core.thought import LongThought, MalformedThought
from virgo_factory.data.read.images import ImageFacts
from virgo_factory.data.rows.final_answer import unmentioned_answer
from virgo_factory.data.rows.repetition import find_loop
from virgo_factory.data.rows.rules import row_findings


def _example(thought="So 7 times 8 is 56.", solution=r"It is \boxed{56}.", **more):
    return Example(id="a", question="What is 7 * 8?", response=LongThought(thought, solution), **more)


def _codes(example, images=()):
    return [finding.code for finding in row_findings(example, images)]


@pytest.fixture(scope="module")
def real_responses(shared_data):
    """1,412 real responses: (place, text)."""
    found = []
    for path in sorted((shared_data / "skythought").glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found.append((f"{path.name}:{number}", json.loads(line)["code"][0]))

    for path in sorted((shared_data / "skythought").glob("*.json")):
        for problem, row in json.loads(path.read_text(encoding="utf-8")).items():
            found += [(f"{path.name}:{problem[:40]}", answer["content"]) for answer in row["responses"].values()]

    assert len(found) == 1_412
    return found


def test_a_good_row_has_no_finding():
    assert _codes(_example()) == []


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        ("56", ["thought_tiny"]),
        ("Hmm.", ["thought_tiny"]),
        ("It is 56.", []),
        ("七乘八等于五十六，所以答案就是56。", []),
    ],
)
def test_thoughts_of_one_word(thought, expected):
    assert [code for code in _codes(_example(thought)) if code == "thought_tiny"] == expected


def test_every_turn_is_looked_at():
    bad = LongThought("Yes.", "Yes.")
    example = _example(history=(Turn("Is it?", bad), Turn("Is it?", bad)))
    assert _codes(example) == ["thought_tiny", "thought_tiny"]


def test_findings_of_images_say_which_one():
    facts = [ImageFacts(8, 8), ImageFacts(0, 0, (Finding("image_missing", "error", "no file b.png"),))]
    assert row_findings(_example(), facts) == (Finding("image_missing", "error", "image 2 of 2: no file b.png"),)
    assert row_findings(_example(), facts[1:])[0].detail == "no file b.png"


@pytest.mark.parametrize(
    ("thought", "solution"),
    [
        ("So it is 14/3.", r"\boxed{\frac{14}{3}}"),
        ("That gives 4.6667.", r"\boxed{\frac{14}{3}}"),
        ("So 4 of 16 are red.", r"\boxed{1/4}"),
        (r"So \frac{4}{16} are red.", r"\boxed{\frac{1}{4}}"),
        ("The roots are 3, 5, and 7.", r"\boxed{3,5,7}"),
        ("1,234,000 people", r"\boxed{1234000}"),
        ("about 9.00 x 10¹¹ kJ", r"\boxed{9.00 \times 10^{11} \text{ kJ}}"),
        ("I get 4.4483e34 watts, 10^34.", r"\boxed{4.45 \times 10^{34}}"),
        ("there are three of them", r"\boxed{3}"),
        ("x equals 2k plus 2", r"\boxed{2k + 2}"),
        ("it was on a tuesday", r"\boxed{\text{Tuesday}}"),
        ("nothing of the kind", r"\boxed{B}"),  # a thought weighs what the options say
        ("nothing of the kind", r"\boxed{}"),
        ("nothing of the kind", "No box."),
        ("f is even", r"\boxed{\text{even function}}"),
        ("about 853.6", r"\boxed{854}"),
        ("4957 of them, roughly", r"\boxed{5000}"),
    ],
)
def test_answers_that_the_thought_mentions(thought, solution):
    assert unmentioned_answer(thought, solution) is None


@pytest.mark.parametrize(
    ("thought", "solution", "answer"),
    [
        ("So m + n = 295 + 1296 = 1591.", r"\boxed{1411}", "1411"),
        ("Let's calculate 5 * 4 * 3.", r"\boxed{60}", "60"),
        ("It was on a Monday.", r"\boxed{\text{Tuesday}}", r"\text{Tuesday}"),
        ("So 2/3.", r"First \boxed{2/3}, no: \boxed{17}.", "17"),
        ("So 845 in all.", r"\boxed{854}", "854"),
        ("So 845/1.", r"\boxed{854}", "854"),
    ],
)
def test_answers_that_the_thought_never_mentions(thought, solution, answer):
    assert unmentioned_answer(thought, solution) == answer


def test_a_thought_that_is_the_solution_is_told():
    text = "I add 3 and 4, which is 7."
    assert _codes(_example(text, text)) == ["thought_is_solution"]
    assert _codes(_example(text, f"{text} Done.")) == []


def test_unmentioned_answers_in_real_responses(real_responses):
    """All 25 were read: every one of these thoughts ends before its answer, or comes to another one."""
    looked, found = 0, []
    for place, text in real_responses:
        try:
            response = LongThought.parse(text)
        except MalformedThought:
            continue

        looked += 1
        if answer := unmentioned_answer(response.thought, response.solution):
            found.append((place.partition(":")[0], answer))
            digits = answer.replace(",", "")
            assert not (digits.isdigit() and digits in response.thought.replace(",", "").split())

    assert (looked, len(found)) == (842, 25)
    assert ("sky_t1_math_corrupt_0.5_32b__amc23.jsonl", "1411") in found


def test_real_loops_are_found(real_responses):
    looping = [(place, text) for place, text in real_responses if text[-4_000:].count(text[-80:]) >= 8]
    assert len(looping) >= 10
    assert [place for place, text in looping if not find_loop(text)] == []


@pytest.mark.slow
def test_real_loops_among_cut_off_and_among_complete_responses(real_responses):
    """Of the two complete ones one loops (95 rounds of adjusting numbers), one lists cases in the same words."""
    ends = ("<|end_of_thought|>", "<|end_of_solution|>")
    complete = [(place, text) for place, text in real_responses if all(text.count(end) == 1 for end in ends)]
    found = [place for place, text in complete if find_loop(text)]
    assert len(complete) == 943
    assert len(found) == 2

    places = {place for place, _ in complete}
    looping = [text for place, text in real_responses if place not in places and find_loop(text)]
    assert len(looping) == 124
    for text in looping:  # each says some six words at least five times
        words = text.split()
        assert Counter(zip(*(words[start:] for start in range(6)), strict=False)).most_common(1)[0][1] >= 5


@pytest.mark.parametrize(
    "text",
    [
        "I need to check this again, carefully, and then once more. " * 60,
        "A sentence of its own that opens the thought. " + "= e^{i\\pi/6} " * 400,
        "1" * 5_000,
        "7 " * 400,
        "The sum is 7. " * 60,
        "It is 7.\n" * 60,
        "好的，我们来看。" * 400,
        "\n" * 5_000,
        "".join(f"Let me try {n}: that does not work either, so I go on to the next one. " for n in range(80)),
    ],
)
def test_made_loops_are_found(text):
    assert find_loop(text)


def test_a_loop_in_the_middle_of_a_long_thought_is_found():
    rng = random.Random(0)
    words = [f"word{number}" for number in range(2_000)]
    before, after = (" ".join(rng.choice(words) for _ in range(3_000)) for _ in range(2))
    assert find_loop(before + " " + after) is None
    assert find_loop(f"{before} {'wait, that is not right, let me do it again; ' * 150} {after}").times >= 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Short.",
        "ab " * 50,
        "\n".join(f"{n} * 7 = {7 * n}" for n in range(300)),
        "| n | even |\n|---|---|\n" + "\n".join(f"| {n} | {'yes' if n % 2 else 'no'} |" for n in range(40)),
        "\n".join(f"def f{n}(x):\n    return x + {n}" for n in range(15)),
    ],
)
def test_what_is_no_loop(text):
    assert find_loop(text) is None


def test_a_loop_in_the_solution_is_told_as_one_in_the_thought():
    example = Example("a", "What is 3 + 4?", LongThought("It is 7.", "The sum is 7. " * 60))
    assert [finding.code for finding in row_findings(example, ())] == ["loop"]


def test_a_loop_is_a_warning_that_quotes_it():
    found = row_findings(_example("Wait, let me think about 56 once more. " * 100), ())
    assert [(finding.code, finding.severity) for finding in found] == [("loop", "warning")]
    assert found[0].detail.startswith('100 times "')
