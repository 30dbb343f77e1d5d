"""`virgo-factory data slice`: part of a dataset, by length, domain or number of rows."""

from dataclasses import replace
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import HOLDOUT, busy, command_line, progress, show_cards, tell_cache, training
from virgo_factory.core.errors import UserError
from virgo_factory.report.card import card_files, entry_line
from virgo_factory.report.terminal import counted
from virgo_factory.report.text import amount


def slice(
    what: str = typer.Argument(metavar="DATASET|FILE|RECIPE", help="A dataset's name, a data file or a recipe."),
    out: Path = typer.Argument(metavar="OUT", help="The file to write: .jsonl or .parquet."),
    rows: str | None = typer.Option(
        None, "--rows", help="1000, or 1000,3000,5000 for OUT-1k, OUT-3k and OUT-5k, each inside the next."
    ),
    tokens: str | None = typer.Option(
        None, "--tokens", help="Tokens of the response, both bounds included: 2001:4000, :2000 or 4001:"
    ),
    domain: str | None = typer.Option(
        None, "--domain", help="math,puzzle; science includes physics, chemistry, biology."
    ),
    pass_rate: str | None = typer.Option(
        None,
        "--pass-rate",
        help="Rows whose question a model answers rightly that often: 0.1:0.9, by a column pass_rate, avg_reward or such as "
        "qwen3vl_4b_pass_rate; or name the folder of a distillation, whose verdicts are counted. Rows stay as they are; only "
        "--overwrite goes with it.",
    ),
    pass_rate_column: str | None = typer.Option(
        None, "--pass-rate-column", help="Which column --pass-rate looks at, where rows have several."
    ),
    seed: int = typer.Option(42, "--seed", help="Of the order whose first rows --rows takes."),
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", help="Folder or hub id, for --tokens; a recipe's model_name_or_path by default."
    ),
    holdout: Path | None = HOLDOUT,
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the cards as JSON."),
) -> None:
    """Write part of a dataset in the normal form.

    Without --rows: all rows that fit, in their order. With it: the first ones of a seeded order in which every
    beginning keeps the shares of the domains. Rows that cannot be trained on are left out.
    """
    if pass_rate:
        values = (rows, tokens, domain, holdout)
        options = ("--rows", "--tokens", "--domain", "--holdout")
        if given := [option for option, value in zip(options, values, strict=True) if value]:
            raise UserError(f"--pass-rate: not with {', '.join(given)}. Cut twice, one after the other.")

        _by_pass_rate(what, out, pass_rate, pass_rate_column, dataset_dir, media_dir, overwrite, as_json)
        return

    if pass_rate_column:
        raise UserError("--pass-rate-column: only with --pass-rate LOW:HIGH.")

    from virgo_factory.data.make import slice as room
    from virgo_factory.data.read.source import find_sources
    from virgo_factory.data.rows.stream import measure

    low, high = room.read_bounds(tokens)
    wanted = room.Wanted(room.read_rows(rows), room.read_names(domain), seed)
    sources, settings = find_sources(what, dataset_dir, tokenizer=tokenizer, media_dir=media_dir)
    if tokens and not settings.tokenizer:
        raise UserError(f"--tokens {tokens}: {what} names no tokenizer. Add --tokenizer FOLDER_OR_HUB_ID.")

    sources = training(sources)
    settings = replace(
        settings,
        tokenizer=settings.tokenizer if tokens else None,
        cutoff_len=None,
        malformed="drop",
        min_response_tokens=low,
        max_response_tokens=high,
        max_samples=None,
    )
    shaped = {"response tokens": tokens, "tokenizer": settings.tokenizer}
    with progress("reading") as told:
        cards = room.cut(
            sources, lambda: measure(sources, settings, workers, progress=told),
            out, wanted, command_line(), shaped, overwrite, holdout,
        )  # fmt: skip

    show_cards(cards, room.output_files(out, sorted(set(wanted.rows))), as_json)
    tell_cache(sources)


def _by_pass_rate(
    what: str,
    out: Path,
    text: str,
    column: str | None,
    dataset_dir: Path | None,
    media_dir: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from virgo_factory.data.make import pass_rate as room
    from virgo_factory.data.read.source import find_sources

    bounds = room.read_rates(text)
    from virgo_factory.distill.config import FILE

    with busy("reading"):
        if (Path(what) / FILE).is_file():
            from virgo_factory.distill.select.rates import rated_questions

            card = room.slice_rated(rated_questions(Path(what)), Path(what), out, bounds, command_line(), overwrite)
        else:
            sources = training(find_sources(what, dataset_dir, media_dir=media_dir)[0])
            if len(sources) > 1:
                raise UserError(f"--pass-rate: {what} names {len(sources)} datasets. Name one at a time.")

            card = room.slice_source(sources[0], out, bounds, command_line(), overwrite, column)

    if as_json:
        import json

        print(json.dumps(card, ensure_ascii=False))
        return

    print(
        f"{out}: {amount(card['rows_in'], 'row')} read, {card['kept']:,} written, {card['rows_in'] - card['kept']:,} left out:"
    )
    print("\n".join([*counted(card["dropped"].items()), *card["notes"], f"Card: {card_files(out)[0]}"]))
    print(f"To train on it, add to {out.parent / 'dataset_info.json'}:\n  {entry_line(card['entry'])}")
    if card["media_dir"]:
        print(f"Relative image paths start from media_dir: {card['media_dir']}")


EXAMPLE = "virgo-factory data slice virgo_demo_dt dt.jsonl --rows 100,300"
PAGE = "docs/data.md"
