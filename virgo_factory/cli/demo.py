"""`virgo-factory demo`: train a tiny model with the stock command, go the whole loop, reinforce, or synthesize; and prove what happened."""

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console


if TYPE_CHECKING:
    from rich.console import Console

    from virgo_factory.demo.base import Base
    from virgo_factory.demo.proofs import Proof
    from virgo_factory.demo.steps import Progress, Step


def demo(
    what: Literal["training", "distill", "reinforce", "synthesize"] = typer.Argument(
        "training", help="One training, the whole loop, rewards, or synthesis."
    ),
    prepare_only: bool = typer.Option(False, "--prepare-only", help="Make what the first command needs, and stop."),
    seeds: list[int] | None = typer.Option(
        None, "--seed", min=0, help="reinforce: seed of the training, the recipe's 42; several train as often."
    ),
    blank: bool = typer.Option(False, "--blank", help="reinforce: the control, in which no picture shows anything."),
) -> None:
    """Train a tiny Qwen2-VL on generated long thoughts and prove what happened.

    Where the recipes are (virgo-factory recipes copy .), into saves/; a second call replaces what the first one made.
    Two CPU cores, no GPU, no network, one to two minutes.

    With `distill`, the whole loop, the longest of them: D_T -> M0, M0's rollouts on visual questions through vLLM,
    verdicts, D_SD, two models of the same base on D_SD and on D_T + D_SD, and the scores of all four.

    With `reinforce`, GSPO in three and a half minutes: a base that looks at pictures or guesses, its scores on pictures that it
    never saw before and after, through vLLM. With --blank nothing can be seen, and no score may rise.

    With `synthesize`, questions and thoughts of drawn scenes from recorded replies, some with faults that are known, and SFT
    and DPO on the rows.
    """
    if what != "reinforce" and (seeds or blank):
        raise typer.BadParameter("only with reinforce: virgo-factory demo reinforce", param_hint="--seed, --blank")

    if what in ("distill", "reinforce") and not prepare_only:  # told before minutes of training
        from virgo_factory.preflight.versions import NO_GRPO, REMEDY_4, reads_5
        from virgo_factory.rollouts.servers.server import check_installed

        check_installed()
        if what == "reinforce" and reads_5():
            raise UserError(f"{NO_GRPO}. {REMEDY_4}")

    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, warns that it found no GPU
    screen, started = console(soft_wrap=True), time.monotonic()
    if what == "reinforce":
        _reinforce(screen, prepare_only, list(dict.fromkeys(seeds or ())), blank)
    elif what == "distill":
        _distill(screen, prepare_only)
    else:
        _proved(screen, what, prepare_only)

    if not prepare_only:
        screen.print(f"{time.monotonic() - started:.0f} s in all.")


EXAMPLE = """virgo-factory demo
virgo-factory demo distill
virgo-factory demo reinforce
virgo-factory demo reinforce --blank --seed 42 --seed 43 --seed 44
virgo-factory demo synthesize"""


def _proved(screen: "Console", what: str, prepare_only: bool) -> None:
    """Train on long thoughts, or on the rows of a synthesis, and prove what happened."""
    from virgo_factory.demo import synthesize, training

    if what == "training":
        training.prepare()
        steps, prove, folder = (training.TRAINING,), training.prove, training.TRAINING.output
    else:
        synthesize.prepare()
        steps, prove, folder = synthesize.STEPS, synthesize.prove, synthesize.FOLDER

    if not _ready(screen, steps, prepare_only):
        _go(screen, steps)
        _prove(screen, prove())
        screen.print(f"Everything is in {folder}: rows and why others were dropped, loss curves, models, logs.")
        screen.print("(A model this small shows that the rows arrive, not what they do for a real one.)")


def _distill(screen: "Console", prepare_only: bool) -> None:
    """Make the base model that sees a little, go the loop, prove what happened, and score all models."""
    from virgo_factory.demo import distill

    _train_base(screen, distill.prepare(), distill.base(), "sees a little: it stands for Qwen2-VL-Instruct")
    if not _ready(screen, distill.STEPS, prepare_only):
        _go(screen, distill.STEPS)
        _prove(screen, distill.prove())
        _go(screen, [distill.evaluation(name) for name in distill.SCORED])
        screen.print("[bold]Scores[/] on questions that none of the models was trained on:")
        for line in distill.scores():
            screen.print(f"  {line}", markup=False)

        screen.print("  (Models this small show that the loop runs, not what long thoughts do for a real one.)")
        screen.print(f"Look at the rollouts: virgo-factory distill status {distill.ROLLOUTS} --html rollouts.html")


def _reinforce(screen: "Console", prepare_only: bool, seeds: list[int], blank: bool) -> None:
    """Make a base that looks or guesses, score it, reinforce it, score it again, and say whether it has risen."""
    from virgo_factory.demo import reinforce

    seeds, demo = seeds or [reinforce.SEED], reinforce.Reinforcement(blank)
    is_new = reinforce.prepare(demo, seeds)
    _train_base(screen, is_new, reinforce.base(), "says what it sees and answers by that, or guesses")
    if _ready(screen, demo.steps(seeds), prepare_only):
        return

    _go(screen, demo.steps(seeds))
    before = reinforce.scored(demo.scores(None))
    after = {seed: reinforce.scored(demo.scores(seed)) for seed in seeds}
    screen.print(f"[bold]Scores[/] on {len(before.right)} {'blank ' * blank}pictures that no model was trained on:")
    screen.print(f"  base          {_score(before)}")
    for seed, scored in after.items():
        screen.print(f"  seed {seed:<8} {_score(scored)}  {_risen(reinforce.difference([scored], before))}")

    found = reinforce.difference(list(after.values()), before)
    rises = reinforce.has_risen(found)
    screen.print(f"  {'mean of seeds':39}  {_risen(found)}")
    screen.print(f"The score {'rises' if rises else 'does not rise'} by more than twice its standard error.")
    screen.print(f"  every rollout, with its verdict: {demo.training(seeds[0]).output / 'rollouts.jsonl'}")
    if rises == blank:
        raise typer.Exit(1)


def _ready(screen: "Console", steps: "Iterable[Step]", prepare_only: bool) -> bool:
    """Say what can be entered now, where that is all that is wanted; return whether it is."""
    if prepare_only:
        screen.print("Ready:", *(f"  {step.shown}" for step in steps), sep="\n", markup=False)

    return prepare_only


def _train_base(screen: "Console", is_new: bool, made: "Base", told: str) -> None:
    """Train the base model that a demo begins from, where it is not there already."""
    screen.print(f"[bold]Before[/]  A tiny Qwen2-VL that {told}.")
    if is_new:
        screen.print(f"        {made.training.shown}")
        _train(screen, made.train())
    else:
        screen.print(f"        {made.output} is there, made with the same settings: kept.")


def _go(screen: "Console", steps: "Iterable[Step]") -> None:
    """Go steps, of which each is told and shown; one that fails ends the demo."""
    from virgo_factory.demo import steps as room

    steps = list(steps)
    for number, step in enumerate(steps, start=1):
        screen.print(f"[bold]{number} of {len(steps)}[/]  {step.told or step.shown}")
        if step.told:
            screen.print(f"        {step.shown}", markup=False)

        if step.is_training:
            _train(screen, room.train(step))
        elif code := room.run(step):
            raise typer.Exit(code)


def _train(screen: "Console", states: "Iterable[Progress]") -> None:
    """Go through a training, with a progress bar on a terminal and a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps  {task.description}"), TimeElapsedColumn())
    shown = 0
    with Progress(TextColumn("      "), *columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        for state in states:
            if not state.steps:
                continue

            bar.update(task, total=state.steps, completed=state.step, description=state.told)
            if not screen.is_terminal and state.step >= shown + max(20, state.steps // 5):
                shown = state.step
                screen.print(f"       step {state.step} of {state.steps}, {state.told}")


def _prove(screen: "Console", proofs: "Iterable[Proof]") -> None:
    """Print every proof, from the files that were left alone; end with 1 where one failed."""
    screen.print("[bold]Proofs[/], from the files and logs that were left:")
    failed = []
    for proof in proofs:
        mark = "[green]proved[/]" if proof.holds else "[red]FAILED[/]"
        screen.print(f"  {mark}  {proof.name:30}", proof.evidence)
        failed += [proof] * (not proof.holds)

    for proof in failed:
        screen.print(f"[red]not proved:[/] {proof.name}: {proof.evidence}")

    if failed:
        raise typer.Exit(1)


def _score(scored: Any) -> str:
    right = sum(scored.right) / len(scored.right)
    return f"{100 * right:5.1f}%, looks in {100 * scored.looks:3.0f}%"


def _risen(found: Any) -> str:
    return f"{100 * found.difference.score:+5.1f} points, standard error {100 * found.difference.se:.1f}"
