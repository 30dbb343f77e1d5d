"""`virgo-factory data mix`: rows of several datasets in one file."""

from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import HOLDOUT, command_line, progress, show_cards, tell_cache, training


def mix(
    out: Path = typer.Argument(metavar="OUT", help="The file to write: .jsonl or .parquet."),
    asked: list[str] = typer.Argument(
        metavar="DATASET[DOMAINS]:AMOUNT",
        help="A dataset's name or a file; of these domains (joined with +), if given; so many rows (3700, 3.7k), or a "
        "ratio of its rows (0.5, 50%), or all of them if no amount is given.",
    ),
    seed: int = typer.Option(42, "--seed", help="Decides which rows are drawn and in which order."),
    holdout: Path | None = HOLDOUT,
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Processes; all cores by default."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace OUT."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Draw rows from several datasets into one, in the normal form.

    Rows that cannot be trained on are not drawn, and of exact duplicates only the first. What is drawn depends on
    the rows and the seed alone. A dataset without domains keeps the shares of its domains. The domain `science` includes
    physics, chemistry and biology; `none` names rows without a domain.
    """
    from virgo_factory.data.make import mix as room
    from virgo_factory.data.read.source import Settings, find_sources
    from virgo_factory.data.rows.stream import measure

    shares = [room.read_share(text) for text in asked]
    sources, positions = [], {}
    for name in dict.fromkeys(share.dataset for share in shares):
        found = training(find_sources(name, dataset_dir, media_dir=media_dir)[0])
        positions[name] = range(len(sources), len(sources) + len(found))
        sources += found

    sources_of = [positions[share.dataset] for share in shares]
    with progress("reading") as told:
        card = room.mix(
            sources, sources_of, lambda: measure(sources, Settings(), workers, progress=told),
            shares, out, command_line(), seed, overwrite, holdout,
        )  # fmt: skip

    show_cards([card], [out], as_json)
    tell_cache(sources)


EXAMPLE = """virgo-factory data mix mix.jsonl 'virgo_demo_dt[math]:200' \\
    'virgo_demo_dt[science]:50' 'virgo_demo_dt[code+puzzle]:0.5'"""
PAGE = "docs/data.md"
