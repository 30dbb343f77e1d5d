"""`virgo-factory data dedup`: what several datasets, or one, hold twice is kept once."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import command_line, progress, training
from virgo_factory.core.errors import UserError
from virgo_factory.report.card import card_files, entry_line
from virgo_factory.report.terminal import counted
from virgo_factory.report.text import amount


def dedup(
    out: Path = typer.Argument(metavar="OUT", help="Folder for a file of each dataset, the account and its card."),
    what: list[str] = typer.Argument(
        metavar="DATASET|FILE", help="Datasets' names or files; a row stays in the first that has it."
    ),
    across: bool = typer.Option(
        False, "--across", help="Compare rows of different datasets only, as OpenMMReasoner does."
    ),
    by: str = typer.Option("row", "--by", help="Compare the whole row (question and response), or the question."),
    bound: float | None = typer.Option(
        None,
        "--bound",
        min=0.5,
        max=1.0,
        help="Least share of equal five-word sequences, or least cosine with --embedding.",
        show_default="0.95; 0.99 with --embedding",
    ),
    embedding: Path | None = typer.Option(
        None, "--embedding", metavar="DIR", help="Compare texts by this model2vec model, as OpenMMReasoner does."
    ),
    formatting: str | None = typer.Option(
        None,
        "--formatting",
        help="How rows of files are read: long_thought, or questions for prompts with gold answers.",
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that are there."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Leave out rows that stand in a dataset already, or in one named before it; all others stay as they are.

    The same are rows whose texts share nearly all five-word sequences (or have nearly one vector: --embedding), whose
    pictures look alike (also scaled, or saved with loss) and whose questions' numbers and gold answers are equal.
    OUT/dropped.jsonl names each row that is left out and the one that stays in its place.
    """
    from virgo_factory.data.make import dedup as room
    from virgo_factory.data.read.source import find_sources

    if by not in room.BY:
        raise UserError(f"--by {by}: it is one of {', '.join(room.BY)}.")

    sources = []
    for name in what:
        sources += training(find_sources(name, dataset_dir, formatting=formatting, media_dir=media_dir)[0])

    with progress("reading texts and pictures") as told:
        card = room.dedup(sources, out, command_line(), across, by, bound, workers, overwrite, embedding, told)

    _show(card, out, as_json)


def _show(card: dict, out: Path, as_json: bool) -> None:
    """Print what was left out for whom, and where the outputs are."""
    from virgo_factory.data.make.dedup import ACCOUNT, notes_of

    if as_json:
        print(json.dumps(card, ensure_ascii=False))
        return

    lines = [f"{amount(card['rows_in'], 'row')} read, {card['kept']:,} stay; left out:"]
    left_out = [(f"of {one['of']}, stands in {one['stands_in']}", one["rows"]) for one in card["for_whom"]]
    left_out += card["unread"].items()
    lines += counted(left_out) if left_out else ["  none"]
    lines += [f"{out / one['file']}: {one['kept']:,} of {amount(one['rows_in'], 'row')}" for one in card["outputs"]]
    lines += notes_of(card)
    lines.append(f"Who was left out for whom: {out / ACCOUNT}; card: {card_files(out / ACCOUNT)[0]}")
    lines.append(f"To train on them, add to {out / 'dataset_info.json'}:")
    entries = {Path(one["file"]).stem: one["entry"] for one in card["outputs"]}
    lines += [f"  {line}" for line in entry_line(entries).splitlines()]
    lines += [f"media_dir of {one['dataset']}: {one['media_dir']}" for one in card["outputs"]]
    print("\n".join(lines))


EXAMPLE = "virgo-factory data dedup data/once virgo_demo_dt virgo_demo_scenes --across"
