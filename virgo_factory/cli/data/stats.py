"""`virgo-factory data stats`: rows, tokens and images of a dataset."""

from pathlib import Path

import typer


def stats(
    what: str = typer.Argument(metavar="DATASET|RECIPE|FILE", help="A dataset's name, a recipe or a data file."),
    plots: Path | None = typer.Option(None, "--plots", help="Folder to put pictures (PNG) in."),
    cutoff_len: int | None = typer.Option(
        None, "--cutoff-len", min=1, help="Tokens at which training drops or cuts a row; the recipe's by default."
    ),
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", help="Folder or hub id; a recipe's model_name_or_path by default. Without: no tokens."
    ),
    template: str | None = typer.Option(None, "--template", help="The recipe's by default, else virgo."),
    question_prefix: str | None = typer.Option(None, "--question-prefix", help="The recipe's by default, else none."),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    formatting: str | None = typer.Option(None, "--formatting", help="How rows are read, if not as the entry says."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Count rows, tokens and images by domain, source and format, and show how long the rows are.

    Rows that cannot be trained on are counted by reason and left out of everything else. Rows longer than cutoff_len
    are counted, and their share is shown. Of a recipe, its training datasets are meant.
    """
    import json
    from dataclasses import replace

    from virgo_factory.cli.data.terminal import progress, tell_cache, training
    from virgo_factory.data.read.source import find_sources
    from virgo_factory.data.rows.stream import measure
    from virgo_factory.data.show.stats import measure_statistics, to_json
    from virgo_factory.io.files import check_folder

    if plots:
        check_folder(plots)

    sources, settings = find_sources(
        what, dataset_dir, tokenizer=tokenizer, template=template, question_prefix=question_prefix,
        cutoff_len=cutoff_len, media_dir=media_dir, formatting=formatting,
    )  # fmt: skip
    sources = training(sources)
    unlimited = replace(settings, cutoff_len=None, max_samples=None)
    with progress("measuring") as told:
        found = measure_statistics(
            measure(sources, unlimited, workers, progress=told), [source.name for source in sources]
        )

    name = ", ".join(dict.fromkeys(source.name for source in sources))
    pictures = []
    if plots and found.all.rows:
        from virgo_factory.data.show.plots import write_plots

        pictures = write_plots(found, plots, name, settings.cutoff_len)

    if as_json:
        shown = {"dataset": name, "tokenizer": settings.tokenizer, **to_json(found, settings.cutoff_len)}
        print(json.dumps({**shown, "plots": [str(path) for path in pictures]}, ensure_ascii=False))
    else:
        _show(found, name, settings)
        if pictures:
            print(f"\nPictures in {plots}: {', '.join(path.name for path in pictures)}")

    tell_cache(sources)
    if not found.all.rows:
        raise typer.Exit(1)


def _show(found, name: str, settings) -> None:
    """Print the tables."""
    from virgo_factory.cli.data.terminal import tables, wide_console
    from virgo_factory.data.show.stats import NONE

    console = wide_console()
    console.print(f"[bold]{_plain(name)}[/]: {found.rows_in:,} rows, ", end="")
    several = f" ({found.examples_in:,} examples)" if found.examples_in != found.rows_in else ""
    left = found.examples_in - found.all.rows
    console.print(f"[bold]{found.all.rows:,}[/] usable{several}, {left:,} left out{':' if left else ''}")
    width = max((len(f"{count:,}") for count in found.dropped.values()), default=0)
    for reason, count in found.dropped.items():
        console.print(f"  {count:>{width},}  {reason}", markup=False)

    if not found.all.rows:
        return

    has_tokens = found.all.lengths.longest > 0
    console.print()
    for table in tables(*_table(found, has_tokens), console.width):
        console.print(table)

    for grouping, groups in found.by.items():
        if len(groups) == 1:
            (value,) = groups
            console.print(f"[dim]No row says its {grouping}.[/]" if value == NONE else f"{grouping}: {_plain(value)}")

    if not has_tokens:
        console.print("Tokens are not counted: name a tokenizer with --tokenizer FOLDER_OR_HUB_ID.")
        return

    console.print()
    _histogram(console, found.all.lengths, settings.cutoff_len)


def _table(found, has_tokens: bool):
    """Return columns and rows of a table with a line for all rows and one for each domain, source and format."""
    token_columns = ("tokens", "share", "mean", "median", "p95", "max") if has_tokens else ()
    columns = ["rows", "share", *token_columns, *(["images"] if found.all.images else [])]
    whole, lines = found.all, []

    def line(label: str, tally, style: str = "") -> None:
        lengths = tally.lengths
        cells = [label, f"{tally.rows:,}", f"{tally.rows / whole.rows:.1%}"]
        if has_tokens:
            cells += [f"{lengths.tokens:,}", f"{lengths.tokens / whole.lengths.tokens:.1%}", f"{lengths.mean:,.0f}"]
            cells += [f"{value:,}" for value in (lengths.quantile(0.5), lengths.quantile(0.95), lengths.longest)]

        if whole.images:
            cells.append(f"{tally.images:,}")

        lines.append((cells, style))

    line("all", whole, "bold")
    for grouping, groups in found.by.items():
        if len(groups) == 1:
            continue

        blank = [""] * len(columns)
        lines.append(([f"by {grouping}", *blank], "bold"))
        shown = list(groups.items())[:SHOWN]
        for value, tally in shown:
            line(f"  {_one_line(value)}", tally)

        if len(groups) > len(shown):
            lines.append(([f"  ... and {len(groups) - len(shown)} more (--json has them)", *blank], ""))

    return columns, lines


SHOWN = 25
"""Values of a domain, source or format that the table lists."""


def _one_line(text: str, most: int = 40) -> str:
    """Return a text from a dataset for a table: on one line, and not too long."""
    text = " ".join(text.split())
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _plain(text: str) -> str:
    """Return a text from a dataset on one line, without markup."""
    from rich.markup import escape

    return escape(_one_line(text))


def _histogram(console, lengths, cutoff_len: int | None) -> None:
    """Print how many rows have which length, and what is beyond the cutoff."""
    from virgo_factory.data.show.stats import histogram

    bins = histogram(lengths)
    most = max(rows for _, _, rows in bins)
    ends = [(f"{start:,}", f"{stop:,}") for start, stop, _ in bins]
    left, right = (max(map(len, texts)) for texts in zip(*ends, strict=True))
    most_bar = min(30, max(8, console.width - left - right - 27))
    console.print("[bold]Length of a row in tokens[/] (question, images and response)")
    for (start, stop), (_, last, rows) in zip(ends, bins, strict=True):
        bar = "█" * round(most_bar * rows / most) or ("▏" if rows else "")
        beyond = "[red]" if cutoff_len and last > cutoff_len else ""
        bar = f"{beyond}{bar:{most_bar}}{'[/]' if beyond else ''}"
        console.print(f"  {start:>{left}} to {stop:>{right}}  {bar} {rows:>9,}  {rows / lengths.rows:6.1%}")

    if not cutoff_len:
        console.print("cutoff_len is not known: name a recipe, or give --cutoff-len.")
        return

    rows, tokens, behind = lengths.beyond(cutoff_len)
    if rows:
        share, dropped, cut = rows / lengths.rows, tokens / lengths.tokens, behind / lengths.tokens
        console.print(
            f"[red]{rows:,} rows ({share:.1%}) are longer than cutoff_len {cutoff_len:,}[/]: {tokens:,} tokens "
            f"({dropped:.1%}) with `overlong: drop`, {behind:,} ({cut:.1%}) if cut off there."
        )
    else:
        console.print(f"No row is longer than cutoff_len {cutoff_len:,}.")


EXAMPLE = """\b
Example:
  virgo-factory data stats virgo_demo_dt --tokenizer Qwen/Qwen2-VL-7B-Instruct --cutoff-len 1024 --plots plots

\b
  virgo_demo_dt: 320 rows, 318 usable, 2 left out:
    2  no end of thought

\b
               rows   share   tokens   share  mean  median  p95    max
  ────────────────────────────────────────────────────────────────────
  all           318  100.0%  107,220  100.0%   337     301  566  1,953
  by domain
    math        238   74.8%   82,053   76.5%   345     305  566  1,953
    physics      28    8.8%    8,132    7.6%   290     275  375    379
    chemistry    20    6.3%    4,999    4.7%   250     245  358    389
    code         14    4.4%    6,451    6.0%   461     454  678    678
    biology      10    3.1%    2,694    2.5%   269     265  330    330
    puzzle        8    2.5%    2,891    2.7%   361     290  459    459
  source: virgo_dt
  format: virgo_dt

\b
  Length of a row in tokens (question, images and response)
        0 to   199  ▏                                      4    1.3%
      200 to   399  ██████████████████████████████       253   79.6%
      400 to   599  ██████                                49   15.4%
      600 to   799  █                                      7    2.2%
      800 to   999                                         0    0.0%
    1,000 to 1,199  ▏                                      1    0.3%
    1,200 to 1,399                                         0    0.0%
    1,400 to 1,599  ▏                                      1    0.3%
    1,600 to 1,799  ▏                                      1    0.3%
    1,800 to 1,999  ▏                                      2    0.6%
  5 rows (1.6%) are longer than cutoff_len 1,024: 8,079 tokens (7.5%) with `overlong: drop`, 2,959 (2.8%) if cut off there.

\b
  Pictures in plots: lengths.png, rows_by_domain.png, tokens_by_domain.png, length_by_domain.png"""
