"""What the verbs that write datasets have in common on a terminal: progress on stderr, the result on stdout."""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any


def command_line() -> str:
    """Return the command that was entered, as it can be entered again."""
    return shlex.join(["virgo-factory", *sys.argv[1:]])


@contextlib.contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while files are read; nothing where stderr is not a terminal.

    Yields:
        What is to be told how many bytes have been read, and how many there are.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return

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


def training(sources: Sequence[Any]) -> list[Any]:
    """Return the sources that are trained on; a recipe names others in `eval_dataset`."""
    return [source for source in sources if source.role == "train"] or list(sources)


def tell_cache(sources: Sequence[Any]) -> None:
    """Say on stderr where measurements are kept for the next time."""
    from rich.console import Console

    from virgo_factory.datasets.measure import cache_folder

    folders = {folder for source in sources if (folder := cache_folder(source)) and folder.is_dir()}
    if folders:
        listed = ", ".join(sorted(map(str, folders)))
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"Measurements are kept for the next time in {listed}; delete it when you like.", markup=False, style="dim"
        )


def show_cards(cards: Sequence[Any], paths: Sequence[Path], as_json: bool, more: Sequence[str] = ()) -> None:
    """Print what has been written, and the lines of dataset_info.json that read it."""
    from rich.console import Console

    from virgo_factory.datasets.card import card_files, entry_line, to_json

    if as_json:
        print(
            json.dumps(
                [{"path": str(path), **to_json(card)} for path, card in zip(paths, cards, strict=True)],
                ensure_ascii=False,
            )
        )
        return

    console = Console(highlight=False, soft_wrap=True)
    for path, card in zip(paths, cards, strict=True):
        kept = card.kept
        console.print(f"[bold]{path}[/]: {card.rows_in:,} rows read, [bold]{kept:,}[/] written", end="", markup=True)
        console.print(f", {card.examples_in - kept:,} left out" + (":" if card.dropped else ""))
        width = max(map(len, (f"{count:,}" for count in card.dropped.values())), default=0)
        for reason, count in card.dropped.items():
            console.print(f"  {count:>{width},}  {reason}", markup=False)

        for name, counted in card.by.items():
            if len(counted) > 1:
                shown = list(counted.items())[:12]
                rest = [f"{len(counted) - 12} further ones"] if len(counted) > 12 else []
                told = ", ".join([*(f"{value} {count:,}" for value, count in shown), *rest])
                console.print(f"  by {name}: {told}", markup=False)

        for note in card.notes:
            console.print(f"  {note}", markup=False)

    for line in more:
        console.print(line, markup=False)

    console.print(
        f"Card{'s' if len(paths) > 1 else ''}: {', '.join(str(card_files(path)[0]) for path in paths)}", markup=False
    )
    folder = paths[0].parent
    console.print(f"To train on it, add to {folder / 'dataset_info.json'}:", markup=False)
    console.print(
        "\n".join(f"  {line}" for line in ",\n".join(entry_line(card.entry) for card in cards).splitlines()),
        markup=False,
    )
    if media := next((card.media_dir for card in cards if card.media_dir), None):
        console.print(f"Relative image paths start from media_dir: {media}", markup=False)
