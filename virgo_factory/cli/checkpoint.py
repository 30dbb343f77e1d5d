"""`virgo-factory checkpoint`: what of a checkpoint survives in the programs that serve it."""

from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import progress
from virgo_factory.cli.diagnoses import show
from virgo_factory.cli.lazy import app, end_of_help


checkpoint = app(
    "virgo-factory checkpoint check saves/virgo7b/full/dt/epoch-5",
    no_args_is_help=True,
    help="Check a trained model before it is served.",
)


@checkpoint.callback()
def checkpoint_command() -> None:
    """Keep `check` a verb of its own."""


@checkpoint.command(
    short_help="Look at every number, names, tokenizer, template and vision tower, and run a few layers.",
    epilog=end_of_help("virgo-factory checkpoint check saves/virgo_demo/dt \\\n    --base saves/virgo_demo/base"),
)
def check(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the trained model, or of a LoRA adapter."),
    base: Path | None = typer.Option(None, "--base", help="Folder of the model that training began from."),
    unchanged: bool = typer.Option(False, "--unchanged", help="The model may be the base in every tensor."),
    load: bool = typer.Option(
        True, "--load/--files-only", help="Run layers from the whole depth, or look at files only."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Prove that a checkpoint is whole and means in transformers 4.x and vLLM what it meant in training.

    Every number of every tensor is looked at: NaN, Inf, rows, columns and tokens of zeros, another scale, copies. A base
    is read as far as the two are the same.
    """
    import tempfile

    from virgo_factory.preflight.checkpoint.check import check_checkpoint
    from virgo_factory.preflight.checkpoint.reduced import try_reduced
    from virgo_factory.preflight.checkpoint.weights import is_adapter

    total, read = sum(file.stat().st_size for file in folder.glob("*.safetensors")), 0
    with progress("reading") as told:

        def on_bytes(count: int) -> None:
            nonlocal read
            read += count
            told(read, total)

        found = check_checkpoint(folder, base, may_be_base=unchanged, on_bytes=on_bytes)

    is_whole = not any(item.severity == "error" and item.check in ("weights", "files") for item in found)
    if load and is_whole and not is_adapter(folder):
        with tempfile.TemporaryDirectory(prefix="virgo-checkpoint-") as work:
            found += try_reduced(folder, Path(work))

    show(found, as_json)
