"""`virgo-factory recipes`: the recipes that ship with the package."""

from pathlib import Path

import typer

from virgo_factory.cli.lazy import app, end_of_help
from virgo_factory.io.recipes import copy_recipes, headline, read_recipe, recipe_files
from virgo_factory.report.text import amount


recipes = app(
    "virgo-factory recipes list",
    no_args_is_help=True,
    help="List, show or copy the recipes that ship with the package.",
)


@recipes.command("list", short_help="Print every recipe.", epilog=end_of_help("virgo-factory recipes list"))
def list_recipes() -> None:
    """Print every recipe with the line that says what it trains."""
    names = [name for name in recipe_files() if name.endswith(".yaml")]
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:{width}}  {headline(name)}")


@recipes.command(short_help="Print one recipe.", epilog=end_of_help("virgo-factory recipes show virgo7b_dt"))
def show(name: str = typer.Argument(help="A recipe or another file of recipes/.")) -> None:
    """Print one recipe: its header says hardware, batch, launch line and departures."""
    typer.echo(read_recipe(name), nl=False)


@recipes.command(
    short_help="Copy recipes and dataset entries to DIR.",
    epilog=end_of_help("virgo-factory recipes copy .\nllamafactory-cli train recipes/virgo7b_dt.yaml"),
)
def copy(
    folder: Path = typer.Argument(metavar="DIR", help="Where llamafactory-cli will be called; made if missing."),
    force: bool = typer.Option(False, "--force", help="Replace files and dataset_info.json entries that differ."),
) -> None:
    """Copy recipes/ to DIR/recipes and add the datasets to DIR/dataset_info.json, which keeps what it holds."""
    written, names = copy_recipes(folder, force)
    for path in written:
        typer.echo(path)

    added = f"; {len(names)} entries in dataset_info.json" if names else ""
    typer.echo(
        f"{amount(len(written), 'file')} written{added}." if written else "Nothing to do: all of it is there already."
    )
