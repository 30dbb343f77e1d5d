"""What a run will ask, told without asking anybody."""

import json
import socket

import pytest
from PIL import Image

from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.distill.config import DistillConfig
from virgo_factory.distill.tell.estimate import estimate, told
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
    found = estimate(asked)
    assert (found.first, found.prompt.images) == ("tabmwp/0", ((512, 512),))
    assert found.prompt.text == f"{read_prefix('virgo')}\nWhich one?\n(A) x\n(B) y"
    assert (found.questions, found.base_requests, found.requests) == (2, 2, 10)
    assert (found.most_tokens, found.response_total) == (2 * 2048 + 10 * 8192, 2 * 300 + 10 * 2000)
    text = "\n".join(told(asked, found))
    assert "First prompt (tabmwp/0): picture of 512 x 512 pixels as sent, then this text:" in text
    assert "  | (B) y\n" in text and not found.is_counted
    assert "at most 10 to saves/virgo7b_dt, 5 for each question that is not solved" in text
    assert "a guess: the model's tokenizer is not on this machine" in text
    assert "guessed, nothing is measured yet), at most 86,016" in text


def test_the_models_own_tokenizer_counts(asked, shared_data):
    model = shared_data / "qwen2.5_vl_tokenizer"
    found = estimate(asked.model_copy(update={"model_name_or_path": str(model)}))
    assert found.is_counted
    picture = (512 // 28) ** 2  # 512 pixels become 504
    words = 20 + 1 + 3 + 1 + 4 + 1 + 4  # about: prefix, question, options
    assert picture + words < found.prompt_tokens < picture + words + 40


def test_budgets_the_context_and_what_was_measured_count(asked, folders):
    keys = {"max_rollouts": 4, "max_tokens_total": 100, "max_model_len": 8300}
    folders.add(asked.output_dir, [folders.rollout("tabmwp/0", at, "x", 100 * (at + 2)) for at in (GREEDY, 0, 1)])
    config = asked.model_copy(update=keys)
    found = estimate(config)
    assert (found.requests, found.base_tokens, found.tokens, found.measured) == (4, 100, 250, 3)
    text = "\n".join(told(config, found))
    for words in (
        "max_tokens_total 100 ends the run before",
        "as measured on 3 rollouts",
        "max_model_len: 8,300 is too small",
    ):
        assert words in text


def test_a_picture_that_is_missing_is_told(asked):
    (asked.output_dir / "images/a.png").unlink()
    found = estimate(asked)
    assert found.prompt is None
    assert not found.problems, "the run leaves such questions out"
    assert "Left out, since they cannot be asked: 2, the first: question tabmwp/0" in "\n".join(told(asked, found))


def test_a_row_without_gold_is_left_out(asked):
    first, second = (json.loads(line) for line in (asked.output_dir / "questions.jsonl").open())
    rows = [first | {"gold": None}, second, second | {"id": "x", "colour": "red"}]
    (asked.output_dir / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = estimate(asked)
    assert (found.questions, found.first) == (1, second["id"])
    places = [reason.partition("questions.jsonl:")[2].partition(":")[0] for reason in found.left_out]
    assert places == ["1 (id tabmwp/0)", "3"]


def test_the_first_question_is_drawn_from_files_here(shared_data, tmp_path):
    keys = {"sources": {"tabmwp": 7, "clevr": 5}, "pool_factor": 2, "source_dir": shared_data, "dataset": "mine"}
    config = DistillConfig(**keys, model_name_or_path="saves/virgo7b/full/dt/epoch-5", output_dir=tmp_path / "out")
    found = estimate(config)
    assert (found.questions, found.base_requests, found.requests) == (24, 0, 120)
    assert found.first.startswith("tabmwp/")
    assert found.prompt.images
    assert not (tmp_path / "out").exists(), "nothing is written"
    assert any("Train the model first" in problem for problem in found.problems)


def test_the_hub_is_not_called(tmp_path):
    config = DistillConfig(sources={"geos": 3}, model_name_or_path="a/b", output_dir=tmp_path, dataset="mine")
    found = estimate(config)
    assert (found.prompt, found.requests, found.problems) == (None, 15, ())
    assert "a dry run does not call" in "\n".join(told(config, found))
