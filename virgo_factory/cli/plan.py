"""`virgo-factory plan`: what a recipe costs, before the GPUs are booked."""

import json
import re
from dataclasses import replace
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import OVERRIDES, progress, read_overrides, training
from virgo_factory.core.errors import UserError
from virgo_factory.report.table import Cell, Table
from virgo_factory.report.terminal import console, labelled, print_tables


def plan(
    recipe: str = typer.Argument(metavar="RECIPE", help="A recipe (.yaml), or the name of one that ships."),
    overrides: list[str] | None = OVERRIDES,
    gpus: int | None = typer.Option(None, "--gpus", help="In all. By default as many as the recipe's header names."),
    gpu_memory: str | None = typer.Option(None, "--gpu-memory", help="Of one, such as 80GB; the header's by default."),
    mfu: float = typer.Option(0.4, "--mfu", help="Share of a GPU's speed that training reaches."),
    tflops: float = typer.Option(312.0, "--tflops", help="Speed of a GPU in bfloat16: 312 for an A100, 989 an H100."),
    tokenizer: str | None = typer.Option(None, "--tokenizer", help="Folder or hub id; the recipe's model by default."),
    model_config: str | None = typer.Option(
        None, "--model-config", help="config.json with the model's sizes, its folder, or the name of another model."
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    servers: int | None = typer.Option(
        None,
        "--servers",
        min=1,
        help="stage: grpo: GPUs that answer; as many as the recipe's header or rl_server names.",
    ),
    server_speed: float = typer.Option(3000.0, "--server-speed", help="stage: grpo: tokens a second of one of them."),
    response_tokens: float | None = typer.Option(
        None, "--response-tokens", help="stage: grpo: mean of a response; half of rl_max_response_tokens by default."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell rows, steps, memory, disk and hours of a recipe from its real rows, and the cheapest changes that make it fit.

    Of stage: grpo: rollouts and updates, memory of trainer and servers, hours of answering and of training.

    Rows and steps are exact; memory, disk and hours are estimates, and never a reason to fail. Exit code 1 only for what is
    certain to stop the run: no row is kept, a file is missing, the batch does not divide, a key does not exist.
    """
    from virgo_factory.data.read.source import find_sources, load_recipe
    from virgo_factory.data.read.templates import family_problem
    from virgo_factory.data.rows.stream import measure
    from virgo_factory.preflight.plan.method import read_method
    from virgo_factory.preflight.plan.models import find_shape
    from virgo_factory.preflight.plan.plan import gather_rows, make_plan, to_json

    if model_config and model_config.endswith(".json") and not Path(model_config).is_file():
        raise UserError(f"--model-config: {model_config}: no such file, seen from {Path.cwd()}.")

    changes = read_overrides(overrides)
    keys = {key: value for key, value in (load_recipe(recipe) | changes).items() if value is not None}  # null: stock's
    machine = _machine(recipe, keys, gpus, gpu_memory, mfu, tflops)
    read_method(keys, machine.gpus)  # what is certain to fail is told before rows are read
    sources, settings = find_sources(recipe, dataset_dir, changes, tokenizer=tokenizer)
    if settings.tokenizer is None:
        raise UserError(
            f"{recipe}: model_name_or_path: missing. Add it, or name a tokenizer: --tokenizer FOLDER_OR_HUB_ID."
        )

    sources = training(sources)
    try:
        shape, model = find_shape(keys.get("model_name_or_path"), model_config)
    except ValueError as error:
        shape, model = None, str(error)

    if shape and (problem := family_problem(settings.template, shape.family)):
        raise UserError(f"{recipe}: {problem}")

    names = [source.name for source in sources]
    try:
        with progress("measuring rows") as told:
            rows = gather_rows(measure(sources, settings, workers, progress=told), names, settings.overlong,
                               settings.cutoff_len)  # fmt: skip
    except ValueError as error:
        if tokenizer is None and "token" in str(error):
            raise UserError(f"{error} Or name the same tokenizer with --tokenizer FOLDER_OR_HUB_ID.") from None

        raise

    if keys.get("stage") == "grpo":
        _reinforce(recipe, keys, rows, machine, shape, model, servers, server_speed, response_tokens, as_json)
        return

    found = make_plan(keys, rows, machine, settings.cutoff_len, shape, model)
    drawn = [
        f"{source.name}: num_samples: a run draws {source.entry['num_samples']:,} of its rows, at random; rows, steps and "
        "hours here are those of all of them"
        for source in sources
        if source.entry.get("num_samples")
    ]
    found = replace(found, warnings=(*found.warnings, *drawn))
    if as_json:
        print(json.dumps({"recipe": recipe, **to_json(found)}, ensure_ascii=False))
    else:
        _show(recipe, found)


def _reinforce(recipe: str, keys: dict, rows, machine, shape, model: str, servers, speed, mean, as_json: bool) -> None:
    from virgo_factory.core.recipe_keys import RL_DEFAULTS
    from virgo_factory.preflight.plan.reinforce import Answering, plan_reinforce, to_json

    if servers is None:
        named = str(keys.get("rl_server") or "")
        header = re.search(r"^# *Hardware: .*?(\d+) more answer", _text(recipe), re.MULTILINE)
        servers = 0 if not named else int(header[1]) if named == "vllm" and header else named.count(",") + 1

    limit = keys.get("rl_max_response_tokens") or RL_DEFAULTS["rl_max_response_tokens"]
    plan = plan_reinforce(keys, rows, machine, shape, Answering(servers, speed, mean or limit / 2))
    if as_json:
        print(json.dumps({"recipe": recipe, **to_json(plan)}, ensure_ascii=False))
    else:
        _show_reinforce(recipe, plan, model)


def _show_reinforce(recipe: str, plan, model: str) -> None:
    screen, settings, answering = console(markup=False), plan.settings, plan.answering
    where = f"{plan.machine.gpus} GPUs of {_gb(plan.machine.memory)} train ({plan.machine.source})"
    screen.print(recipe, style="bold", end="")
    screen.print(f": {where}, " + (f"{answering.servers} answer" if answering.servers else "and answer themselves"))
    limit = settings["rl_max_response_tokens"]
    lines = [
        ("asks", f"{plan.rollouts:,} rollouts of {plan.rollout_prompts:,} prompts x {settings['rl_num_generations']} responses; "
                 f"{plan.updates:,} updates, {settings['rl_updates_per_rollout']} a rollout; {_count(plan.epochs)} epochs"),
    ]  # fmt: skip
    if plan.memory is None:
        lines.append((Cell("memory", "yellow"), f"not estimated: {model}"))
    else:
        sequence = f"{plan.method.per_device} x ({plan.longest_prompt:,} prompt + {limit:,} response tokens)"
        room = f"{_gb(plan.memory.peak)} of {_gb(plan.machine.memory)} a GPU at the longest: {sequence}"
        lines.insert(0, (_fits(plan.fits, "bold "), room))
        both, gpus = plan.hours_answering + plan.hours_training, plan.machine.gpus + answering.servers
        lines.append(
            ("takes", f"about {_hours(both)} ({_count(both * gpus)} GPU-hours): {_hours(plan.hours_answering)} answering, {_hours(plan.hours_training)} training, one "
                      f"waiting for the other; at {answering.tokens_a_second:,.0f} tokens/s a GPU that answers and "
                      f"{answering.mean_tokens:,.0f} tokens a response (--server-speed, --response-tokens: assumed)")
        )  # fmt: skip
        lines.append(_written(plan.disk))

    screen.print(labelled([*lines, *((Cell("warning", "yellow"), warning) for warning in plan.warnings)]))
    print_tables(screen, _rows(plan))
    if plan.memory is not None:
        memory = plan.memory
        own = "TRL holds a response's logits, their log-softmax and two gradients"
        rows = [
            *((f"{name}, held", _gb(size), "") for name, size in memory.held.items()),
            ("checkpointed inputs" if plan.method.checkpointing else "activations", _gb(memory.inputs), ""),
            ("logits of a response", _gb(plan.logits), own),
            ("in all, at the fullest moment", _gb(memory.peak), ""),
        ]
        print_tables(screen, Table("", ("a GPU that trains", "bytes", ""), rows, words=(2,)))
        if answering.servers:
            rows = [
                ("weights", _gb(plan.weights)),
                ("keys and values of a token", f"{plan.cache_token:,} bytes"),
                ("responses of full length at once", f"{plan.at_once:,}"),
                ("asked of it at once", f"{-(-plan.rollout_responses // answering.servers):,}"),
            ]
            print_tables(screen, Table("", ("a GPU that answers", ""), rows))

    screen.print(
        "\nRollouts and updates are counted; memory and hours are arithmetic, not a measurement on your GPUs. Hours leave out the "
        "hand-over of the weights, verdicts, loading and saving.",
        style="dim",
    )


def _machine(recipe: str, keys: dict, gpus: int | None, gpu_memory: str | None, mfu: float, tflops: float):
    """Return the machine: as given, else as the recipe's header says, else one GPU, or a node of 8 for DeepSpeed."""
    from virgo_factory.preflight.plan.method import read_bytes, read_hardware
    from virgo_factory.preflight.plan.plan import Machine

    header = read_hardware(_text(recipe))
    memory = read_bytes(gpu_memory) if gpu_memory else header[1] if header else 80e9
    if gpus is not None:
        count, source = gpus, "--gpus"
    elif header:
        count, source = header[0], "the recipe's header"
    else:
        count, source = (8 if keys.get("deepspeed") else 1), "assumed: give --gpus"

    return Machine(count, memory, tflops, mfu, source)


def _text(recipe: str) -> str:
    from virgo_factory.io.recipes import read_recipe

    return Path(recipe).read_text(encoding="utf-8") if Path(recipe).is_file() else read_recipe(recipe)


def _show(recipe: str, plan) -> None:
    """Print a plan, the most important first."""
    screen = console(markup=False)
    _show_verdict(screen, recipe, plan)
    print_tables(screen, _rows(plan))
    for line in _row_lines(plan):
        screen.print(line)

    if plan.orders:
        print_tables(screen, _orders(plan))

    if plan.memory is not None:
        print_tables(screen, _memory(plan))
        if host := plan.memory.host:
            screen.print(f"and {_gb(host)} of the node's memory a GPU, {_gb(8 * host)} a node of 8 GPUs")

        print_tables(screen, _ways(plan))
        if plan.shared:
            print_tables(screen, _shared(plan))

        screen.print(f"\n{_disk(plan.disk)}")

    if plan.notes:
        screen.print()
        screen.print(labelled(("note", note) for note in plan.notes))

    moved = f" ZeRO-3 moves {_gb(plan.moved)} to each GPU in every micro-step." if plan.moved else ""
    screen.print(f"\n{ASSUMPTIONS}{moved}", style="dim")


ASSUMPTIONS = (
    "Rows and steps are counted; memory, disk and hours are arithmetic, not a measurement on your GPUs. GB are 10^9 "
    "bytes: what an 80 GiB card has beyond 80 GB is left to CUDA, NCCL and fragmentation. Hours hold the waiting of "
    "ranks for the longest micro-batch and the recomputation, not communication, loading and saving."
)


def _gb(size: float) -> str:
    """Return bytes for a person: GB of 10^9.

    >>> _gb(17.04e9), _gb(2.35e12)
    ('17.0 GB', '2,350 GB')
    """
    if size < 1e8:
        return f"{size / 1e6:,.1f} MB"

    return f"{size / 1e9:,.0f} GB" if size >= 100e9 else f"{size / 1e9:,.1f} GB"


def _show_verdict(screen, recipe: str, plan) -> None:
    machine, lines = plan.machine, []
    where = f"{machine.gpus} GPU{'s' if machine.gpus > 1 else ''} of {_gb(machine.memory)} ({machine.source})"
    screen.print(recipe, style="bold", end="")
    screen.print(f" on {where}")
    if plan.memory is None:
        lines.append((Cell("memory", "yellow"), f"not estimated: {plan.model}"))
    else:
        batch = f"{plan.method.sequences} x {int(plan.tokens['longest']):,} tokens"
        if plan.method.packing_tokens:
            batch = f"{plan.method.packing_tokens:,} tokens packed"

        room = f"{_gb(plan.memory.peak)} of {_gb(machine.memory)} a GPU at the longest micro-batch ({batch})"
        cutoff = plan.largest_cutoff
        largest = f"the largest cutoff_len that fits is {cutoff:,}" if cutoff else "no cutoff_len fits"
        lines.append((_fits(plan.fits, "bold "), f"{room}; {largest}"))

    if plan.hours is not None:
        hours = f"about {_hours(plan.hours)} ({_count(plan.hours * machine.gpus)} GPU-hours): {plan.steps:,} steps of "
        lines.append(
            ("takes", f"{hours}{plan.global_batch:,} rows at {machine.mfu:.0%} of {machine.tflops:g} TFLOP/s")
        )

    if plan.disk is not None:
        lines.append(_written(plan.disk))

    screen.print(labelled([*lines, *((Cell("warning", "yellow"), warning) for warning in plan.warnings)]))
    if plan.changes:
        fitting = next((place for place, change in enumerate(plan.changes) if change.fits), None)
        rows = [(change.what, _gb(change.peak), _fits(change.fits, no="no"), change.price) for change in plan.changes]
        columns = ("what makes it fit, cheapest first, free ones kept", "a GPU", "", "price")
        print_tables(screen, Table("", columns, rows, words=(2, 3), styles={fitting: "bold"}))


def _hours(hours: float) -> str:
    """Return a duration for a person.

    >>> _hours(0.004), _hours(1.25), _hours(21.34)
    ('1 minute', '1.2 hours', '21 hours')
    """
    if hours < 1:
        minutes = max(round(hours * 60), 1)
        return f"{minutes} minute{'s' if minutes > 1 else ''}"

    return f"{_count(hours)} hours"


def _count(number: float) -> str:
    """Return a number with two or more digits that say something.

    >>> _count(0.001), _count(0.021), _count(2.44), _count(1365.6)
    ('< 0.01', '0.02', '2.4', '1,366')
    """
    if number < 0.005:
        return "< 0.01"

    return f"{number:,.2f}" if number < 1 else f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


def _rows(plan):
    rows = [
        (
            *(dataset.name, dataset.rows, dataset.kept + dataset.unmeasured, sum(dataset.dropped.values())),
            "\n".join(f"{count:,} {reason}" for reason, count in dataset.dropped.items()),
        )
        for dataset in plan.rows.datasets
    ]
    return Table("", ("rows", "in", "kept", "dropped", "reasons"), rows, words=(4,))


def _row_lines(plan) -> tuple[str, str]:
    tokens = plan.tokens
    images = f", images up to {int(tokens['images of a row']):,}" if tokens["images of a row"] else ""
    cutoff = f" (cutoff_len {plan.cutoff_len:,})" if plan.cutoff_len else ""
    return (
        f"tokens a row: mean {tokens['mean']:,.0f}, 95th percentile {tokens['p95']:,.0f}, longest "
        f"{tokens['longest']:,.0f}{images}{cutoff}",
        f"global batch {plan.global_batch:,} = {plan.method.groups} x {plan.per_device} x {plan.accumulation}; "
        f"{plan.steps_epoch:,} steps an epoch, {plan.steps:,} in all ({plan.epochs:g} epochs of {plan.trained_rows:,} rows)",
    )


ORDERS = {
    "shuffle": ("shuffle", ""),
    "group_by_length": ("group_by_length: true (stock)", "other batches"),
    "balanced": ("batch_order: balanced", "same batches and gradients as shuffle"),
    "grouped": ("batch_order: grouped", "other batches"),
    "packed": ("batch_order: packed", "same batches and gradients"),
}
"""Order of the rows -> what it is called, and what it changes."""


def _orders(plan):
    rows, styles = [], {}
    for place, order in enumerate(plan.orders):
        name, means = ORDERS[order.name]
        hours = [] if plan.hours is None else [_count(order.hours), _count(order.hours * plan.machine.gpus)]
        if order.name == "packed":
            means = f"{means}, {order.passes:.2g} passes a step, not {plan.accumulation}"

        if order.name == plan.order:
            means, styles[place] = ", ".join(filter(None, ("this recipe", means))), "bold"

        rows.append((name, f"{order.slot_use:.2f}", *hours, means))

    columns = ("order of the rows", "slot use", *(() if plan.hours is None else ("hours", "GPU-hours")), "what")
    return Table("", columns, rows, words=(len(columns) - 1,), styles=styles)


def _memory(plan):
    memory, method = plan.memory, plan.method
    kind = f"ZeRO-{method.stage}" if method.stage else "DDP" if method.ranks > 1 else "one GPU"
    if method.zero and (method.zero.offload_optimizer or method.zero.offload_weights):
        kind += " with offload"

    buffers = "of communication: gathered weights, buckets, the largest gradient"
    what = {
        "weights": f"of {plan.parameters:,} parameters",
        "gradients": f"of {plan.trained:,} trained parameters",
        "optimiser": "Adam",
        "buffers": buffers if method.stage else "DDP's buckets, bfloat16 copies of the trained weights",
        "reference model": "DPO's frozen copy",
    }
    inputs = "checkpointed inputs" if method.checkpointing else "activations"
    either = "the larger of the two counts"
    fused = "in chunks" if method.chunked_loss else "fused: no logits" if method.fused_loss else ""
    loss = fused or "log-probabilities and two gradients in float32"
    is_layer = memory.layer >= memory.loss
    update = "gradients in float32, when the activations are gone"
    lines = [
        *((name, size, what.get(name, ""), "") for name, size in memory.held.items()),
        (inputs, memory.inputs, "what every layer keeps of the longest micro-batch", ""),
        ("one layer at work", memory.layer, either, "" if is_layer else "dim"),
        ("head and loss", memory.loss, f"{loss}; {either}", "dim" if is_layer else ""),
        *([("image features", memory.images, "pixels, and what the connector saves", "")] if memory.images else []),
        *([("optimiser's step", memory.update, update, "dim")] if memory.update else []),
        ("in all", memory.peak, "at the fullest moment", "bold"),
    ]
    rows = [(name, _gb(size), words) for name, size, words, _ in lines]
    styles = {place: line[-1] for place, line in enumerate(lines)}
    return Table("", (f"memory of a GPU ({kind})", "bytes", "what"), rows, words=(2,), styles=styles)


def _fits(is_so: bool, style: str = "", no: str = "does not fit"):
    return Cell("fits", f"{style}green") if is_so else Cell(no, f"{style}red")


def _ways(plan):
    room = plan.machine.memory
    rows = [
        (way.name, _gb(way.peak), _gb(way.host) if way.host else "", way.cutoff or "none", _fits(way.peak <= room))
        for way in plan.ways
    ]
    return Table("", ("ways to shard", "a GPU", "host, a GPU", "largest cutoff_len", ""), rows, words=(4,))


def _shared(plan):
    room = plan.machine.memory
    rows = [
        (one.size, _gb(one.peak), f"{one.slot_use:.2f}", f"{one.passes:.2g}", _fits(one.peak <= room))
        for one in plan.shared
    ]
    columns = ("sequence_parallel_size", "a GPU", "slot use", "passes a step", "")
    return Table("", columns, rows, words=(4,))


def _written(disk) -> tuple[str, str]:
    free = f"; {_gb(disk.free)} are free here" if disk.free is not None else ""
    return "writes", f"up to {_gb(disk.peak)} at once{free}"


def _disk(disk) -> str:
    checkpoints = f"{disk.checkpoints} checkpoint{'s' * (disk.checkpoints != 1)}"
    models = f"{disk.models} model{'s' * (disk.models != 1)}"
    return (
        f"disk: {_gb(disk.checkpoint)} a checkpoint, {_gb(disk.model)} a model; at the peak {checkpoints} + {models} = "
        f"{disk.peak:,} bytes"
    )


EXAMPLE = """virgo-factory plan recipes/virgo_demo_dt.yaml \\
    --model-config Qwen/Qwen2-VL-7B-Instruct --gpus 4"""
PAGE = "docs/cluster.md"
