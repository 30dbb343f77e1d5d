"""`virgo-factory distill questions`: the questions of a distillation, before any model is asked."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy
from virgo_factory.report.card import card_files
from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import amount


def questions(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration, such as recipes/distill/dsd_virgo7b.yaml."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="Keys that differ from it."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Draw the questions of a config with their pictures into OUTPUT_DIR/questions.jsonl, and tell what was left out.

    No model is asked. What is complete is kept; `distill run` goes on from it.
    """
    from huggingface_hub.utils import disable_progress_bars

    from virgo_factory.distill.config import BLOCKS, read_config
    from virgo_factory.distill.questions.build import build_questions
    from virgo_factory.rollouts.question import FILE

    settings = read_config(config, overrides or [], files=BLOCKS["questions"])  # no model need be there
    disable_progress_bars()  # they would break up the line
    with busy("reading the sources") as status:

        def told(source: str, seen: int, held: int) -> None:
            if status:
                status.update(f"{source}: {seen:,} questions seen, {held:,} drawn")

        card = build_questions(settings, settings.output_dir, told)

    if as_json:
        typer.echo(json.dumps({**asdict(card), "folder": str(settings.output_dir)}, ensure_ascii=False))
        return

    screen = console(soft_wrap=True, markup=False)
    people = card.card()
    print_tables(screen, *people.tables)
    screen.print()
    for note in people.notes:
        screen.print(note)

    path = settings.output_dir / FILE
    screen.print(
        f"{path}: {amount(card.kept, 'question')} on {amount(card.output['images'], 'picture')}; card: {card_files(path)[0]}"
    )


EXAMPLE = """virgo-factory distill questions my.yaml source_dir=originals \\
    sources='{tabmwp: 20, geos: 279}'"""
