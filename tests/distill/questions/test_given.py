"""Questions of a distillation that are rows of `stage: grpo`: read by the same format, asked with the same words."""

import json
import re
from io import BytesIO
from types import SimpleNamespace

import pytest
from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.distill.config import DistillConfig
from virgo_factory.distill.questions.build import build_questions
from virgo_factory.distill.questions.given import problem_of, read_given, sources_of
from virgo_factory.distill.tell.estimate import estimated
from virgo_factory.formats import read_row
from virgo_factory.rollouts.prompt import asked_text
from virgo_factory.rollouts.question import read_questions


pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def picture(number: int) -> dict:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), (number, 0, 90)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


ASKED = [
    ("<image>How long is AB?", "3", [1]),
    ("<image>\nWhich one?\nA. red\nB. blue", "B", [2]),
    ("Is <image> longer than <image>?", "yes", [3, 4]),
    ("What is 1 + 1?", "2", []),
    ("<image>How long?", "", [5]),
    ("<image>How long is AB?", "3", [1]),
]
VERL = [
    {
        "data_source": "mmk12",
        "prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": text}],
        "images": [picture(number) for number in numbers],
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"index": index, "question": text, "answer": gold},
    }
    for index, (text, gold, numbers) in enumerate(ASKED)
]
"""As verl has it, and OpenMMReasoner's files (openmmreasoner.md 4.4)."""

VIRL = [
    {
        "question": f"<image>{text}",
        "answer": f"\\boxed{{{n}}}",
        "image": [picture(n)],
        "qid": f"q-{n}",
        "category": "Chart",
    }
    for text, n in (("Find x.", 4), ("How many?", 7))
]


@pytest.fixture
def folder(tmp_path):
    """A folder with datasets `mmk12` and `virl`, and their files."""
    for name, rows in (("mmk12", VERL), ("virl", VIRL)):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")

    entries = {name: {"file_name": f"{name}.parquet", "formatting": "questions"} for name in ("mmk12", "virl")}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    return tmp_path


def settings(folder, what):
    return SimpleNamespace(
        questions=what, dataset_dir=folder, benchmarks=(), image_max_pixels=589_824, sources={}, seed=42
    )


def test_datasets_by_name_become_questions(folder):
    card = build_questions(settings(folder, "mmk12, virl"), folder / "out")
    found = {
        question.id.partition("/")[2]: question for question in read_questions(folder / "out" / "questions.jsonl")
    }
    (count,) = card.sources
    assert count.dropped == {"no gold answer": 1, "no picture": 1, "the same question on the same picture": 1}
    assert [question.source for question in found.values()] == ["mmk12"] * 3 + ["virl"] * 2
    assert all((folder / "out" / name).is_file() for question in found.values() for name in question.images)
    first, choice, two, virl, _ = found.values()
    assert (first.question, first.gold, first.parts) == ("How long is AB?", "3", ())
    assert asked_text(choice).endswith("Which one?\nA. red\nB. blue") and choice.gold == "B"
    assert two.parts == ("Is ", 0, " longer than ", 1, "?") and len(two.images) == 2
    assert virl.gold == "\\boxed{4}" and virl.question == "Find x."
    listed = next(row for row in count.listed if row["reason"] == "no gold answer")
    assert "mmk12.parquet" in listed["origin"]


def test_one_question_about_several_pictures_needs_no_ids(folder):
    rows = [{"question": "How many?", "answer": str(n), "image": picture(n)} for n in (1, 2, 3, 3)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "plain.parquet")
    (count,) = build_questions(settings(folder, folder / "plain.parquet"), folder / "out").sources
    found = list(read_questions(folder / "out" / "questions.jsonl"))
    assert [one.gold for one in found] == ["1", "2", "3"] and len({one.id for one in found}) == 3
    assert count.dropped == {"the same question on the same picture": 1}
    pq.write_table(pa.Table.from_pylist([row | {"id": "a"} for row in rows]), folder / "named.parquet")
    (count,) = build_questions(settings(folder, folder / "named.parquet"), folder / "named").sources
    assert count.dropped == {"the id stands there twice": 3}


def test_what_is_asked_is_what_reinforcement_asks(folder):
    """The same words with the pictures in the same places, but for white space; the system message is the distillation's."""
    for row, given in zip(VERL[:3], read_given(folder / "mmk12.parquet", folder), strict=False):
        (prompt,) = read_row(row, "questions").parts
        assert "".join(asked_text(given.asked).split()) == "".join(prompt.question.split())


def test_a_dry_run_counts_and_shows_them(folder):
    given = {"questions": folder / "mmk12.parquet", "model_name_or_path": "m", "urls": ["http://localhost:1"]}
    config = DistillConfig(**given, samples=8, output_dir=folder / "out", dataset="d", dataset_dir=folder)
    text = "\n".join(estimated(config))
    assert (
        "Questions: 5, " in text and "Requests: 40 to m" in text
    )  # a copy and a missing picture show when it is made
    assert text.startswith("First prompt (mmk12/") and "\n  | How long is AB?\n" in text
    assert "no gold answer" in text and "To be put right" not in text
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("gone.jsonl", "no file gone.jsonl"),
        ("gone.parquet", "gone.parquet: no such file"),
        ("mkm12", "mkm12: no dataset of that name in .* Did you mean mmk12?"),
        ("recipes/omr7b_gspo.yaml", "is a recipe. Name its datasets"),
    ],
)
def test_questions_that_are_not_there(folder, what, told):
    config = DistillConfig(questions=what, model_name_or_path="m", output_dir="o", dataset="d", dataset_dir=folder)
    assert [key for key, _ in config.missing_files() if key == "questions"] == ["questions"]
    assert re.search(told, problem_of(config.questions, folder))
    if not what.endswith("jsonl"):
        with pytest.raises(UserError):
            sources_of(config.questions, folder)
