"""What a run will ask, told without asking anybody."""

import json
import re
import socket

import pytest
from PIL import Image

from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.distill.config import DistillConfig
from virgo_factory.distill.tell.estimate import estimated
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.rollout import GREEDY


@pytest.fixture(autouse=True)
def nobody_is_called(monkeypatch):
    """Any connection is an error."""

    def refuse(*_):
        raise AssertionError("a dry run calls nobody")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def asked(folders, tmp_path):
    """Two questions, one on a large picture."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (1024, 1024), "white").save(tmp_path / "images/a.png")
    questions = [
        VisualQuestion(f"tabmwp/{number}", "tabmwp", ("images/a.png",), ("",), "Which one?", "x", options=("x", "y"))
        for number in range(2)
    ]
    keys = {"question_prefix": "virgo", "image_max_pixels": 262144, "urls": ["http://localhost:1"]}
    return folders.start(tmp_path, questions, **keys)


def test_the_first_filled_prompt_requests_and_tokens(asked):
    text = "\n".join(estimated(asked))
    shown = "".join(f"  | {line}\n" for line in f"{read_prefix('virgo')}\nWhich one?\n(A) x\n(B) y".splitlines())
    begin = "First prompt (tabmwp/0): picture of 512 x 512 pixels as sent, then this text:"
    assert text.startswith(f"{begin}\n\n{shown}\nQuestions: 2, prompts of ")
    assert "Requests: 2 greedy to" in text
    assert "at most 10 to saves/virgo7b_dt, 5 for each question that is not solved" in text
    assert "a guess: the model's tokenizer is not on this machine" in text
    assert f"Tokens written: about {2 * 300 + 10 * 2000:,} (2,000 tokens a response and 300 a greedy one" in text
    assert f"guessed, nothing is measured yet), at most {2 * 2048 + 10 * 8192:,}" in text


def test_the_models_own_tokenizer_counts(asked, model_folder):
    text = "\n".join(estimated(asked.model_copy(update={"model_name_or_path": str(model_folder)})))
    assert "a guess:" not in text
    tokens = int(re.search(r"prompts of (\d+) tokens", text)[1])
    picture = (512 // 28) ** 2  # 512 pixels become 504
    words = 20 + 1 + 3 + 1 + 4 + 1 + 4  # about: prefix, question, options
    assert picture + words < tokens < picture + words + 40


def test_budgets_the_context_and_what_was_measured_count(asked, folders):
    keys = {"max_rollouts": 4, "max_tokens_total": 100, "max_model_len": 8300}
    folders.add(asked.output_dir, [folders.rollout("tabmwp/0", at, "x", 100 * (at + 2)) for at in (GREEDY, 0, 1)])
    text = "\n".join(estimated(asked.model_copy(update=keys)))
    for words in (
        "at most 4 to saves/virgo7b_dt",
        "(250 tokens a response and 100 a greedy one, as measured on 3 rollouts)",
        "max_tokens_total 100 ends the run before",
        "max_model_len: 8,300 is too small",
    ):
        assert words in text


def test_a_picture_that_is_missing_is_told(asked):
    (asked.output_dir / "images/a.png").unlink()
    text = "\n".join(estimated(asked))
    assert text.startswith("No first prompt")
    assert "To be put right" not in text, "the run leaves such questions out"
    assert "Left out, since they cannot be asked: 2, the first: question tabmwp/0" in text


def test_a_row_without_gold_is_left_out(asked):
    first, second = (json.loads(line) for line in (asked.output_dir / "questions.jsonl").open())
    rows = [first | {"gold": None}, second, second | {"id": "x", "colour": "red"}]
    (asked.output_dir / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = "\n".join(estimated(asked))
    assert text.startswith(f"First prompt ({second['id']})") and "Questions: 1, prompts of" in text
    assert re.search(r"cannot be asked: 2, the first: \S+questions\.jsonl:1 \(id tabmwp/0\): no gold answer", text)


def test_the_first_question_is_drawn_from_files_here(shared_data, tmp_path):
    keys = {"sources": {"tabmwp": 7, "clevr": 5}, "pool_factor": 2, "source_dir": shared_data, "dataset": "mine"}
    config = DistillConfig(**keys, model_name_or_path="saves/virgo7b/full/dt/epoch-5", output_dir=tmp_path / "out")
    text = "\n".join(estimated(config))
    assert text.startswith("First prompt (tabmwp/") and "picture of " in text
    assert "Questions: 24, " in text and "Requests: 120 to saves/virgo7b/full/dt/epoch-5, 5 a question" in text
    assert not (tmp_path / "out").exists(), "nothing is written"
    assert "To be put right before the run: model_name_or_path" in text and "Train the model first" in text


def test_the_hub_is_not_called(tmp_path):
    config = DistillConfig(sources={"geos": 3}, model_name_or_path="a/b", output_dir=tmp_path, dataset="mine")
    text = "\n".join(estimated(config))
    assert "a dry run does not call" in text and "Requests: 15 to a/b" in text and "To be put right" not in text
