"""Tests of virgo_factory/distill/sources: rows in every layout become questions, or say why not."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jsonl import read_jsonl
from virgo_factory.answers import grading, score
from virgo_factory.answers.model import Question
from virgo_factory.distill.sources import (
    ORIGINALS,
    SOURCES,
    Asked,
    onevision,
    read_source,
)
from virgo_factory.distill.sources.source_row import attempt, split_of
from virgo_factory.formats.row import RejectedRow


def table(name: str) -> list[tuple[dict, Asked | str]]:
    """Return the rows of a table beside this file, and what each asks, or why it is refused."""
    rows = read_jsonl(Path(__file__).with_name(name))
    return [(row, row["refused"] if "refused" in row else asked_of(row["asks"])) for row in rows]


def asked_of(keys: dict) -> Asked:
    return Asked(**keys | ({"options": tuple(keys["options"])} if "options" in keys else {}))


CASES, TURNS = table("rows.jsonl"), table("turns.jsonl")
"""Written by hand from the published formats; turns as in visual_sources.md section 3."""


def check(ask, *given, expected: Asked | str) -> None:
    """Whether a row asks what is expected, or is refused with that reason."""
    if isinstance(expected, Asked):
        assert ask(*given) == expected
        return

    with pytest.raises(RejectedRow) as error:
        ask(*given)

    assert error.value.reason == expected


@pytest.mark.parametrize(("case", "expected"), CASES)
def test_rows_of_the_original_files(case, expected):
    check(ORIGINALS[case["source"]].ask, case["row"], expected=expected)


@pytest.mark.parametrize(("case", "expected"), TURNS)
def test_turns_of_llava_onevision(case, expected):
    pair = {"human": case["human"], "gpt": case["gpt"], "number": 0}
    check(onevision.ask, case["source"], pair, expected=expected)


@pytest.mark.parametrize(
    ("question", "number"),
    [("And the red one?", 1), ("What about 2019?", 3), ("And the red one?", 0), ("Andorra?", 1)],
)
def test_a_pair_that_relies_on_the_one_before_is_no_question(question, number):
    asked = Asked(question, "7", grading="chartqa")
    relies = number and not question.startswith("Andorra")
    expected = "relies on the question before it" if relies else asked
    check(onevision.ask, "chartqa", {"human": question, "gpt": "7", "number": number}, expected=expected)


VALUES = st.recursive(
    *(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["A", "b", "yes", "[x]"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=30) | st.dictionaries(st.sampled_from(["1", "2", "diagram_logic_form"]), inner)
    ),
    max_leaves=40,
)
TEXTS = ("question", "text", "problem_text", "query", "question_string")
NAMES = (
    *(*TEXTS, "choices", "answer", "unit", "ans_type", "label", "imgname", "hint"),
    *("compact_choices", "logic_form", "ques_type", "image_index"),
)
TYPES = st.sampled_from(["choose_txt", "choose_img", "fill_in_blank"])
WITH_TEXT = st.fixed_dictionaries(
    dict.fromkeys(TEXTS, st.just("x?")),
    optional={**dict.fromkeys(("answer", "choices", "label", "logic_form"), VALUES), "ques_type": TYPES},
)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES) | WITH_TEXT)
def test_any_row_is_a_question_or_has_a_reason(raw):
    for name, source in ORIGINALS.items():
        asked = attempt(source.ask, raw)
        assert isinstance(asked, Asked | RejectedRow), name
        if isinstance(asked, Asked):
            assert isinstance(asked.question, str) and all(isinstance(option, str) for option in asked.options), name
            assert isinstance(asked.gold, str | list), name


@given(st.text(max_size=60), st.text(max_size=30), st.integers(0, 3), st.sampled_from(onevision.SOURCES))
def test_any_turns_are_a_question_or_have_a_reason(human, gpt, number, source):
    asked = attempt(lambda pair: onevision.ask(source, pair), {"human": human, "gpt": gpt, "number": number})
    if isinstance(asked, Asked):
        assert asked.question.strip() and asked.gold and "<image>" not in asked.question


def test_every_grading_is_known():
    for name in {*onevision._GRADING.values(), *(asked.grading for _, asked in CASES if isinstance(asked, Asked))}:
        assert grading(name).name == name

    assert set(onevision.SOURCES) <= set(SOURCES) and set(ORIGINALS) <= set(SOURCES)


def read(shared_data: Path, name: str, folder: str | None = None, tmp_path: Path | None = None):
    """Return what a real source gives; a folder of another name is linked to."""
    if folder is None:
        return list(read_source(name, shared_data, "", Path("unused")))

    (tmp_path / name).symlink_to((shared_data / folder).resolve())
    return list(read_source(name, tmp_path, "", Path("unused")))


# source -> questions in ../shared/data (its README), and some of them by hand: what is asked and what is wrong
REAL = {
    "tabmwp": (60, {
        "2201": ("How much money does Dirk need to buy a motorcycle and a jet ski? (Unit: $)", ["6830", "$6,830", "6,830.00"], ["6,380", "6.83"]),
        "2263": ("Look at the following schedule. Molly just missed the 1.15 P.M. ferry at Rocky Port. How long does she have to wait until the next ferry?", ["A", "15 minutes", "(A)"], ["B", "30 minutes", "1 hour"]),
        "5332": (None, ["2/7", "\\frac{2}{7}"], ["7/2", "4/7"]),
    }),
    "chartqa": (76, {
        "OECD_NATIVE-BORN_EMPLOYMENT_SVN_TUR_000043-": ("Which two countries are compared in the given graph?", ["Slovenia, Turkey", "Turkey and Slovenia"], ["Slovenia", "Turkey, Greece"]),
        "73300861001528-": ("What is the ratio of the Grey and Orange bar?", ["1.0156", "1.02"], ["1.2", "0.9"]),
        "74237929016500-": ("Is the sum of smallest two bar greater than the value of the largest bar?", ["Yes", "yes."], ["No"]),
    }),
    "figureqa": (380, {
        "1-0-72": ("Is Orange Red the minimum?", ["Yes", "yes"], ["No"]),
        "1-0-12": ("Is Cyan the minimum?", ["No", "no."], ["Yes"]),
    }),
    "clevr": (60, {
        "CLEVR_train_000000-1": ("How big is the object in the picture?", ["large", "Large"], ["small"]),
        "CLEVR_val_000000-2": ("There is a object in the picture. What is the texture of it?", ["metal", "Metal."], ["rubber"]),
    }),
    "geos": (3, {
        "1018": ("In the figure above, ABCDEF is a regular hexagon, and its center is point O. What is the value of x?", ["60", "B", "60^\\circ"], ["2", "80", "A"]),
        "968": (None, ["60°", "60", "D", "60^\\circ"], ["4", "45", "30°"]),
    }),
    "geometry3k": (5, {
        "11": ("In \\odot X, AB = 30, CD = 30, and m \\widehat{CZ} = 40. Find m \\widehat{AB}.", ["80", "D", "80^\\circ"], ["40", "C"]),
        "15": ("Find y.", ["5\\sqrt{3}", "C", "8.66"], ["10", "5\\sqrt{2}", "B", "8.5"]),
    }),
    "iconqa": (83, {
        "choose_txt/340": ("How many fire trucks are there?", ["8", "C"], ["2", "B", "6"]),
        "choose_img/289": ("Which shape has 3 equal sides?\nThe first picture belongs to the question, each of the others is an option.", ["B", "the third picture"], ["A", "the second picture"]),
        "fill_in_blank/1422": ("What time is shown? Answer by typing a time word, not a number. It is (_) after six.", ["quarter"], ["half"]),
    }),
}  # fmt: skip


CONTRADICTED = {"figureqa": ("256-5-99", "359-5-55")}  # once answered with yes and once with no, in the real file


def test_two_answers_to_one_question_on_one_picture_are_none(shared_data):
    doubtful = [found for found in read(shared_data, "figureqa") if isinstance(found.asked, RejectedRow)]
    assert [found.id for found in doubtful] == ["256-5-99", "256-5-99", "359-5-55", "359-5-55"]
    reasons = {str(found.asked) for found in doubtful}
    assert reasons == {'two gold answers to one question on one picture: "No" and "Yes"'}


def said_of(asked: Asked, answer: str) -> str:
    question = Question(asked.question, options=asked.options, kind=asked.kind, unit=asked.unit)
    return score(f"So \\boxed{{{answer}}}.", asked.gold, question, grading(asked.grading)).verdict


@pytest.mark.parametrize("name", REAL)
def test_real_files(name, shared_data):
    count, by_hand = REAL[name]
    listed = read(shared_data, name)
    assert len(listed) == count
    listed = [found for found in listed if found.id not in CONTRADICTED.get(name, ())]
    assert len({found.id for found in listed}) == len(listed), "each has an id of its own"
    for found in listed:
        assert isinstance(found.asked, Asked), f"{found.origin}: {found.asked}"
        assert found.pictures and all((shared_data / name / picture).is_file() for picture in found.pictures)

    for id, (text, right, wrong) in by_hand.items():
        there = [found.asked for found in listed if found.id.startswith(id)]
        asked = next((one for one in there if text in (None, one.question)), None)
        assert asked, (id, there)
        verdicts = {answer: said_of(asked, answer) for answer in (*right, *wrong)}
        assert verdicts == dict.fromkeys(right, "correct") | dict.fromkeys(wrong, "wrong"), asked


@pytest.mark.parametrize("name", [*REAL, "geometry3k_sketchpad"])
def test_the_gold_of_every_real_question_is_correct_and_its_other_options_are_wrong(name, shared_data, tmp_path):
    source, folder = ("geometry3k", name) if name == "geometry3k_sketchpad" else (name, None)
    listed = read(shared_data, source, folder, tmp_path)
    listed = listed[:: max(1, len(listed) // 60)]
    for found in listed:
        asked = found.asked
        if isinstance(asked, RejectedRow):
            assert found.id in CONTRADICTED[name]
            continue

        expected = {", ".join(asked.gold) if isinstance(asked.gold, list) else asked.gold: "correct"}
        for letter, option in zip("ABCDEFGH", asked.options, strict=False):
            verdict = "correct" if option == asked.gold else "wrong"
            expected |= dict.fromkeys((option, letter, f"({letter}) {option}"), verdict)

        if asked.kind == "boolean":
            expected["No" if asked.gold.lower() == "yes" else "Yes"] = "wrong"

        assert {answer: said_of(asked, answer) for answer in expected} == expected, asked


def test_real_geoqa_questions_lose_their_prompt_and_keep_their_options(shared_data):
    """G-LLaVA's prompts of the GeoQA test set, whose questions and answers stand plainly in a second file."""
    folder = shared_data / "geoqa_text"
    plain = {Path(row["image_path"]).stem: row for row in read_jsonl(folder / "geoqa_test_prompts.jsonl")}
    prompts = read_jsonl(folder / "gllava_test_questions.jsonl")
    assert len(prompts) == 381
    for prompt in prompts:
        row = plain[str(prompt["question_id"])]
        by_text = {"human": f"<image>{prompt['text']}", "gpt": f"The answer is {row['ground_truth']}.", "number": 0}
        asked = onevision.ask("geoqa_plus", by_text)
        assert asked.question == row["question"] and asked.gold == row["ground_truth"]
        assert len(asked.options) == 4 and asked.kind == "choice"
        letter = "ABCD"[asked.options.index(asked.gold)]
        assert onevision.ask("geoqa_plus", by_text | {"gpt": f"Answer: {letter}"}) == asked


REQUESTS = (
    "Give a very brief answer.",
    "Answer the question using a single word or phrase.",
    "Quick response, please.",
    "Your answer should be very brief.",
    "Keep it short and to the point.",
    "Be succinct.",
    "Make the answer very short.",
    "Ensure brevity in your answer.",
    "Answer with the option's letter from the given choices directly.",
)


def test_requests_are_removed_and_real_questions_are_left_alone(shared_data):
    questions = [row["question"] for row in json.loads((shared_data / "mathvista/testmini.json").read_text()).values()]
    questions += [row["question"].replace("<image1>", "") for row in read_jsonl(shared_data / "mathvision/test.jsonl")]
    for name in REAL:
        questions += [found.asked.question for found in read(shared_data, name) if isinstance(found.asked, Asked)]

    assert len(questions) > 2700
    for number, question in enumerate(questions):
        text = question.replace("\r\n", "\n").strip()
        assert onevision.clean_question(question) == text
        if text.endswith(("?", ".")) and number % 10 == 0:
            for request in REQUESTS:
                assert onevision.clean_question(f"<image>\n{text}\n{request}") == text


def test_pictures_that_are_options_follow_the_questions_own(shared_data):
    (found,) = [found for found in read(shared_data, "iconqa") if found.id == "choose_img/312"]
    names = ("image.png", "choice_0.png", "choice_1.png", "choice_2.png", "choice_3.png")
    assert found.pictures == tuple(f"choose_img/312/{name}" for name in names)
    assert len(found.asked.options) == 4 and found.asked.gold == "the third picture"  # a measuring cup


def test_redrawn_diagrams_have_their_measures_in_words(shared_data, tmp_path):
    listed = read(shared_data, "geometry3k", "geometry3k_sketchpad", tmp_path)
    assert len(listed) == 20
    (found,) = [found for found in listed if found.id == "1145"]
    assert found.pictures == ("1145/image.png",)
    assert found.asked.question.startswith("Find x (Line AC).\nIn the figure: Equals(LengthOf(Line(B, C)), 16); ")
    assert found.asked.gold == "8\\sqrt{2}"


def test_the_train_split_comes_first(shared_data):
    splits = [found.split for found in read(shared_data, "clevr")]
    assert splits == ["train"] * 15 + ["test"] * 23 + ["val"] * 22


def test_splits_by_name():
    named = [
        "train_human.json",
        "TRAIN",
        "problems_dev1k.json",
        "validation2",
        "test",
        "contest_human.json",
        "trainer",
        "simple",
    ]
    assert [split_of(name) for name in named] == ["train"] * 2 + ["val"] * 2 + ["test"] + [None] * 3


def test_one_broken_file_of_many_is_one_row(tmp_path):
    folder = tmp_path / "iconqa/choose_txt"
    for id, content in (("1", "{"), ("2", "[]"), ("3", '{"question": "x"}')):
        (folder / id).mkdir(parents=True)
        (folder / id / "data.json").write_text(content)

    listed = list(read_source("iconqa", tmp_path, "", tmp_path))
    reasons = [found.asked.reason for found in listed]
    assert reasons == ["its file cannot be read", "its file cannot be read", "ques_type unknown"]
    assert "Expecting property name" in listed[0].asked.detail


@pytest.mark.parametrize(
    ("name", "source_dir", "told"),
    [
        ("geoqa_plus", "here", "the original files of geoqa_plus are not read"),
        ("iconqa", None, "iconqa is not of LLaVA-OneVision's configs"),
        ("tabmwp", "here", r"no folder .*tabmwp. Folders there: clevr"),
        ("clevr", "here", r"no questions. Expected files of clevr: questions/CLEVR_SPLIT_questions.json"),
    ],
)
def test_sources_that_are_not_there(name, source_dir, told, tmp_path):
    (tmp_path / "clevr").mkdir()
    with pytest.raises(ValueError, match=told):
        list(read_source(name, tmp_path if source_dir else None, "nowhere", tmp_path))
