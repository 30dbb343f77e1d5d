"""`virgo-factory data materialize`: the released visual rows with their images."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy, command_line
from virgo_factory.report.text import amount, quoted


def materialize(
    what: str = typer.Argument(
        "virgo_visual",
        metavar="[DATASET|FILE]",
        help="The released rows: RUC-AIBOX/Virgo-Visual-Long-Thought-Dataset.",
    ),
    out: Path = typer.Option(..., "--out", help="Folder for images/, rows.jsonl and its entry; one for each dataset."),
    source: str | None = typer.Option(
        None,
        "--source",
        help="Folder with CONFIG/*.parquet, or a hub dataset; lmms-lab/LLaVA-OneVision-Data by default.",
    ),
    config: list[str] | None = typer.Option(
        None, "--config", help="Config to look in, in quotes; again for more. Virgo's eight sources by default."
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Fetch the images of the released visual rows, which name them by a relative path only.

    A row is matched by question and answer, and by its image's name where several images fit; what is not matched is
    listed with the reason. One Parquet file at a time is downloaded, searched and removed. Killed, it goes on where it
    stopped when called again.
    """
    from huggingface_hub.utils import disable_progress_bars

    from virgo_factory.data.fetch import materialize as room
    from virgo_factory.data.read.source import find_sources

    origin, configs = source or room.ORIGIN, config or room.CONFIGS
    (dataset,), _ = find_sources(what, dataset_dir)
    disable_progress_bars()  # they would break up the bar, and show where there is no terminal
    with busy("reading") as status:

        def told(name: str, done: int, total: int, matched: int) -> None:
            if status:
                status.update(f"{name.rpartition('/')[0]}: {done:,} of {total:,} files, {matched:,} rows matched")

        report = room.materialize(dataset, out, origin, configs, told)

    info, *cards = room.describe(report, dataset, origin, command_line())
    if as_json:
        typer.echo(json.dumps({**asdict(report), "out": str(out), "dataset_info": str(info)}))
        return

    share = report.kept / report.rows_in
    by_text = report.kept - report.by_name
    typer.echo(
        f"{amount(report.rows_in, 'row')}, {report.kept:,} matched ({share:.1%}), {report.images:,} different images"
    )
    typer.echo(
        f"  {report.by_name:,} by question, answer and the image's name, {by_text:,} by question and answer alone"
    )
    for name, count in report.by_config.items():
        typer.echo(f"  {count:,} from {name}")

    for reason, count in report.unmatched.items():
        typer.echo(f"  {count:,} left out: {reason}")

    if report.unmatched:
        typer.echo(f"Left out rows: {out / room.UNMATCHED}. Other configs of the source may hold them: --config NAME")

    typer.echo(f"Rows: {out / room.ROWS}, card: {cards[0]}")
    typer.echo(f"Train with media_dir={quoted(out)}; the entry {dataset.name} is in {info}")


EXAMPLE = """virgo-factory data materialize visual_rows.jsonl --source onevision \\
    --out visual --config 'TabMWP(MathV360K)' \\
    --config 'clevr(cauldron,llava_format)'"""
PAGE = "docs/data.md"
