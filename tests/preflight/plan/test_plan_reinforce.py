"""What a recipe of `stage: grpo` costs: rollouts counted as the trainer makes them, logits of a response, servers."""

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from virgo_factory.io.files import RECIPES
from virgo_factory.preflight.plan.memory import step_memory
from virgo_factory.preflight.plan.models import KNOWN
from virgo_factory.preflight.plan.plan import Dataset, Machine, Rows
from virgo_factory.preflight.plan.reinforce import Answering, plan_reinforce
from virgo_factory.preflight.twin.twin import make_twin


SEVEN = KNOWN["qwen2.5-vl-7b-instruct"]
RECIPE = yaml.safe_load((RECIPES / "omr7b_gspo.yaml").read_text(encoding="utf-8"))
RECIPE["deepspeed"] = str(RECIPES / "deepspeed" / "ds_z3.json")


def prompts(count: int = 74_000, longest: int = 1_500) -> Rows:
    lengths = np.random.default_rng(0).integers(200, longest + 1, count)
    lengths[0] = longest
    return Rows((Dataset("rows", count, count, count, 0, {}),), lengths, np.full(count, 150))


def planned(rows=None, gpus=4, servers=4, **changes):
    recipe = {key: value for key, value in (RECIPE | changes).items() if value is not None}
    return plan_reinforce(recipe, rows or prompts(), Machine(gpus), SEVEN, Answering(servers, 3000.0, 4096.0))


def test_the_papers_run():
    plan = planned()
    assert (plan.rollout_prompts, plan.rollout_responses, plan.rollouts, plan.updates) == (128, 2048, 1232, 4928)
    assert plan.epochs == pytest.approx(1232 / (74_000 // 128))
    assert plan.fits and 30e9 < plan.memory.peak < 80e9
    assert (plan.cache_token, plan.weights) == (57_344, 2 * 8_292_166_656)
    assert plan.hours_answering == pytest.approx(1232 * 2048 * 4096 / (4 * 3000) / 3600)


@pytest.mark.parametrize(
    ("count", "changes"),
    [
        (1000, {"max_steps": None, "num_train_epochs": 2.0}),
        (1000, {"max_steps": None, "num_train_epochs": 2.0, "rl_updates_per_rollout": 1}),
        (130, {"max_steps": None, "num_train_epochs": 3.0}),
        (1000, {"max_steps": 50}),
    ],
)
def test_updates_are_those_of_the_trainer(count, changes):
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler
    from transformers import Trainer, TrainingArguments

    from virgo_factory.hooks.reinforce.prompts import PromptSampler

    plan = planned(prompts(count), **changes)
    recipe = RECIPE | changes
    ranks, accumulation, updates = 4, 128, recipe["rl_updates_per_rollout"]
    together = 512 * updates // 16
    sampler = PromptSampler(count, group=16, together=together, repeats=1, seed=0)
    shards = BatchSamplerShard(BatchSampler(sampler, 1, drop_last=False), ranks, 0)  # a rollout's rows of one rank
    steps = {"max_steps": recipe["max_steps"] or -1, "num_train_epochs": recipe.get("num_train_epochs", 3.0)}
    batch = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 1}
    arguments = TrainingArguments(output_dir="x", use_cpu=True, report_to=[], **batch, **steps)
    trainer = Trainer.__new__(Trainer)
    trainer.args = arguments
    loader = torch.utils.data.DataLoader(list(range(len(shards))))
    *_, steps = trainer.set_initial_training_values(arguments, loader, 512)
    assert plan.updates == steps


def test_logits_are_those_of_the_response_and_grow_with_it():
    short, long = planned(rl_max_response_tokens=4096), planned(rl_max_response_tokens=8192)
    assert (short.logits, long.logits) == (4 * 2 * 4096 * 152_064, 4 * 2 * 8192 * 152_064)
    assert long.memory.peak - short.memory.peak > short.logits
    full = planned(rl_max_response_tokens=28_696)
    assert not full.fits or full.logits > 30e9
    assert any("virgo-factory reinforce export" in line for line in planned(rl_max_response_tokens=65_536).warnings)
    without = planned(deepspeed=None)
    assert without.logits == 2 * long.logits, "float32, as accelerate hands outputs on"


def test_a_divergence_needs_a_second_model():
    without, beside = planned(), planned(rl_beta=0.001)
    assert beside.memory.held["reference model"] == pytest.approx(without.weights / 4)
    assert "reference model" not in planned(rl_beta=0.001, finetuning_type="lora", lora_rank=16).memory.held
    assert beside.hours_training > without.hours_training


def test_what_is_wrong_or_doubtful_is_told():
    with pytest.raises(ValueError, match="does not divide the 2048 responses"):
        planned(rl_num_generations=24)
    with pytest.raises(ValueError, match="100 prompts are kept, and one rollout asks 128"):
        planned(prompts(100))
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match=r"mine: no row is kept \(2 image missing\)"):
        planned(Rows((Dataset("mine", 2, 2, 0, 0, {"image missing": 2}),), nothing, nothing))

    one = planned(rl_updates_per_rollout=1).warnings
    assert any("no clip acts" in line for line in one)
    alone = planned(servers=0, rl_server=None)
    assert any("512 responses at once" in line and "rl_server: vllm" in line for line in alone.warnings)
    assert any("some prompts are never asked" in line for line in planned(max_steps=64).warnings)
    assert [line for line in planned().warnings if not line.startswith("output_dir: ")] == []
    checkpoint = planned().disk.checkpoint
    assert planned().disk.peak == 3 * checkpoint + planned().disk.model, (
        "save_total_limit: 2, and the one being written"
    )


def test_without_the_models_sizes_rollouts_are_counted_all_the_same():
    plan = plan_reinforce(RECIPE, prompts(), Machine(4), None, Answering(4, 3000.0, 4096.0))
    assert (plan.rollouts, plan.memory, plan.fits) == (1232, None, None)


def test_a_measured_step_of_logits():
    """Four times the logits is what TRL's own function and its backward pass hold of a response, but for small things."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from trl.trainer.utils import selective_log_softmax

    tokens, vocabulary = 64, 8000
    size = tokens * vocabulary * 2

    class Largest(TorchDispatchMode):
        """Counts the bytes of storages that operators made and that are alive."""

        def __init__(self):
            super().__init__()
            self.alive, self.peak = {}, 0

        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            out = function(*arguments, **(kwargs or {}))
            for found in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(found, torch.Tensor):
                    storage = found.untyped_storage()
                    if storage._cdata not in self.alive:
                        self.alive[storage._cdata] = storage.nbytes()
                        weakref.finalize(found, self.alive.pop, storage._cdata, None)

            self.peak = max(self.peak, sum(self.alive.values()))
            return out

    hidden = torch.randn(1, tokens, 16, dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(vocabulary, 16, dtype=torch.bfloat16)
    ids = torch.randint(0, vocabulary, (1, tokens))
    with Largest() as largest:
        logits = hidden @ head.T
        logits = logits / 1.0
        loss = selective_log_softmax(logits, ids).mean()
        del logits
        loss.backward()

    assert 2.5 * size < largest.peak < 4.6 * size


def test_plan_prints_it(tmp_path, call):
    rows = [{"id": n, "question": f"What is {n} + 1?", "gold": str(n + 1)} for n in range(40)]
    lines = [json.dumps(row) + "\n" for row in (*rows, {"id": "x", "question": "Why?"})]
    (tmp_path / "q.jsonl").write_text("".join(lines))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"q": {"file_name": "q.jsonl", "formatting": "questions"}}))
    small = {"dataset": "q", "global_batch_size": 32, "rl_num_generations": 4, "media_dir": "."}
    header = "# Hardware: 4 GPUs of 80 GB train, 4 more answer.\n"
    (tmp_path / "r.yaml").write_text(header + yaml.safe_dump(RECIPE | small))
    make_twin(tmp_path / "twin")
    arguments = ["plan", "r.yaml", "--tokenizer", "twin", "--model-config", "Qwen/Qwen2.5-VL-7B-Instruct"]
    code, out, _ = call(*arguments, "--response-tokens", "1000")
    text = " ".join(out.split())
    assert (
        not code
        and "4 GPUs of 80.0 GB train (the recipe's header), 4 answer" in text
        and "1,000 tokens a response" in text
    )
    assert "1 no gold answer" in text and "logits of a response" in text
    told = json.loads(call(*arguments, "--json", "--servers", "2")[1])
    assert (told["answering"]["servers"], told["prompts"], told["rollout_prompts"]) == (2, 40, 32)


def test_a_step_is_that_of_training_but_for_the_logits():
    plan = planned()
    method = replace(plan.method, fused_loss=True)
    step = step_memory(SEVEN, method, plan.longest_prompt + 8192, 150)
    assert (plan.memory.held, plan.memory.inputs, plan.memory.layer) == (step.held, step.inputs, step.layer)
