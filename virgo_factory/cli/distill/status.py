"""`virgo-factory distill status`: what a distillation has done, what it costs and what is left."""

import json
import shlex
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy, write_page
from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console as console_of
from virgo_factory.report.terminal import counted, print_tables


def status(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the distillation: output_dir of its config."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with plots, questions and rollouts instead."),
    questions: int | None = typer.Option(
        None, "--questions", min=1, help="Questions that the page shows.", show_default="40"
    ),
    seed: int | None = typer.Option(None, "--seed", help="Of the draw of these questions.", show_default="0"),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Tell what is done, what it costs and what is left, from the files alone; a run may go on meanwhile.

    A question is easy if the base model solves it, medium if 4-5 of 5 samples are correct, hard if 2-3 are, unsolved if
    fewer are, and undecided while samples are missing or unverifiable that could change that. A rollout counts as one of
    correct, wrong, unverifiable, truncated (cut at max_tokens) and looping (cut off as a loop); it is accepted if it is
    correct, complete and well formed.
    """
    from virgo_factory.distill.tell.status import summarise, to_json

    if not html and (questions is not None or seed is not None):
        raise UserError("--questions and --seed are of the page: add --html FILE.")

    if html:
        from virgo_factory.distill.tell.page import write_status_page

        write_page(html, "questions", as_json, lambda: write_status_page(html, folder, questions or 40, seed or 0))
        return

    with busy(f"reading {folder}"):
        found = summarise(folder, lengths=False)

    if as_json:
        print(json.dumps(to_json(found), ensure_ascii=False))
    else:
        _show(found, folder)


def _show(found, folder: Path) -> None:
    from rich.markup import escape

    from virgo_factory.distill.tell.status import tables_of

    console = console_of(160, soft_wrap=True)
    config, group = found.config, found.all
    base = f", base model {escape(config.base_model_name_or_path)}" if config.base_model_name_or_path else ""
    console.print(
        f"[bold]{escape(str(folder))}[/]: {group.questions:,} questions, {config.samples} rollouts each by "
        f"{escape(config.model_name_or_path)}{base}"
    )
    if found.elsewhere:
        console.print(f"Of shard {_shards(found)}; {found.elsewhere:,} questions are in the others")

    if group.questions:
        print_tables(console, *tables_of(found))
        console.print()

    _show_accounts(console, found)
    _show_next(console, found, folder)


def _show_accounts(console, found) -> None:
    """Print what the tables leave out: the base model, and all that was not counted in them."""
    from virgo_factory.distill.tell.status import UNJUDGED

    config, group = found.config, found.all
    if config.base_model_name_or_path:
        asked, solved = group.base_asked, group.base_solved
        share = f" ({solved / asked:.1%})" if asked else ""
        console.print(
            f"Base model: {asked:,} of {group.questions:,} questions asked, {solved:,}{share} solved, "
            f"{group.base_tokens:,} tokens"
        )

    if malformed := group.outcomes["correct"] - group.accepted:
        console.print(f"Accepted: correct, complete and well formed; {malformed:,} correct ones are malformed")

    if waiting := group.outcomes.get(UNJUDGED):
        console.print(f"{waiting:,} rollouts are not judged yet; the run does it, and so does select")

    for count, words in ((found.stray, "of no question of this folder"), (found.twice, "there twice")):
        if count:
            console.print(f"[yellow]{count:,} rollouts are {words}; they are counted nowhere[/]")

    if found.dropped:
        console.print(f"[yellow]{sum(found.dropped.values()):,} questions cannot be asked:[/]")
        for line in counted(list(found.dropped.items())[:MOST_REASONS], width=7):
            console.print(line, markup=False)

        if len(found.dropped) > MOST_REASONS:
            console.print(f"  and {len(found.dropped) - MOST_REASONS:,} more reasons (--json has them)")


def _show_next(console, found, folder: Path) -> None:
    """Print what is left, how long it takes, and the command for it."""
    from virgo_factory.rollouts.run.progress import duration

    where = shlex.quote(str(folder))
    time_left = f"about {duration(found.seconds_left)}" if found.seconds_left else ""
    left = []
    if found.base_left:
        left.append(f"{found.base_left:,} of the base model")

    if found.left:
        is_most = found.base_left or found.config.stop_when_decided
        left.append(f"{found.left:,} rollouts" + (" at most" if is_most else ""))

    if found.running:
        speed = f"{found.tokens_per_second:,.0f} tokens/s" if found.tokens_per_second else ""
        told = ", ".join(filter(None, (speed, time_left and f"{time_left} left")))
        console.print(f"[green]Running[/] (process {', '.join(map(str, found.running))}){': ' if told else ''}{told}")
        time_left = ""

    if left:
        console.print(f"Left: {' and '.join(left)}" + (f", {time_left} at the last run's speed" if time_left else ""))

    if found.running:
        return

    if left or not found.all.questions:
        part = f" --shard {_shards(found)}" if len(found.shards) == 1 else ""
        each = f" --shard I/N, for each of {_shards(found)}" if len(found.shards) > 1 else ""
        console.print(f"Go on: virgo-factory distill resume {where}{part}{each}", markup=False)
    elif found.elsewhere:
        console.print(f"All of shard {_shards(found)} is asked. When all shards are: virgo-factory distill merge")
    elif _is_selected(folder):
        console.print(f"All is asked and chosen, see {folder / 'selected.card.md'}", markup=False)
    else:
        console.print(f"All is asked. Choose what is trained on: virgo-factory distill select {where}", markup=False)


def _shards(found) -> str:
    return ", ".join(f"{index}/{count}" for index, count in found.shards)


def _is_selected(folder: Path) -> bool:
    """Whether there is a selection that is younger than every verdict."""
    selected = folder / "selected.jsonl"
    verdicts = [path.stat().st_mtime for path in folder.glob("verdicts*.jsonl")]
    return selected.is_file() and selected.stat().st_mtime >= max(verdicts, default=0)


MOST_REASONS = 10
"""Reasons that are listed; a refusing server may have worded each of its replies on its own."""


EXAMPLE = "virgo-factory distill status data/dsd_virgo7b"
PAGE = "docs/distil.md"
