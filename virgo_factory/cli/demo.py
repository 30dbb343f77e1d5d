"""`virgo-factory demo`: train a tiny model with the stock command, go the whole loop, or reinforce; and prove what happened."""

import os
import time
from pathlib import Path
from typing import Literal

import typer

from virgo_factory.report.terminal import console


def demo(
    what: Literal["training", "distill", "reinforce", "synthesize"] = typer.Argument(
        "training", help="One training, the whole loop, rewards, or synthesis."
    ),
    folder: Path | None = typer.Option(
        None, "--dir", help="Where everything goes: saves/virgo_demo, saves/loop, saves/reinforce or saves/synthesis."
    ),
    prepare_only: bool = typer.Option(False, "--prepare-only", help="Make the base model and stop."),
    seeds: list[int] | None = typer.Option(
        None, "--seed", min=0, help="reinforce: seed of the training, the recipe's 42; several train as often."
    ),
    blank: bool = typer.Option(False, "--blank", help="reinforce: the control, in which no picture shows anything."),
) -> None:
    """Train a tiny Qwen2-VL on generated long thoughts and prove what happened.

    Two CPU cores, no GPU, no network, under three minutes. A second call replaces what the first one made.

    With `distill`, the whole loop in some twenty minutes there: D_T -> M0, M0's rollouts on visual questions through vLLM,
    verdicts, D_SD, two models of the same base on D_SD and on D_T + D_SD, and the scores of all four.

    With `reinforce`, GSPO in some four minutes: a base that looks at pictures or guesses, its scores on pictures that it
    never saw before and after, through vLLM. With --blank nothing can be seen, and no score may rise.

    With `synthesize`, questions and thoughts of drawn scenes by a server that plays every role and makes faults that are known;
    SFT and DPO on the rows, and the trained model as thinker, through vLLM.
    """
    if what != "reinforce" and (seeds or blank):
        raise typer.BadParameter("only with reinforce: virgo-factory demo reinforce", param_hint="--seed, --blank")

    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, warns that it found no GPU
    screen = console(soft_wrap=True)
    if what == "distill":
        _loop(screen, folder, prepare_only)
    elif what == "reinforce":
        _reinforce(screen, folder, prepare_only, list(dict.fromkeys(seeds or ())), blank)
    elif what == "synthesize":
        _synthesize(screen, folder, prepare_only)
    else:
        _training(screen, folder, prepare_only)


EXAMPLE = """virgo-factory demo
virgo-factory demo distill
virgo-factory demo reinforce
virgo-factory demo reinforce --blank --seed 42 --seed 43 --seed 44
virgo-factory demo synthesize"""


def _training(console, folder: Path | None, prepare_only: bool) -> None:
    """Make the base model, train it and prove what happened."""
    from virgo_factory.demo import proofs, run

    started = time.monotonic()
    planned = run.plan(folder or run.FOLDER)
    console.print("[bold]1 of 3[/] Making a tiny random Qwen2-VL: the real architecture.")
    run.prepare(planned)
    console.print(f"       {planned.base}")
    shown = " ".join(["llamafactory-cli", *planned.command[1:]])
    if prepare_only:
        console.print("Ready. Train it with the stock command:", f"  {shown}", sep="\n")
        return

    console.print("[bold]2 of 3[/] Training it with the stock command:", f"       {shown}", sep="\n")
    _train(console, planned)
    console.print("[bold]3 of 3[/] Proofs, from the files and the log of that run alone:")
    failed = _prove(console, proofs.prove(planned))
    answer = proofs.ask(planned)
    failed += _prove(console, [proofs.answered(planned, answer)])
    console.print(
        f"\nQuestion on the picture {planned.picture}: {proofs.QUESTION}\n"
        "Answer of a model that was random a minute ago. It has met the words and the markers; it makes no sense:"
    )
    console.print(f"{answer.response.strip()}\n", style="dim", markup=False)
    _end(
        *(console, failed, started),
        f"loss curve   {planned.output / 'training_loss.png'}",
        f"row account  {planned.output / 'virgo_rows.json'}",
        f"checkpoint   {planned.output}",
        f"full log     {planned.log}",
    )


def _train(console, planned, states=None) -> None:
    """Run the training, with a progress bar on a terminal and a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from virgo_factory.demo import run

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps  {task.description}"), TimeElapsedColumn())
    shown = 0
    with Progress(TextColumn("      "), *columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        for state in states or run.train(planned):
            if not state.steps:
                continue

            bar.update(task, total=state.steps, completed=state.step, description=state.told)
            if not console.is_terminal and state.step >= shown + max(20, state.steps // 5):
                shown = state.step
                console.print(f"       step {state.step} of {state.steps}, {state.told}")


def _train_base(console, is_new: bool, made) -> None:
    """Train the base model that a demo begins from, where it is not there already."""
    if is_new:
        console.print(f"        {made.training.shown}")
        _train(console, made.training, made.train())
    else:
        console.print(f"        {made.output} is there, made with the same settings: kept.")


def _go(console, steps, before=lambda step: None, is_fine=lambda step: False) -> None:
    """Go steps, of which each is told and shown; one that fails ends the demo, unless it `is_fine`."""
    from virgo_factory.demo import run

    for number, (told, step) in enumerate(steps, start=1):
        console.print(f"[bold]{number} of {len(steps)}[/]  {told or step.shown}")
        if told:
            console.print(f"        {step.shown}", markup=False)

        before(step)
        if step.is_training:
            _train(console, step)
        elif (code := run.ask(step)) and not is_fine(step):
            raise typer.Exit(code)


def _prove(console, proofs) -> list:
    """Print every proof; return those that failed."""
    failed = []
    for proof in proofs:
        mark = "[green]proved[/]" if proof.holds else "[red]FAILED[/]"
        console.print(f"  {mark}  {proof.name:26}", proof.evidence)
        failed += [proof] * (not proof.holds)

    return failed


def _end(console, failed: list, started: float, *lines: str) -> None:
    """Say that all of it holds and where to look, or which proofs failed, and end with 1."""
    for proof in failed:
        console.print(f"[red]not proved:[/] {proof.name}: {proof.evidence}")

    if failed:
        raise typer.Exit(1)

    told = f"All of it holds. {time.monotonic() - started:.0f} s in all."
    console.print(told, *(f"  {line}" for line in lines), sep="\n")


def _loop(console, folder: Path | None, prepare_only: bool) -> None:
    """Make the base model that sees a little, go the loop's five commands, and prove what happened."""
    from virgo_factory.demo import distill, loop_proofs, run

    started = time.monotonic()
    loop = distill.plan(folder or distill.FOLDER)
    console.print("[bold]Before[/]  A tiny Qwen2-VL that sees a little: it stands for Qwen2-VL-Instruct.")
    _train_base(console, distill.prepare(loop), loop.made)
    console.print(f"        {loop.questions}: pictures drawn by program, each with its gold answer.")
    if prepare_only:
        console.print("Ready. The loop:", *(f"  {step.shown}" for step in loop.steps), sep="\n")
        return

    _go(console, list(zip(_STEPS, loop.steps, strict=True)))
    console.print("[bold]What came out[/], from the files of the loop alone:")
    for line in loop_proofs.counts(loop):
        console.print(f"  {line}", markup=False)

    if failed := _prove(console, loop_proofs.prove(loop)):
        _end(console, failed, started)

    console.print("[bold]Scores[/] on questions that none of the models was trained on:")
    for name in distill.SCORED:
        step = loop.evaluation(name)
        console.print(f"        {step.shown}")
        if code := run.ask(step):
            raise typer.Exit(code)

    for line in loop_proofs.scores(loop):
        console.print(f"  {line}", markup=False)

    console.print("  (Models this small show that the loop runs, not what long thoughts do for a real one.)")
    _end(
        *(console, [], started),
        f"D_SD      {loop.selected}, and its card beside it",
        f"rollouts  virgo-factory distill status {loop.rollouts} --html rollouts.html",
        f"models    {', '.join(str(loop.output(name)) for name in ('m0', 'dsd', 'dt_dsd'))}",
    )


_STEPS = (
    "D_T -> M0: long thoughts in text alone, on the base.",
    "M0 answers the visual questions that the base fails, five times each, through vLLM.",
    "D_SD: the shortest correct response of each question, if it has the four markers.",
    "D_SD -> model, from the original base.",
    "D_T + D_SD -> model, from the original base.",
)


def _reinforce(console, folder: Path | None, prepare_only: bool, seeds: list[int], blank: bool) -> None:
    """Make a base that looks or guesses, score it, reinforce it, score it again, and say whether it has risen."""
    from virgo_factory.demo import reinforce

    started = time.monotonic()
    seeds = seeds or [reinforce.SEED]
    demo = reinforce.plan(folder or reinforce.FOLDER, blank)
    console.print("[bold]Before[/]  A tiny Qwen2-VL that says what it sees and answers by that, or guesses.")
    _train_base(console, reinforce.prepare(demo, seeds), demo.base)
    steps = [demo.evaluation(None)]
    for seed in seeds:
        steps += [demo.training(seed), demo.evaluation(seed)]

    if prepare_only:
        console.print("Ready:", *(f"  {step.shown}" for step in steps), sep="\n")
        return

    _go(console, [("", step) for step in steps])
    before = reinforce.scored(demo.scores(None))
    after = {seed: reinforce.scored(demo.scores(seed)) for seed in seeds}
    console.print(f"[bold]Scores[/] on {len(before.right)} {'blank ' * blank}pictures that no model was trained on:")
    console.print(f"  base          {_score(before)}")
    for seed, scored in after.items():
        console.print(f"  seed {seed:<8} {_score(scored)}  {_risen(reinforce.difference([scored], before))}")

    found = reinforce.difference(list(after.values()), before)
    rises = reinforce.has_risen(found)
    console.print(
        f"  {'mean of seeds':39}  {_risen(found)}",
        f"The score {'rises' if rises else 'does not rise'} by more than twice its standard error. "
        f"{time.monotonic() - started:.0f} s in all.",
        f"  every rollout, with its verdict: {demo.output(seeds[0]) / 'rollouts.jsonl'}",
        sep="\n",
    )
    if rises == blank:
        raise typer.Exit(1)


def _synthesize(console, folder: Path | None, prepare_only: bool) -> None:
    """Make rows by a server that plays every role, train on them, let the trained model think, and prove what happened."""
    from virgo_factory.demo.synthesis import loop
    from virgo_factory.demo.synthesis.server import serving

    started = time.monotonic()
    planned = loop.plan(folder or loop.FOLDER)
    loop.prepare(planned)
    console.print(f"[bold]Before[/]  {planned.pictures}: scenes drawn by program; their truth is known.")
    with serving() as server:
        roles = "A server plays every role, with faults of its own: questions, votes, thoughts, rows."
        steps = (
            (roles, planned.synthesis(server.url)),
            ("SFT: short and long thoughts, on a tiny random Qwen2-VL.", planned.training("sft")),
            ("DPO: corrections against what does not correct.", planned.training("dpo")),
            ("The trained model thinks about further scenes, served by vLLM.", planned.thinking(server.url)),
        )
        if prepare_only:
            console.print(f"The server is at {server.url} until you press Ctrl-C:")
            console.print(*(f"  {step.shown}" for _, step in steps), sep="\n", markup=False)
            while True:
                time.sleep(3600)

        def before(step) -> None:
            if step.is_training and step.output == planned.output("sft"):
                loop.make_start(planned)

        _go(console, steps, before, lambda step: step.output == planned.again and loop.has_thought(planned))
        console.print("[bold]What came out[/], from the files of the demo alone:")
        failed = _prove(console, loop.prove(planned, server))

    _end(
        *(console, failed, started),
        f"look at it   virgo-factory synthesize status {planned.rows} --html scenes.html",
        "(A model this small shows that the rows arrive, not what they do for a real one.)",
    )


def _score(scored) -> str:
    right = sum(scored.right) / len(scored.right)
    return f"{100 * right:5.1f}%, looks in {100 * scored.looks:3.0f}%"


def _risen(found) -> str:
    return f"{100 * found.difference.score:+5.1f} points, standard error {100 * found.difference.se:.1f}"
