"""What a distillation will ask, before anybody is asked: the first filled prompt, requests and tokens. Calls nobody."""

import itertools
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from virgo_factory.distill.config import DistillConfig, questions_wanted
from virgo_factory.distill.first_responses import told_before
from virgo_factory.distill.questions.given import Given, is_own, problem_of, read_given
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.estimate import RESPONSE_TOKENS, prompt_tokens, short, tokenizer_of
from virgo_factory.rollouts.pictures import store_picture
from virgo_factory.rollouts.prompt import Prompt
from virgo_factory.rollouts.question import FILE, VisualQuestion, is_blank, question_of, read_lines
from virgo_factory.rollouts.run.questions import prompts_of
from virgo_factory.rollouts.store.rollout import GREEDY
from virgo_factory.rollouts.store.store import read_rollouts


LOOKED_AT = 50  # questions whose prompts are filled to take their mean
BASE_TOKENS = 300  # mean tokens of a greedy response of the base model where nothing was measured yet: a guess


@dataclass(frozen=True)
class Estimate:
    """What a run will ask."""

    questions: int  # how many there are, or how many are drawn
    first: str | None  # id of the first question at hand; None where none is on this machine yet
    prompt: Prompt | None
    prompt_tokens: float  # mean of the prompts looked at
    is_counted: bool  # by the model's own tokenizer; a guess otherwise
    base_requests: int  # of the greedy pass
    requests: int  # of samples, at most: questions that the base model solves are not sampled
    base_tokens: float  # mean of a greedy response; `tokens` of a sampled one
    tokens: float
    measured: int  # rollouts that these means were measured on; 0 for guesses
    most_tokens: int  # what all responses can have at most
    problems: tuple[str, ...]  # what has to be put right before the run
    why: str = ""  # there is no first prompt
    # rows that cannot be asked, and why; broken pictures only among the questions looked at
    left_out: tuple[str, ...] = ()

    @property
    def prompt_total(self) -> float:
        """Tokens of all prompts; the server computes a prompt once for all samples of a question (prefix caching)."""
        return self.prompt_tokens * (self.base_requests + self.requests)

    @property
    def response_total(self) -> float:
        """Tokens of all responses, as far as can be told."""
        return self.base_tokens * self.base_requests + self.tokens * self.requests


def estimate(config: DistillConfig) -> Estimate:
    """Return what a run with this configuration will ask. Nothing is sent, downloaded or written.

    Where questions.jsonl is not made yet, the first question is drawn from sources on this machine; of those on the hub
    there is none. ValueError: the questions or sources on this machine are broken.
    """
    problems = [message for _, message in config.missing_files()]
    vocabulary, processor = tokenizer_of(config.model_name_or_path)
    file = _file(config)
    count, left_out = questions_wanted(config) or 0, []
    if file is not None:
        count = sum(1 for _ in _readable(file, left_out))
    elif _is_given(config):
        count = sum(1 for _ in _asked(config, left_out))

    first, prompts, tokens = None, [], []
    with tempfile.TemporaryDirectory() as folder:
        for question, where in itertools.islice(_at_hand(config, file, Path(folder), problems, left_out), LOOKED_AT):
            try:
                prompt = prompts_of(config, where)(question)
            except ValueError as error:
                left_out.append(str(error).rstrip("."))
                continue

            first = first or question.id
            prompts = prompts or [prompt]
            tokens.append(prompt_tokens(prompt, vocabulary, processor))

    longest = max(tokens, default=0)
    if longest + config.max_tokens > config.max_model_len:
        problems.append(
            f"max_model_len: {config.max_model_len:,} is too small for a prompt of {longest:,} tokens and max_tokens "
            f"{config.max_tokens:,}"
        )

    means, measured = _measured(config)
    base_requests = count if config.base_model_name_or_path else 0
    requests = count * config.samples
    if config.max_rollouts is not None:
        requests = min(requests, config.max_rollouts)

    return Estimate(
        questions=count,
        first=first,
        prompt=prompts[0] if prompts else None,
        prompt_tokens=statistics.fmean(tokens) if tokens else 0.0,
        is_counted=vocabulary is not None,
        base_requests=base_requests,
        requests=requests,
        base_tokens=means.get(True, min(BASE_TOKENS, config.base_max_tokens)),
        tokens=means.get(False, min(RESPONSE_TOKENS, config.max_tokens)),
        measured=measured,
        most_tokens=base_requests * config.base_max_tokens + requests * config.max_tokens,
        problems=tuple(dict.fromkeys(problems)),
        why="" if prompts else _why(config, file),
        left_out=tuple(left_out),
    )


def told(config: DistillConfig, found: Estimate) -> list[str]:
    """Return the estimate as lines for people, the first prompt among them."""
    lines = []
    if found.prompt is None:
        lines.append(found.why)
    else:
        sizes = ", ".join(f"{width} x {height}" for width, height in found.prompt.images)
        several = "s" * (len(found.prompt.images) > 1)
        lines += [
            f"First prompt ({found.first}): picture{several} of {sizes} pixels as sent, then this text:",
            "",
            *(f"  | {line}" for line in found.prompt.text.splitlines()),
            "",
        ]

    prompt = f", prompts of {found.prompt_tokens:,.0f} tokens on average" if found.prompt_tokens else ""
    guess = "" if found.is_counted or not prompt else " (a guess: the model's tokenizer is not on this machine)"
    lines.append(f"Questions: {found.questions:,}{prompt}{guess}")
    if found.base_requests:
        lines.append(f"Requests: {found.base_requests:,} greedy to {config.base_model_name_or_path}, and")
        lines.append(
            f"  at most {found.requests:,} to {config.model_name_or_path}, {config.samples} for each question that is not solved"
        )
    else:
        lines.append(f"Requests: {found.requests:,} to {config.model_name_or_path}, {config.samples} a question")

    how = f"as measured on {found.measured:,} rollouts" if found.measured else "guessed, nothing is measured yet"
    means = f"{found.tokens:,.0f} tokens a response"
    if found.base_requests:
        means += f" and {found.base_tokens:,.0f} a greedy one"

    written, most = short(found.response_total), short(found.most_tokens)
    lines.append(f"Tokens written: about {written} ({means}, {how}), at most {most}")
    if found.prompt_tokens:
        lines.append(f"Tokens read: about {short(found.prompt_total)}; those of a question once for all its samples")

    if config.max_tokens_total is not None and found.response_total > config.max_tokens_total:
        lines.append(f"  max_tokens_total {config.max_tokens_total:,} ends the run before")

    lines.append(told_before(config.response_format))
    if found.left_out:
        first = ", the first" if len(found.left_out) > 1 else ""
        lines.append(f"Left out, since they cannot be asked: {len(found.left_out):,}{first}: {found.left_out[0]}")

    lines += [f"To be put right before the run: {problem}." for problem in found.problems]
    return lines


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
        for question in _readable(file, []):
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


def _readable(file: Path, left_out: list[str]) -> Iterator[VisualQuestion]:
    """Yield the questions of a file that can be asked; of the others it is noted why not."""
    for line, row in read_lines(file):
        try:
            question = question_of(row)
        except RejectedRow as error:
            left_out.append(f"{file}:{line}: {error}")
            continue

        if is_blank(question.gold):
            left_out.append(f"{file}:{line} (id {question.id}): no gold answer")
        else:
            yield question


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
