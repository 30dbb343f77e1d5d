"""`virgo-factory data preview`: rows as the model sees them, on the terminal or as a page."""

import json
import re
from itertools import chain
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import RECIPE_OVERRIDES, busy, read_overrides, write_page
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import check_file


def preview(
    what: str = typer.Argument(metavar="DATASET|FILE|RECIPE", help="A dataset's name, a data file or a recipe."),
    row: str | None = typer.Argument(
        None, metavar="[ID|N]", help="An id, or a number from 1; id:17 for an id that is a number.", show_default="1"
    ),
    changes: list[str] | None = RECIPE_OVERRIDES,
    rows: str | None = typer.Option(None, "--rows", help="Several rows: 1,5,9 or 3-7."),
    html: Path | None = typer.Option(None, "--html", help="Write a page with the pictures instead."),
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", help="Folder or hub id of the model; a recipe names its own (model_name_or_path)."
    ),
    template: str | None = typer.Option(None, "--template", help="Recipe key; virgo by default."),
    question_prefix: str | None = typer.Option(None, "--question-prefix", help="Recipe key; none by default."),
    cutoff_len: int | None = typer.Option(None, "--cutoff-len", min=1, help="Recipe key; no limit by default."),
    image_max_pixels: int | None = typer.Option(
        None, "--image-max-pixels", min=1, help="Recipe key; 589824 by default."
    ),
    formatting: str | None = typer.Option(None, "--formatting", help="Read the rows so, whatever the entry says."),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    as_json: bool = typer.Option(False, "--json", help="Print the rows as JSON, one a line."),
) -> None:
    """Show rows as the model sees them: what it is given, what it is trained on, images by size and tokens."""
    from virgo_factory.data.read.source import find_sources
    from virgo_factory.data.show.preview import LEGEND, articles, lines
    from virgo_factory.data.show.preview import preview as read

    if row and re.match(r"\w+=", row):  # a recipe's key behind it, and no row
        row, changes = None, [row, *(changes or [])]

    if row and rows:
        raise UserError(f"{row} and --rows {rows}: give one of them.")

    if html:
        check_file(html)

    wanted = rows or row or "1"
    sources, settings = find_sources(
        what, dataset_dir, read_overrides(changes), tokenizer=tokenizer, template=template, question_prefix=question_prefix, cutoff_len=cutoff_len,
        image_max_pixels=image_max_pixels, formatting=formatting, media_dir=media_dir,
    )  # fmt: skip
    if settings.tokenizer is None:
        raise UserError(
            f"{what} names no tokenizer. Add --tokenizer with the model's folder or hub id, such as "
            "--tokenizer Qwen/Qwen2-VL-7B-Instruct, or name a recipe."
        )

    seen = read(sources, settings, wanted)
    if html:
        from virgo_factory.report import page
        from virgo_factory.report.table import facts

        summary = [
            ("dataset", ", ".join(source.name for source in sources)),
            ("tokenizer", settings.tokenizer),
            ("template", settings.template),
            ("question prefix", settings.question_prefix or "none"),
            ("cutoff_len", f"{settings.cutoff_len:,}" if settings.cutoff_len else "none"),
            ("image_max_pixels", f"{settings.image_max_pixels:,}"),
        ]
        folded = any(mark in wanted for mark in ",-") and not wanted.startswith("id:")
        title, rows = f"{Path(what).name}: rows as the model sees them", articles(seen, settings, folded)
        head = [page.Section("", [facts(summary), *LEGEND])]
        write_page(html, "rows", as_json, lambda: page.write_page(html, title, rows, head))
        return

    with busy(f"looking for {wanted}"):  # then the others follow at once
        seen = chain([next(seen)], seen)

    if as_json:
        for one in seen:
            typer.echo(json.dumps(one.to_json(), ensure_ascii=True))

        return

    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    styles = STYLES if console.color_system and not console.no_color else {}
    for position, one in enumerate(seen):
        if position:
            console.print()

        text = Text()
        for kind, piece in lines(one, settings):
            text.append(piece, styles.get(kind))

        console.print(text, end="")


STYLES = {
    "title": "bold",
    "prompt": "cyan",
    "context": "yellow",
    "trained": "green",
    "rejected": "red",
    "control": "dim",
    "image": "magenta",
    "problem": "bold red",
}


EXAMPLE = """virgo-factory data preview recipes/demo/long_thoughts.jsonl 95 \\
    --tokenizer Qwen/Qwen2-VL-7B-Instruct"""
PAGE = "docs/data.md"
