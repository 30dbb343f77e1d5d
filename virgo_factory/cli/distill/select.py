"""`virgo-factory distill select`: the rollouts that are trained on, as a dataset with a card and an entry."""

from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import command_line, progress
from virgo_factory.report.card import card_files
from virgo_factory.report.terminal import counted


def select(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the distillation: output_dir of its config."),
    overrides: list[str] | None = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Selection keys that differ: max_binary_share=0.3, dataset_dir=data."
    ),
    difficulty: str | None = typer.Option(
        None, "--difficulty", help="medium (4-5 of 5 correct), hard (2-3), any, or random (no base model was asked)."
    ),
    responses: str | None = typer.Option(
        None, "--responses", help="shortest, all, first or diverse correct responses; first: as they were sampled."
    ),
    k: int | None = typer.Option(None, "--k", min=1, help="Responses of a question, at most, for first and diverse."),
    dataset: str | None = typer.Option(None, "--dataset", help="Name of the entry in dataset_info.json."),
    out: Path | None = typer.Option(
        None,
        "--out",
        help="The file: .jsonl or .parquet; DIR/selected.jsonl, or DIR/NAME.jsonl for another --dataset.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the file, and the entry of that name."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Choose the rollouts that are trained on, by the selection keys of the config or the options given here.

    Rollouts without a verdict are judged first. Only complete, correct and well-formed responses are taken; a malformed
    one passes to the next. Every question that gives no row is counted with its reason, in the card beside the file.
    """
    from rich.console import Console

    from virgo_factory.distill.select.select import choose

    given = {"difficulty": difficulty, "responses": responses, "k": k, "dataset": dataset}
    keys = [*(overrides or []), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    with progress("judging and reading rollouts") as told:
        card = choose(folder, keys, out, command_line(), overwrite, told)

    if as_json:
        import json

        from virgo_factory.distill.select.selection_card import to_json

        print(json.dumps(to_json(card), ensure_ascii=False))
    else:
        _show(Console(highlight=False, soft_wrap=True), card, out.parent if out else folder)


def _show(console, card, folder: Path) -> None:
    """Print the accounts of questions and rollouts, what a reader must know, and how to train on the rows."""
    from virgo_factory.distill.select.selection_card import accounts, notes_of, training_line

    path = folder / card.output["file"]
    console.print(
        f"[bold]{path}[/]: {card.output['rows']:,} row{'s' * (card.output['rows'] != 1)} of {card.kept:,} question{'s' * (card.kept != 1)}"
    )
    for account in accounts(card):
        console.print()
        *lines, last = counted(account)
        console.print("\n".join(lines), markup=False)
        console.print(last, markup=False, style="bold")

    console.print()
    for note in notes_of(card):
        console.print(f"[yellow]Note:[/] {note}")

    console.print(f"Card: {card_files(path)[0]}", markup=False)
    console.print(f"Entry {next(iter(card.entry))} in {card.config.dataset_dir / 'dataset_info.json'}", markup=False)
    console.print(f"To train on it, put behind a recipe: {training_line(card)}", markup=False)


EXAMPLE = "virgo-factory distill select out"
