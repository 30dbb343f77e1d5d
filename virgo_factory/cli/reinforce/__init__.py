"""`virgo-factory reinforce VERB`: around a training of `stage: grpo`, which itself is stock `llamafactory-cli train`."""

import typer

from virgo_factory.cli.lazy import lazy_group


VERBS = {
    "status": "Show reward, accuracy, format and lengths by step, or its rollouts as a page.",
    "export": "Write a recipe for verl or EasyR1 on Ray: prompts, reward, launch file.",
}

EXAMPLE = """\b
Examples:
  llamafactory-cli train recipes/virgo_demo_gspo.yaml
  virgo-factory reinforce status saves/reinforce/gspo --html rollouts.html"""

reinforce = typer.Typer(
    cls=lazy_group("virgo_factory.cli.reinforce", VERBS),
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    epilog=EXAMPLE,
)


@reinforce.callback()
def reinforce_command() -> None:
    """What a training by rewards (stage: grpo) does, and the same recipe for more than one node.

    The training itself is stock: llamafactory-cli train RECIPE.
    """
