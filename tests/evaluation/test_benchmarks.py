"""Benchmarks read from files of the hub's columns: how many, in which groups, and what a question then holds."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.jsonl import read_jsonl
from virgo_factory.answers import Question, extract, grading, judge
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.benchmarks.benchmark import inline_parts
from virgo_factory.evaluation.benchmarks.charxiv import ask as ask_charxiv
from virgo_factory.evaluation.benchmarks.dynamath import ask as ask_dynamath
from virgo_factory.evaluation.benchmarks.logicvista import ask as ask_logicvista
from virgo_factory.evaluation.benchmarks.mathvision import ask as ask_mathvision
from virgo_factory.evaluation.benchmarks.mmmu import DISCIPLINES, MMMU
from virgo_factory.evaluation.benchmarks.text import ask_aime, ask_gpqa, ask_mmlu_pro
from virgo_factory.evaluation.benchmarks.vision import ask_cv_bench, ask_mmstar, ask_mmvp, ask_vstar
from virgo_factory.evaluation.benchmarks.we_math import ask as ask_we_math
from virgo_factory.evaluation.questions import Taken, draw, files_of, read_benchmark, write_questions
from virgo_factory.formats.row import RejectedRow


def read(name: str, folder: Path) -> tuple[list[dict], Taken]:
    taken = Taken(BENCHMARKS[name], "here")
    return list(read_benchmark(BENCHMARKS[name], folder / name, taken)), taken


def counts(rows: list[dict], group: str) -> Counter:
    return Counter(row["groups"].get(group) for row in rows)


def test_published_counts_of_virgos_four_add_up_to_the_requests_of_the_paper():
    assert sum(BENCHMARKS[name].count for name in ("mathverse", "mathvision", "olympiadbench", "mmmu")) == 14_608


def test_mathverse_has_five_versions_and_hides_the_text_of_vision_only(hub):
    rows, taken = read("mathverse", hub)
    assert taken.rows == 90 and set(taken.files) == {"testmini.parquet"}
    assert counts(rows, "version") == dict.fromkeys(
        ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only"), 15
    )
    assert set(Counter(row["cluster"] for row in rows).values()) == {5}
    only = [row for row in rows if row["groups"]["version"] == "Vision Only"]
    assert all(row["question"] == "" and len(row["images"]) == 1 for row in only)
    assert all(row.get("options") for row in only if row.get("kind") == "choice")


def test_mathvision_is_read_from_its_test_files_alone(hub, shared_data):
    rows, taken = read("mathvision", hub)
    raw = read_jsonl(shared_data / "mathvision/test.jsonl")
    assert len(rows) == len(raw) == 1558 and len(taken.files) == 2
    assert counts(rows, "level") == Counter(str(row["level"]) for row in raw)
    assert counts(rows, "subject") == Counter(row["subject"] for row in raw)
    assert Counter(row.get("kind") for row in rows) == Counter("choice" if row["options"] else None for row in raw)
    for letters in ([*"ABCDE"], [f"({letter})" for letter in "ABCDE"]):
        drawn = [row for row, one in zip(rows, raw, strict=True) if one["options"] == letters]
        assert drawn and not any("options" in row for row in drawn)
    assert not any(row["question"].endswith("<image1>") for row in rows)


def test_olympiadbench_leaves_proofs_out_and_keeps_stems_tolerances_and_several_answers(hub):
    rows, taken = read("olympiadbench", hub)
    assert len(rows) == 351 and taken.rows == 351 and not taken.left_out
    assert counts(rows, "modality") == {"text only": 346, "with pictures": 5}
    assert counts(rows, "language") == {"English": 346, "Chinese": 5}
    assert [row["tolerance"] for row in rows if "tolerance" in row] == [0.1]
    assert all(row["question"].startswith("Stem.\n") for row in rows if row["images"])
    assert sum(row["several"] for row in rows) > 5


GRADED = ("mathverse", "mathvision", "olympiadbench", "mmmu", "mmmu_pro", "mmmu_pro_vision", "mathvista")


@pytest.mark.slow
@pytest.mark.parametrize("name", GRADED)
def test_a_gold_is_the_answer_to_its_own_question(hub, name):
    rows, _ = read(name, hub)
    for row in rows:
        several = row["gold"] if isinstance(row["gold"], list) else [row["gold"]]
        said = several[0] if name == "mmmu" else ", ".join(several)
        known = {key: row.get(key) for key in ("kind", "unit", "precision", "tolerance", "several")}
        asked = Question(row["question"], options=tuple(row.get("options", ())), **known)
        assert judge(said, row["gold"], asked, grading(row["grading"])).correct, row["id"]


def test_proofs_are_no_questions(hub):
    rows = list(
        read_benchmark(
            BENCHMARKS["olympiadbench"],
            hub / "olympiadbench/OlympiadBench/TP_TO_maths_en_COMP",
            taken := Taken(BENCHMARKS["olympiadbench"], ""),
        )
    )
    assert not rows and taken.rows == 7


def test_mmmu_reads_the_validation_files_of_all_subjects(hub, shared_data):
    golds = json.loads((shared_data / "mmmu/answer_dict_val.json").read_text(encoding="utf-8"))
    rows, taken = read("mmmu", hub)
    by_id = {row["id"].removeprefix("mmmu/"): row for row in rows}
    assert by_id.keys() == golds.keys() and not taken.left_out
    assert counts(rows, "subject") == Counter(id.split("_", 1)[1].rsplit("_", 1)[0] for id in golds)
    for id, gold in golds.items():
        is_choice = gold["question_type"] == "multiple-choice"
        assert (by_id[id].get("kind") == "choice") is is_choice
        assert by_id[id]["gold"] == gold["ground_truth"]

    assert set(counts(rows, "discipline")) == set(DISCIPLINES)
    assert sum(len(subjects) for subjects in DISCIPLINES.values()) == 30


def test_mmmu_pro_puts_pictures_where_the_text_names_them(hub):
    rows, _ = read("mmmu_pro", hub)
    assert len(rows) == 862
    inside = [row for row in rows if row["parts"][0] != 0]
    # 376 in the middle, 317 at the end (evaluation.md 4.2); the others begin with a picture.
    assert len(inside) >= 376 + 317
    for row in rows:
        shown = [part for part in row["parts"] if isinstance(part, int)]
        assert shown == list(range(len(row["images"])))  # each once, in order, as questions ask for it
        assert not any("<image" in part for part in row["parts"] if isinstance(part, str))
        assert all(row["gold"] in "ABCDEFGHIJ" and len(row["options"]) > 1 for row in rows)

    in_options = [row for row in rows if any("<image" in option for option in row["options"])]
    assert len(in_options) == 33
    assert set(counts(rows, "discipline")) == set(DISCIPLINES)


def test_mmmu_pro_vision_shows_the_picture_alone(hub):
    rows, _ = read("mmmu_pro_vision", hub)
    assert len(rows) == 862 and all(row["question"] == "" and row["options"] for row in rows)


def test_mathvista_keeps_precision_unit_and_the_options_text(hub, shared_data):
    rows, _ = read("mathvista", hub)
    assert len(rows) == 504
    assert sum("precision" in row for row in rows) == 17
    assert all(row["gold"] in row["options"] for row in rows if row.get("kind") == "choice")


def test_rows_are_written_once_with_their_pictures(hub, tmp_path, store):
    target = tmp_path / "questions.jsonl"
    done = write_questions({"mathverse": None, "mathvista": 40}, target, store, hub, allow_partial=True)
    rows = read_jsonl(target)
    assert [taken.asked for taken in done] == [75, 40] and done[1].left_out == {"not drawn": 464}
    assert done[1].found == 504 and all(len(digest) == 64 for taken in done for digest in taken.files.values())
    paths = {path for row in rows for path in row["images"]}
    assert all((tmp_path / path).is_file() for path in paths)
    assert len(paths) == len(list((tmp_path / "images").glob("??/*"))) < len(rows)
    assert len({row["id"] for row in rows}) == 115


def test_a_draw_has_the_shares_of_its_strata_and_does_not_change(hub):
    rows, _ = read("mathvision", hub)
    strata = {row["id"]: row["groups"]["level"] for row in rows}
    drawn = draw(strata, 300, 42)
    assert len(drawn) == 300 and drawn == draw(dict(reversed(strata.items())), 300, 42) != draw(strata, 300, 43)
    whole, part = Counter(strata.values()), Counter(strata[id] for id in drawn)
    assert all(abs(part[level] - 300 * whole[level] / 1558) < 1 for level in whole)


def test_a_draw_takes_whole_problems_where_the_metric_is_of_problems(tmp_path, store, shared_data):
    (tmp_path / "we_math/image").mkdir(parents=True)
    shutil.copy(shared_data / "mathvision/images/1215.jpg", tmp_path / "we_math/image/1.jpg")
    rows = [
        {"ID": f"{kind}_{n}", "question": f"How long is {kind} {n} {step}?", "option": "A. 1;B. 2", "answer": "B"}
        | {"image_path": "image/1.jpg", "key": f"{kind}_{step}"}
        for kind, count, steps in (("2steps", 36, ("1", "2", "multi")), ("3steps", 16, ("1", "2", "3", "multi")))
        for step in steps
        for n in range(count)
    ]
    (tmp_path / "we_math/testmini.json").write_text(json.dumps(rows), encoding="utf-8")
    target = tmp_path / "q.jsonl"
    write_questions({"we_math": 60}, target, store, tmp_path, allow_partial=True)
    drawn = Counter(row["cluster"] for row in map(json.loads, target.open(encoding="utf-8")))
    assert 54 <= drawn.total() <= 66 and all(count == int(cluster[0]) + 1 for cluster, count in drawn.items())


def test_what_is_wrong_is_told_for_all_benchmarks_together(hub, tmp_path, store):
    with pytest.raises(UserError) as told:
        write_questions({"mathvista": None, "mathvison": None, "mmstar": None}, tmp_path / "q.jsonl", store, hub)

    few, unknown, missing = str(told.value).split("\n")
    assert "504 of 1,000 published" in few and "allow_partial" in few
    assert "mathvision" in unknown and "mmstar: no folder" in missing
    assert not (tmp_path / "q.jsonl").exists()


def test_a_missing_column_names_what_is_there_and_what_should_be(tmp_path, store):
    (tmp_path / "mmmu").mkdir()
    (tmp_path / "mmmu/validation.jsonl").write_text('{"id": "validation_Art_1", "question": "?"}\n')
    with pytest.raises(UserError, match=r"no column options.*Found: id, question\. Expected: id, question, options"):
        write_questions({"mmmu": None}, tmp_path / "q.jsonl", store, tmp_path)


def test_a_benchmark_that_is_not_here_says_how_to_get_it(tmp_path, store):
    with pytest.raises(UserError, match=r"hf download MMMU/MMMU --repo-type dataset --local-dir DIR/mmmu"):
        write_questions({"mmmu": None}, tmp_path / "q.jsonl", store)


@pytest.mark.parametrize(
    ("name", "there", "kept"),
    [
        ("mathverse", ["testmini.json", "testmini.parquet", "testmini_text_only.parquet"], ["testmini.parquet"]),
        ("mmmu", ["Art/dev-0.parquet", "Art/test-0.parquet", "Art/validation-0.parquet"], ["Art/validation-0.parquet"]),
        ("mmmu_dev", ["Art/dev-0.parquet", "Art/validation-0.parquet"], ["Art/dev-0.parquet"]),
        ("mmmu_pro", ["standard (10 options)/test-0.parquet", "standard (4 options)/test-0.parquet", "vision/test-0.parquet"], ["standard (10 options)/test-0.parquet"]),
        ("mmmu_pro_vision", ["standard (10 options)/test-0.parquet", "vision/test-0.parquet"], ["vision/test-0.parquet"]),
        ("olympiadbench_en", ["OE_MM_maths_en_COMP/a.parquet", "OE_MM_maths_zh_CEE/a.parquet", "TP_MM_maths_en_COMP/a.parquet"], ["OE_MM_maths_en_COMP/a.parquet"]),
        ("mmstar", ["mmstar.parquet", "README.md"], ["mmstar.parquet"]),
        ("gpqa_diamond", ["gpqa_diamond.csv", "gpqa_main.csv"], ["gpqa_diamond.csv"]),
        ("dynamath", ["data/sample_variant1-0.parquet", "data/sample_variant10-0.parquet"], ["data/sample_variant1-0.parquet", "data/sample_variant10-0.parquet"]),
        ("mathvision", ["test.jsonl", "images/1.jpg"], ["test.jsonl"]),
        ("logicvista", ["data/dataset.json", "eval/answers/GPT4-answers.json", "eval/results/GPT4-results.csv"], ["data/dataset.json"]),
    ],
)  # fmt: skip
def test_files_of_a_benchmark(name, there, kept):
    assert files_of(there, BENCHMARKS[name]) == kept


def test_the_layouts_of_authors_repositories_are_read(tmp_path):
    puzzle = {
        "imagename": "v1_0.png",
        "question": "Which?",
        "answer": "C",
        "skill": ["inductive"],
        "capability": ["ocr"],
    }
    sum_ = {
        "question": "What is x?",
        "answer": "14.0",
        "image": "image/image7.png",
        "answer_type": "float",
        "subject": "algebra",
        "level": "high school",
    }
    files = {
        "logicvista/data/dataset.json": {"v1_0": puzzle, "v1_1": {**puzzle, "answer": ""}},
        "dynamath/10trials/trial1/dataset.json": {"7": sum_},
        "dynamath/10trials/trial10/dataset.json": {"7": sum_ | {"answer": "3"}},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(json.dumps(content, indent=4), encoding="utf-8")

    for name in (
        "logicvista/data/images/v1_0.png",
        "dynamath/10trials/trial1/image/image7.png",
        "dynamath/10trials/trial10/image/image7.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"P")

    rows, taken = read("logicvista", tmp_path)
    assert [(row["id"], row["images"], row["gold"]) for row in rows] == [
        ("logicvista/v1_0", ["data/images/v1_0.png"], "C")
    ]
    assert taken.rows == 2 and taken.left_out == {"no gold answer": 1}
    assert taken.examples["no gold answer"].startswith("data/dataset.json:13: ")
    rows, taken = read("dynamath", tmp_path)
    assert [(row["id"], row["images"][0], row["gold"]) for row in rows] == [
        ("dynamath/7/1", "10trials/trial1/image/image7.png", "14.0"),
        ("dynamath/7/10", "10trials/trial10/image/image7.png", "3"),
    ]
    assert rows[0]["groups"] == {"subject": "algebra", "level": "high school", "type": "float", "variant": "1"}


def test_a_picture_of_those_that_the_text_names_must_be_there():
    with pytest.raises(RejectedRow, match="<image 1> in the text"):
        inline_parts("<image 1> and <image 3>", (), (None, None, None))

    assert inline_parts("no place", (), ("P", None, "Q")) == ([0, 1, "no place"], ["P", "Q"])
    assert inline_parts("<image 1>, <image 1>?", ("a", "b"), ("P",)) == ([0, ", ", "image 1", "?"], ["P"])
    assert inline_parts("<image 1>", ("<image 7>",), ("P", None)) == ([0, "\n(A) ", "image 7"], ["P"])


def test_an_open_question_of_mmmu_has_several_golds_of_which_one_counts():
    row = {
        "id": "validation_Math_5",
        "question": "x?",
        "options": "[]",
        "answer": "['1', 'one']",
        "question_type": "open",
    }
    row |= {"topic_difficulty": "Hard", "img_type": "['Plots and Charts']", "subfield": "Algebra", "image_1": b"P"}
    (found,) = MMMU.ask(row, "")
    assert found["gold"] == ["1", "one"] and "kind" not in found and found["parts"] == [0, "x?"]
    assert found["groups"]["discipline"] == "Science" and found["groups"]["img_type"] == "Plots and Charts"


ROWS = [
    (
        ask_we_math,
        {"ID": "12", "question": "How long?", "option": "A. 2;B. 3; C. 4;D. 5; E. No correct answer", "answer": "B", "key": "2steps_multi", "image_path": b"P"},
        {"id": "12/2steps_multi", "cluster": "12/2", "options": ("2", "3", "4", "5", "No correct answer"), "gold": "B"},
    ),
    (
        ask_dynamath,
        {"id": "7", "question": "Which? Choices: (A) 1 (B) 2", "ground_truth": "B", "answer_type": "multiple choice", "subject": "s", "knowledge_level": "k", "image": b"P"},
        {"id": "7/3", "cluster": "7", "options": ("1", "2"), "kind": "choice"},
    ),
    (
        ask_dynamath,
        {"id": "8", "question": "How much?", "ground_truth": 2.5, "answer_type": "float", "subject": "s", "knowledge_level": "k", "image": b"P"},
        {"id": "8/3", "kind": "number", "tolerance": 0.001},
    ),
    (
        ask_logicvista,
        {"imagename": "v1_3.png", "question": "Which two?", "answer": "A, C", "skill": ["spatial"], "image": b"P"},
        {"id": "v1_3", "kind": "choice", "several": True},
    ),
    (
        ask_mmstar,
        {"index": 5, "question": "What?\nOptions: A: red, B: blue", "answer": "B", "category": "c", "l2_category": "d", "image": b"P"},
        {"id": "5", "options": ("red", "blue")},
    ),
    (
        ask_vstar,
        {"text": "Which?\n(A) red\n(B) blue\nAnswer with the option's letter from the given choices directly.", "label": "A", "category": "c", "question_id": "9", "image": b"P"},
        {"id": "c/9", "question": "Which?\n(A) red\n(B) blue", "options": ("red", "blue")},
    ),
    (
        ask_cv_bench,
        {"idx": 3, "type": "2D", "task": "Count", "image": b"P", "question": "How many?", "choices": ["1", "2"], "answer": "(B)", "source": "COCO"},
        {"gold": "B", "options": ("1", "2")},
    ),
    (
        ask_mmvp,
        {"Index": 4, "Question": "Open?", "Options": "(a) Open (b) Closed", "Correct Answer": "(b)", "image": b"P"},
        {"cluster": "2", "gold": "B", "options": ("Open", "Closed")},
    ),
    (ask_aime, {"id": "60", "problem": "Find x.", "answer": 204}, {"id": "60", "gold": "204", "kind": "number", "images": []}),
    (
        ask_mmlu_pro,
        {"question_id": 70, "question": "Which?", "options": ["a", "b", "c"], "answer": "C", "category": "law"},
        {"gold": "C", "options": ("a", "b", "c"), "groups": {"category": "law"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "row", "held"), ROWS, ids=[f"{ask.__module__.rsplit('.', 1)[1]}-{n}" for n, (ask, *_) in enumerate(ROWS)]
)
def test_rows_of_the_other_benchmarks(ask, row, held):
    (found,) = ask(row, "data/sample_variant3-00000-of-00001.parquet")
    assert {name: found[name] for name in held} == held


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("\\boxed{D}", "correct"),
        ("\\boxed{(D) I}", "correct"),
        ("\\boxed{I}", "correct"),
        ("\\boxed{B}", "wrong"),
        ("\\boxed{(B) D}", "wrong"),
        ("The answer is D.", "correct"),
        ("The answer is (C) B.", "wrong"),
    ],
)
def test_a_gold_is_a_letter_also_where_the_options_are_letters(response, verdict):
    option = "A. F;    B. D;    C. B;    D. I; E. No correct answer"
    row = {"ID": "2steps_9", "question": "Which?", "option": option, "answer": "D", "key": "2steps_1", "image": b"P"}
    (found,) = ask_we_math(row, "")
    question = Question(found["question"], options=found["options"], kind=found["kind"])
    answer = extract(response, question)
    assert judge(answer, found["gold"], question, grading(found["grading"])).verdict == verdict


def test_options_that_are_letters_are_drawn_only_where_they_are_a_b_c():
    row = {"id": "654", "question": "Which card? <image1>", "answer": "E", "level": 1, "subject": "s", "image": b"P"}
    for letters, told in (("ABDFG", tuple("ABDFG")), ("ABCDE", None)):
        (found,) = ask_mathvision(row | {"options": list(letters)}, "")
        assert (found.get("options"), found["kind"]) == (told, "choice")

    bracketed = [f"({letter})" for letter in "ABCDE"]
    assert "options" not in next(ask_mathvision(row | {"options": bracketed}, ""))


def test_options_of_gpqa_are_shuffled_alike_every_time():
    row = {"Question": "Which?", "Correct Answer": "right", **{f"Incorrect Answer {n}": f"no {n}" for n in (1, 2, 3)}}
    (found,), (again,) = ask_gpqa(row, ""), ask_gpqa(row, "")
    assert found == again and found["options"]["ABCD".index(found["gold"])] == "right"
    golds = Counter(next(iter(ask_gpqa(row | {"Question": f"{n}?"}, "")))["gold"] for n in range(200))
    assert min(golds[letter] for letter in "ABCD") > 25


def test_charxiv_asks_one_and_four_questions_of_a_figure():
    row = {
        "original_id": "2004.1",
        "image": b"P",
        "reasoning_q": "Which rises?",
        "reasoning_a": "blue",
        "reasoning_q_source": 1,
    }
    row |= {"subplot_row": 2, "subplot_col": 1, "subplot_loc": None}
    row |= {f"descriptive_q{n}": template for n, template in zip(range(1, 5), (1, 8, 18, 19), strict=True)}
    row |= {f"descriptive_a{n}": "Not Applicable" for n in range(1, 5)}
    found = list(ask_charxiv(row, ""))
    assert [one["groups"]["type"] for one in found] == ["reasoning"] + ["descriptive"] * 4
    assert "row 2 and column 1" in found[1]["question"] and "subplot in" not in found[3]["question"]
    assert {one["cluster"] for one in found} == {"2004.1"}
