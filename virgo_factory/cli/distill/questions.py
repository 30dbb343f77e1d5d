"""`virgo-factory distill questions`: the questions of a distillation, before any model is asked."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import typer

from virgo_factory.report.card import card_files
from virgo_factory.report.terminal import console as console_of


def questions(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration, such as recipes/distill/dsd_virgo7b.yaml."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="Keys that differ from it."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Draw the questions of a config with their pictures into OUTPUT_DIR/questions.jsonl, and tell what was left out.

    No model is asked. What is complete is kept; `distill run` goes on from it.
    """
    from virgo_factory.distill.config import read_config
    from virgo_factory.distill.questions.build import build_questions

    settings = read_config(config, overrides or [])
    with _progress() as told:
        card = build_questions(settings, settings.output_dir, told)

    if as_json:
        typer.echo(json.dumps({**asdict(card), "folder": str(settings.output_dir)}, ensure_ascii=False))
        return

    _show(card, settings.output_dir)


def _show(card, folder: Path) -> None:
    from rich.table import Table

    from virgo_factory.rollouts.question import FILE

    console = console_of(soft_wrap=True, markup=False)
    table = Table("source", box=None, pad_edge=False, header_style="bold")
    for name in ("asked for", "found", "kept", "pictures", "yes/no or 1 of 2"):
        table.add_column(name, justify="right")

    for count in card.sources:
        share = f"{count.binary / count.kept:.0%}" if count.kept else ""
        wanted = "all" if count.wanted is None else f"{count.wanted:,}"
        found = f"{count.rows_in + count.extra:,}"
        table.add_row(count.source, wanted, found, f"{count.kept:,}", f"{count.images:,}", share)

    console.print(table)
    for count in card.sources:
        if count.dropped:
            told = ", ".join(f"{number:,} {reason}" for reason, number in count.dropped.items())
            console.print(f"{count.source}, left out: {told}")

    for note in card.notes:
        console.print(note)

    path = folder / FILE
    console.print(
        f"{path}: {card.kept:,} questions on {card.output['images']:,} pictures; card: {card_files(path)[0]}"
    )


EXAMPLE = """virgo-factory distill questions my.yaml source_dir=originals \\
    sources='{tabmwp: 20, geos: 279}'"""


@contextlib.contextmanager
def _progress():
    """Yield what `build_questions` tells its progress to: a line on a terminal, else nothing."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return

    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # they would break up the line
    with console.status("reading the sources") as status:
        yield lambda source, seen, held: status.update(f"{source}: {seen:,} questions seen, {held:,} drawn")
