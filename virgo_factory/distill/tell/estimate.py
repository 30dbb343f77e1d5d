"""What a distillation will ask, before anybody is asked: the first filled prompt, requests and tokens. Calls nobody."""

import itertools
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from virgo_factory.distill.config import DistillConfig, questions_wanted
from virgo_factory.distill.first_responses import told_before
from virgo_factory.distill.questions.given import Given, is_own, problem_of, read_given
from virgo_factory.formats.row import RejectedRow
from virgo_factory.report.text import amount
from virgo_factory.rollouts.estimate import RESPONSE_TOKENS, prompt_tokens, short, tokenizer_of
from virgo_factory.rollouts.pictures import store_picture
from virgo_factory.rollouts.question import FILE, VisualQuestion, read_questions
from virgo_factory.rollouts.run.questions import prompts_of
from virgo_factory.rollouts.store.rollout import GREEDY
from virgo_factory.rollouts.store.store import read_rollouts


LOOKED_AT = 50  # questions whose prompts are filled to take their mean
BASE_TOKENS = 300  # mean tokens of a greedy response of the base model where nothing was measured yet: a guess


def estimated(config: DistillConfig) -> list[str]:
    """Return in lines what a run with this configuration will ask. Nothing is sent, downloaded or kept.

    Where questions.jsonl is not made yet, the first question is drawn from sources on this machine; of those on the hub
    there is none. ValueError: the questions or sources on this machine are broken.
    """
    problems = [message for _, message in config.missing_files()]
    vocabulary, processor = tokenizer_of(config.model_name_or_path)
    file = _file(config)
    count, left_out = questions_wanted(config) or 0, []
    if file is not None:
        count = sum(1 for _ in read_questions(file, left_out))
    elif _is_given(config):
        count = sum(1 for _ in _asked(config, left_out))

    first, tokens = None, []
    with tempfile.TemporaryDirectory() as folder:
        for question, where in itertools.islice(_at_hand(config, file, Path(folder), problems, left_out), LOOKED_AT):
            try:
                prompt = prompts_of(config, where)(question)
            except ValueError as error:
                left_out.append(str(error).rstrip("."))
                continue

            first = first or (question.id, prompt)
            tokens.append(prompt_tokens(prompt, vocabulary, processor))

    longest = max(tokens, default=0)
    if longest + config.max_tokens > config.max_model_len:
        told = f"too small for a prompt of {longest:,} tokens and max_tokens {config.max_tokens:,}"
        problems.append(f"max_model_len: {config.max_model_len:,} is {told}")

    lines = [_why(config, file)]
    if first:
        sizes = ", ".join(f"{width} x {height}" for width, height in first[1].images)
        several = "s" * (len(first[1].images) > 1)
        lines = [f"First prompt ({first[0]}): picture{several} of {sizes} pixels as sent, then this text:", ""]
        lines += [*(f"  | {line}" for line in first[1].text.splitlines()), ""]

    lines += _requests(config, count, statistics.fmean(tokens) if tokens else 0.0, vocabulary is not None)
    lines.append(told_before(config.response_format))
    if left_out:
        which = ", the first" if len(left_out) > 1 else ""
        lines.append(f"Left out, since they cannot be asked: {len(left_out):,}{which}: {left_out[0]}")

    return lines + [f"To be put right before the run: {problem}." for problem in dict.fromkeys(problems)]


def _requests(config: DistillConfig, questions: int, read: float, is_counted: bool) -> Iterator[str]:
    """Yield how many questions, requests and tokens there will be; `read`: tokens of a prompt, 0 where that is not known."""
    base, requests = config.base_model_name_or_path, questions * config.samples
    if config.max_rollouts is not None:
        requests = min(requests, config.max_rollouts)

    greedy = questions if base else 0
    means, measured = _measured(config)
    base_mean = means.get(True, min(BASE_TOKENS, config.base_max_tokens))
    mean = means.get(False, min(RESPONSE_TOKENS, config.max_tokens))
    written = base_mean * greedy + mean * requests
    most = greedy * config.base_max_tokens + requests * config.max_tokens
    prompt = f", prompts of {read:,.0f} tokens on average" if read else ""
    guess = "" if is_counted or not prompt else " (a guess: the model's tokenizer is not on this machine)"
    yield f"Questions: {questions:,}{prompt}{guess}"
    asked = f"to {config.model_name_or_path}, {config.samples}"
    if base:
        yield f"Requests: {greedy:,} greedy to {base}, and"
        yield f"  at most {requests:,} {asked} for each question that is not solved"
    else:
        yield f"Requests: {requests:,} {asked} a question"

    how = f"as measured on {amount(measured, 'rollout')}" if measured else "guessed, nothing is measured yet"
    means_told = f"{mean:,.0f} tokens a response" + (f" and {base_mean:,.0f} a greedy one" if base else "")
    yield f"Tokens written: about {short(written)} ({means_told}, {how}), at most {short(most)}"
    if read:  # the server computes a prompt once for all samples of a question (prefix caching)
        yield f"Tokens read: about {short(read * (greedy + requests))}; those of a question once for all its samples"

    if config.max_tokens_total is not None and written > config.max_tokens_total:
        yield f"  max_tokens_total {config.max_tokens_total:,} ends the run before"


def _file(config: DistillConfig) -> Path | None:
    """Return the questions.jsonl, if it is there."""
    made = config.output_dir / FILE
    own = config.questions if config.questions is not None and is_own(config.questions) else None
    return next((path for path in (made, own) if path is not None and path.is_file()), None)


def _is_given(config: DistillConfig) -> bool:
    """Whether the questions are given, as rows that are read as those of stage: grpo, and are there."""
    given = config.questions
    return given is not None and not is_own(given) and not problem_of(given, config.dataset_dir)


def _asked(config: DistillConfig, left_out: list[str]) -> Iterator[Given]:
    """Yield the rows that are given and can be asked; of the others it is noted why not."""
    for given in read_given(config.questions, config.dataset_dir):
        if isinstance(given.asked, RejectedRow):
            left_out.append(f"{given.place}: {given.asked}")
        else:
            yield given


def _at_hand(
    config: DistillConfig, file: Path | None, folder: Path, problems: list[str], left_out: list[str]
) -> Iterator[tuple[VisualQuestion, Path]]:
    """Yield questions that are on this machine, each with the folder of its pictures."""
    if file is None and _is_local(config):
        from virgo_factory.distill.questions.build import build_questions

        name = next(name for name, count in config.sources.items() if count)
        keys = {"sources": {name: 1}, "pool_factor": 1.0, "benchmarks": (), "output_dir": folder}
        try:
            build_questions(config.model_copy(update=keys), folder)
        except ValueError as error:
            problems.append(str(error).rstrip("."))
            return

        file = folder / FILE

    if file is not None:
        for question in read_questions(file, []):
            yield question, file.parent
    elif _is_given(config):
        for given in _asked(config, []):
            try:
                stored = [
                    store_picture(image, given.media_dir, folder, config.image_max_pixels) for image in given.pictures
                ]
            except RejectedRow as error:
                left_out.append(f"{given.place}: {error}")
            else:
                yield replace(given.asked, images=tuple(picture.path for picture in stored)), folder


def _is_local(config: DistillConfig) -> bool:
    if config.questions is not None:
        return False

    return config.source_dir.is_dir() if config.source_dir else Path(config.onevision).is_dir()


def _why(config: DistillConfig, file: Path | None) -> str:
    if file is not None or config.questions is not None or config.source_dir is not None:
        return "No first prompt: no question is at hand."

    return (
        f"No first prompt: the questions come from {config.onevision}, which a dry run does not call. "
        "virgo-factory distill questions CONFIG fetches them."
    )


def _measured(config: DistillConfig) -> tuple[dict[bool, float], int]:
    """Return the mean tokens of the responses there are (greedy or not -> mean), and how many these are."""
    sums: dict[bool, list[int]] = {}
    for rollout in read_rollouts(config.output_dir) if config.output_dir.is_dir() else ():
        total = sums.setdefault(rollout.sample == GREEDY, [0, 0])
        total[0] += rollout.completion_tokens
        total[1] += 1

    return {greedy: tokens / count for greedy, (tokens, count) in sums.items()}, sum(row[1] for row in sums.values())
