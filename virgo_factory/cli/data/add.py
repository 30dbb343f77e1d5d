"""`virgo-factory data add`: from a file or a hub dataset to an entry that LLaMA-Factory trains on."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import progress
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import check_folder
from virgo_factory.report.text import amount


def add(
    name: str = typer.Argument(help="What recipes will call it: dataset: NAME."),
    what: str = typer.Argument(
        metavar="FILE|HUB_ID",
        help="A .jsonl, .json, .csv or .parquet file (also .gz), a folder of them, or OWNER/NAME of the hub.",
    ),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    formatting: str | None = typer.Option(
        None,
        "--formatting",
        help="long_thought (recognises the format; the default), virgo_dt, virgo_dsd or virgo_dqvq; questions: prompts with "
        "gold answers, for stage: grpo (the default where rows have pass rates, verl's columns or boxed answers, and no thought).",
    ),
    subset: str | None = typer.Option(None, "--subset", help="Of a hub dataset: its config."),
    split: str | None = typer.Option(
        None, "--split", help="Which rows, such as train[:90%] or train+test; train by default."
    ),
    columns: str | None = typer.Option(
        None,
        "--columns",
        metavar="NAME=COLUMN,...",
        help="What columns are called: question=q,thought=chain,solution=s,images=left,right.",
    ),
    media_dir: Path | None = typer.Option(None, "--media-dir", help="Folder that image paths start from."),
    tokenizer: str | None = typer.Option(None, "--tokenizer", help="Folder or hub id of a model, to count tokens."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as JSON."),
) -> None:
    """Recognise a file's format, count the rows that would be trained on, and write its entry into dataset_info.json.

    Other entries keep their place and their look; a name that is taken is left alone.
    """
    from virgo_factory.data.read.source import INFO, info_folder
    from virgo_factory.data.rows.entry import (
        Recognised,
        UnreadHub,
        check_name,
        columns_option,
        entry_of,
        recognise,
        write_entry,
    )

    dataset_dir = info_folder(dataset_dir)
    check_name(name, dataset_dir)
    check_folder((dataset_dir / INFO).resolve().parent)
    entry = entry_of(what, dataset_dir, formatting or "long_thought", subset, split)
    if columns:
        entry["columns"] = _columns(columns)

    unchecked = ""
    with progress("reading") as told:
        try:
            found = recognise(name, entry, dataset_dir, media_dir, tokenizer, told, is_guess=not formatting)
        except UnreadHub as error:
            if not formatting:
                raise UserError(f"{error} Or say its --formatting: the entry is then written unchecked.") from None

            found, unchecked = Recognised(entry, media_dir), str(error)

    path = write_entry(dataset_dir, name, found.entry)
    train = _command(name, dataset_dir, found)
    if as_json:
        told = {**asdict(found), "media_dir": str(found.media_dir) if found.media_dir else None}
        typer.echo(
            json.dumps({"name": name, "dataset_info": str(path), "unchecked": unchecked, "next": train, **told})
        )
        return

    if unchecked:
        typer.echo(f"Not checked: {unchecked}")
    else:
        dropped = sum(found.dropped.values())
        typer.echo(f"{found.format}: {amount(found.rows, 'row')}, {found.kept:,} kept, {dropped:,} dropped")
        for reason, count in found.dropped.items():
            typer.echo(f"  {count:,} {reason}: {found.first[reason]}")

        if option := columns_option(found.first.values()):
            typer.echo(f"  To read them so: {option}")

        if tokenizer:
            typer.echo(f"{found.tokens:,} tokens, the longest row {found.longest:,}")

    typer.echo(f"In {path}:\n  {json.dumps(name)}: {json.dumps(found.entry, ensure_ascii=False)}")
    typer.echo(f"Next:\n  {train}")


def _columns(text: str) -> dict[str, str]:
    """Return the `columns` of an entry as they are given on the command line.

    Pictures may stand in several columns: what has no name of its own is one more of them.

    >>> _columns("question=q, images=left, right, thought=chain")
    {'question': 'q', 'images': 'left, right', 'thought': 'chain'}
    """
    columns: dict[str, str] = {}
    last = ""
    for piece in text.split(","):
        name, equals, column = (part.strip() for part in piece.partition("="))
        if not equals and last == "images":
            name, column = last, f"{columns[last]}, {name}" if name else ""

        if not name or not column:
            raise UserError(
                f"--columns {text}: expected NAME=COLUMN,..., such as question=q,thought=chain,solution=final; of "
                "pictures images=left,right."
            )

        columns[name], last = column, name

    return columns


def _command(name: str, folder: Path, found) -> str:
    recipe = "omr7b_gspo" if found.entry.get("formatting") == "questions" else "virgo7b_dt"
    words = ["llamafactory-cli", "train", f"recipes/{recipe}.yaml", f"dataset={name}", f"output_dir=saves/{name}"]
    if folder != Path():
        words.append(f"dataset_dir={folder}")

    if found.media_dir:
        words.append(f"media_dir={found.media_dir}")

    if found.entry.get("ranking"):
        words += ["stage=dpo", "keep_model_at_epochs=null"]  # which is for supervised training

    return shlex.join(words)


EXAMPLE = "virgo-factory data add my_thoughts recipes/demo/long_thoughts.jsonl"
PAGE = "docs/data.md"
