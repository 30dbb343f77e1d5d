"""`virgo-factory plan`: what a recipe costs, before the GPUs are booked."""

from pathlib import Path

import typer


EXAMPLE = ""


def plan(
    recipe: str = typer.Argument(metavar="RECIPE", help="A recipe (.yaml), or the name of one that ships."),
    gpus: int | None = typer.Option(None, "--gpus", help="In all. By default as many as the recipe's header names."),
    gpu_memory: str | None = typer.Option(None, "--gpu-memory", help="Of one, such as 80GB; the header's by default."),
    mfu: float = typer.Option(0.4, "--mfu", help="Share of a GPU's speed that training reaches."),
    tflops: float = typer.Option(312.0, "--tflops", help="Speed of a GPU in bfloat16: 312 for an A100, 989 an H100."),
    tokenizer: str | None = typer.Option(None, "--tokenizer", help="Folder or hub id; the recipe's model by default."),
    model_config: Path | None = typer.Option(
        None, "--model-config", help="config.json of the model, or its folder, where its sizes are not known."
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

    from virgo_factory.cli.data.terminal import progress, training
    from virgo_factory.datasets.measure import measure
    from virgo_factory.datasets.source import find_sources, load_recipe
    from virgo_factory.preflight.models import find_shape
    from virgo_factory.preflight.plan import gather_rows, make_plan, read_method, to_json

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
            raise ValueError(f"{error} Or name the same tokenizer with --tokenizer FOLDER_OR_HUB_ID.") from None

        raise

    found = make_plan(keys, rows, machine, settings.cutoff_len, shape, model)
    if as_json:
        print(json.dumps({"recipe": recipe, **to_json(found)}, ensure_ascii=False))
    else:
        _show(recipe, found)


def _machine(recipe: str, keys: dict, gpus: int | None, gpu_memory: str | None, mfu: float, tflops: float):
    """Return the machine: as given, else as the recipe's header says, else one GPU, or a node of 8 for DeepSpeed."""
    from virgo_factory.preflight.plan import Machine, read_bytes, read_hardware
    from virgo_factory.recipes import read_recipe

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
        table = _table("what would make it fit, cheapest first", "a GPU", "", "price")
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

    >>> _count(0.021), _count(2.44), _count(1365.6)
    ('0.02', '2.4', '1,366')
    """
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
        "buffers": "of communication: gathered weights, buckets, the largest gradient",
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
        f"{'s' if disk.checkpoints != 1 else ''} (the one being written included) + {disk.models} model"
        f"{'s' if disk.models != 1 else ''} = {_gb(disk.peak)} ({disk.peak:,} bytes)"
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
