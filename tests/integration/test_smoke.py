"""Whole smoke runs: what is trained, killed, resumed and loaded is real; only the model is a twin.

Trainings, an export and what loads the result are forked (conftest.py). Through the stock command go torchrun and its kill,
behind a twin that is made in a process of its own.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import Qwen3Config

from tests import forking
from tests.forking import TRAININGS
from virgo_factory.preflight.smoke import processes, stages
from virgo_factory.preflight.smoke.processes import MARK
from virgo_factory.preflight.smoke.stages import run
from virgo_factory.preflight.smoke.trial import Smoke
from virgo_factory.preflight.twin.twin import demo_texts, train_tokenizer


ROOT = Path(__file__).parents[2]
DATA = ROOT / "recipes" / "demo" / "long_thoughts.jsonl"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch, forked_loading):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def forked(monkeypatch, fork_training):
    """Processes of a smoke run are forked, the first `forked.stock` of them excepted, and twins are made in this process."""
    forked = SimpleNamespace(stock=0, runs=[])

    @contextlib.contextmanager
    def started(command, log, ranks=0):
        if command[1] == "-c" and not forked.stock:
            monkeypatch.setattr(sys, "argv", ["-c", *command[3:]])
            exec(command[2], {})
            log.touch()
            yield SimpleNamespace(poll=lambda: 0, returncode=0)
        elif forked.stock:
            forked.stock -= 1  # the twin, then the training
            if command[1] == "-c":
                command = forking.command(TRAININGS, *command[2:])

            with processes.started(command, log, ranks) as child:
                yield child
        else:
            log.touch()
            environment = processes.environment(os.environ, ranks, log.parent)
            run = fork_training(command, Path.cwd(), environment, log, ranks)
            forked.runs.append(run)
            try:
                yield _Child(run)
            finally:
                run.kill()

    def kill_all(token):
        living = sum(one.exit_code is None for one in forked.runs)
        for one in forked.runs:
            one.kill()

        return living + processes.kill_all(token)

    monkeypatch.setattr(stages, "started", started)
    monkeypatch.setattr(stages, "kill_all", kill_all)
    return forked


class _Child:
    """A forked run, with what is asked of a subprocess."""

    def __init__(self, run) -> None:
        self._run = run

    def poll(self) -> int | None:
        return self._run.exit_code

    @property
    def returncode(self) -> int | None:
        return self._run.exit_code


def _run(smoke: Smoke) -> dict[str, str]:
    """Return stage -> found of a smoke run that passes."""
    results = list(run(smoke))
    assert all(result.ok for result in results), results[-1]
    assert [result.stage for result in results] == [
        *("parse", "twin", "rows", "train", "kill", "resume", "export", "checkpoint", "load")
    ]
    assert MARK not in os.environ
    return {result.stage: result.found for result in results}


def _steps(smoke: Smoke) -> list[int]:
    lines = (smoke.output / "trainer_log.jsonl").read_text().splitlines()
    return [entry["current_steps"] for line in lines if "loss" in (entry := json.loads(line))]


def test_the_72b_recipe_under_zero_3(tmp_path, base, forked):
    """Two ranks, the recipe's own DeepSpeed file, rows of a file because the dataset is on the hub. Killed is torchrun."""
    forked.stock = 2
    smoke = Smoke("recipes/virgo72b_dt.yaml", tmp_path / "work", 2, model=base, data=DATA, serve=False)
    found = _run(smoke)
    assert found["parse"].endswith("ZeRO-3, 2 CPU ranks")
    assert found["resume"].startswith("went on from checkpoint-2 to step 4")
    keys = yaml.safe_load((smoke.work / "recipe.yaml").read_text())
    assert keys["deepspeed"] == str(ROOT / "recipes" / "deepspeed" / "ds_z3.json")
    assert (smoke.output / "checkpoint-4" / "global_step4").is_dir()
    assert found["rows"].startswith("320 rows: 3")
    assert "kept epoch-1" in found["export"]
    assert found["load"].startswith("transformers loads it")
    assert (smoke.output / "virgo_rows.json").is_file()
    assert "vLLM" in {item.untested for item in smoke.substituted}
    replaced = {item.recipe.split(":")[0] for item in smoke.substituted}
    assert {"flash_attn", "enable_liger_kernel", "global_batch_size", "dataset"} <= replaced


@pytest.mark.usefixtures("forked")
def test_preference_pairs_and_another_family(tmp_path):
    """A recipe that has nothing of ours: Qwen3 by its own config.json, LoRA, DPO, LLaMA-Factory's own format of rows."""
    model, data = tmp_path / "model", tmp_path / "data"
    model.mkdir()
    data.mkdir()
    tokenizer = train_tokenizer(demo_texts(), 1536, model)
    tokenizer.save_pretrained(model)
    config = Qwen3Config(vocab_size=1600, num_hidden_layers=36, architectures=["Qwen3ForCausalLM"])
    config.save_pretrained(model)
    thoughts = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()[:12]]
    pairs = [
        {"instruction": row["question"], "chosen": row["combined_text"][:400], "rejected": "I do not know."}
        for row in thoughts
    ]
    (data / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    entry = {"file_name": "pairs.json", "ranking": True, "columns": columns}
    (data / "dataset_info.json").write_text(json.dumps({"pairs": entry}))
    recipe = {
        **{"model_name_or_path": "Qwen/Qwen3-8B", "template": "qwen3", "stage": "dpo", "do_train": True},
        **{"finetuning_type": "lora", "lora_target": "all", "bf16": True, "learning_rate": 5.0e-6},
        **{"dataset": "pairs", "dataset_dir": str(data), "output_dir": "out", "gradient_accumulation_steps": 8},
    }
    (tmp_path / "dpo.yaml").write_text(yaml.safe_dump(recipe))
    smoke = Smoke(str(tmp_path / "dpo.yaml"), tmp_path / "work", 1, model=model, serve=False)
    found = _run(smoke)
    steps = _steps(smoke)
    assert steps[-2:] == [3, 4] and steps[:3] == [1, 2, 3]  # killed at 3, went on behind 2
    assert found["parse"] == "dpo, lora, template qwen3, qwen3, 1 CPU rank"
    assert found["rows"].startswith("12 rows: 12 kept, 0 dropped")
    assert found["export"].startswith("adapter merged into the twin")
    assert "names" in found["checkpoint"] and "rope" not in found["checkpoint"]


@pytest.mark.usefixtures("forked")
def test_reinforcement_is_killed_and_resumed(tmp_path, base):
    """Prompts of the package's own rows; the trainer answers them itself."""
    thoughts = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()[:24]]
    rows = [{"id": str(n), "question": row["question"][:200], "gold": str(n)} for n, row in enumerate(thoughts)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    smoke = Smoke(
        "recipes/omr7b_gspo.yaml",
        tmp_path / "work",
        1,
        model=base,
        data=tmp_path / "prompts.jsonl",
        serve=False,
        overrides={"deepspeed": None},
    )
    found = _run(smoke)
    assert _steps(smoke) == [1, 2, 3, 3, 4]  # killed at 3, went on behind 2
    assert found["parse"] == "grpo, full, template omr, qwen2_vl, 1 CPU rank"
    lines = [json.loads(line) for line in (smoke.output / "rollouts.jsonl").read_text().splitlines()]
    keys = [(line["step"], line["question"], line["sample"]) for line in lines]
    assert len(set(keys)) == len(keys) and {step for step, *_ in keys} == {1, 3}, "two rollouts, none of them twice"


@pytest.mark.usefixtures("forked")
def test_a_recipe_that_cannot_train_stops_there(tmp_path, base):
    """LoRA on layers that the model does not have: found by peft, told with its own words."""
    overrides = {"finetuning_type": "lora", "lora_target": "no_such_layer", "keep_model_at_epochs": None}
    smoke = Smoke("recipes/virgo_demo_dt.yaml", tmp_path / "work", 1, base, serve=False, overrides=overrides)
    last = list(run(smoke))[-1]
    assert (last.stage, last.ok) == ("train", False)
    assert last.found.startswith("ValueError: No `target_modules` passed")
    assert last.remedy == "correct lora_target in the recipe"
    assert Path(last.log).name == "train.log" and Path(last.log).is_file()
