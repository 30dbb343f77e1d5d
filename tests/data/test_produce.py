"""What the writing verbs have in common: images that resolve, difficulty, inputs, cards."""

import json
import shutil

import pytest

from tests.data.conftest import write
from virgo_factory.data.make.card import DatasetCard, Input
from virgo_factory.data.make.mix import Share, mix
from virgo_factory.data.make.pipeline import Inputs, check_targets, difficulty_of
from virgo_factory.data.make.writing import write_rows
from virgo_factory.data.read.media import find_image
from virgo_factory.data.read.source import Settings, find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.formats import read_row


def _visual(folder, questions) -> list:
    """Write real questions with their pictures as a dataset in a folder of its own, and return its sources."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for number, question in enumerate(questions):
        name = f"pictures/{number}{question.picture.suffix}"
        shutil.copy(question.picture, folder / name)
        row = {"question": f"<image>\n{question.question}", "thought": "Look.", "solution": question.answer}
        rows.append(row | {"image": name})

    return find_sources(str(write(folder / "rows.jsonl", rows)))[0]


@pytest.mark.parametrize("folders", [("a", "a"), ("a", "b")])
def test_images_of_a_mix_resolve_from_its_media_dir(tmp_path, visual_questions, folders):
    first, second = visual_questions[::7][:4], visual_questions[3::7][:4]
    if folders == ("a", "a"):
        sources = _visual(tmp_path / "a", first + second)
    else:
        sources = _visual(tmp_path / "a", first) + _visual(tmp_path / "b", second)

    shares = [Share(source.name) for source in sources]
    positions = [[place] for place in range(len(sources))]
    target = tmp_path / "out" / "mix.jsonl"
    card = mix(sources, positions, lambda: measure(sources, Settings(), 1, None), shares, target, "x")
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    answers = {question.question: question.picture.read_bytes() for question in first + second}
    assert len(rows) == 8 == card.kept
    for row in rows:
        with open(find_image(row["images"][0], card.media_dir), "rb") as picture:
            assert picture.read() == answers[row["question"].removeprefix("<image>\n")]

    is_kept = all(row["images"][0].startswith("pictures/") for row in rows)
    assert is_kept == (len(set(folders)) == 1)


@pytest.mark.parametrize(
    ("row", "level"),
    [
        ({"score": [1, 1, 1, 1, 1]}, "medium"),
        ({"score": [1, 1, True, 1, 0]}, "medium"),
        ({"score": [1.0, 0, 0, 1, 0]}, "hard"),
        ({"score": [0, 0, 0, 0, 1]}, None),
        ({"score": [1, 1, 1]}, None),
        ({"score": "11111"}, None),
        ({"difficulty": "Hard", "score": [1] * 5}, "Hard"),
        ({"difficulty": 7}, "7"),
        ({"difficulty": " "}, None),
        ({"difficulty": ["hard"]}, None),
        ({"difficulty": "\ud800"}, None),
        ("hard", None),
    ],
)
def test_difficulty(row, level):
    assert difficulty_of(row) == level


def test_rows_of_stock_formattings_are_left_to_llamafactory(tmp_path):
    (tmp_path / "rows.json").write_text('[{"messages": []}]')
    (tmp_path / "dataset_info.json").write_text('{"stock": {"file_name": "rows.json", "formatting": "sharegpt"}}')
    sources, _ = find_sources("stock", tmp_path)
    with pytest.raises(ValueError, match="stock: rows of formatting sharegpt are LLaMA-Factory's to read"):
        Inputs.of(sources)


def test_a_card_of_another_file_is_not_replaced(tmp_path):
    example = read_row({"question": "Q?", "thought": "Hm.", "solution": "A."}, "long_thought").parts[0]
    write_rows(tmp_path / "a.jsonl", [example])
    (tmp_path / "a.card.json").write_text('{"output": {"file": "a.jsonl"}}')
    with pytest.raises(ValueError, match="a.card.json is the card of a.jsonl"):
        check_targets([tmp_path / "a.parquet"], [], overwrite=True)

    check_targets([tmp_path / "a.jsonl"], [], overwrite=True)
    (tmp_path / "a.jsonl").unlink()
    check_targets([tmp_path / "a.parquet"], [], overwrite=False)


def test_a_value_of_the_data_cannot_break_the_card():
    card = DatasetCard(
        verb="mix", command="virgo-factory data mix", inputs=(Input("a", "a.jsonl", 5, "00"),), rows_in=2, examples_in=2,
        dropped={"x | y\n# z": 1}, settings={"seed": 1, "rows": None}, media_dir="media", output={"file": "m", "sha256": "ff"},
        listed=({"place": "a:1", "id": "`|", "reason": "bad", "detail": "| | |"},), kept=1, by={"domain": {"a\n|b": 1}},
        entry={"m": {"file_name": "m"}},
    )  # fmt: skip
    text = card.card().markdown()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert "| a \\|b | 1 | 100.0% |" in tables and "| left out: x \\| y # z | 1 |" in tables
    assert "| a:1 | `\\| | bad: \\| \\| \\| |" in tables and "# z" not in text.splitlines()
    assert '"m": {"file_name": "m"}' in text and "| rows | " not in text.split("## Settings")[1]
