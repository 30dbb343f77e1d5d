"""`virgo-factory smoke`: a recipe tried out on a tiny twin of its model, before the real one is loaded anywhere."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import OVERRIDES, read_overrides
from virgo_factory.report.table import Table
from virgo_factory.report.terminal import console, print_tables


EXAMPLE = "virgo-factory smoke virgo7b_dt_lora --data recipes/demo/long_thoughts.jsonl"


def smoke(
    recipe: str = typer.Argument(metavar="RECIPE", help="A recipe (.yaml), or the name of one that ships."),
    overrides: list[str] | None = OVERRIDES,
    ranks: int | None = typer.Option(None, "--ranks", min=1, help="CPU processes; 2 with DeepSpeed, else 1."),
    model: Path | None = typer.Option(
        None,
        "--model",
        metavar="DIR",
        help="Folder of tokenizer and processor, and of config.json for models that do not ship; by default the recipe's model.",
    ),
    data: Path | None = typer.Option(
        None, "--data", metavar="FILE", help="Take the rows from a file, in place of the recipe's datasets."
    ),
    serve: bool = typer.Option(True, "--serve/--no-serve", help="Load the result in vLLM, where it is installed."),
    work: Path | None = typer.Option(
        None,
        "--work",
        metavar="DIR",
        help="Keep what is written here; by default a folder that is removed if all is well.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the stages as JSON, at the end."),
) -> None:
    """Try a recipe out in minutes: rows, training, kill, resume, export and serving, on a tiny twin of its model and on CPU.

    Any SFT, DPO or GRPO recipe; a model other than Qwen2-VL, Qwen2.5-VL and Qwen3-VL is made small by its own config.json. No weights are
    loaded and no GPU is used. It stops at the first failure, with the reason, and ends with the list of what had to be
    substituted on this machine and is therefore not tested. Exit code 1 if a stage failed.
    """
    import shutil
    import signal
    import sys
    import tempfile
    import time

    from virgo_factory.preflight.smoke.stages import run
    from virgo_factory.preflight.smoke.trial import Smoke

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = work or Path(tempfile.mkdtemp(prefix="virgo-smoke-"))
    job = Smoke(recipe, folder.absolute(), ranks, model, data, serve, read_overrides(overrides))
    screen = console(quiet=as_json, markup=False)
    began = time.monotonic()
    results = []
    screen.print(recipe, style="bold", end="")
    screen.print(f" on a tiny twin of its model, in {job.work}", soft_wrap=True)
    with contextlib.ExitStack() as live:
        status = live.enter_context(screen.status("")) if screen.is_terminal and not as_json else None

        def starting(stage: str) -> None:
            if status:
                status.update(f"{stage} ...")

        if work is None:
            live.push(lambda kind, *_: kind and shutil.rmtree(folder, ignore_errors=True))  # interrupted

        for result in live.enter_context(contextlib.closing(run(job, starting))):
            results.append(result)
            _show(screen, result)

    passed = all(result.ok for result in results)
    seconds = time.monotonic() - began
    if as_json:
        _print_json(job, results, passed, seconds)
    else:
        _show_end(screen, job, results, passed, seconds)

    if (passed or len(results) == 1) and work is None:
        shutil.rmtree(folder, ignore_errors=True)

    raise typer.Exit(0 if passed else 1)


def _show(screen, result) -> None:
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 2))
    for width in (6, 10, 7):
        line.add_column(no_wrap=True, width=width, justify="right" if width == 7 else "left")

    line.add_column(overflow="fold")
    state = Text("ok", "green") if result.ok else Text("failed", "red")
    line.add_row(state, result.stage, f"{result.seconds:.1f} s", Text(result.found))
    for note in result.notes:
        line.add_row(Text("note", "yellow"), "", "", Text(note))

    if result.remedy:
        line.add_row("", "", "to do", Text(result.remedy))

    if result.log:
        line.add_row("", "", "log", Text(result.log))

    screen.print(line)


def _show_end(screen, job, results, passed: bool, seconds: float) -> None:
    if not passed:
        screen.print(f"Stopped at {results[-1].stage}", style="bold red", end="")
        written = f"; what was written is in {job.work}" if len(results) > 1 else ""  # `parse` writes nothing
        screen.print(f" after {seconds:.0f} s{written}", soft_wrap=True)
        return

    screen.print(f"All {len(results)} stages passed", style="bold green", end="")
    screen.print(f" in {seconds:.0f} s.\n\nSubstituted on this machine, hence not tested:")
    rows = [(item.recipe, item.used, item.untested) for item in job.substituted]
    print_tables(screen, Table("", ("the recipe says", "used here", "not tested"), rows, words=(1, 2)))


def _print_json(job, results, passed: bool, seconds: float) -> None:
    content = {
        "recipe": job.recipe,
        "passed": passed,
        "seconds": round(seconds, 1),
        "work": str(job.work),
        "stages": [asdict(result) for result in results],
        "substituted": [asdict(item) for item in job.substituted],
    }
    typer.echo(json.dumps(content, ensure_ascii=False, indent=1))
