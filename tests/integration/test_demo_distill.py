"""The demo's loop, gone once from nothing: a base that sees a little, M0, rollouts through the real vLLM, both models.

A smaller base and fewer questions than the demo's, and trainings are forked; all else is the demo's own. Then files are
spoilt, and the proofs must notice.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator

import pytest

from virgo_factory.cli.main import main
from virgo_factory.demo import base, distill, loop_proofs, run
from virgo_factory.rollouts.question import read_questions


pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]
QUESTIONS, HELD_OUT, PICTURES, STEPS = 40, 20, 5120, 160
EPOCHS = {"num_train_epochs": 2.0}
"""Instead of the demo's 200, 200, 16,000, 1,000 and 4: less is seen, and minutes are saved. One of the four models is scored."""


@pytest.fixture(scope="module")
def gone(tmp_path_factory, make_bench) -> Iterator[tuple[distill.Loop, str]]:
    """The loop of a folder after `virgo-factory demo distill`, and what that printed."""
    pytest.importorskip("vllm", reason="vLLM is not installed (make test installs its CPU build)")
    folder = tmp_path_factory.mktemp("demo") / "loop"
    printed = folder.parent / "printed.txt"
    bench = make_bench(folder.parent, folder)

    def train(step: run.Step) -> Iterator[run.Progress]:
        bench.train_step(step, **({} if step.output.name == "base" else EPOCHS))
        yield run.Progress()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distill, "QUESTIONS", QUESTIONS)
        patch.setattr(distill, "HELD_OUT", HELD_OUT)
        patch.setattr(distill, "PICTURES", PICTURES)
        patch.setitem(base.RECIPE, "max_steps", STEPS)
        for module in (base, run):
            patch.setattr(module, "train", train)

        for name in ("base", "m0", "dsd"):
            patch.delitem(distill.SCORED, name)

        with open(printed, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            with pytest.raises(SystemExit) as ended:
                main(["demo", "distill", "--dir", str(folder)])

        text = printed.read_text(encoding="utf-8")
        assert ended.value.code == 0, text[-4000:]
        yield distill.plan(folder), text


def test_everything_is_proved_and_told(gone):
    _, text = gone
    assert "All of it holds." in text and "FAILED" not in text
    assert text.count("proved") == len(list(loop_proofs.prove(gone[0])))
    for number in range(1, 6):
        assert f"{number} of 5" in text

    told = re.search(r"(\d+) rollouts, (\d+) correct \((\d+)%\), (\d+) wrong", text)
    rollouts, right, share, wrong = map(int, told.groups())
    assert 0 < right < rollouts and 0 < wrong < rollouts
    assert abs(share - 100 * right / rollouts) <= 1
    ((score, low, high, count),) = re.findall(
        r"^  D_T \+ D_SD +([\d.]+)%  95 % +([\d.]+) - +([\d.]+)  of (\d+)", text, re.MULTILINE
    )
    assert float(low) <= float(score) <= float(high) and float(low) < float(high) and int(count) == HELD_OUT

    held_out = {one.image_sha256 for one in read_questions(gone[0].held_out)}
    assert not held_out & {one.image_sha256 for one in read_questions(gone[0].questions)}
    solved, asked = map(int, re.search(r"base, greedily: (\d+) of (\d+) questions right", text).groups())
    assert asked == QUESTIONS and rollouts == 5 * (QUESTIONS - solved)


def test_the_base_is_kept_only_while_nothing_that_made_it_changed(gone, monkeypatch):
    loop, _ = gone
    assert loop.made.is_made
    with monkeypatch.context() as patch:
        patch.setitem(base.RECIPE, "learning_rate", 1.0e-9)
        assert not loop.made.is_made

    assert loop.made.is_made


def _base_instead(loop: distill.Loop) -> None:
    shutil.copy(loop.base / "model.safetensors", loop.output("dt_dsd") / "model.safetensors")


def _one_rollout_less(loop: distill.Loop) -> None:
    file = loop.rollouts / "rollouts.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def _another_answer(loop: distill.Loop) -> None:
    loop.selected.write_text(loop.selected.read_text().replace("\\\\boxed{", "\\\\boxed{1"))


def _other_base(loop: distill.Loop) -> None:
    shutil.copy(loop.output("m0") / "model.safetensors", loop.base / "model.safetensors")


def _failed(loop: distill.Loop) -> set[str]:
    return {proof.name for proof in loop_proofs.prove(loop) if not proof.holds}


def test_each_proof_fails_when_it_does_not_hold(gone):
    """The last test of the loop: its folder is spoilt for good."""
    loop, _ = gone
    _base_instead(loop)
    assert {"vision tower frozen", "pictures used in training"} <= _failed(loop)
    for spoil in (_one_rollout_less, _another_answer, _other_base):
        spoil(loop)

    assert {"every question asked", "D_SD right, with pictures", "each model from the base"} <= _failed(loop)
