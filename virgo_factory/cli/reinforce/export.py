"""`virgo-factory reinforce export`: a recipe of `stage: grpo` for another engine."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import OVERRIDES, busy, read_overrides, training
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import check_folder
from virgo_factory.report.terminal import console, print_tables
from virgo_factory.report.text import quoted


def export(
    recipe: str = typer.Argument(metavar="RECIPE", help="A recipe of stage: grpo, or the name of one that ships."),
    overrides: list[str] | None = OVERRIDES,
    verl: Path | None = typer.Option(None, "--verl", metavar="DIR", help="Folder for verl 0.9, new or empty."),
    easyr1: Path | None = typer.Option(None, "--easyr1", metavar="DIR", help="Folder for EasyR1, new or empty."),
    nodes: int = typer.Option(1, "--nodes", min=1, help="Of the Ray cluster."),
    gpus: int = typer.Option(8, "--gpus-per-node", min=1),
    dataset_dir: Path | None = typer.Option(None, "--dataset-dir", help="Folder of dataset_info.json."),
    as_json: bool = typer.Option(False, "--json", help="Print the account as JSON."),
) -> None:
    """Write prompts, reward and launch file of a recipe for verl, which trains on more than one node (Ray), or for EasyR1.

    train.parquet holds each prompt as it is asked here, with its pictures; rewards.py gives the same rewards; run.sh holds the
    recipe's values under verl's names, and begins by reading every prompt with verl's own class. README.md tells how verl's
    environment is made, and what verl does otherwise. Rows without a gold answer, or with pictures that cannot be read,
    are left out and counted.
    """
    from virgo_factory.data.read.source import find_sources, load_recipe
    from virgo_factory.reinforce.prompts import Prompts
    from virgo_factory.reinforce.verl import check_stage

    if (verl is None) == (easyr1 is None):
        raise UserError("Name one folder: --verl DIR or --easyr1 DIR.")

    folder = verl or easyr1
    if verl:
        from virgo_factory.reinforce.verl import export_verl as write
    else:
        from virgo_factory.reinforce.easyr1 import export_easyr1 as write

    check_folder(folder)
    changes = read_overrides(overrides)
    keys = load_recipe(recipe) | changes
    check_stage(keys)
    sources, settings = find_sources(recipe, dataset_dir, changes)
    prompts = Prompts(training(sources), settings)
    with busy(f"writing {folder}"):
        found = write(keys, prompts, folder, nodes, gpus)

    if as_json:
        account = {"rows": prompts.rows, "prompts": found.rows, "dropped": dict(prompts.dropped)}
        print(json.dumps(account | {"departures": found.departures}, ensure_ascii=False))
        return

    from virgo_factory.report.table import account

    shown = console(soft_wrap=True, markup=False)
    print_tables(shown, account(prompts.rows, found.rows, prompts.dropped))
    for line in prompts.examples[:5]:
        shown.print(f"  {line}")

    shown.print("\nOtherwise than here:")
    for line in found.departures:
        shown.print(f"  {line}")

    name = "verl" if verl else "EasyR1"
    shown.print(f"\nNext: make {name}'s environment ({folder}/README.md), then bash {quoted(folder / 'run.sh')}")


EXAMPLE = """virgo-factory reinforce export recipes/omr7b_gspo.yaml --verl out/verl \\
    --nodes 8"""
