"""`virgo-factory reinforce status`: what a training by rewards has done so far."""

import json
from pathlib import Path

import typer

from virgo_factory.cli.data.terminal import busy
from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console, print_tables


def status(
    folder: Path = typer.Argument(
        metavar="DIR", help="output_dir of a training by stage: grpo; it may go on meanwhile."
    ),
    html: Path | None = typer.Option(
        None, "--html", metavar="FILE", help="Write a page of rollouts with curves instead."
    ),
    groups: int | None = typer.Option(
        None, "--groups", min=1, help="Groups of responses that the page shows.", show_default="40"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print every step as JSON."),
) -> None:
    """Tell reward, accuracy, format and lengths by step, from trainer_state.json and rollouts.jsonl alone.

    right: share of correct responses. form: mean reward of the form. unverif.: responses without a verdict, which get their
    group's mean. cut: cut off at rl_max_response_tokens. flat: groups whose rewards are all equal, so that nothing is learned
    from them. clipped: tokens or responses at the clip. gap: between log-probabilities of trainer and server. Steps that the
    trainer has not told yet are means of the rollouts on file (rl_log_rollouts a step).
    """
    from virgo_factory.reinforce.steps import read_steps, steps_table

    if groups and not html:
        raise UserError("--groups is of the page: add --html FILE.")

    if html:
        from virgo_factory.io.files import check_file
        from virgo_factory.reinforce.page import write_rollouts_page

        check_file(html)
        with busy(f"writing {html}"):
            count = write_rollouts_page(html, folder, groups or 40)

        print(
            json.dumps({"html": str(html), "groups": count})
            if as_json
            else f"{html}: {count} group{'s' * (count != 1)} of responses"
        )
        return

    with busy(f"reading {folder}"):
        steps = read_steps(folder)

    if as_json:
        print(json.dumps({"steps": steps}))
        return

    print_tables(console(), steps_table(steps))


EXAMPLE = "virgo-factory reinforce status saves/omr7b/full/gspo"
