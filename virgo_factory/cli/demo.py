"""`virgo-factory demo`: train a tiny model with the stock command, go the whole loop, or reinforce; and prove what happened."""

import os
import time
from pathlib import Path
from typing import Literal

import typer


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
    from rich.console import Console

    if what != "reinforce" and (seeds or blank):
        raise typer.BadParameter("only with reinforce: virgo-factory demo reinforce", param_hint="--seed, --blank")

    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, warns that it found no GPU
    console = Console(highlight=False)
    if what == "distill":
        _loop(console, folder, prepare_only)
    elif what == "reinforce":
        _reinforce(console, folder, prepare_only, list(dict.fromkeys(seeds or ())), blank)
    elif what == "synthesize":
        _synthesize(console, folder, prepare_only)
    else:
        _training(console, folder, prepare_only)


EXAMPLE = """\b
Examples:
  virgo-factory demo
  virgo-factory demo distill
  virgo-factory demo reinforce
  virgo-factory demo reinforce --blank --seed 42 --seed 43 --seed 44
  virgo-factory demo synthesize"""


def _training(console, folder: Path | None, prepare_only: bool) -> None:
    """Make the base model, train it and prove what happened."""
    from virgo_factory.demo import run

    started = time.monotonic()
    planned = run.plan(folder or run.FOLDER)
    console.print("[bold]1 of 3[/] Making a tiny random Qwen2-VL: the real architecture.")
    run.prepare(planned)
    console.print(f"       {planned.base}", soft_wrap=True)
    shown = " ".join(["llamafactory-cli", *planned.command[1:]])
    if prepare_only:
        console.print("Ready. Train it with the stock command:", f"  {shown}", sep="\n", soft_wrap=True)
        return

    console.print("[bold]2 of 3[/] Training it with the stock command:", f"       {shown}", sep="\n", soft_wrap=True)
    _train(console, planned)
    console.print("[bold]3 of 3[/] Proofs, from the files and the log of that run alone:")
    failed = _prove(console, planned)
    if failed:
        _fail(console, failed)

    console.print(
        f"All of it holds. {time.monotonic() - started:.0f} s in all.",
        f"  loss curve   {planned.output / 'training_loss.png'}",
        f"  row account  {planned.output / 'virgo_rows.json'}",
        f"  checkpoint   {planned.output}",
        f"  full log     {planned.log}",
        sep="\n",
        soft_wrap=True,
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


def _prove(console, planned) -> list:
    """Print every proof and the model's answer; return the proofs that failed."""
    from virgo_factory.demo import proofs

    failed = []

    for proof in proofs.prove(planned):
        _show(console, proof, failed)

    answer = proofs.ask(planned)
    _show(console, proofs.answered(planned, answer), failed)
    console.print(
        f"\nQuestion on the picture {planned.picture}: {proofs.QUESTION}\n"
        "Answer of a model that was random a minute ago. It has met the words and the markers; it makes no sense:",
        soft_wrap=True,
    )
    console.print(answer.response.strip(), style="dim", markup=False)
    console.print()
    return failed


def _show(console, proof, failed: list) -> None:
    """Print a proof; keep it if it failed."""
    mark = "[green]proved[/]" if proof.holds else "[red]FAILED[/]"
    console.print(f"  {mark}  {proof.name:26}", proof.evidence, soft_wrap=True)
    if not proof.holds:
        failed.append(proof)


def _fail(console, failed: list) -> None:
    """Say which proofs failed, and end with 1."""
    for proof in failed:
        console.print(f"[red]not proved:[/] {proof.name}: {proof.evidence}", soft_wrap=True)

    raise typer.Exit(1)


def _loop(console, folder: Path | None, prepare_only: bool) -> None:
    """Make the base model that sees a little, go the loop's five commands, and prove what happened."""
    from virgo_factory.demo import distill, loop_proofs, run

    started = time.monotonic()
    loop = distill.plan(folder or distill.FOLDER)
    console.print("[bold]Before[/]  A tiny Qwen2-VL that sees a little: it stands for Qwen2-VL-Instruct.")
    if distill.prepare(loop):
        console.print(f"        {loop.made.training.shown}", soft_wrap=True)
        _train(console, loop.made.training, loop.made.train())
    else:
        console.print(f"        {loop.base} is there, made with the same settings: kept.", soft_wrap=True)

    console.print(f"        {loop.questions}: pictures drawn by program, each with its gold answer.", soft_wrap=True)
    if prepare_only:
        console.print("Ready. The loop:", *(f"  {step.shown}" for step in loop.steps), sep="\n", soft_wrap=True)
        return

    for number, (told, step) in enumerate(zip(_STEPS, loop.steps, strict=True), start=1):
        console.print(f"[bold]{number} of 5[/]  {told}", f"        {step.shown}", sep="\n", soft_wrap=True)
        if step.is_training:
            _train(console, step)
        elif code := run.ask(step):
            raise typer.Exit(code)

    console.print("[bold]What came out[/], from the files of the loop alone:")
    for line in loop_proofs.counts(loop):
        console.print(f"  {line}", markup=False, soft_wrap=True)

    failed: list = []
    for proof in loop_proofs.prove(loop):
        _show(console, proof, failed)

    if failed:
        _fail(console, failed)

    console.print("[bold]Scores[/] on questions that none of the models was trained on:")
    for name in distill.SCORED:
        step = loop.evaluation(name)
        console.print(f"        {step.shown}", soft_wrap=True)
        if code := run.ask(step):
            raise typer.Exit(code)

    for line in loop_proofs.scores(loop):
        console.print(f"  {line}", markup=False, soft_wrap=True)

    console.print(
        "  (Models this small show that the loop runs, not what long thoughts do for a real one.)", soft_wrap=True
    )

    console.print(
        f"All of it holds. {time.monotonic() - started:.0f} s in all.",
        f"  D_SD      {loop.selected}, and its card beside it",
        f"  rollouts  virgo-factory distill status {loop.rollouts} --html rollouts.html",
        f"  models    {', '.join(str(loop.output(name)) for name in ('m0', 'dsd', 'dt_dsd'))}",
        sep="\n",
        soft_wrap=True,
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
    from virgo_factory.demo import reinforce, run

    started = time.monotonic()
    seeds = seeds or [reinforce.SEED]
    demo = reinforce.plan(folder or reinforce.FOLDER, blank)
    console.print("[bold]Before[/]  A tiny Qwen2-VL that says what it sees and answers by that, or guesses.")
    if reinforce.prepare(demo, seeds):
        console.print(f"        {demo.base.training.shown}", soft_wrap=True)
        _train(console, demo.base.training, demo.base.train())
    else:
        console.print(f"        {demo.base.output} is there, made with the same settings: kept.", soft_wrap=True)

    steps = [demo.evaluation(None)]
    for seed in seeds:
        steps += [demo.training(seed), demo.evaluation(seed)]

    if prepare_only:
        console.print("Ready:", *(f"  {step.shown}" for step in steps), sep="\n", soft_wrap=True)
        return

    for number, step in enumerate(steps, start=1):
        console.print(f"[bold]{number} of {len(steps)}[/]  {step.shown}", soft_wrap=True)
        if step.is_training:
            _train(console, step)
        elif code := run.ask(step):
            raise typer.Exit(code)

    before = reinforce.scored(demo.scores(None))
    after = {seed: reinforce.scored(demo.scores(seed)) for seed in seeds}
    console.print(f"[bold]Scores[/] on {len(before.right)} {'blank ' * blank}pictures that no model was trained on:")
    console.print(f"  base          {_score(before)}")
    for seed, scored in after.items():
        console.print(f"  seed {seed:<8} {_score(scored)}  {_risen(reinforce.difference([scored], before))}")

    found = reinforce.difference(list(after.values()), before)
    rises = reinforce.has_risen(found)
    console.print(f"  {'mean of seeds':39}  {_risen(found)}")
    console.print(
        f"The score {'rises' if rises else 'does not rise'} by more than twice its standard error. "
        f"{time.monotonic() - started:.0f} s in all.",
        f"  every rollout, with its verdict: {demo.output(seeds[0]) / 'rollouts.jsonl'}",
        sep="\n",
        soft_wrap=True,
    )
    if rises == blank:
        raise typer.Exit(1)


def _synthesize(console, folder: Path | None, prepare_only: bool) -> None:
    """Make rows by a server that plays every role, train on them, let the trained model think, and prove what happened."""
    from virgo_factory.demo import run
    from virgo_factory.demo.synthesis import loop
    from virgo_factory.demo.synthesis.server import serving

    started = time.monotonic()
    planned = loop.plan(folder or loop.FOLDER)
    loop.prepare(planned)
    console.print(
        f"[bold]Before[/]  {planned.pictures}: scenes drawn by program; their truth is known.", soft_wrap=True
    )
    with serving() as server:
        steps = (
            (
                "A server plays every role, with faults of its own: questions, votes, thoughts, rows.",
                planned.synthesis(server.url),
            ),
            ("SFT: short and long thoughts, on a tiny random Qwen2-VL.", planned.training("sft")),
            ("DPO: corrections against what does not correct.", planned.training("dpo")),
            ("The trained model thinks about further scenes, served by vLLM.", planned.thinking(server.url)),
        )
        if prepare_only:
            console.print(f"The server is at {server.url} until you press Ctrl-C:", soft_wrap=True)
            console.print(*(f"  {step.shown}" for _, step in steps), sep="\n", soft_wrap=True, markup=False)
            while True:
                time.sleep(3600)

        for number, (told, step) in enumerate(steps, start=1):
            console.print(f"[bold]{number} of {len(steps)}[/]  {told}", soft_wrap=True)
            console.print(f"        {step.shown}", soft_wrap=True, markup=False)
            if step.is_training:
                if step.output == planned.output("sft"):
                    loop.make_start(planned)

                _train(console, step)
            elif (code := run.ask(step)) and not (step.output == planned.again and loop.has_thought(planned)):
                raise typer.Exit(code)

        console.print("[bold]What came out[/], from the files of the demo alone:")
        failed: list = []
        for proof in loop.prove(planned, server):
            _show(console, proof, failed)

    if failed:
        _fail(console, failed)

    console.print(
        f"All of it holds. {time.monotonic() - started:.0f} s in all.",
        f"  look at it   virgo-factory synthesize status {planned.rows} --html scenes.html",
        "  (A model this small shows that the rows arrive, not what they do for a real one.)",
        sep="\n",
        soft_wrap=True,
    )


def _score(scored) -> str:
    right = sum(scored.right) / len(scored.right)
    return f"{100 * right:5.1f}%, looks in {100 * scored.looks:3.0f}%"


def _risen(found) -> str:
    return f"{100 * found.difference.score:+5.1f} points, standard error {100 * found.difference.se:.1f}"
