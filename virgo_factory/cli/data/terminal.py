"""What the verbs have in common on a terminal: progress on stderr, the result on stdout, tables that fit."""

import contextlib
import json
import os
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


def wide_console() -> Any:
    """Return a console for tables: as wide as the terminal, or COLUMNS; 160 characters where neither says."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal():
        return console

    return Console(highlight=False, soft_wrap=True, width=160)


NAME_WIDTH = 30
"""Characters of a name in a line of a table; the rest of a longer one stands below."""


def tables(columns: Sequence[str], rows: Sequence[tuple[Sequence[str], str]], width: int) -> Iterator[Any]:
    """Yield tables that fit a width, each with the names: one where it can be; no figure is ever cut.

    Args:
        columns: names of all columns but the first.
        rows: (cells, style); the first cell is a name.
        width: in characters.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    widths = [max(map(len, column)) + 2 for column in zip(columns, *(cells[1:] for cells, _ in rows), strict=True)]
    longest = max(len(cells[0]) for cells, _ in rows)
    name_width = min(longest, NAME_WIDTH if sum(widths) + min(longest, NAME_WIDTH) < width else max(8, width // 4))
    parts, room = [[]], 0
    for place, needed in enumerate(widths):
        if parts[-1] and needed > room:
            parts.append([])

        room = (room if parts[-1] else width - name_width - 1) - needed
        parts[-1].append(place)

    for part in parts:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", overflow="fold", max_width=name_width, min_width=name_width)
        for place in part:
            table.add_column(columns[place], justify="right", no_wrap=True, min_width=widths[place] - 2)

        for cells, style in rows:
            table.add_row(Text(cells[0]), *(cells[1 + place] for place in part), style=style)

        yield table


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


def show_cards(cards: Sequence[Any], paths: Sequence[Path], as_json: bool, more: Sequence[str] = ()) -> None:
    """Print what has been written, and the lines of dataset_info.json that read it."""
    from rich.console import Console

    from virgo_factory.data.make.card import card_files, entry_line, to_json

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
