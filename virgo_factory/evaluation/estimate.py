"""What an evaluation will ask, before anybody is asked: the first prompt of each benchmark, requests, tokens. Calls nobody."""

import itertools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from virgo_factory.evaluation.asking import earlier_run, tokens_in
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.probes.budget import budgets_of
from virgo_factory.evaluation.probes.recheck import PER_RESPONSE
from virgo_factory.evaluation.probes.variants import variants_of
from virgo_factory.evaluation.questions import Taken, read_benchmark
from virgo_factory.evaluation.report.tell import benchmark_rows, size_told
from virgo_factory.evaluation.run import wanted_of
from virgo_factory.evaluation.scorers import PAPER
from virgo_factory.formats.row import RejectedRow
from virgo_factory.report.text import amount
from virgo_factory.rollouts.estimate import RESPONSE_TOKENS, prompt_tokens, short, tokenizer_of
from virgo_factory.rollouts.pictures import store_picture
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import VisualQuestion, first_of, question_of, read_questions
from virgo_factory.rollouts.run.questions import prompts_of


LOOKED_AT = 20
"""Questions of a benchmark whose prompts are filled to take their mean."""

JUDGE_CALLS = {("paper", "mathverse"): 2, ("paper", "mathvision"): 1, ("paper", "mathvision_testmini"): 1}
"""Of a response, at most: MathVerse's scorer has the answer extracted and then compared. MMMU's asks where no letter is found."""


def estimated(config: EvaluationConfig) -> list[str]:
    """Return in lines what a run with this configuration will ask. Nothing is sent, downloaded or kept."""
    lines: list[str] = []
    problems = [message for _, message in config.missing_files()]
    vocabulary, processor = tokenizer_of(config.model_name_or_path)
    measured, measured_in = _measured(config)
    table, calls, longest = [], 0, 0
    with tempfile.TemporaryDirectory() as name:
        for source in [*wanted_of(config), *([""] if config.questions else [])]:
            count, tokens, first = 0, [], None
            try:
                left_out: list[str] = []
                count = _count(config, source, left_out)
                problems += first_of(left_out)
                if (
                    source
                    and count < (published := _drawn(config, source, BENCHMARKS[source].count))
                    and not config.allow_partial
                ):
                    told = f"{source}: {count:,} of {published:,} questions are in {config.benchmark_dir / source}"
                    problems.append(f"{told}. Complete the files, or set allow_partial: true")

                for question, folder in itertools.islice(_at_hand(config, source, Path(name)), LOOKED_AT):
                    prompt = prompts_of(config, folder)(question)
                    first = first or (question, prompt)
                    tokens.append(prompt_tokens(prompt, vocabulary, processor))
            except (ValueError, OSError) as error:
                problems.append(str(error).rstrip("."))

            if first:
                sizes = ", ".join(f"{width} x {height}" for width, height in first[1].images)
                shown = f"pictures as sent {sizes}; the text:" if sizes else "the text:"
                lines += [f"First prompt of {source or config.questions} ({first[0].id}), {shown}", ""]
                lines += [*(f"  | {line}" for line in first[1].text.splitlines()), ""]

            requests = count * config.samples_of(source)
            calls += requests * _calls(config, source)
            longest = max(longest, *tokens, 0)
            mean = statistics.fmean(tokens) if tokens else 0.0
            table.append((source or str(config.questions), count, requests, mean, measured.get(source)))

    sizes = {row["benchmark"]: size_told(row) for row in benchmark_rows(config.benchmark_dir)}
    for source, count, requests, mean, response in table:
        read = f", prompts of {mean:,.0f} tokens on average" if mean else ", no question is on this machine"
        write = f"{response:,.0f} tokens a response as in {measured_in}" if response else "a response not measured yet"
        size = f", size of its files {sizes[source]}" if source in sizes else ""
        lines.append(f"{source}: {amount(count, 'question')}, {amount(requests, 'request')}{read}, {write}{size}")

    requests = sum(row[2] for row in table)
    guess = min(RESPONSE_TOKENS, config.max_tokens)
    total = sum(row[2] * (row[4] or guess) for row in table)
    lines.append(f"Requests: {requests:,} to {config.model_name_or_path}, in one pass")
    lines.append(
        f"Tokens written: about {short(total)} ({guess:,} a response where nothing was measured), at most "
        f"{short(requests * config.max_tokens)}; tokens read: about {short(sum(row[2] * row[3] for row in table))}"
    )
    lines.append(
        f"Hours: {short(total)} / 3,600 / the tokens a second of your servers; `status` tells once they are measured"
    )
    if vocabulary is None and longest:
        lines.append("Tokens of prompts are guessed: the model's tokenizer is not on this machine")

    if variants := variants_of(config.variants):
        names = ", ".join(variant.name for variant in variants)
        lines.append(
            f"Changed pictures: at most {len(variants) * min(config.variant_questions, requests):,} requests more ({names})"
        )

    if config.recheck:
        lines.append(
            f"Claims looked at again: at most {2 * PER_RESPONSE * min(config.recheck, requests):,} requests more, most responses "
            "have fewer"
        )

    if config.budget:
        if (config.output_dir / QUESTIONS).is_file():
            try:
                budgets_of(config.output_dir, 1, config.budget_by, 1)
            except ValueError as error:
                problems.append(str(error).rstrip("."))

        sizes = ", ".join(f"{tokens:,}" for tokens in config.budget)
        lines.append(
            f"Thought budgets: at most {len(config.budget) * requests:,} requests more, for solutions alone ({sizes})"
        )

    if config.process:
        lines.append(
            f"Process: at most {min(config.process_questions, requests):,} calls to {config.judge_model}, with pictures"
        )

    if calls:
        lines.append(f"Judge: at most {calls:,} calls to {config.judge_model or 'the judge'}")

    if longest + config.max_tokens > config.max_model_len:
        problems.append(
            f"max_model_len: {config.max_model_len:,} is too small for a prompt of {longest:,} tokens and max_tokens "
            f"{config.max_tokens:,}"
        )

    return lines + [f"To be put right before the run: {problem}." for problem in dict.fromkeys(problems)]


def _count(config: EvaluationConfig, source: str, left_out: list[str]) -> int:
    """Return how many questions of a benchmark will be asked: those that are made, else that its files have, else published ones.

    `left_out` takes the rows of one's own file that cannot be asked.
    """
    made = config.output_dir / QUESTIONS
    if not source:
        if not config.questions.is_file():
            return 0

        return sum(1 for _ in read_questions(config.questions, left_out))

    if made.is_file() and (there := sum(question.source == source for question in read_questions(made))):
        return there

    benchmark, folder = BENCHMARKS[source], config.benchmark_dir and config.benchmark_dir / source
    if folder is None or not folder.is_dir():
        return _drawn(config, source, benchmark.count)

    return _drawn(config, source, sum(1 for _ in read_benchmark(benchmark, folder, Taken(benchmark, str(folder)))))


def _drawn(config: EvaluationConfig, source: str, count: int) -> int:
    return min(config.benchmarks[source] or count, count)


def _at_hand(config: EvaluationConfig, source: str, folder: Path) -> Iterator[tuple[VisualQuestion, Path]]:
    """Yield questions of a benchmark that are on this machine, each with the folder of its pictures."""
    made = config.output_dir / QUESTIONS
    if source and made.is_file():
        yield from ((question, made.parent) for question in read_questions(made) if question.source == source)
    elif not source:
        if config.questions.is_file():
            yield from ((question, config.questions.parent) for question in read_questions(config.questions, []))
    elif config.benchmark_dir is not None and (config.benchmark_dir / source).is_dir():
        benchmark, own = BENCHMARKS[source], config.benchmark_dir / source
        for row in read_benchmark(benchmark, own, Taken(benchmark, str(own))):
            try:
                stored = [store_picture(image, own, folder, config.image_max_pixels) for image in row["images"]]
                names = [one.path for one in stored]
                yield question_of({**row, "images": names, "image_sha256": [one.sha256 for one in stored]}), folder
            except RejectedRow:
                continue


def _measured(config: EvaluationConfig) -> tuple[dict[str, float], Path | None]:
    """Return the mean tokens of the responses to each benchmark, and the folder that has them: this one, or an earlier run."""
    for folder in (config.output_dir, earlier_run(config.output_dir)):
        found: dict[str, list[float]] = {}
        for question, tokens in (tokens_in(folder) if folder and folder.is_dir() else {}).items():
            found.setdefault(question.partition("/")[0], []).append(tokens)

        if found:
            return {source: statistics.fmean(tokens) for source, tokens in found.items()}, folder

    return {}, None


def _calls(config: EvaluationConfig, source: str) -> int:
    """Return how often a judge is asked about a response, at most; our rules ask seldom."""
    if config.scorer == "omr":
        return 2

    if source and BENCHMARKS[source].needs_judge:
        return 1

    return JUDGE_CALLS.get(
        (config.scorer, source), int(config.scorer == "paper" and source == "mmmu" and source in PAPER)
    )
