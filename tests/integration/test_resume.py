"""A killed run sees the rows, and has the losses, of the run that nobody disturbed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
RECORDER = Path(__file__).parent / "seen_rows"
RUN = {"num_train_epochs": 3.0, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 1}


def _seen(file: Path, ranks: int) -> dict[int, list]:
    """Return step -> (rank, rows, loss) of every micro-step, later runs over earlier ones (a step may be repeated)."""
    steps: dict[int, dict] = {}
    for rank in range(max(ranks, 1)):
        fresh: dict[int, list] = {}
        last = -1
        for line in Path(f"{file}.{rank}").read_text().splitlines():
            entry = json.loads(line)
            if entry["step"] < last:  # a resumed run goes back to its checkpoint: what came after is not trained on
                fresh = {step: rows for step, rows in fresh.items() if step < entry["step"]}

            last = entry["step"]
            fresh.setdefault(entry["step"], []).append((rank, entry["rows"], round(entry["loss"], 4)))

        for step, rows in fresh.items():
            steps.setdefault(step, []).extend(rows)

    return steps


@pytest.mark.parametrize(("ranks", "deepspeed"), [(0, None), (2, None), (2, "ds_z3.json")])
def test_killed_in_first_and_third_epoch(bench, ranks, deepspeed):
    """37 rows in global batches of 4: 10 steps an epoch; checkpoints at 4 and 24 lie inside epochs one and three."""
    config = deepspeed and str(Path(__file__).parents[2] / "recipes" / "deepspeed" / deepspeed)
    run = RUN | {"deepspeed": config}
    env = {"PYTHONPATH": str(RECORDER), "SEEN_ROWS": str(bench.folder / "undisturbed")}
    bench.train(ranks, env, output_dir="undisturbed_out", **run)
    expected = _seen(bench.folder / "undisturbed", ranks)
    assert sorted(expected) == list(range(30))
    assert _frozen_part(bench.folder / "undisturbed_out") == _frozen_part(bench.base)

    env["SEEN_ROWS"] = str(bench.folder / "killed")
    out = bench.folder / "out"
    for step in (4, 24):
        bench.train_and_kill((out / f"checkpoint-{step}" / "trainer_state.json").is_file, ranks, env, **run)

    log = bench.train(ranks, env, stock=deepspeed is not None, **run)  # once through torchrun
    assert "Resuming training from" in log
    seen = _seen(bench.folder / "killed", ranks)
    assert sorted(seen) == list(range(30))
    for step, micro_steps in expected.items():
        assert [rows for _, rows, _ in seen[step]] == [rows for _, rows, _ in micro_steps], f"rows of step {step}"
        for (_, _, loss), (_, _, wanted) in zip(seen[step], micro_steps, strict=True):
            assert loss == pytest.approx(wanted, abs=2e-3), f"loss of step {step}"
            assert loss > 0


def _frozen_part(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the vision tower's tensors, without the connector."""
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        names = [name for name in tensors.keys() if name.startswith(("visual.patch_embed", "visual.blocks"))]  # noqa: SIM118
        assert names
        return {name: tensors.get_tensor(name).view(torch.uint8).numpy().tobytes() for name in names}
