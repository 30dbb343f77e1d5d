"""`virgo-factory plan`: what a recipe costs, before the GPUs are booked."""

from pathlib import Path

import typer

from virgo_factory.core.errors import UserError


def plan(
    recipe: str = typer.Argument(metavar="RECIPE", help="A recipe (.yaml), or the name of one that ships."),
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
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell rows, steps, memory, disk and hours of a recipe from its real rows, and the cheapest changes that make it fit.

    Rows and steps are exact; memory, disk and hours are estimates, and never a reason to fail. Exit code 1 only for what is
    certain to stop the run: no row is kept, a file is missing, the batch does not divide, a key does not exist.
    """
    import json
    from dataclasses import replace

    from virgo_factory.cli.data.terminal import progress, training
    from virgo_factory.data.read.source import find_sources, load_recipe
    from virgo_factory.data.rows.stream import measure
    from virgo_factory.preflight.plan.method import read_method
    from virgo_factory.preflight.plan.models import find_shape
    from virgo_factory.preflight.plan.plan import gather_rows, make_plan, to_json

    if model_config and model_config.endswith(".json") and not Path(model_config).is_file():
        raise UserError(f"--model-config: {model_config}: no such file, seen from {Path.cwd()}.")

    keys = load_recipe(recipe)
    machine = _machine(recipe, keys, gpus, gpu_memory, mfu, tflops)
    read_method(keys, machine.gpus)  # what is certain to fail is told before rows are read
    sources, settings = find_sources(recipe, dataset_dir, tokenizer=tokenizer)
    sources = training(sources)
    try:
        shape, model = find_shape(keys.get("model_name_or_path"), model_config)
    except ValueError as error:
        shape, model = None, str(error)

    names = [source.name for source in sources]
    try:
        with progress("measuring rows") as told:
            rows = gather_rows(measure(sources, settings, workers, progress=told), names, settings.overlong,
                               settings.cutoff_len)  # fmt: skip
    except ValueError as error:
        if tokenizer is None and "token" in str(error):
            raise UserError(f"{error} Or name the same tokenizer with --tokenizer FOLDER_OR_HUB_ID.") from None

        raise

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


def _machine(recipe: str, keys: dict, gpus: int | None, gpu_memory: str | None, mfu: float, tflops: float):
    """Return the machine: as given, else as the recipe's header says, else one GPU, or a node of 8 for DeepSpeed."""
    from virgo_factory.io.recipes import read_recipe
    from virgo_factory.preflight.plan.method import read_bytes, read_hardware
    from virgo_factory.preflight.plan.plan import Machine

    text = Path(recipe).read_text(encoding="utf-8") if Path(recipe).is_file() else read_recipe(recipe)
    header = read_hardware(text)
    memory = read_bytes(gpu_memory) if gpu_memory else header[1] if header else 80e9
    if gpus is not None:
        count, source = gpus, "--gpus"
    elif header:
        count, source = header[0], "the recipe's header"
    else:
        count, source = (8 if keys.get("deepspeed") else 1), "assumed: give --gpus"

    return Machine(count, memory, tflops, mfu, source)


def _show(recipe: str, plan) -> None:
    """Print a plan, the most important first."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)

    _show_verdict(console, recipe, plan)
    _show_rows(console, plan)
    _show_orders(console, plan)
    if plan.memory is not None:
        _show_memory(console, plan)
        _show_disk(console, plan)

    if plan.notes:
        from rich.markup import escape

        lines = _grid()
        for note in plan.notes:
            lines.add_row("note", escape(note))

        console.print()
        console.print(lines)

    _show_assumptions(console, plan)


def _grid():
    """Return lines of a label and a text that is wrapped behind it."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _gb(size: float) -> str:
    """Return bytes for a person: GB of 10^9.

    >>> _gb(17.04e9), _gb(2.35e12)
    ('17.0 GB', '2,350 GB')
    """
    return (
        f"{size / 1e9:,.0f} GB"
        if size >= 100e9
        else f"{size / 1e9:,.1f} GB"
        if size >= 1e8
        else f"{size / 1e6:,.1f} MB"
    )


def _show_verdict(console, recipe: str, plan) -> None:
    from rich.markup import escape

    machine, lines = plan.machine, _grid()
    where = f"{machine.gpus} GPU{'s' if machine.gpus > 1 else ''} of {_gb(machine.memory)} ({machine.source})"
    console.print(f"[bold]{escape(recipe)}[/] on {where}")
    if plan.memory is None:
        lines.add_row("[yellow]memory[/]", escape(f"not estimated: {plan.model}"))
    else:
        batch = f"{plan.method.sequences} x {int(plan.tokens['longest']):,} tokens"
        room = f"{_gb(plan.memory.peak)} of {_gb(machine.memory)} a GPU at the longest micro-batch ({batch})"
        cutoff = plan.largest_cutoff
        largest = f"the largest cutoff_len that fits is {cutoff:,}" if cutoff else "no cutoff_len fits"
        lines.add_row("[bold green]fits[/]" if plan.fits else "[bold red]does not fit[/]", f"{room}; {largest}")

    if plan.hours is not None:
        lines.add_row(
            "takes",
            f"about {_hours(plan.hours)} ({_count(plan.hours * machine.gpus)} GPU-hours): {plan.steps:,} steps of "
            f"{plan.global_batch:,} rows at {machine.mfu:.0%} of {machine.tflops:g} TFLOP/s",
        )

    if plan.disk is not None:
        free = f"; {_gb(plan.disk.free)} are free here" if plan.disk.free is not None else ""
        lines.add_row("writes", f"up to {_gb(plan.disk.peak)} at once{free}")

    for warning in plan.warnings:
        lines.add_row("[yellow]warning[/]", escape(warning))

    console.print(lines)
    if plan.changes:
        console.print()
        table = _table("what makes it fit, cheapest first, free ones kept", "a GPU", "", "price")
        fitting = next((change for change in plan.changes if change.fits), None)
        for change in plan.changes:
            mark = "[green]fits[/]" if change.fits else "[red]no[/]"
            table.add_row(change.what, _gb(change.peak), mark, change.price, style="bold" if change is fitting else "")

        console.print(table)


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


def _table(first: str, *others: str):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(
            name, justify="left" if name in ("", "price", "reasons", "what") else "right", overflow="fold"
        )

    return table


def _show_rows(console, plan) -> None:
    from rich.markup import escape

    console.print()
    table = _table("rows", "in", "kept", "dropped", "reasons")
    for dataset in plan.rows.datasets:
        reasons = "\n".join(f"{count:,} {reason}" for reason, count in dataset.dropped.items())
        kept = dataset.kept + dataset.unmeasured
        table.add_row(
            escape(dataset.name),
            f"{dataset.rows:,}",
            f"{kept:,}",
            f"{sum(dataset.dropped.values()):,}",
            escape(reasons),
        )

    console.print(table)
    tokens = plan.tokens
    images = f", images up to {int(tokens['images of a row']):,}" if tokens["images of a row"] else ""
    console.print(
        f"tokens a row: mean {tokens['mean']:,.0f}, 95th percentile {tokens['p95']:,.0f}, longest {tokens['longest']:,.0f}"
        f"{images} (cutoff_len {plan.cutoff_len:,})"
        if plan.cutoff_len
        else f"tokens a row: mean {tokens['mean']:,.0f}, 95th percentile {tokens['p95']:,.0f}, "
        f"longest {tokens['longest']:,.0f}{images}"
    )
    console.print(
        f"global batch {plan.global_batch:,} = {plan.machine.gpus} x {plan.per_device} x {plan.accumulation}; "
        f"{plan.steps_epoch:,} steps an epoch, {plan.steps:,} in all ({plan.epochs:g} epochs of {plan.trained_rows:,} rows)"
    )


_ORDER_NAMES = {
    "shuffle": "shuffle",
    "group_by_length": "group_by_length: true (stock)",
    "balanced": "batch_order: balanced",
    "grouped": "batch_order: grouped",
}
_ORDER_MEANS = {
    "shuffle": "",
    "group_by_length": "other batches",
    "balanced": "same batches and gradients as shuffle",
    "grouped": "other batches",
}


def _show_orders(console, plan) -> None:
    if not plan.orders:
        return

    console.print()
    timed = plan.hours is not None
    table = _table("order of the rows", "slot use", *(("hours", "GPU-hours") if timed else ()), "what")
    for order in plan.orders:
        own = order.name == plan.order
        hours = [_count(order.hours), _count(order.hours * plan.machine.gpus)] if timed else []
        what = ", ".join(filter(None, ("this recipe" if own else "", _ORDER_MEANS[order.name])))
        table.add_row(_ORDER_NAMES[order.name], f"{order.slot_use:.2f}", *hours, what, style="bold" if own else "")

    console.print(table)


def _show_memory(console, plan) -> None:
    memory, method = plan.memory, plan.method
    console.print()
    kind = f"ZeRO-{method.stage}" if method.stage else "DDP" if method.ranks > 1 else "one GPU"
    if method.zero and (method.zero.offload_optimizer or method.zero.offload_weights):
        kind += " with offload"

    table = _table(f"memory of a GPU ({kind})", "bytes", "what")
    what = {
        "weights": f"of {plan.parameters:,} parameters",
        "gradients": f"of {plan.trained:,} trained parameters",
        "optimiser": "Adam",
        "buffers": "of communication: gathered weights, buckets, the largest gradient"
        if method.stage
        else "DDP's buckets, bfloat16 copies of the trained weights",
        "reference model": "DPO's frozen copy",
    }
    for name, size in memory.held.items():
        table.add_row(name, _gb(size), what.get(name, ""))

    table.add_row(
        "checkpointed inputs" if method.checkpointing else "activations",
        _gb(memory.inputs),
        "what every layer keeps of the longest micro-batch",
    )
    larger = memory.layer >= memory.loss
    either = "the larger of the two counts"
    table.add_row("one layer at work", _gb(memory.layer), either, style="" if larger else "dim")
    loss = "fused: no logits" if method.fused_loss else "log-probabilities and two gradients in float32"
    table.add_row("head and loss", _gb(memory.loss), f"{loss}; {either}", style="dim" if larger else "")
    if memory.images:
        table.add_row("image features", _gb(memory.images), "pixels, and what the connector saves")

    if memory.update:
        table.add_row(
            "optimiser's step", _gb(memory.update), "gradients in float32, when the activations are gone", style="dim"
        )

    table.add_row("in all", _gb(memory.peak), "at the fullest moment", style="bold")
    console.print(table)
    if memory.host:
        console.print(f"and {_gb(memory.host)} of the node's memory a GPU, {_gb(8 * memory.host)} a node of 8 GPUs")

    console.print()
    table = _table("ways to shard", "a GPU", "host, a GPU", "largest cutoff_len", "")
    for way in plan.ways:
        fits = "[green]fits[/]" if way.peak <= plan.machine.memory else "[red]does not fit[/]"
        cutoff = f"{way.cutoff:,}" if way.cutoff else "none"
        table.add_row(way.name, _gb(way.peak), _gb(way.host) if way.host else "", cutoff, fits)

    console.print(table)


def _show_disk(console, plan) -> None:
    disk = plan.disk
    console.print()
    console.print(
        f"disk: {_gb(disk.checkpoint)} a checkpoint, {_gb(disk.model)} a model; at the peak {disk.checkpoints} checkpoint"
        f"{'s' if disk.checkpoints != 1 else ''} + {disk.models} model{'s' if disk.models != 1 else ''} = "
        f"{disk.peak:,} bytes"
    )


def _show_assumptions(console, plan) -> None:
    console.print()
    told = (
        "[dim]Rows and steps are counted; memory, disk and hours are arithmetic, not a measurement on your GPUs. GB are 10^9 "
        "bytes: what an 80 GiB card has beyond 80 GB is left to CUDA, NCCL and fragmentation. Hours hold the waiting of "
        "ranks for the longest micro-batch and the recomputation, not communication, loading and saving."
    )
    if plan.moved:
        told += f" ZeRO-3 moves {_gb(plan.moved)} to each GPU in every micro-step."

    console.print(f"{told}[/]")


EXAMPLE = """\b
Example (the demo's rows, the sizes of a 7B model):
  virgo-factory plan recipes/virgo_demo_dt.yaml --model-config Qwen/Qwen2-VL-7B-Instruct --gpus 4

\b
  recipes/virgo_demo_dt.yaml on 4 GPUs of 80.0 GB (--gpus)
  does not fit  193 GB of 80.0 GB a GPU at the longest micro-batch (4 x 712 tokens); no cutoff_len fits
  takes         about 1 minute (0.07 GPU-hours): 80 steps of 16 rows at 40% of 312 TFLOP/s
  writes        up to 250 GB at once; 73.8 GB are free here
  warning       deepspeed: not set, so each GPU holds the whole model and its optimiser.
  warning       output_dir: 250 GB at the peak, but 74 GB are free on its disk here.

\b
  what makes it fit, cheapest first, free ones kept     a GPU          price
  ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
  enable_liger_kernel: true (fused loss)               189 GB   no     nothing
  per_device_train_batch_size: 1                       175 GB   no     nothing: accumulation keeps the global batch
  disable_gradient_checkpointing: false                171 GB   no     a third more time
  deepspeed: recipes/deepspeed/ds_z3.json             38.1 GB   fits   weights are gathered each time
  deepspeed: recipes/deepspeed/ds_z3_offload.json      4.4 GB   fits   31 GB of the node's memory a GPU; a slower
                                                                       optimiser step
  8 GPUs with ZeRO-3                                  22.4 GB   fits   2 times the GPUs

\b
  rows             in   kept   dropped   reasons
  ───────────────────────────────────────────────────────────────
  virgo_demo_dt   320    313         7   5 overlong > 1024 tokens
                                         2 no end of thought
  tokens a row: mean 348, 95th percentile 497, longest 712 (cutoff_len 1,024)
  global batch 16 = 4 x 4 x 1; 20 steps an epoch, 80 in all (4 epochs of 313 rows)

\b
  order of the rows               slot use   hours   GPU-hours   what
  ────────────────────────────────────────────────────────────────────────────────────────────────────
  shuffle                             0.63    0.02        0.07   this recipe
  group_by_length: true (stock)       0.81    0.01        0.05   other batches
  batch_order: balanced               0.63    0.02        0.07   same batches and gradients as shuffle
  batch_order: grouped                0.96    0.01        0.04   other batches

\b
  memory of a GPU (DDP)     bytes   what
  ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  weights                 31.9 GB   of 8,291,375,616 parameters
  gradients               30.6 GB   of 7,660,192,256 trained parameters
  optimiser               61.3 GB   Adam
  buffers                 46.0 GB   DDP's buckets, bfloat16 copies of the trained weights
  activations             18.0 GB   what every layer keeps of the longest micro-batch
  one layer at work        0.4 GB   the larger of the two counts
  head and loss            5.3 GB   log-probabilities and two gradients in float32; the larger of the two counts
  in all                   193 GB   at the fullest moment

\b
  ways to shard       a GPU   host, a GPU   largest cutoff_len
  ───────────────────────────────────────────────────────────────────────────
  DDP                193 GB                               none   does not fit
  ZeRO-2            67.8 GB                              1,024   fits
  ZeRO-3            57.4 GB                              1,344   fits
  ZeRO-3, offload   26.4 GB       31.0 GB                2,304   fits

\b
  disk: 93.2 GB a checkpoint, 31.9 GB a model; at the peak 2 checkpoints + 2 models = 250,175,619,072 bytes

\b
  Rows and steps are counted; memory, disk and hours are arithmetic, not a measurement on your GPUs. GB are 10^9 bytes:
  what an 80 GiB card has beyond 80 GB is left to CUDA, NCCL and fragmentation. Hours hold the waiting of ranks for the
  longest micro-batch and the recomputation, not communication, loading and saving."""
