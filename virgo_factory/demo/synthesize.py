"""The demo of synthesis: recorded replies about drawn scenes -> rows -> SFT and DPO of a tiny random model.

What the six roles said ships in recipes/demo/synthesis, with the faults that their writer is known to have made
(tools/demo_scenes): a run finds it all answered, asks nobody, and makes everything else.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.demo.proofs import Proof, loss_fell
from virgo_factory.demo.steps import Step, begin, training
from virgo_factory.synthesis.run.folder import DPO, EXPANDING, QUESTIONS, REPLIES, SFT, SHORT, THINKING, WRITTEN


FOLDER = Path("saves/synthesis")
RECORDED = Path("recipes/demo/synthesis")
ROWS, START = FOLDER / "rows", FOLDER / "start"
STEPS = (
    Step(
        ("virgo-factory", "synthesize", "run", "recipes/synthesize/demo.yaml"), ROWS,
        "Questions, votes, thoughts and rows, from what the roles said.",
    ),
    training("virgo_demo_lgt_sft", FOLDER / "sft", "SFT: short and long thoughts, on a tiny random Qwen2-VL."),
    training("virgo_demo_lgt_dpo", FOLDER / "dpo", "DPO: corrections against what does not correct."),
)  # fmt: skip
FORM = ("box numbers", "forbidden word", "letter against text", "three options")
"""Recorded faults that the words of a question show: none of them may be kept."""
_TWIN = {"seed": 2611, "vocabulary": 640}


def prepare() -> None:
    """Put the recorded replies where the run finds them, and make the tiny random model that SFT starts from.

    Its tokenizer is trained on what the roles said. What an earlier demo left behind is removed.
    """
    from virgo_factory.preflight.twin.twin import make_twin

    begin(FOLDER, (START, *(step.output for step in STEPS)))
    ROWS.mkdir()
    for name in REPLIES:
        shutil.copy(RECORDED / f"{name}.jsonl", ROWS)

    said = (row["response"] for name in (WRITTEN, THINKING, EXPANDING) for row in _rows(RECORDED, name))
    make_twin(START, texts=said, dtype="float32", **_TWIN)


def prove() -> Iterator[Proof]:
    """Yield one proof after the other."""
    yield faults_found()
    yield wrong_thoughts_masked()
    for step in STEPS[1:]:
        yield loss_fell(step, share=1.0)


def faults_found() -> Proof:
    """No question with a known fault of form is kept."""
    made = [row for row in _rows(RECORDED, "faults") if row["fault"] in FORM]
    kept = {(row["scene"], row["question"], *sorted(row["options"])) for row in _rows(ROWS, QUESTIONS)}
    left = sum((row["about"], row["question"], *sorted(row["options"])) in kept for row in made)
    return Proof(
        "faults of form are found", left == 0 < len(made), f"{len(made) - left} of {len(made)} that were made"
    )


def wrong_thoughts_masked() -> Proof:
    """Each row whose beginning is wrong has that beginning as context."""
    wrong = {row["id"] for row in _rows(ROWS, SHORT) if not row["is_correct"]}
    rows = [row for name in (SFT, DPO) for row in _rows(ROWS, name)
            if row["id"].split(" > ")[0].rpartition("/")[0] in wrong]  # fmt: skip
    masked = sum(bool(row["assistant_prefix"]) for row in rows)
    told = f"{masked} of {len(rows)} rows have theirs as context"
    return Proof("wrong thoughts are not learned", masked == len(rows) > 0, told)


def _rows(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
