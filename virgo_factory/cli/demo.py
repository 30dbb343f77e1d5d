"""`virgo-factory demo`: train a tiny model with the stock command, and prove what happened."""

import os
import time
from pathlib import Path

import typer


def demo(
    folder: Path = typer.Option(Path("saves/virgo_demo"), "--dir", help="Where base model and checkpoint go."),
    prepare_only: bool = typer.Option(False, "--prepare-only", help="Make the base model and stop."),
) -> None:
    """Train a tiny Qwen2-VL on generated long thoughts and prove what happened.

    Two CPU cores, no GPU, no network, under three minutes. A second call replaces what the first one made.

    Example: virgo-factory demo
    """
    from rich.console import Console

    from virgo_factory.demo import run

    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, warns that it found no GPU
    console = Console(highlight=False)
    started = time.monotonic()
    planned = run.plan(folder)
    console.print("[bold]1 of 3[/] Making a tiny random Qwen2-VL: the real architecture.")
    run.prepare(planned)
    console.print(f"       {planned.base}")
    shown = " ".join(["llamafactory-cli", *planned.command[1:]])
    if prepare_only:
        console.print("Ready. Train it with the stock command:", f"  {shown}", sep="\n", soft_wrap=True)
        return

    console.print("[bold]2 of 3[/] Training it with the stock command:", f"       {shown}", sep="\n", soft_wrap=True)
    _train(console, planned)
    console.print("[bold]3 of 3[/] Proofs, from the files and the log of that run alone:")
    failed = _prove(console, planned)
    if failed:
        for proof in failed:
            console.print(f"[red]not proved:[/] {proof.name}: {proof.evidence}", soft_wrap=True)

        raise typer.Exit(1)

    console.print(
        f"All of it holds. {time.monotonic() - started:.0f} s in all.",
        f"  loss curve   {planned.output / 'training_loss.png'}",
        f"  row account  {planned.output / 'virgo_rows.json'}",
        f"  checkpoint   {planned.output}",
        f"  full log     {planned.log}",
        sep="\n",
        soft_wrap=True,
    )


def _train(console, planned) -> None:
    """Run the training, with a progress bar on a terminal and a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from virgo_factory.demo import run

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps  {task.description}"), TimeElapsedColumn())
    shown = 0
    with Progress(TextColumn("      "), *columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        for state in run.train(planned):
            if not state.steps:
                continue

            bar.update(task, total=state.steps, completed=state.step, description=f"loss {state.loss:.2f}")
            if not console.is_terminal and state.step // 20 > shown:
                shown = state.step // 20
                console.print(f"       step {state.step} of {state.steps}, loss {state.loss:.2f}")


def _prove(console, planned) -> list:
    """Print every proof and the model's answer; return the proofs that failed."""
    from virgo_factory.demo import proofs

    failed = []

    def show(proof: proofs.Proof) -> None:
        mark = "[green]proved[/]" if proof.holds else "[red]FAILED[/]"
        console.print(f"  {mark}  {proof.name:26}", proof.evidence, soft_wrap=True)
        if not proof.holds:
            failed.append(proof)

        if proof.name == "connector unmoved by text":
            console.print(
                "          In text-only rows nothing attends to the placeholder image, so no gradient reaches the "
                "connector; visual rows train it.",
                style="dim",
                soft_wrap=True,
            )

    for proof in proofs.prove(planned):
        show(proof)

    answer = proofs.ask(planned)
    show(proofs.answered(planned, answer))
    console.print(
        f"\nQuestion on the picture {planned.picture}: {proofs.QUESTION}\n"
        "Answer of a model that was random a minute ago. It has met the words and the markers; it makes no sense:",
        soft_wrap=True,
    )
    console.print(answer.response.strip(), style="dim", markup=False)
    console.print()
    return failed
