"""`virgo-factory doctor`: the environment against what is known to lose runs."""

import typer

from virgo_factory.cli.data.terminal import OVERRIDES, read_overrides
from virgo_factory.cli.diagnoses import show


EXAMPLE = "virgo-factory doctor recipes/virgo7b_dt.yaml"


def doctor(
    recipe: str | None = typer.Argument(None, help="A recipe: what it asks for must be there, and importable."),
    overrides: list[str] | None = OVERRIDES,
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Check this environment against the tested versions and the known traps. Exit code 1 if a run would be lost."""
    from virgo_factory.data.read.source import load_recipe
    from virgo_factory.preflight.doctor.doctor import diagnose
    from virgo_factory.preflight.doctor.environment import read_environment

    keys = load_recipe(recipe) | read_overrides(overrides) if recipe else None
    show(diagnose(read_environment(keys), keys), as_json)
