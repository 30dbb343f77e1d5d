"""`virgo-factory evaluate choose`: the epoch that is taken, by a rule, on a development set."""

import contextlib
from pathlib import Path
from typing import Literal

import typer

from virgo_factory.cli.asked import stoppable
from virgo_factory.report.terminal import console, print_tables


def choose(
    run: Path = typer.Argument(metavar="RUN_DIR", help="output_dir of the training; epoch-N folders are in it."),
    overrides: list[str] | None = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Keys that differ from recipes/evaluate/virgo.yaml."
    ),
    dev: str = typer.Option(
        ..., "--dev", metavar="FILE|mmmu_dev", help="The development set: questions of your own, or MMMU's."
    ),
    rule: Literal["one-se", "best"] = typer.Option(
        "one-se", "--rule", help="The earliest epoch within one paired standard error of the best, or the best."
    ),
    trained_on: list[str] | None = typer.Option(
        None,
        "--trained-on",
        metavar="RECIPE|DATASET|FILE",
        help="Training data; what virgo_rows.json names by default.",
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
) -> None:
    """Ask every kept epoch a development set, and link RUN_DIR/best to the one that a rule takes.

    Questions that stand in the training data, or in the benchmarks of benchmark_dir, are refused: the same text on the same
    picture. Killed, the same command goes on.
    """
    from virgo_factory.evaluation import choose as room
    from virgo_factory.rollouts.run.progress import Live

    shown = console(soft_wrap=True, markup=False)
    config = room.config_of(run, dev, overrides or [])
    live: Live | None = None
    with stoppable(run / room.DEV, "The same command goes on."), contextlib.ExitStack() as epochs:

        def begin(epoch: int, own) -> None:
            nonlocal live
            epochs.close()
            shown.print(f"epoch {epoch}: {own.output_dir}")
            live = epochs.enter_context(Live(shown, own.output_dir, max(1, len(own.urls)), own.response_format))

        def tell(event) -> None:
            live(event) if live else shown.print(event.message)

        found = room.choose(run, config, rule, trained_on or (), dataset_dir, begin, tell)

    print_tables(shown, room.table(found))
    shown.print(f"\n{room.reason(found)}")
    for note in found.notes:
        shown.print(f"Note: {note}.")

    shown.print(f"{run / room.BEST} -> epoch-{found.epoch}; numbers in {run / room.CHOICE}, plot {run / room.PLOT}.")
    shown.print("The score of the epoch that won flatters it: report what a benchmark says.")


EXAMPLE = """virgo-factory evaluate choose saves/virgo7b/full/dt --dev dev.jsonl \\
    'urls=[http://node1:8000]'"""
