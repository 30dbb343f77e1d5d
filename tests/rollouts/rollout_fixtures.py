"""The replay server, and folders of distillations, for the tests of rollouts and distill."""

import contextlib
import json
from collections.abc import Callable
from types import ModuleType

import folders as folders_module
import pytest
import replay
from PIL import Image

from virgo_factory.answers.batch import verdict_of
from virgo_factory.cli.main import main
from virgo_factory.distill.config import DistillConfig
from virgo_factory.evaluation.scorers import judging
from virgo_factory.rollouts.judge import verdicts


@pytest.fixture(scope="session")
def replaying() -> ModuleType:
    """The module replay.py."""
    return replay


@pytest.fixture(scope="session")
def folders() -> ModuleType:
    """The module folders.py."""
    return folders_module


@pytest.fixture
def start_replay(replaying, shared_data):
    """A function that starts a replay server with options, stopped at the test's end: `start_replay(share_429=0.1).url`."""
    with contextlib.ExitStack() as stack:
        files = sorted((shared_data / "skythought").glob("*.json*"))
        yield lambda **options: stack.enter_context(replaying.replay(files, **options))


@pytest.fixture(scope="session")
def sky_problems(replaying, shared_data) -> list:
    """Problems that a real response of less than 4,000 characters solves, so that the replay server's come out mixed."""
    problems = replaying.read_problems(sorted((shared_data / "skythought").glob("*.json*")))

    def is_solved(problem) -> bool:
        return any(f"\\boxed{{{problem.gold}}}" in text and len(text) < 4000 for text in problem.responses)

    return list(filter(is_solved, problems))


@pytest.fixture
def command(capsys) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `virgo-factory ...` and returns its exit code, what it printed, and its errors."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))

        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def judge_at_hand(monkeypatch) -> None:
    """Verdicts are made in this process: the same ones, without seconds for starting workers."""

    class AtHand:
        def __init__(self, *_, **__) -> None: ...

        def score(self, tasks):
            return map(verdict_of, tasks)

        def close(self) -> None: ...

    class StepsAtHand(AtHand):
        def map(self, tasks):
            return map(judging.next_step, tasks)

    monkeypatch.setattr(verdicts, "Scorers", AtHand)
    monkeypatch.setattr(judging, "Workers", StepsAtHand)


@pytest.fixture
def sky_config(sky_problems, tmp_path) -> Callable[..., DistillConfig]:
    """A function that returns a config of so many of these problems as questions: `sky_config(10, urls=[...])`."""

    def make(count: int, **keys) -> DistillConfig:
        Image.new("RGB", (56, 56), "white").save(tmp_path / "white.png")
        rows = [
            {"id": f"sky/{number}", "source": "sky", "images": ["white.png"], "question": one.text, "gold": one.gold}
            for number, one in enumerate(sky_problems[:count])
        ]
        file = tmp_path / f"questions{count}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        given = {"questions": file, "model_name_or_path": "replay", "output_dir": tmp_path / "out", "dataset": "sky"}
        return DistillConfig(**given | {"requests_in_flight": 8} | keys)

    return make
