"""`virgo-factory checkpoint`: what of a checkpoint survives in the programs that serve it."""

from pathlib import Path

import typer


checkpoint = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Check a trained model before it is served.",
    epilog="\b\nExample:\n  virgo-factory checkpoint check saves/virgo7b/full/dt/epoch-5 --base /models/Qwen2-VL-7B-Instruct",
)


@checkpoint.callback()
def checkpoint_command() -> None:
    """Keep `check` a verb of its own."""


@checkpoint.command(
    short_help="Check files, names, tokenizer, template and vision tower, and load a reduced copy.",
    epilog="\b\nExample:\n  virgo-factory checkpoint check saves/virgo_demo/dt --base saves/virgo_demo/base\n\n"
    "  ok  weights            59 tensors, every file whole\n"
    "  ok  rope               mrope_section [4, 6, 6]\n"
    "  ok  vision tower       all 25 tensors are the base's, byte by byte\n"
    "  ok  transformers loads it  every tensor in its place, 36 tokens with an image read, logits finite",
)
def check(
    folder: Path = typer.Argument(metavar="DIR", help="Folder of the trained model."),
    base: Path | None = typer.Option(None, "--base", help="Folder of the model that training began from."),
    vllm: bool = typer.Option(False, "--vllm", help="Load the reduced copy with vLLM, too: a minute more."),
    load: bool = typer.Option(
        True, "--load/--files-only", help="Load a copy of the first layers, or look at files only."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Prove that a checkpoint is whole and means in transformers 4.x and vLLM what it meant in training."""
    import tempfile

    from virgo_factory.cli.diagnoses import show
    from virgo_factory.preflight.checkpoint import check_checkpoint, try_reduced

    found = check_checkpoint(folder, base)
    if load and not any(item.severity == "error" and item.check in ("weights", "files") for item in found):
        with tempfile.TemporaryDirectory(prefix="virgo-checkpoint-") as work:
            found += try_reduced(folder, Path(work), vllm)

    show(found, as_json)
