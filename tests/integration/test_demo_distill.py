"""The demo's loop, gone once from nothing: a base that sees a little, M0, rollouts through the real vLLM, both models.

A smaller base and fewer questions than the demo's, trainings and servers are forked, and the other steps are taken in this
process; all else is the demo's own. Then files are spoilt, and the proofs must notice.
"""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.demo.conftest import with_recipes
from virgo_factory.cli.main import main
from virgo_factory.core.thought import LongThought, MalformedThought
from virgo_factory.demo import base, distill, steps
from virgo_factory.distill.tell.status import summarise
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]
QUESTIONS, HELD_OUT, PICTURES = 40, 20, 480
BASE = {"max_steps": 60, "per_device_train_batch_size": 8}
SHORT = {"num_train_epochs": 2.0, "max_samples": 32}
CHANGES = {
    "m0": SHORT
    | {"max_samples": 160, "per_device_train_batch_size": 4, "global_batch_size": 4, "learning_rate": 3.0e-3}
}
CHANGES |= {"dsd": SHORT, "dt_dsd": SHORT}
"""Instead of the demo's 200, 200 and 16,000, 1,000 steps of 32, and 4 epochs of all rows: M0 learns the form of a thought and is right now
and then, the others hardly learn, and minutes are saved. One of the four models is scored."""


@pytest.fixture(scope="module")
def gone(tmp_path_factory, make_bench, forked_vllm) -> Iterator[str]:
    """What `virgo-factory demo distill` printed; it was entered in the current folder."""
    folder = with_recipes(tmp_path_factory.mktemp("demo"))
    printed = folder / "printed.txt"
    bench = make_bench(folder, distill.base().output)

    def train(step: steps.Step) -> Iterator[steps.Progress]:
        bench.train_step(step, **CHANGES.get(step.output.name, {}))
        yield steps.Progress()

    def run(step: steps.Step) -> int:
        program, *arguments = step.command
        with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()):
            main(arguments)

        assert program == "virgo-factory"
        return ended.value.code

    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr(distill, "QUESTIONS", QUESTIONS)
        patch.setattr(distill, "HELD_OUT", HELD_OUT)
        patch.setattr(distill, "PICTURES", PICTURES)
        patch.setattr(base, "RECIPE", base.RECIPE | BASE)
        for module in (base, steps):
            patch.setattr(module, "train", train)

        patch.setattr(steps, "run", run)
        for name in ("base", "m0", "dsd"):
            patch.delitem(distill.SCORED, name)

        with open(printed, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            with pytest.raises(SystemExit) as ended:
                main(["demo", "distill"])

        text = printed.read_text(encoding="utf-8")
        assert ended.value.code == 0, text[-4000:]
        yield text


def test_everything_is_proved_and_told(gone):
    assert gone.count("proved") == len(list(distill.prove())) and "FAILED" not in gone
    for number in range(1, 7):
        assert f"{number} of 6" in gone

    found = summarise(distill.ROLLOUTS).all
    assert 0 < found.outcomes["correct"] < found.rollouts == 5 * (QUESTIONS - found.base_solved)
    assert found.base_asked == QUESTIONS
    ((score, low, high, count),) = re.findall(
        r"^  D_T \+ D_SD +([\d.]+)%  95 % +([\d.]+) - +([\d.]+)  of (\d+)", gone, re.MULTILINE
    )
    assert float(low) <= float(score) <= float(high) and float(low) < float(high) and int(count) == HELD_OUT

    asked, held_out = (
        {one.image_sha256 for one in read_questions(folder / "questions.jsonl")}
        for folder in (distill.ASKED, distill.SCORED_ON)
    )
    assert not held_out & asked


def test_each_row_is_a_right_rollout_with_its_picture(gone):
    questions = {one.id: one for one in read_questions(distill.ASKED / "questions.jsonl")}
    said = set()
    for one in read_rollouts(distill.ROLLOUTS):
        with contextlib.suppress(MalformedThought):
            said.add((one.question, LongThought.parse(one.response)))

    rows = [json.loads(line) for line in (distill.ROLLOUTS / "selected.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        question = questions[row["id"]]
        assert (row["id"], LongThought(row["thought"], row["solution"])) in said
        assert re.findall(r"\\boxed\{([^{}]*)\}", row["solution"])[-1].strip() == question.gold
        (image,) = row["images"]
        assert sha256((distill.ROLLOUTS / image).read_bytes()).hexdigest() == question.image_sha256[0]


def test_each_model_began_from_the_base(gone):
    """None of them from M0; and the base's weights are still what its own training left."""
    for name in distill.MODELS:
        log = (distill.FOLDER / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        loaded = {Path(path) for path in re.findall(r"loading weights file (\S+)", log)}
        assert loaded == {distill.base().output / "model.safetensors"}


def test_the_base_is_kept_only_while_nothing_that_made_it_changed(gone, monkeypatch):
    assert distill.base().is_made
    with monkeypatch.context() as patch:
        patch.setitem(base.RECIPE, "learning_rate", 1.0e-9)
        assert not distill.base().is_made

    assert distill.base().is_made


def _failed() -> set[str]:
    return {proof.name for proof in distill.prove() if not proof.holds}


def test_each_proof_fails_when_it_does_not_hold(gone):
    """The last test of the loop: its folder is spoilt for good."""
    shutil.copy(distill.base().output / "model.safetensors", distill.FOLDER / "dt_dsd" / "model.safetensors")
    assert _failed() == {"dt_dsd: vision tower frozen"}
    file = distill.ROLLOUTS / "rollouts.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert "every question asked" in _failed()
