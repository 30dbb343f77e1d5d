"""Which epoch: every kept one is asked a development set, and the earliest that is as good as the best within its error is taken."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.data.make.holdout import Holdout, asks_any, rows_that_ask
from virgo_factory.data.read.source import find_sources
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig, read_config
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.questions import Taken, read_benchmark
from virgo_factory.evaluation.run import SCORES, evaluate, make_questions
from virgo_factory.evaluation.statistics import compare, share
from virgo_factory.io.atomic import replace_file, write_json
from virgo_factory.io.files import RECIPES
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.report.plots import draw
from virgo_factory.report.table import Table
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.run.run import Event
from virgo_factory.rollouts.servers.server import Server, adapter_of


Rule = Literal["one-se", "best"]
DEV, CHOICE, PLOT, BEST = "dev", "choice.json", "choice.png", "best"
DEVELOPMENT_SETS = ("mmmu_dev",)
RECIPE = "evaluate/virgo.yaml"
ACCOUNT = "virgo_rows.json"

LISTED = 5
"""Questions that overlap which a message names."""

_EPOCH = re.compile(r"epoch-(\d+)")


@dataclass(frozen=True)
class Epoch:
    """How an epoch did on the development set, shares in percent.

    Attributes:
        difference, difference_se: to the best epoch, question by question; 0 for that one itself.
        loss: of the evaluation during training at the end of the epoch, where there was one.
    """

    epoch: int
    score: float
    se: float
    difference: float
    difference_se: float
    truncated: float
    looping: float
    tokens: float
    loss: float | None


@dataclass(frozen=True)
class Choice:
    """What was chosen and why."""

    epoch: int
    best: int
    rule: Rule
    epochs: tuple[Epoch, ...]
    questions: int
    notes: tuple[str, ...]


def epochs_of(run: Path) -> dict[int, Path]:
    """Return the kept epochs of a training: number -> folder.

    Raises:
        ValueError: fewer than two are there, or no such folder.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such folder. Name the output_dir of a training.")

    found = {
        int(named[1]): path
        for path in sorted(run.glob("epoch-*"))
        if (named := _EPOCH.fullmatch(path.name))
        and any((path / f"{name}config.json").is_file() for name in ("", "adapter_"))
    }
    if len(found) < 2:
        there = ", ".join(path.name for path in found.values()) or "none"
        raise UserError(
            f"{run}: kept epochs: {there}. A choice needs two: train with keep_model_at_epochs: [1, 2, ...] in the recipe."
        )

    return dict(sorted(found.items()))


def config_of(run: Path, dev: str, overrides: Sequence[str] = ()) -> EvaluationConfig:
    """Return how the epochs are asked: the recipe of Virgo's benchmarks, with the development set instead of these.

    Raises:
        ValueError: the set is a benchmark, is not there, or a key is wrong.
    """
    if dev in BENCHMARKS and dev not in DEVELOPMENT_SETS:
        inside = " (it is inside of mathvision)" if dev == "mathvision_testmini" else ""
        raise UserError(
            f"--dev {dev}: a benchmark{inside}; what is chosen on it cannot be reported on it. Name {' or '.join(DEVELOPMENT_SETS)} or "
            "a file of questions."
        )

    if dev not in BENCHMARKS and not Path(dev).is_file():
        raise UserError(f"--dev {dev}: neither {' nor '.join(DEVELOPMENT_SETS)} nor a file of questions.")

    asked = [f"benchmarks=[{dev}]"] if dev in BENCHMARKS else ["benchmarks={}", f"questions={json.dumps(dev)}"]
    own = Path("recipes", RECIPE)
    first = next(iter(epochs_of(run).values()))
    places = [f"model_name_or_path={json.dumps(str(first))}", f"output_dir={json.dumps(str(run / DEV / first.name))}"]
    return read_config(own if own.is_file() else RECIPES / RECIPE, [*asked, "paper_row=null", *overrides, *places])


def choose(
    run: Path,
    config: EvaluationConfig,
    rule: Rule = "one-se",
    trained_on: Sequence[str] = (),
    dataset_dir: Path | None = None,
    on_epoch: Callable[[int, EvaluationConfig], Any] = lambda epoch, config: None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Choice:
    """Ask each kept epoch the development set, and write choice.json, the plot and the link to the chosen one.

    `rule`: one-se: the earliest epoch within one paired standard error of the best; best: the best, of equal ones the earliest.
    `trained_on`: datasets, files or a recipe that the run was trained on; those that its account of rows names by default.

    Raises:
        ValueError: a question stands in the training data or in a benchmark, or see `evaluate`.
    """
    epochs = epochs_of(run)
    configs = {epoch: _config(config, run, folder) for epoch, folder in epochs.items()}
    notes = _check_overlap(next(iter(configs.values())), run, trained_on, dataset_dir)
    with _adapters_served(configs, run, on_event) as asked:
        for epoch, own in asked.items():
            on_epoch(epoch, own)
            if evaluate(own, on_event=on_event).rows is None:
                raise UserError(
                    f"epoch {epoch}: questions are outstanding in {own.output_dir}. The same command goes on."
                )

    found = chosen(configs, rule, _losses(run))
    hashes = {epoch: file_hash(own.output_dir / QUESTIONS) for epoch, own in configs.items()}
    if len(set(hashes.values())) > 1:
        raise UserError(
            f"{run / DEV}: the epochs were not asked the same questions. Remove the folder and start again."
        )

    found = Choice(*found, notes=tuple(notes))
    _write(run, configs, found, next(iter(hashes.values())))
    return found


def _config(config: EvaluationConfig, run: Path, folder: Path) -> EvaluationConfig:
    keys: dict[str, Any] = {"model_name_or_path": str(folder), "output_dir": run / DEV / folder.name}
    if config.urls:  # never another epoch that happens to be served
        keys["served_model_name"] = folder.name

    return config.model_copy(update=keys)


@contextlib.contextmanager
def _adapters_served(
    configs: Mapping[int, EvaluationConfig], run: Path, on_event: Callable[[Event], None]
) -> Iterator[Mapping[int, EvaluationConfig]]:
    """Context of one server of all epochs that are LoRA adapters; whole models, and named servers, are left as they are."""
    config = next(iter(configs.values()))
    adapters = [own.model_name_or_path for own in configs.values() if adapter_of(own.model_name_or_path)]
    is_done = all((own.output_dir / SCORES).is_file() for own in configs.values())
    if config.urls or not adapters or is_done:
        yield configs
        return

    images = max((len(question.images) for question in read_questions(config.output_dir / QUESTIONS)), default=1)
    server = Server(
        adapters[0],
        run / DEV / "server.log",
        images=max(images, 1),
        adapters=adapters,
        **config.server_options,
    )
    told = f"starting vLLM with {len(adapters)} adapters of {adapter_of(adapters[0]).base}, log: {server.log}"
    on_event(Event("server", message=told))
    with server:
        yield {epoch: own.model_copy(update={"urls": (server.url,)}) for epoch, own in configs.items()}


def _check_overlap(
    config: EvaluationConfig, run: Path, trained_on: Sequence[str], dataset_dir: Path | None
) -> list[str]:
    """Raise ValueError where a question of the set stands in the training data or in a benchmark; return what was not looked at."""
    make_questions(config)
    holdout, notes = Holdout.read(config.output_dir / QUESTIONS), []
    problems = []
    for what in trained_on or _trained_on(run):
        sources = [source for source in find_sources(what, dataset_dir)[0] if source.role == "train"]
        notes += [
            f"{source.name}: its formatting is LLaMA-Factory's own; not compared"
            for source in sources
            if not source.is_ours
        ]
        ours = [source for source in sources if source.is_ours]
        places = [f"{id} = {ours[number].name}: {place}" for number, _, _, id, place in rows_that_ask(holdout, ours)]
        problems += _told(f"the training data {what}", places)

    names = [name for name in BENCHMARKS if config.benchmark_dir and (config.benchmark_dir / name).is_dir()]
    for name in names:
        if name not in DEVELOPMENT_SETS:
            benchmark, folder = BENCHMARKS[name], config.benchmark_dir / name
            places = [
                f"{id} = {row['id']}"
                for row in read_benchmark(benchmark, folder, Taken(benchmark, str(folder)))
                if (id := asks_any(holdout, row["question"], row["images"], folder))
            ]
            problems += _told(f"the benchmark {name}", places)

    if not set(names) - set(DEVELOPMENT_SETS):
        notes.append("compared with no benchmark: benchmark_dir names none")

    if problems:
        remedy = "Take other questions, or train without them: data mix ... --holdout FILE."
        raise UserError("\n".join([*problems, remedy]))

    return notes


def _told(where: str, places: Sequence[str]) -> list[str]:
    more = f" and {len(places) - LISTED:,} more" if len(places) > LISTED else ""
    return (
        [f"{len(places):,} of the development set stand in {where}: {'; '.join(places[:LISTED])}{more}."]
        if places
        else []
    )


def _trained_on(run: Path) -> list[str]:
    path = run / ACCOUNT
    try:
        datasets = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        return [entry["name"] for entry in datasets if entry["role"] == "train"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: not there, so it is not known what the run was trained on. Name its recipe or data: --trained-on RECIPE."
        ) from None


def chosen(
    configs: Mapping[int, EvaluationConfig], rule: Rule, losses: Mapping[int, float]
) -> tuple[int, int, Rule, tuple[Epoch, ...], int]:
    """Return the epoch by a rule, the best one, the rule, how all did, and the number of questions that all of them answered."""
    runs = {epoch: read_run(own.output_dir, may_be_empty=True) for epoch, own in configs.items()}
    first = next(iter(runs.values()))
    there = [
        id for id in first.ids if all(id in run.answered for run in runs.values())
    ]  # a server may have refused one
    if not there:
        raise UserError(
            f"no question was answered by all epochs; see dropped.jsonl in the folders of {first.folder.parent}."
        )

    names = first.clusters(there)
    correct = {epoch: run.correct(there) for epoch, run in runs.items()}
    best = min(correct, key=lambda epoch: (-correct[epoch].mean(), epoch))
    rows = []
    for epoch, run in runs.items():
        own, apart = share(correct[epoch], names), compare(correct[epoch], correct[best], names).difference
        places = [run.answered[id] for id in there]
        responses = run.counted.there[places].sum()
        cut = (run.counted.sums[name][places].sum() / responses for name in ("truncated", "looping"))
        shares = (round(100 * float(value), 4) for value in (own.score, own.se, apart.score, apart.se, *cut))
        rows.append(Epoch(epoch, *shares, round(float(np.mean(run.held.tokens)), 1), losses.get(epoch)))

    within = [row.epoch for row in rows if row.epoch <= best and -row.difference <= row.difference_se]
    return (min([*within, best]) if rule == "one-se" else best), best, rule, tuple(rows), len(there)


def _losses(run: Path) -> dict[int, float]:
    """Return the evaluation's loss at the end of each epoch, as far as the training logged one."""
    try:
        log = json.loads((run / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
        return {
            round(row["epoch"]): row["eval_loss"]
            for row in log
            if "eval_loss" in row and abs(row["epoch"] - round(row["epoch"])) < 1e-3
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def table(choice: Choice) -> Table:
    """Return how all epochs did, the chosen one marked."""
    rows, styles = [], {}
    for number, row in enumerate(choice.epochs):
        if row.epoch == choice.epoch:
            styles[number] = "bold"

        apart = "best" if row.epoch == choice.best else f"{row.difference:+.1f} +- {row.difference_se:.1f}"
        loss = "" if row.loss is None else f"{row.loss:.3f}"
        cut = f"{row.truncated:.1f}%", f"{row.looping:.1f}%"
        rows.append(
            (f"epoch {row.epoch}", f"{row.score:.1f} +- {row.se:.1f}", apart, *cut, f"{row.tokens:,.0f}", loss)
        )

    return Table(
        "Epochs", ("", "score", "to the best", "truncated", "loops", "tokens", "eval loss"), rows, styles=styles
    )


def reason(choice: Choice) -> str:
    """Return in a sentence why this epoch."""
    if choice.rule == "best" or choice.epoch == choice.best:
        return f"Epoch {choice.epoch}: the best of {len(choice.epochs)} on {choice.questions:,} questions (rule {choice.rule})."

    return (
        f"Epoch {choice.epoch}: the earliest within one paired standard error of the best, epoch {choice.best}, on "
        f"{choice.questions:,} questions (rule one-se)."
    )


def _write(run: Path, configs: Mapping[int, EvaluationConfig], choice: Choice, questions: str) -> None:
    picture = draw(_plot, choice)
    replace_file(run / PLOT, picture)
    config = next(iter(configs.values()))
    settings = config.shapes() | {"model_name_or_path": None}
    content = asdict(choice) | {"reason": reason(choice), "virgo_factory": __version__, "settings": settings}
    content |= {"questions_sha256": questions, "plot_sha256": hashlib.sha256(picture).hexdigest()}
    write_json(run / CHOICE, content)
    link = run / BEST
    if link.exists() and not link.is_symlink():
        raise UserError(
            f"{link}: in the way of the link to the chosen epoch, and no link. Move it; {run / CHOICE} is written."
        )

    partial = run / f".{BEST}.{os.getpid()}.partial"
    os.symlink(f"epoch-{choice.epoch}", partial)
    os.replace(partial, link)


def _plot(axes: Any, choice: Choice) -> None:
    epochs = [row.epoch for row in choice.epochs]
    axes.errorbar(
        epochs, [row.score for row in choice.epochs], [row.se for row in choice.epochs], fmt="o-", capsize=4, label="score +- its standard error"
    )  # fmt: skip
    one = next(row for row in choice.epochs if row.epoch == choice.epoch)
    axes.plot([one.epoch], [one.score], "D", markersize=12, markerfacecolor="none", label="chosen")
    axes.set_xticks(epochs)
    axes.set_xlabel("epoch")
    axes.set_ylabel("percent correct")
    axes.set_title(f"Development set: {choice.questions:,} questions, rule {choice.rule}", loc="left")
    axes.figure.legend(frameon=False, loc="outside lower center", ncols=2)
