"""`virgo-factory data stats`: rows, tokens and images of a dataset."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import RECIPE_OVERRIDES, busy, progress, read_overrides, tell_cache, training
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import check_folder
from virgo_factory.report.table import Table
from virgo_factory.report.terminal import console, counted, print_tables
from virgo_factory.report.text import amount, one_line


def stats(
    what: str = typer.Argument(metavar="DATASET|RECIPE|FILE", help="A dataset's name, a recipe or a data file."),
    changes: list[str] | None = RECIPE_OVERRIDES,
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
    behaviours: bool = typer.Option(
        False, "--behaviours", help="Count verification, backtracking, sub-goals, and changes of the answer, too."
    ),
    planted: list[str] = typer.Option(
        [], "--planted-cue", metavar="TEXT", help='Words that a pipeline put there, such as "Wait,": not counted.'
    ),
    judge_url: str | None = typer.Option(
        None,
        "--judge-url",
        help="--behaviours: a judge counts them, too, in a sample; /v1 of any OpenAI-compatible server.",
    ),
    judge_model: str | None = typer.Option(None, "--judge-model", help="Model of --judge-url."),
    judge_sample: int = typer.Option(200, "--judge-sample", min=1, help="Thoughts that the judge is asked about."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    as_json: bool = typer.Option(False, "--json", help="Print the numbers as JSON."),
) -> None:
    """Count rows, tokens and images by domain, source and format, and show how long the rows are.

    Rows that cannot be trained on are counted by reason and left out of everything else. Rows longer than cutoff_len
    are counted, and their share is shown. Of a recipe, its training datasets are meant.

    --behaviours looks at how sentences of thoughts begin, by a lexicon, and at which option of a choice question they decide for. A
    cue behind an assistant_prefix was planted: neither it is counted, nor the first sentence with it in the other rows. With --judge-url a
    model counts in a sample, and how well the two agree is told (Cohen's kappa); its key is read from OPENAI_API_KEY.
    """
    from virgo_factory.data.read.source import find_sources
    from virgo_factory.data.rows.stream import measure
    from virgo_factory.data.show.stats import measure_statistics, to_json

    if bool(judge_url) != bool(judge_model) or (judge_url and not behaviours):
        raise UserError("--judge-url and --judge-model go together, with --behaviours.")

    if plots:
        check_folder(plots)

    sources, settings = find_sources(
        what, dataset_dir, read_overrides(changes), tokenizer=tokenizer, template=template, question_prefix=question_prefix,
        cutoff_len=cutoff_len, media_dir=media_dir, formatting=formatting,
    )  # fmt: skip
    sources = training(sources)
    unlimited = replace(settings, cutoff_len=None, max_samples=None)
    with progress("measuring") as told:
        found = measure_statistics(
            measure(sources, unlimited, workers, progress=told), [source.name for source in sources]
        )

    told_behaviours = None
    if behaviours:
        from virgo_factory.data.show.behaviours import to_json as behaviours_json
        from virgo_factory.data.show.read_behaviours import read_behaviours

        with progress("reading thoughts") as told:
            counted = read_behaviours(sources, settings.tokenizer, workers, told)

        told_behaviours = behaviours_json(counted, planted, "tokens" if settings.tokenizer else "words")
        if judge_url:
            told_behaviours["judge"] = _judged(
                sources, judge_url, judge_model, judge_sample, [*counted.planted, *planted]
            )

    name = ", ".join(dict.fromkeys(source.name for source in sources))
    pictures = []
    if plots and found.all.rows:
        from virgo_factory.data.show.plots import write_plots

        pictures = write_plots(found, plots, name, settings.cutoff_len)

    if as_json:
        shown = {"dataset": name, "tokenizer": settings.tokenizer, **to_json(found, settings.cutoff_len)}
        shown |= {"behaviours": told_behaviours} if told_behaviours else {}
        print(json.dumps({**shown, "plots": [str(path) for path in pictures]}, ensure_ascii=False))
    else:
        _show(found, name, settings)
        if told_behaviours:
            _show_behaviours(told_behaviours)

        if pictures:
            print(f"\nPictures in {plots}: {', '.join(path.name for path in pictures)}")

    tell_cache(sources)
    if not found.all.rows:
        raise typer.Exit(1)


def _show(found, name: str, settings) -> None:
    from virgo_factory.data.show.stats import NONE

    screen = console(160, soft_wrap=True, markup=False)
    several = f" ({found.examples_in:,} examples)" if found.examples_in != found.rows_in else ""
    left = f"{found.examples_in - found.all.rows:,} left out{':' if found.dropped else ''}"
    screen.print(
        f"{one_line(name)}: {amount(found.rows_in, 'row')}, {found.all.rows:,} usable{several}, {left}", style="bold"
    )
    for line in counted(found.dropped.items()):
        screen.print(line)

    if not found.all.rows:
        return

    has_tokens = found.all.lengths.longest > 0
    print_tables(screen, _table(found, has_tokens))
    for grouping, groups in found.by.items():
        if len(groups) == 1:
            (value,) = groups
            screen.print(f"No row says its {grouping}." if value == NONE else f"{grouping}: {one_line(value)}")

    if has_tokens:
        screen.print()
        _histogram(screen, found.all.lengths, settings.cutoff_len)
    else:
        screen.print("Tokens are not counted: name a tokenizer with --tokenizer FOLDER_OR_HUB_ID.")


def _table(found, has_tokens: bool):
    """Return a table with a line for all rows and one for each domain, source and format."""
    of_tokens = ("tokens", "share", "mean", "median", "p95", "max") if has_tokens else ()
    columns = ("", "rows", "share", *of_tokens, *(["images"] if found.all.images else []))
    whole = found.all

    def line(label: str, tally) -> list:
        lengths = tally.lengths
        cells = [label, tally.rows, f"{tally.rows / whole.rows:.1%}"]
        if has_tokens:
            cells += [lengths.tokens, f"{lengths.tokens / whole.lengths.tokens:.1%}", f"{lengths.mean:,.0f}"]
            cells += [lengths.quantile(0.5), lengths.quantile(0.95), lengths.longest]

        return cells + [tally.images] * bool(whole.images)

    rows, blank = [line("all", whole)], [""] * (len(columns) - 1)
    styles = {0: "bold"}
    for grouping, groups in found.by.items():
        if len(groups) == 1:
            continue

        styles[len(rows)] = "bold"
        rows.append([f"by {grouping}", *blank])
        shown = list(groups.items())[:SHOWN]
        rows += [line(f"  {one_line(value)}", tally) for value, tally in shown]
        if len(groups) > len(shown):
            rows.append([f"  ... and {len(groups) - len(shown)} more (--json has them)", *blank])

    return Table("", columns, rows, styles=styles)


def _judged(sources, url: str, model: str, count: int, cues: list[str]) -> dict:
    """Return what a judge counts in a sample, beside the lexicon; its replies are kept beside the data."""
    from virgo_factory.data.rows.cache import cache_folder
    from virgo_factory.data.show.read_behaviours import read_examples
    from virgo_factory.evaluation.probes.behaviours import judge_behaviours
    from virgo_factory.rollouts.judge.llm_judge import LLMJudge, judgements

    judge = LLMJudge(url, model)
    judge.check()
    folder = cache_folder(sources[0]) or Path()
    folder.mkdir(parents=True, exist_ok=True)
    with busy(f"asking {model}"), judgements(folder) as stored:
        found, failed = judge_behaviours(read_examples(sources), replace(judge, stored=stored), count, cues)

    told = [
        {key: None if value != value else value for key, value in asdict(one).items()} for one in found
    ]  # no nan in JSON
    return {"model": model, "failed": failed, "behaviours": told}


def _show_behaviours(told: dict) -> None:
    screen = console(160, soft_wrap=True, markup=False)
    columns = ("behaviour, by how sentences begin", "sentences", f"per 1,000 {told['unit']}", "thoughts", "share")
    rows = [
        [name, one["events"], f"{one['per_1000']:.2f}", one["rows"], f"{one['share']:.1%}"]
        for name, one in told["behaviours"].items()
    ]
    screen.print()
    print_tables(screen, Table("", columns, rows))
    planted = ", ".join(f"{one_line(cue)} in {count:,}" for cue, count in told["planted"].items())
    screen.print(f"{told['thoughts']:,} thoughts. Planted, and not counted: {planted or 'nothing that rows tell'}.")
    if choices := told["choices"]["choices"]:
        one = told["choices"]
        screen.print(
            f"Of {choices:,} choice questions, {one['changed']:,} thoughts ({one['changed'] / choices:.1%}) change their answer, "
            f"{one['changes']:,} times; {one['returned']:,} return to one that they had left."
        )

    if judged := told.get("judge"):
        columns = ("behaviour, in a sample", "thoughts", "judge", "lexicon", "agree", "kappa")
        rows = [
            [
                one["behaviour"],
                one["thoughts"],
                *(f"{share:.1%} ({times:,})" for share, times in (one["judged"], one["by_lexicon"])),
                "-" if one["agree"] is None else f"{one['agree']:.1%}",
                "-" if one["kappa"] is None else f"{one['kappa']:.2f}",
            ]
            for one in judged["behaviours"]
        ]
        print_tables(screen, Table("", columns, rows))
        failed = f" {judged['failed']:,} of its counts could not be read and are left out." if judged["failed"] else ""
        screen.print(f"Share of thoughts, and how often in all; the judge is {one_line(judged['model'])}.{failed}")


SHOWN = 25
"""Values of a domain, source or format that the table lists."""


def _histogram(screen, lengths, cutoff_len: int | None) -> None:
    """Print how many rows have which length, and what is beyond the cutoff."""
    from virgo_factory.data.show.stats import histogram

    bins = histogram(lengths)
    most = max(rows for _, _, rows in bins)
    ends = [(f"{start:,}", f"{stop:,}") for start, stop, _ in bins]
    left, right = (max(map(len, texts)) for texts in zip(*ends, strict=True))
    most_bar = min(30, max(8, screen.width - left - right - 27))
    screen.print("Length of a row in tokens (question, images and response)", style="bold")
    for (start, stop), (_, last, rows) in zip(ends, bins, strict=True):
        bar = "█" * round(most_bar * rows / most) or ("▏" if rows else "")
        style = "red" if cutoff_len and last > cutoff_len else None
        screen.print(f"  {start:>{left}} to {stop:>{right}}  ", end="")
        screen.print(f"{bar:{most_bar}}", style=style, end="")
        screen.print(f" {rows:>9,}  {rows / lengths.rows:6.1%}")

    if not cutoff_len:
        screen.print("cutoff_len is not known: name a recipe, or give --cutoff-len.")
        return

    rows, tokens, behind = lengths.beyond(cutoff_len)
    if rows:
        share, dropped, cut = rows / lengths.rows, tokens / lengths.tokens, behind / lengths.tokens
        screen.print(f"{rows:,} rows ({share:.1%}) are longer than cutoff_len {cutoff_len:,}", style="red", end="")
        screen.print(
            f": {tokens:,} tokens ({dropped:.1%}) with `overlong: drop`, {behind:,} ({cut:.1%}) if cut off there."
        )
    else:
        screen.print(f"No row is longer than cutoff_len {cutoff_len:,}.")


EXAMPLE = """virgo-factory data stats virgo_demo_dt \\
    --tokenizer Qwen/Qwen2-VL-7B-Instruct --cutoff-len 1024 --plots plots"""
PAGE = "docs/data.md"
