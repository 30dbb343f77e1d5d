"""A killed run sees the rows, and has the losses and weights, of the run that nobody disturbed."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from virgo_factory.data.tokens.image_size import PROCESSOR_FILES
from virgo_factory.preflight.versions import reads_5


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
RUN = {"num_train_epochs": 3.0, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 1}


def _seen(file: Path) -> dict[int, list]:
    """Return step -> (rows, loss) of every micro-step, later runs over earlier ones (a step may be repeated)."""
    steps: dict[int, list] = {}
    last = -1
    for line in Path(f"{file}.0").read_text().splitlines():
        entry = json.loads(line)
        if entry["step"] < last:  # a resumed run goes back to its checkpoint: what came after is not trained on
            steps = {step: rows for step, rows in steps.items() if step < entry["step"]}

        last = entry["step"]
        steps.setdefault(last, []).append((entry["rows"], round(entry["loss"], 4)))

    return steps


def test_killed_in_first_and_third_epoch(bench):
    """37 rows in global batches of 4: 10 steps an epoch; checkpoints at 4 and 24 lie inside epochs one and three.

    Two ranks, DeepSpeed and other orders: test_batch_order.py.
    """
    env = {"SEEN_ROWS": str(bench.folder / "undisturbed")}
    bench.train(env=env, output_dir="undisturbed_out", **RUN)
    expected = _seen(bench.folder / "undisturbed")
    assert sorted(expected) == list(range(30))
    assert _frozen_part(bench.folder / "undisturbed_out") == _frozen_part(bench.base)

    env["SEEN_ROWS"] = str(bench.folder / "killed")
    out = bench.folder / "out"
    for step in (4, 24):
        bench.train_and_kill((out / f"checkpoint-{step}" / "trainer_state.json").is_file, env=env, **RUN)

    assert "Resuming training from" in bench.train(env=env, **RUN)
    seen = _seen(bench.folder / "killed")
    assert sorted(seen) == list(range(30))
    for step, micro_steps in expected.items():
        assert [rows for rows, _ in seen[step]] == [rows for rows, _ in micro_steps], f"rows of step {step}"
        for (_, loss), (_, wanted) in zip(seen[step], micro_steps, strict=True):
            assert loss == pytest.approx(wanted, abs=2e-3), f"loss of step {step}"
            assert loss > 0


FROZEN = ("visual.patch_embed", "visual.blocks")
"""Below `model.` as well, where transformers 5 saves them."""


def _frozen_part(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the vision tower's tensors, without the connector."""
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        names = [name for name in tensors.keys() if name.removeprefix("model.").startswith(FROZEN)]  # noqa: SIM118
        assert names
        return {name: tensors.get_tensor(name).view(torch.uint8).numpy().tobytes() for name in names}


PAIRS = {"stage": "dpo", "dataset": "pairs", "question_prefix": None}
LORA = {"finetuning_type": "lora", "lora_target": "all", "lora_rank": 4, "freeze_multi_modal_projector": None}
STAGES = {"sft": {}, "dpo": PAIRS, "dpo, LoRA": PAIRS | LORA}


@pytest.mark.parametrize("stage", STAGES)
def test_weights_and_rows_of_every_stage(bench, demo_lines, stage):
    """14 rows, 2 of them to evaluate with: 3 steps an epoch. Resumed inside epoch two without learning, nothing moves."""
    bench.add_dataset("thoughts", sorted(demo_lines, key=len)[:14])
    pairs = [{"instruction": f"{n} + 2?", "chosen": f"It is {n + 2}.", "rejected": "No." * (n + 1)} for n in range(14)]
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    bench.add_dataset("pairs", [json.dumps(row) for row in pairs], formatting="alpaca", ranking=True, columns=columns)
    run = STAGES[stage] | {"num_train_epochs": 2.0, "val_size": 2, "keep_model_at_epochs": [1], "learning_rate": 1e-2}
    out = bench.folder / "out"

    # The best model, here the one with the highest loss, is not the last one.
    steps = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": True}
    whole = run | steps | best | {"plot_loss": True}
    bench.train(env={"SEEN_ROWS": str(bench.folder / "undisturbed")}, **whole)
    chosen = Path(json.loads((out / "trainer_state.json").read_text())["best_model_checkpoint"]).name
    assert chosen != "checkpoint-6"
    assert _tensors(out).keys() == _tensors(out / chosen).keys()
    assert not _different(out, out / chosen)
    assert _different(out, out / "checkpoint-6") > 20
    assert not _different(out / "epoch-1", out / "checkpoint-3")

    if stage == "sft":  # as if it had been killed behind its last step; the rule is one for all stages
        files = {path for path in out.iterdir() if path.is_file()}
        model = {path.name: path.read_bytes() for path in files if path.suffix in (".json", ".jinja", ".safetensors")}
        for path in files - {out / "virgo_rows.json", out / "trainer_log.jsonl"}:
            path.unlink()

        log = bench.train(**whole)
        assert f"killed behind its last step; its model is that of {Path('out', 'checkpoint-6')}" in log
        assert f"the best model is that of {Path('out', chosen)}" in log
        assert all(path.is_file() for path in files)
        times = {
            "virgo_rows.json",
            "trainer_state.json",
            *(f"{name}_results.json" for name in ("train", "eval", "all")),
        }
        assert not [name for name in model.keys() - times if (out / name).read_bytes() != model[name]]
        assert "holds a finished run (6 of 6 steps)" in bench.train(**whole, ok=False)

    # As if it had been killed before epoch-1 was made; without its state an optimiser begins at the recipe's rate.
    for name in ("epoch-1", "checkpoint-5", "checkpoint-6"):
        shutil.rmtree(out / name)

    for name in ("optimizer.pt", "scheduler.pt"):
        (out / "checkpoint-4" / name).unlink()

    log = bench.train(env={"SEEN_ROWS": str(bench.folder / "resumed")}, **run | {"learning_rate": 0.0})
    assert "checkpoint-4 has no optimiser state" in log and "other data" not in log
    assert not _different(out, out / "checkpoint-4")
    assert not _different(out / "epoch-1", out / "checkpoint-3")
    processor = PROCESSOR_FILES[reads_5()]
    assert {path.name for path in (out / "epoch-1").iterdir()} >= {"chat_template.jinja", processor}
    expected, seen = (_seen(bench.folder / name) for name in ("undisturbed", "resumed"))
    assert sorted(seen) == [4, 5]
    for step in seen:
        assert [rows for rows, _ in seen[step]] == [rows for rows, _ in expected[step]], f"rows of step {step}"


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return what a folder has of a model or an adapter."""
    (file,) = folder.glob("*model.safetensors")
    return load_file(file)


def _different(one: Path, other: Path) -> int:
    """Return how many tensors differ."""
    ours, theirs = _tensors(one), _tensors(other)
    return sum(not torch.equal(ours[name], theirs[name]) for name in ours)
