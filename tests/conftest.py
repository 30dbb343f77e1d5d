"""What every test may rely on: no network, the shared real data where it exists, and real recipes made small."""

import functools
import gc
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


# Before any import of transformers or datasets; child processes inherit it.
os.environ["HF_HUB_OFFLINE"] = "1"
# Twins are too small for more: threads would only wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # pytest-xdist's

import pytest
from hypothesis import HealthCheck, settings


settings.register_profile("here", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")  # no times: the machine may be busy

ROOT = Path(__file__).parents[1]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which no test is to be run: what they import (torch, LLaMA-Factory) is most of collecting."""
    if collection_path.suffix == ".py":
        text = collection_path.read_text(encoding="utf-8")
        if _takes_long(config) and "mark.integration" not in text and "mark.slow" not in text:
            return True

        marked = re.search(r"^pytestmark = \[?\s*pytest\.mark\.(integration|slow)\b", text, re.MULTILINE)
        if marked and config.option.markexpr.startswith("not ") and marked[1] in config.option.markexpr:
            return True

    return None


def _takes_long(config: pytest.Config) -> bool:
    """Whether integration tests are to be run, and slow ones."""
    return config.option.markexpr.startswith("integration")


FIRST = (
    *(
        "test_demo_reinforce",
        "test_demo_distill",
        "test_demo_run",
        "test_distill_vllm",
        "test_reinforce",
        "test_commands",
    ),
    *("test_batch_order", "test_smoke", "test_real_data", "test_policy_servers", "test_demo_synthesize"),
    *("test_faults", "test_visual", "test_serving", "test_distill_commands", "test_scope"),
    *("test_recipes", "test_autoload"),
)
"""Integration tests that take longest, in this order: begun last, one would be waited for alone. Two with vLLM do not begin together."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and run the rows of a table as one test; behind every choice (`-k`, the id of a row)."""
    items.sort(key=lambda item: (FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST), item.path))
    tables: dict[object, list[pytest.Item]] = {}
    for item in items:
        tables.setdefault((item.path, item.originalname) if is_row(item) else item, []).append(item)

    items[:] = [table(rows) if len(rows) > 1 else rows[0] for rows in tables.values()]


def is_row(item: pytest.Item) -> bool:
    """Whether a test is one of a parametrised function for which no fixture is made anew; an integration test is long."""
    if not hasattr(item, "callspec") or item.cls or item.callspec.marks or hasattr(item.obj, "hypothesis"):
        return False

    if item.get_closest_marker("integration"):
        return False

    given, needed = set(item.callspec.params), item._fixtureinfo
    shared = [needed.name2fixturedefs.get(name) for name in {*item.fixturenames} - given - {"request"}]
    return (
        given <= set(needed.argnames)
        and given == {name.strip() for mark in item.iter_markers("parametrize") for name in _names(mark)}
        and "request" not in needed.argnames
        and not any(mark.kwargs.get("indirect") for mark in item.iter_markers("parametrize"))
        and all(found and found[-1].scope != "function" for found in shared)
    )


def _names(mark: pytest.Mark) -> list[str]:
    return mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])


def table(rows: list[pytest.Function]) -> pytest.Function:
    """Return one test that runs all rows and tells each that failed: a test of its own costs more than most rows do."""
    first, function = rows[0], rows[0].obj

    @functools.wraps(function)
    def run(**shared: object) -> None:
        errors, skipped = [], []
        for row in rows:
            try:
                function(**shared, **row.callspec.params)
            except pytest.skip.Exception as error:
                skipped.append(error)
            except (Exception, pytest.fail.Exception) as error:
                error.add_note(f"Row: {row.callspec.id}")
                errors.append(error)

        if errors:
            raise BaseExceptionGroup(f"{len(errors)} of {len(rows)} rows failed", errors)

        if len(skipped) == len(rows):
            raise skipped[0]

    own = inspect.signature(function)
    shared = [one for name, one in own.parameters.items() if name not in first.callspec.params]
    run.__signature__ = own.replace(parameters=shared)
    return pytest.Function.from_parent(first.parent, name=first.originalname, callobj=run)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Hand out integration tests and slow ones one by one, but for files whose tests share something; all others file by file.

    A worker is given the next file when it has two tests left. Two integration tests are minutes, for which the other
    worker would have nothing to do.
    """
    from xdist.scheduler import LoadFileScheduling

    @functools.cache
    def shared(file: str) -> str:
        if not _takes_long(config):
            return file if Path(file).parts[1] not in ("evaluation", "synthesis") else Path(file).parts[1]

        text = (config.rootpath / file).read_text(encoding="utf-8")
        made = re.search(r"def test\w*\([^)]*\b(recorded_runs|whole)\b", text)  # once for all files
        return made[1] if made else (file if re.search(r'scope="module"|@(?:functools\.)?cache\n', text) else "")

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared(super()._split_scope(nodeid)) or nodeid

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Fork the workers of integration tests from a process that has imported most of what they import."""
    if not _takes_long(config):
        return

    from tests import forking

    for kind in (forking.TRAININGS, forking.PROGRAMS, *([forking.VLLM] if find_spec("vllm") else [])):
        forking.server_of(kind)

    for spec in specs:
        spec.python = shlex.join([sys.executable, "-P", forking.__file__, forking.TRAININGS])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without the garbage collector (a fifth of the time), and take what was imported out of its rounds.

    Whole rounds are rarer from then on: most of what is imported comes with the tests, and to go through it took 7 % of their time.
    The second worker begins at the end: where no bytecode is yet, each of the two writes a half of it and reads the other.
    """
    gc.disable()
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" and session.config.args == session.config.getini("testpaths"):
        tests = [path for path in Path(__file__).parent.iterdir() if path.is_dir() or path.match("test_*.py")]
        session.config.args = sorted(map(str, tests), reverse=True)

    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(2_000, 20, 100)
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what recipes that earlier tests parsed left behind: a training started here would inherit it.

    transformers writes `bf16: true` into this variable (training_args.py:1878), and a run of `bf16: false` takes it from there.
    """
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Generator[None, None, None]:
    """As on one core: a pool has one process unless a test says how many, since each takes half a second to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda pid: {0})
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def fork(tmp_path_factory) -> Callable[..., str]:
    """A function: code, and code before torch's autoload -> what a fresh process printed that has LLaMA-Factory's libraries."""
    from tests import forking

    folder = tmp_path_factory.mktemp("forked")

    def run(code: str, before: str = "", **environment: str) -> str:
        whole = "\n".join([textwrap.dedent(before), forking.PROGRAM, textwrap.dedent(code)])
        out, err = (folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err"))
        with open(os.devnull) as none, open(out, "w") as printed, open(err, "w") as told:
            files = [file.fileno() for file in (none, printed, told)]
            process = forking.begin(forking.PROGRAMS, whole, [], clean_environment(environment), files)
            process.join()

        assert process.exitcode == 0, err.read_text()[-3000:]
        return out.read_text()

    return run


def clean_environment(more: dict[str, str]) -> dict[str, str]:
    """Return our environment without switches of the plugin, and with more."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VIRGO_FACTORY_")} | more


@pytest.fixture(scope="session")
def grows_linearly() -> Callable[..., None]:
    """A function that fails where work on so many times as much takes far more than so many times as long.

    Processor time, the best of many rounds, and never a number of seconds: a loaded machine makes a round slow, and larger
    work somewhat more so. For four times as much, eleven times as long is allowed; quadratic work takes sixteen. Without
    the garbage collector, as timeit does: it walks through all that the tests before have imported.
    """

    def check(work: Callable[[int], object], small: int, large: int, rounds: int = 24) -> None:
        best = dict.fromkeys((small, large), float("inf"))
        for _ in range(rounds):
            for size in best:
                gc.disable()
                try:
                    start = time.process_time()
                    work(size)
                    best[size] = min(best[size], time.process_time() - start)
                finally:
                    gc.enable()

            if best[large] < max(0.01, (large / small) ** 1.75 * best[small]):
                return

        raise AssertionError(
            f"{large / small:g} times as much takes {best[large] / best[small]:.1f} times as long: {best}"
        )

    return check


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; a test that needs it is skipped where it does not exist."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def real_model_folder(shared_data) -> Path:
    """The folder of the real tokenizer and processor of Qwen2.5-VL, without weights: two seconds to load."""
    return shared_data / "qwen2.5_vl_tokenizer"


@pytest.fixture(scope="session")
def model_folder(real_model_folder, tmp_path_factory) -> Path:
    """The same with the first 8,000 merges, so that the ids of its added tokens are lower: a tenth of a second to load."""
    folder, entries = tmp_path_factory.mktemp("qwen2.5_vl"), 256 + 8000
    merges = (real_model_folder / "merges.txt").read_text(encoding="utf-8").splitlines()[: entries - 256]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    vocabulary = json.loads((real_model_folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").write_text(json.dumps({text: id for text, id in vocabulary.items() if id < entries}))
    for path in real_model_folder.glob("*config.json"):
        text = re.sub(r"\b15[12]\d{3}\b", lambda id: str(int(id[0]) - len(vocabulary) + entries), path.read_text())
        (folder / path.name).write_text(text)

    shutil.copy(real_model_folder / "chat_template.json", folder)
    return folder


@pytest.fixture(scope="module")
def one_vocabulary() -> Generator[None, None, None]:
    """Load a vocabulary once for all tests of a file: it is the same, and takes most of their time."""
    from virgo_factory.data.tokens import tokens

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "load_vocabulary", functools.cache(tokens.load_vocabulary))
        yield


@pytest.fixture(scope="session")
def reduced(tmp_path_factory) -> dict[str, str]:
    """Overrides that make a recipe for real models run here, everything else as it stands in the file.

    The model is a twin, the hub's data sets are four local rows of the same columns, the device is the CPU, the global
    batch is 4 (one step an epoch), and the GPU packages, which are not installed, are not asked for. bfloat16 is float32
    where the CPU emulates it, as in `smoke`.
    """
    from virgo_factory.io.cpu import has_bf16
    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("reduced")
    info = json.loads((ROOT / "dataset_info.json").read_text())
    for name in [name for name, entry in info.items() if "hf_hub_url" in entry]:
        info[name] = {"file_name": "rows.jsonl", "formatting": info[name]["formatting"]}

    rows = (ROOT / "recipes/demo/long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return {
        "model_name_or_path": str(make_twin(folder / "twin", dtype="bfloat16" if has_bf16() else "float32")),
        **({} if has_bf16() else {"bf16": "false"}),
        "dataset_dir": str(folder),
        "use_cpu": "true",
        "enable_liger_kernel": "false",
        "flash_attn": "disabled",
        "global_batch_size": "4",
        "num_train_epochs": "5",
        "preprocessing_num_workers": "1",
        "logging_steps": "1",
    }


@pytest.fixture
def call(monkeypatch) -> Callable[..., Any]:
    """A function that gives a `virgo-factory` command in a folder, in this process: a program takes seconds to start."""
    from typer.testing import CliRunner

    from virgo_factory.cli.main import app

    def run(text: str, folder: Path, codes: tuple[int, ...] = (0,)) -> Any:
        monkeypatch.chdir(folder)
        program, *arguments = shlex.split(text)
        result = CliRunner().invoke(app, arguments)
        assert program == "virgo-factory" and result.exit_code in codes, (text, result.output, result.exception)
        return result

    return run


@pytest.fixture(scope="session")
def browse(tmp_path_factory):
    """A function that opens a page in headless Chromium with some more flags and returns what it prints."""
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if not program:
        pytest.skip("no chromium: apt-get install chromium")

    home = tmp_path_factory.mktemp("chromium")

    def run(url: str, *flags: str) -> str:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += [f"--user-data-dir={home}", "--virtual-time-budget=5000", *flags, url]
        environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


@dataclass(frozen=True)
class VisualQuestion:
    """A question of ../shared/data and its picture; `config` is where LLaVA-OneVision keeps that source."""

    config: str
    id: str
    question: str
    answer: str
    picture: Path


@pytest.fixture(scope="session")
def visual_questions(shared_data) -> list[VisualQuestion]:
    """Up to 8 questions (CLEVR: 12) of TabMWP, ChartQA, FigureQA, CLEVR, Geometry3K and GEOS, in a fixed order."""

    def load(path: Path):
        return json.loads(path.read_text(encoding="utf-8"))

    found: dict[str, list[VisualQuestion]] = {}

    def add(config: str, id: str, question: str, answer: str, picture: Path) -> None:
        rows = found.setdefault(config, [])
        if len(rows) < (12 if "clevr" in config else 8) and picture.is_file():
            rows.append(VisualQuestion(config, id, question, answer, picture))

    folder = shared_data / "tabmwp"
    for id, row in load(folder / "problems_dev1k.json").items():
        add("TabMWP(MathV360K)", id, row["question"], row["answer"], folder / "tables" / f"{id}.png")

    folder = shared_data / "chartqa/dataset"
    for path in sorted(folder.glob("*/test_*.json")):
        for number, row in enumerate(load(path)):
            picture = path.parent / "png" / row["imgname"]
            add("chartqa(cauldron,llava_format)", f"{path.stem}-{number}", row["query"], row["label"], picture)

    folder = shared_data / "figureqa"
    for row in load(folder / "qa_pairs.json")["qa_pairs"]:
        answer = ("No", "Yes")[row["answer"]]
        picture = folder / "png" / f"{row['image_index']}.png"
        add(
            "FigureQA(MathV360K)",
            f"{row['image_index']}-{row['question_id']}",
            row["question_string"],
            answer,
            picture,
        )

    folder = shared_data / "clevr"
    for path in sorted(folder.glob("questions/*.json")):
        for number, row in enumerate(load(path)["questions"]):
            picture = folder / "images" / row["split"] / row["image_filename"]
            add(
                "clevr(cauldron,llava_format)",
                f"{row['image']}-{number}",
                row["question"],
                str(row["answer"]),
                picture,
            )

    for path in sorted((shared_data / "geometry3k").glob("*/data.json")):
        row = load(path)
        choices = "\n".join(f"{letter}: {text}" for letter, text in zip("ABCD", row["choices"], strict=True))
        question = f"{row['annotat_text']}\nChoices:\n{choices}"
        add("Geometry3K(MathV360K)", f"geo3k-{row['id']}", question, row["answer"], path.parent / "img_diagram.png")

    for path in sorted((shared_data / "geos").glob("*/answer.json")):
        row = load(path.parent / "question.json")
        answer = "ABCDE"[int(load(path)["answer"]) - 1]
        add("GEOS(MathV360K)", f"geos-{path.parent.name}", row["text"], answer, path.parent / "diagram.png")

    return [question for rows in found.values() for question in rows]
