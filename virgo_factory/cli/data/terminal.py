"""What the verbs have in common on a terminal: progress on stderr, the result on stdout, tables that fit."""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.io.files import check_file
from virgo_factory.report.card import card_files, entry_line
from virgo_factory.report.terminal import counted
from virgo_factory.report.text import amount


OVERRIDES = typer.Argument(None, metavar="[KEY=VALUE]...", help="As for llamafactory-cli train.")
RECIPE_OVERRIDES = typer.Argument(None, metavar="[KEY=VALUE]...", help="Of a recipe, as for llamafactory-cli train.")
HOLDOUT = typer.Option(
    None, "--holdout", metavar="FILE", help="Leave out rows that ask a question of this questions.jsonl."
)
"""Arguments and options that several verbs have."""


def command_line() -> str:
    """Return the command that was entered, as it can be entered again."""
    return shlex.join(["virgo-factory", *sys.argv[1:]])


def read_overrides(given: Sequence[str] | None) -> dict[str, Any]:
    """Return `key=value` arguments as LLaMA-Factory reads them."""
    if not given:
        return {}

    if wrong := [text for text in given if "=" not in text]:
        raise UserError(
            f"{wrong[0]}: not KEY=VALUE. Write overrides as for llamafactory-cli train: learning_rate=5.0e-6."
        )

    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.from_cli([*given]))


@contextlib.contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where that is a terminal, and yield what is to be told bytes read and bytes in all."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        last = 0.0

        def told(done: int, total: int) -> None:
            nonlocal last
            if (now := time.monotonic()) - last > 0.1:
                last = now
                bar.update(task, completed=done, total=total, description=doing if done < total else "writing")

        yield told


def busy(doing: str) -> contextlib.AbstractContextManager:
    """Return a context that shows on stderr, where that is a terminal, that something is going on."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.status(doing) if console.is_terminal else contextlib.nullcontext()


def write_page(html: Path, shows: str, as_json: bool, write: Callable[[], int]) -> None:
    """Write a page, and say how many it shows of what."""
    check_file(html)
    with busy(f"writing {html}"):
        count = write()

    print(json.dumps({"html": str(html), shows: count}) if as_json else f"{html}: {count} {shows}")


def training(sources: Sequence[Any]) -> list[Any]:
    """Return the sources that are trained on; a recipe names others in `eval_dataset`."""
    return [source for source in sources if source.role == "train"] or list(sources)


def tell_cache(sources: Sequence[Any]) -> None:
    """Say on stderr where measurements are kept for the next time."""
    from rich.console import Console

    from virgo_factory.data.rows.stream import cache_folder

    folders = {folder for source in sources if (folder := cache_folder(source)) and folder.is_dir()}
    if folders:
        listed = ", ".join(sorted(map(str, folders)))
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"Measurements are kept for the next time in {listed}; delete it when you like.", markup=False, style="dim"
        )


def show_cards(cards: Sequence[Any], paths: Sequence[Path], as_json: bool) -> None:
    """Print what has been written, and the lines of dataset_info.json that read it."""
    if as_json:
        told = [{"path": str(path), **card.to_json()} for path, card in zip(paths, cards, strict=True)]
        print(json.dumps(told, ensure_ascii=False))
        return

    lines = []
    for path, card in zip(paths, cards, strict=True):
        left = f"{card.examples_in - card.kept:,} left out" + (":" if card.dropped else "")
        lines.append(f"{path}: {amount(card.rows_in, 'row')} read, {card.kept:,} written, {left}")
        lines += counted(card.dropped.items())
        for name, counts in card.by.items():
            if len(counts) > 1:
                shown = [f"{value} {count:,}" for value, count in list(counts.items())[:12]]
                rest = [f"{len(counts) - 12} further ones"] if len(counts) > 12 else []
                lines.append(f"  by {name}: {', '.join([*shown, *rest])}")

        lines += [f"  {note}" for note in card.notes]

    lines += [f"Card{'s' * (len(paths) > 1)}: {', '.join(str(card_files(path)[0]) for path in paths)}"]
    lines.append(f"To train on it, add to {paths[0].parent / 'dataset_info.json'}:")
    lines += [f"  {line}" for line in ",\n".join(entry_line(card.entry) for card in cards).splitlines()]
    if media := next((card.media_dir for card in cards if card.media_dir), None):
        lines.append(f"Relative image paths start from media_dir: {media}")

    print("\n".join(lines))
