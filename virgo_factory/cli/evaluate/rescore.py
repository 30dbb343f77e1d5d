"""`virgo-factory evaluate rescore`: responses judged again."""

from pathlib import Path

import typer

from virgo_factory.core.errors import UserError
from virgo_factory.report.terminal import console, counted
from virgo_factory.report.text import quoted


def rescore(
    folder: Path = typer.Argument(..., metavar="DIR", help="Folder of an evaluation."),
    scorer: str = typer.Option(
        "ours",
        "--scorer",
        help="ours; paper: Virgo's published scorers, faults included; omr: OpenMMReasoner's reward.",
    ),
    judge_url: str | None = typer.Option(
        None,
        "--judge-url",
        help="OpenAI-compatible server; key from OPENAI_API_KEY. Its replies are kept, never paid twice.",
    ),
    judge_model: str | None = typer.Option(None, "--judge-model", help="Model of --judge-url."),
    workers: int | None = typer.Option(
        None, "--workers", min=1, help="Processes of our rules; half of the cores by default."
    ),
) -> None:
    """Judge the responses of a run again, and list those on which two scorers differ."""
    from virgo_factory.evaluation.scorers.rescore import DIFFER
    from virgo_factory.evaluation.scorers.rescore import rescore as judge_again
    from virgo_factory.rollouts.judge.llm_judge import LLMJudge

    if bool(judge_url) != bool(judge_model):
        raise UserError("--judge-url and --judge-model go together.")

    judge = LLMJudge(judge_url, judge_model) if judge_url else None
    found = judge_again(folder, scorer, judge, workers)
    screen = console(soft_wrap=True, markup=False)
    counts = [("responses judged", found.responses), ("replies of the judge asked for now", found.asked)]
    counts.append(("settled by the judge" if scorer == "ours" else "differ from ours", found.differ))
    counts += [(f"{name}: {scorer} has no rule for it", count) for name, count in found.left_out.items()]
    counts += [("golds that it takes for a letter and are none", found.misread)] if scorer == "omr" else []
    for line in counted(counts):
        screen.print(line)

    if scorer != "ours":
        screen.print(f"{folder / f'scores.{scorer}.csv'}\n{folder / f'{DIFFER}.{scorer}.csv'}")

    screen.print(f"Both columns: virgo-factory evaluate report {quoted(folder)}")


EXAMPLE = """virgo-factory evaluate rescore evals/virgo7b_dt --scorer paper \\
    --judge-url http://localhost:8001/v1 --judge-model qwen"""
