"""What a recipe of `stage: grpo` costs: rollouts and updates, memory of trainer and servers, and how the time is shared.

Counts are exact. Memory is that of a training step (memory.py) at the longest prompt and a response of full length, with the
logits of the response in place of those of the row: TRL 0.24 divides them, takes their log-softmax, and makes two gradients of
that size (trainer/grpo_trainer.py:786-857; 3.25 sizes at once were counted on a small one). Hours rest on two numbers that only a run tells: tokens that a
server writes in a second, and the mean length of a response.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.core.reinforcement import check_enough, contradictions, settings_of
from virgo_factory.preflight.plan.disk import Disk
from virgo_factory.preflight.plan.duration import row_operations
from virgo_factory.preflight.plan.memory import (
    BF16,
    FP32,
    Memory,
    Method,
    Shape,
    count_parameters,
    saved_activations,
    step_memory,
)
from virgo_factory.preflight.plan.method import read_method
from virgo_factory.preflight.plan.plan import Machine, Rows, check_kept, disk_of, full_disk


GRAPHS = 0.9
"""Share of a GPU's memory that vLLM takes by default (`gpu_memory_utilization`)."""


@dataclass(frozen=True)
class Answering:
    """What makes the responses."""

    servers: int  # GPUs that answer; 0: the trainer's own, by Hugging Face's generate
    tokens_a_second: float  # that one of them writes, all requests together
    mean_tokens: float  # of a response


@dataclass(frozen=True)
class ReinforcePlan:
    """What it costs; bytes, tokens, hours. What needs the model's sizes is None or 0 where they are not known."""

    machine: Machine
    method: Method
    answering: Answering
    settings: dict[str, Any]
    rows: Rows  # the prompts, with their account
    prompts: int  # that are kept
    longest_prompt: int  # in tokens, pictures counted
    rollout_prompts: int
    rollout_responses: int
    rollouts: int
    updates: int  # optimiser steps
    epochs: float  # over the prompts
    memory: Memory | None = None  # of a GPU that trains
    logits: float = 0.0
    weights: float = 0.0  # of a server's model
    cache_token: int = 0  # keys and values of a token
    at_once: int = 0  # responses of full length whose keys and values fit a server, or the trainer without servers
    hours_answering: float | None = None
    hours_training: float | None = None
    disk: Disk | None = None  # what is written into output_dir
    warnings: tuple[str, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether a GPU that trains has room; None: unknown."""
        return None if self.memory is None else self.memory.peak <= self.machine.memory


def plan_reinforce(
    recipe: Mapping[str, Any], rows: Rows, machine: Machine, shape: Shape | None, answering: Answering
) -> ReinforcePlan:
    """Return what a recipe costs.

    Raises UserError for what is certain to stop the run (see `read_method` and `contradictions`), also for fewer
    prompts than a rollout asks.
    """
    method, accumulation = read_method(recipe, machine.gpus)
    settings = settings_of(recipe)
    group, per_update = settings["rl_num_generations"], settings["rl_updates_per_rollout"]
    update = machine.gpus * method.per_device * accumulation
    save_steps = int(recipe.get("save_steps", 500)) if recipe.get("save_strategy", "steps") == "steps" else None
    if problems := contradictions(recipe, update, save_steps):
        raise UserError("\n".join(problems))

    responses = update * per_update
    prompts, together = len(rows.lengths), responses // group
    check_kept(prompts, rows)
    check_enough(prompts, together)
    updates = int(recipe.get("max_steps", -1) or -1)
    if updates <= 0:
        updates = math.ceil(float(recipe.get("num_train_epochs", 3.0)) * (prompts // together) * per_update)

    rollouts = -(-updates // per_update)
    method = replace(method, pairs=False, fused_loss=False, reference=settings["rl_beta"] > 0 and not method.lora)
    longest = int(rows.lengths.max())
    plan = ReinforcePlan(
        machine=machine,
        method=method,
        answering=answering,
        settings=settings,
        rows=rows,
        prompts=prompts,
        longest_prompt=longest,
        rollout_prompts=together,
        rollout_responses=responses,
        rollouts=rollouts,
        updates=updates,
        epochs=rollouts / (prompts // together),
    )
    if shape is None:
        return plan

    limit = settings["rl_max_response_tokens"]
    memory, logits = _training_memory(shape, method, longest, limit, int(rows.images.max()))
    weights = BF16 * sum(count_parameters(shape).values())
    cache = 2 * BF16 * shape.layers * shape.kv_width
    room = machine.memory * GRAPHS - weights if answering.servers else machine.memory - sum(memory.held.values())
    hours = _hours(shape, method, rows, responses, rollouts, answering, machine)
    plan = replace(
        plan,
        memory=memory,
        logits=logits,
        weights=weights,
        cache_token=cache,
        at_once=max(0, int(room / (cache * (longest + limit)))),
        hours_answering=hours[0],
        hours_training=hours[1],
        disk=disk_of(recipe, shape, method, updates, prompts // together * per_update),
    )
    return replace(plan, warnings=tuple(_warnings(plan)))


def _training_memory(shape: Shape, method: Method, prompt: int, response: int, images: int) -> tuple[Memory, float]:
    """Return what a training step holds at the longest prompt and response, and the bytes of the logits in it."""
    memory = step_memory(shape, replace(method, fused_loss=True), prompt + response, images)
    batch = method.per_device * (-(-(prompt + response) // 8) * 8)
    head = saved_activations(shape, batch, method.checkpointing, fused_loss=True)["head"]
    size = BF16 if method.zero else FP32  # without DeepSpeed accelerate hands outputs on in float32
    logits = 4 * size * method.per_device * response * shape.vocabulary
    return replace(memory, loss=head + logits), logits


def _hours(
    shape: Shape, method: Method, rows: Rows, responses: int, rollouts: int, answering: Answering, machine: Machine
) -> tuple[float, float]:
    gpus = answering.servers or machine.gpus
    answered = responses * answering.mean_tokens / (gpus * answering.tokens_a_second)
    length = np.array([rows.lengths.mean() + answering.mean_tokens])
    images = float(rows.images.mean())
    forward = replace(
        method, tower=False, connector=False, language=False, lora=None, checkpointing=False, reference=False
    )
    # A pass without gradients before the updates, for the probabilities that the ratio is taken to.
    work = row_operations(shape, method, length, images)[0] + row_operations(shape, forward, length, images)[0] / 2
    trained = responses * work / (machine.gpus * machine.tflops * 1e12 * machine.mfu)
    return rollouts * answered / 3600, rollouts * trained / 3600


def _warnings(plan: ReinforcePlan) -> list[str]:
    found = list(plan.method.zero.warnings) if plan.method.zero else []
    settings = plan.settings
    if not plan.fits:
        found.append(
            f"memory: {plan.memory.peak / 1e9:,.0f} GB of {plan.machine.memory / 1e9:,.0f}. A shorter rl_max_response_tokens, "
            "per_device_train_batch_size: 1, ZeRO-3 over more GPUs, or verl (virgo-factory reinforce export) for long responses."
        )

    if settings["rl_updates_per_rollout"] == 1:
        found.append(
            "rl_updates_per_rollout: 1: the ratio is 1, so no clip acts and gspo differs from grpo in its mean alone."
        )

    share = plan.rollout_responses // plan.machine.gpus
    if not plan.answering.servers and plan.at_once < share:
        found.append(
            f"rl_server: none: each GPU makes {share:,} responses at once by Hugging Face's generate, whose keys and values fit for "
            f"{plan.at_once:,} of full length. Set rl_server: vllm."
        )

    if plan.answering.servers and not plan.at_once:
        found.append(
            "the servers: not one response of full length fits beside the weights. Larger GPUs, or a shorter limit."
        )

    if plan.epochs < 1:
        found.append(f"{plan.epochs:.2g} epochs: some prompts are never asked.")

    return found + full_disk(plan.disk)


def to_json(plan: ReinforcePlan) -> dict[str, Any]:
    content = asdict(replace(plan, rows=Rows(plan.rows.datasets, np.zeros(0), np.zeros(0)))) | {"fits": plan.fits}
    content["datasets"] = content.pop("rows")["datasets"]
    if plan.memory:
        content["memory"]["peak"] = plan.memory.peak
        content["disk"]["peak"] = plan.disk.peak

    return content
