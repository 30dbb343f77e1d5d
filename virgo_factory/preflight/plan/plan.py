"""What a recipe costs before a GPU is booked: rows, steps, memory, disk and hours, and what would make it fit.

Counts are exact (the rows are measured as a run would); memory, disk and hours are arithmetic with its sources in
memory.py, disk.py and duration.py. Only what is certain to end a run raises here.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.batch_order import (
    epoch_order,
    epoch_rows,
    packed_steps,
    packed_time,
    packed_use,
    slot_use,
    stock_grouped,
)
from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.worker import NOT_OURS
from virgo_factory.preflight.plan.disk import Disk, free_bytes, saved_bytes
from virgo_factory.preflight.plan.duration import epoch_operations, moved_bytes, row_operations
from virgo_factory.preflight.plan.fitting import Change, Way, changes, largest_cutoff, ways
from virgo_factory.preflight.plan.memory import (
    Memory,
    Method,
    Shape,
    count_parameters,
    step_memory,
    trained_parameters,
)
from virgo_factory.preflight.plan.method import read_method
from virgo_factory.preflight.precision import SET, precision_problem


ORDERS = ("shuffle", "group_by_length", "balanced", "grouped", "packed")
SHARES = (1, 2, 4, 8)
"""Values of `sequence_parallel_size` that are compared."""
EPOCHS = 3
"""Orders are simulated over so many epochs; over one where there are more than MANY rows."""
MANY = 100_000

_UNMODELLED = (
    *("quantization_bit", "use_galore", "use_apollo", "use_badam", "use_adam_mini", "use_unsloth", "use_unsloth_gc"),
    *("pure_bf16", "fsdp", "use_dora", "additional_target", "packing", "neat_packing", "streaming"),
    *("upcast_layernorm", "ref_model", "use_muon", "mixture_of_depths", "freeze_trainable_layers"),
)
"""Keys that change memory or time in ways that are not modelled here: named when they are set."""


@dataclass(frozen=True)
class Machine:
    """What a run would be given."""

    gpus: int  # in all
    memory: float = 80e9  # bytes of one
    tflops: float = 312.0  # what one can do in bfloat16, in 10^12 operations a second (312: A100; 989: H100)
    mfu: float = 0.4  # the share of it that training reaches, recomputation counted as work
    source: str = "--gpus"  # where the number of GPUs is from, in words

    def __post_init__(self) -> None:
        """Raise ValueError for a machine that nothing can run on."""
        for is_wrong, told in (
            (self.gpus < 1, f"--gpus: {self.gpus} is not a number of GPUs. Give at least 1."),
            (self.memory <= 0, f"--gpu-memory: {self.memory:g} bytes is not the memory of a GPU. Give it as 80GB."),
            (
                self.tflops <= 0,
                f"--tflops: {self.tflops:g} is not a speed. An A100 does 312, an H100 989 in bfloat16.",
            ),
            (
                not 0 < self.mfu <= 1,
                f"--mfu: {self.mfu:g} is not a share between 0 and 1. Good runs reach 0.3 to 0.5.",
            ),
        ):
            if is_wrong:
                raise UserError(told)


@dataclass(frozen=True)
class Dataset:
    """The account of one dataset: `examples` = kept + unmeasured + all of `dropped`."""

    name: str
    rows: int
    examples: int
    kept: int
    unmeasured: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class Rows:
    """The rows of a recipe's training datasets."""

    datasets: tuple[Dataset, ...]  # the account
    lengths: np.ndarray  # tokens of every kept row, of a pair those of the longer side
    images: np.ndarray  # image tokens of every kept row


@dataclass(frozen=True)
class Order:
    """One way to order an epoch."""

    name: str  # one of ORDERS
    slot_use: float  # useful tokens / slots
    hours: float | None  # of the whole run; None: unknown model
    passes: float  # forward passes of a rank in an optimiser step
    # image tokens of the fullest forward pass; None where it is a micro-batch of the longest rows
    images: int | None = None


@dataclass(frozen=True)
class Shared:
    """What `sequence_parallel_size` gives with `batch_order: packed`: bytes of a GPU at the longest row, slot use, passes a step."""

    size: int
    peak: float
    slot_use: float
    passes: float


@dataclass(frozen=True)
class Plan:
    """What a recipe costs; see the attributes' classes. Bytes, tokens, hours."""

    machine: Machine
    method: Method
    rows: Rows
    trained_rows: int
    tokens: dict[str, float]
    per_device: int
    accumulation: int
    steps_epoch: int
    steps: int
    epochs: float
    order: str
    orders: tuple[Order, ...]
    model: str
    parameters: int | None = None
    trained: int | None = None
    memory: Memory | None = None
    cutoff_len: int | None = None
    largest_cutoff: int | None = None
    ways: tuple[Way, ...] = ()
    changes: tuple[Change, ...] = ()
    shared: tuple[Shared, ...] = ()
    disk: Disk | None = None
    moved: float = 0.0
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def global_batch(self) -> int:
        """Rows of an optimiser step."""
        return self.method.groups * self.per_device * self.accumulation

    @property
    def hours(self) -> float | None:
        return next((order.hours for order in self.orders if order.name == self.order), None)

    @property
    def fits(self) -> bool | None:
        """Whether the longest micro-batch fits; None: unknown."""
        return None if self.memory is None else self.memory.peak <= self.machine.memory


# the rows


def gather_rows(records: Iterable[Any], names: Sequence[str], overlong: str, cutoff: int | None) -> Rows:
    """Return the rows of `measure.RowRecord`s, in one pass; 8 bytes a kept row stay in memory."""
    lengths, images = array("i"), array("i")
    rows, examples, kept, unmeasured = ([0] * len(names) for _ in range(4))
    dropped: list[Counter[str]] = [Counter() for _ in names]
    last = None
    for record in records:
        place = record.source
        if (place, record.number) != last:
            last = place, record.number
            rows[place] += 1

        examples[place] += 1
        if record.detail == NOT_OURS:
            unmeasured[place] += 1
        elif not record.reason:
            kept[place] += 1
            cut = overlong == "truncate" and cutoff is not None
            lengths.append(min(record.tokens, cutoff) if cut else record.tokens)
            images.append(record.image_tokens)
        else:
            dropped[place][record.reason] += 1

    accounts = zip(names, rows, examples, kept, unmeasured, dropped, strict=True)
    datasets = tuple(Dataset(*account, dict(reasons.most_common())) for *account, reasons in accounts)
    return Rows(datasets, np.array(lengths, dtype=np.int64), np.array(images, dtype=np.int64))


def check_kept(count: int, rows: Rows) -> None:
    """Raise UserError with the reasons where no row is kept."""
    if not count:
        reasons = sum((Counter(dataset.dropped) for dataset in rows.datasets), Counter())
        told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()) or "the files hold none"
        names = ", ".join(dataset.name for dataset in rows.datasets)
        raise UserError(f"{names}: no row is kept ({told}). Look at them with: virgo-factory data check NAME.")


def make_plan(
    recipe: Mapping[str, Any], rows: Rows, machine: Machine, cutoff_len: int | None, shape: Shape | None, model: str
) -> Plan:
    """Return what a recipe costs.

    `model` says where the sizes are from, or why they are not known (`shape` None). Raises UserError for what is
    certain to stop the run (see `read_method`), also where no row is kept.
    """
    method, accumulation = read_method(recipe, machine.gpus)
    lengths, images = _trained_rows(recipe, rows, cutoff_len)
    check_kept(len(lengths), rows)
    per_device = method.per_device
    batches = -(-(-(-len(lengths) // per_device)) // method.groups)
    if recipe.get("dataloader_drop_last"):
        batches = len(lengths) // per_device // method.groups

    steps_epoch = max(-(-batches // accumulation), 1)  # transformers 4.57.6, trainer.py:5682, rounds up
    epochs = float(recipe.get("num_train_epochs", 3.0))
    steps = math.ceil(epochs * steps_epoch)
    if int(recipe.get("max_steps", -1) or -1) > 0:
        steps = int(recipe["max_steps"])

    longest, longest_image = int(lengths.max()), int(images.max())
    by_length = recipe.get("group_by_length") or recipe.get("train_sampling_strategy") == "group_by_length"
    order = recipe.get("batch_order") or ("group_by_length" if by_length else "shuffle")
    plan = Plan(
        machine=machine,
        method=method,
        rows=rows,
        trained_rows=len(lengths),
        tokens={
            "mean": float(lengths.mean()),
            "p95": float(np.percentile(lengths, 95, method="inverted_cdf")),
            "longest": longest,
            "images of a row": longest_image,
        },
        per_device=per_device,
        accumulation=accumulation,
        steps_epoch=steps_epoch,
        steps=steps,
        epochs=steps / steps_epoch,
        order=order,
        orders=_orders(recipe, shape, method, lengths, images, machine, accumulation, steps / steps_epoch),
        model=model,
        cutoff_len=cutoff_len,
        warnings=tuple(_warnings(recipe, method, rows, machine, len(lengths))),
        notes=tuple(_notes(recipe, method)),
    )
    if shape is None:
        return plan

    if order == "packed" and plan.orders:
        longest_image = -(-next(one.images for one in plan.orders if one.name == order) // method.sequences)

    disk = disk_of(recipe, shape, method, steps, steps_epoch)
    parameters = sum(count_parameters(shape).values())
    return replace(
        plan,
        parameters=parameters,
        trained=trained_parameters(shape, method),
        memory=step_memory(shape, method, longest, longest_image),
        largest_cutoff=largest_cutoff(shape, method, machine.memory, longest_image),
        ways=tuple(ways(shape, method, machine.memory, longest, longest_image)),
        changes=tuple(changes(shape, method, machine.memory, lengths, longest_image, recipe)),
        shared=_shared(shape, method, lengths, longest_image, plan.global_batch) if order == "packed" else (),
        disk=disk,
        moved=moved_bytes(parameters, method),
        warnings=(*plan.warnings, *full_disk(disk)),
    )


def _trained_rows(recipe: Mapping[str, Any], rows: Rows, cutoff: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths and image tokens of the rows that are trained on: unmeasured ones guessed, `val_size` left out."""
    lengths, images = rows.lengths, rows.images
    chance = np.random.default_rng(0)
    unmeasured = sum(dataset.unmeasured for dataset in rows.datasets)
    if unmeasured:
        if len(lengths):
            drawn = chance.choice(len(lengths), unmeasured)
            lengths, images = np.concatenate([lengths, lengths[drawn]]), np.concatenate([images, images[drawn]])
        else:
            lengths, images = np.full(unmeasured, cutoff or 2048), np.zeros(unmeasured, dtype=np.int64)

    held_out = float(recipe.get("val_size") or 0)
    if held_out > 1e-6 and len(lengths):
        count = math.ceil(held_out * len(lengths)) if held_out < 1 else int(held_out)
        left = np.sort(chance.permutation(len(lengths))[count:])
        lengths, images = lengths[left], images[left]

    return lengths, images


def _orders(
    recipe: Mapping[str, Any],
    shape: Shape | None,
    method: Method,
    lengths: np.ndarray,
    images: np.ndarray,
    machine: Machine,
    accumulation: int,
    epochs: float,
) -> tuple[Order, ...]:
    ranks, per_device = method.ranks, method.per_device
    packed_accumulation, accumulation = accumulation, max(accumulation // method.share, 1)
    meets = 1 if method.stage >= 2 else accumulation
    costs = row_operations(shape, method, -(-lengths // 8) * 8, float(images.mean())) if shape else None
    speed = machine.tflops * 1e12 * machine.mfu * 3600
    drop_last = bool(recipe.get("dataloader_drop_last"))
    chance = np.random.default_rng(0)
    names = ORDERS if recipe.get("stage", "sft") == "sft" else ORDERS[:2]  # ours are orders of sft only
    capacity = method.packing_tokens or per_device * int(lengths.max())
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for _ in range(EPOCHS if len(lengths) <= MANY else 1):
        shuffled = chance.permutation(len(lengths))
        for name in names:
            if name == "group_by_length":
                stock = stock_grouped(shuffled, lengths, per_device, accumulation)
                order = epoch_rows(stock, ranks, per_device, drop_last)
            else:
                steps = packed_accumulation if name == "packed" else accumulation
                groups = method.groups if name == "packed" else ranks
                order = epoch_order(name, shuffled, lengths, groups, per_device, steps, drop_last)

            if not len(order):  # drop_last, and fewer rows than a micro-step takes
                return ()

            if name == "packed":
                bins = list(packed_steps(order, lengths, groups, per_device, steps, capacity))
                used, passes = packed_use(bins, lengths, method.stage >= 2)
                work = 0.0 if costs is None else packed_time(bins, costs, method.stage >= 2) / method.share
                fullest = max(images[rows].sum() for step in bins for own in step for rows in own)
            else:
                used, passes, fullest = slot_use(order, lengths, ranks, per_device, meets), float(accumulation), 0
                work = 0.0 if costs is None else epoch_operations(order, costs, method, accumulation)

            found[name].append((used, work / speed * epochs, passes, fullest))

    means = {name: np.mean(values, axis=0).tolist() for name, values in found.items()}
    return tuple(
        Order(
            name=name,
            slot_use=used,
            hours=None if costs is None else hours,
            passes=passes,
            images=max(int(epoch[3]) for epoch in found[name]) if name == "packed" else None,
        )
        for name, (used, hours, passes, _) in means.items()
    )


def _shared(shape: Shape, method: Method, lengths: np.ndarray, images: int, batch: int) -> tuple[Shared, ...]:
    found, shuffled, longest = [], np.random.default_rng(0).permutation(len(lengths)), int(lengths.max())
    for size in SHARES:
        one = replace(method, share=size, per_device=1)
        if method.ranks % size or shape.heads % size or shape.kv_heads % size or batch % one.groups:
            continue

        accumulation, capacity = batch // one.groups, method.packing_tokens or longest
        order = epoch_order("packed", shuffled, lengths, one.groups, 1, accumulation)
        bins = list(packed_steps(order, lengths, one.groups, 1, accumulation, capacity))
        peak = step_memory(shape, one, longest, images).peak
        found.append(Shared(size, peak, *packed_use(bins, lengths, method.stage >= 2)))

    return tuple(found)


def disk_of(recipe: Mapping[str, Any], shape: Shape, method: Method, steps: int, steps_epoch: int) -> Disk:
    """Return what a run of any stage writes into its output_dir."""
    model, checkpoint = saved_bytes(shape, method, bool(recipe.get("save_only_model")))
    strategy = str(recipe.get("save_strategy", "steps"))
    every = float(recipe.get("save_steps", 500))
    if every < 1:
        every = math.ceil(steps * every)

    saves = {"epoch": -(-steps // steps_epoch), "no": 0}.get(strategy, math.ceil(steps / max(every, 1)))
    limit = recipe.get("save_total_limit")
    kept = saves if not limit or limit < 1 else min(saves, limit + 1)  # the oldest goes once the new one is written
    models = 1 + len(recipe.get("keep_model_at_epochs") or [])
    return Disk(model, checkpoint, kept, models, free_bytes(Path(str(recipe.get("output_dir") or "saves"))))


def full_disk(disk: Disk) -> list[str]:
    """Return the warning that less is free than is written; [] where there is room."""
    if disk.free is None or disk.peak <= disk.free:
        return []

    return [
        f"output_dir: {disk.peak / 1e9:,.0f} GB at the peak, but {disk.free / 1e9:,.0f} GB are free on its disk here."
    ]


def _warnings(recipe: Mapping[str, Any], method: Method, rows: Rows, machine: Machine, trained: int) -> list[str]:
    found = list(method.zero.warnings) if method.zero else []
    micro_step = method.groups * method.per_device
    if trained < micro_step:
        found.append(
            f"{trained:,} rows on {machine.gpus} GPUs x {method.per_device}: rows are repeated until every GPU has its "
            "own, so one step is several epochs of them. Use fewer GPUs."
        )

    unmeasured = {dataset.name: dataset.unmeasured for dataset in rows.datasets if dataset.unmeasured}
    if unmeasured:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in unmeasured.items())
        found.append(
            f"{names}: in one of LLaMA-Factory's own formattings, which is counted, not measured; lengths like those of "
            "the other rows are assumed, or cutoff_len where there are none."
        )

    if problem := precision_problem(recipe):
        found.append(f"bf16: {problem}. {SET[0].upper()}{SET[1:]}.")

    if recipe.get("save_strategy", "steps") != "no" and not recipe.get("save_total_limit"):
        found.append("save_total_limit: not set, so every checkpoint stays on the disk.")

    if method.zero is None and machine.gpus > 1 and not method.lora:
        found.append("deepspeed: not set, so each GPU holds the whole model and its optimiser.")

    return found


def _notes(recipe: Mapping[str, Any], method: Method) -> list[str]:
    found = []
    if method.lora:
        found.append(
            f"LoRA (rank {method.lora.rank}, {len(method.lora.targets)} layers of each block): gradients and optimiser of "
            "the adapters only, base weights without gradients, checkpoints hold the adapter."
        )

    if method.pairs:
        reference = (
            "a second, frozen copy of the weights as reference"
            if method.reference
            else "the reference is the model without its adapter"
            if method.lora
            else "no reference model"
        )
        found.append(f"{recipe['stage'].upper()}: two sequences a row, logits of both, {reference}; no fused loss.")

    if recipe.get("finetuning_type", "lora") not in ("full", "lora"):
        found.append(f"finetuning_type: {recipe['finetuning_type']}: estimated as full, which is more.")

    if recipe.get("stage", "sft") not in ("sft", "pt", "dpo"):
        found.append(f"stage: {recipe['stage']}: estimated as {'dpo without reference' if method.pairs else 'sft'}.")

    if unmodelled := [f"{key}: {recipe[key]}" for key in _UNMODELLED if recipe.get(key)]:
        found.append(f"Not in these numbers: {', '.join(unmodelled)}.")

    if str(recipe.get("optim", "adamw_torch")).split("_")[0] != "adamw" or "bit" in str(recipe.get("optim", "")):
        found.append(f"optim: {recipe['optim']}: estimated as AdamW in float32.")

    return found


def to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values, without the rows' lengths."""
    content = asdict(replace(plan, rows=Rows(plan.rows.datasets, np.zeros(0), np.zeros(0))))
    content["datasets"] = content.pop("rows")["datasets"]
    content |= {"global_batch": plan.global_batch, "hours": plan.hours, "fits": plan.fits}
    content["gpu_hours"] = None if plan.hours is None else plan.hours * plan.machine.gpus
    if plan.memory:
        content["memory"]["peak"] = plan.memory.peak

    if plan.disk:
        content["disk"]["peak"] = plan.disk.peak

    return content
