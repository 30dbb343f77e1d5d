"""A new room asks: with its own configuration and questions, of any server, and jobs that are no questions."""

import contextlib
import io
import json
from collections import deque
from typing import ClassVar

import pytest
from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts.config import AskConfig, read_config, read_folder
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.pictures import write_questions
from virgo_factory.rollouts.prompt import STAND_IN, compose
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.run import launch
from virgo_factory.rollouts.run.launch import Asking, ask
from virgo_factory.rollouts.run.run import Job, Pass
from virgo_factory.rollouts.store.records import Records
from virgo_factory.rollouts.store.store import read_rollouts


class EvaluationConfig(AskConfig):
    """What a room that is coming may look like."""

    FILE: ClassVar = "evaluation.yaml"
    KIND: ClassVar = "an evaluation"
    EXAMPLE: ClassVar = "recipes/evaluate/virgo.yaml"
    RESUME: ClassVar = "virgo-factory evaluate resume"
    BLOCKS: ClassVar = {"benchmarks": ("benchmarks",)} | AskConfig.BLOCKS
    benchmarks: tuple[str, ...] = ()
    samples: int = 1


@pytest.fixture
def png() -> bytes:
    """A picture."""
    data = io.BytesIO()
    Image.new("RGB", (56, 56), "white").save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def make(tmp_path):
    """A function that reads a configuration of keys."""

    def make(**keys) -> EvaluationConfig:
        keys = {"model_name_or_path": "replay", "output_dir": str(tmp_path / "out"), "benchmarks": ["sky"]} | keys
        (tmp_path / "config.yaml").write_text(json.dumps(keys), encoding="utf-8")
        return read_config(EvaluationConfig, tmp_path / "config.yaml")

    return make


def test_a_refused_start_leaves_no_empty_folder(make, tmp_path):
    def refused() -> None:
        raise UserError("no question is left")

    config = make(output_dir=str(tmp_path / "new" / "out"), urls=["http://127.0.0.1:9"])
    for shard in (None, (1, 2)):
        with pytest.raises(UserError, match="no question is left"):
            ask(refused, config, shard)

        assert not (tmp_path / "new").exists()

    config.output_dir.mkdir(parents=True)
    with pytest.raises(UserError, match="no question is left"):
        ask(refused, config)

    assert config.output_dir.is_dir(), "it was there before"

    def halfway() -> None:
        (again.output_dir / "picture.png").write_bytes(b"held")
        refused()

    again = make(output_dir=str(tmp_path / "other"), urls=["http://127.0.0.1:9"])
    with pytest.raises(UserError, match="no question is left"):
        ask(halfway, again)

    assert (again.output_dir / "picture.png").read_bytes() == b"held"


def test_a_room_asks_its_own_questions_of_any_server(start_replay, sky_problems, make, png, judge_at_hand):
    server = start_replay(max_chars=4000, not_vllm=True)
    config = make(urls=[server.url], dialect="openai", system="You solve.", temperature=0.5)
    one, two = sky_problems[:2]
    rows = [
        ({"id": "sky/0", "source": "sky", "question": one.text, "gold": one.gold, "groups": {"level": "1"}}, []),
        ({"id": "sky/1", "source": "sky", "parts": ["See ", 0, f"\n{two.text}"], "gold": two.gold, "cluster": "b"}, [png]),
        ({"id": "sky/2", "source": "sky", "gold": "3"}, [png]),
        ({"id": "sky/3", "source": "sky", "question": " ", "gold": "3"}, []),
        ({"id": "sky/4", "source": "sky", "question": "Broken?", "gold": "3"}, [png[:40]]),
        ({"id": "sky/0", "source": "sky", "question": "Twice?", "gold": "3"}, []),
    ]  # fmt: skip
    left_out = write_questions(rows, config.output_dir)
    reasons = [(id, error.reason) for id, error in left_out]
    assert reasons[0] == ("sky/3", "neither text nor picture") and reasons[1][0] == "sky/4"
    assert reasons[2] == ("sky/0", "an earlier row has its id") and len(reasons) == 3
    assert write_questions([], config.output_dir) == [], "what is there stays"

    outcome = ask(lambda: None, config)
    assert (outcome.finished, outcome.left.questions, outcome.left.samples_done) == (3, 0, 3)
    rollouts = {one.question: one for one in read_rollouts(config.output_dir)}
    assert {one.params["dialect"] for one in rollouts.values()} == {"openai"}
    assert [id for id, one in rollouts.items() if one.params.get("stand_in") == STAND_IN] == ["sky/2"]
    assert {verdict.question for verdict in read_verdicts(config.output_dir)} == set(rollouts)
    assert read_folder(EvaluationConfig, config.output_dir) == config
    questions = {one.id: one for one in read_questions(config.output_dir / "questions.jsonl")}
    assert (questions["sky/0"].groups, questions["sky/1"].cluster) == ({"level": "1"}, "b")

    assert ask(lambda: None, config.model_copy(update={"urls": ("http://127.0.0.1:9",)})).finished == 0
    assert len(server.asked()["started"]) == 3
    with pytest.raises(ValueError, match="this folder was made with system"):
        ask(lambda: None, make(urls=[server.url], dialect="openai"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"dialect": "openai"}, "dialect: openai needs urls"),
        ({"dialect": "openai", "urls": ["http://a:1"], "top_k": 20}, "top_k: the public API of dialect: openai has none"),
        ({"dialect": "openai", "urls": ["http://a:1"], "repetition_penalty": 1.05}, "repetition_penalty: the public API"),
        ({"benchmark": ["sky"]}, "benchmark: no such key. Did you mean benchmarks"),
    ],
)  # fmt: skip
def test_what_a_dialect_lacks_is_told_before_the_run(make, keys, said):
    with pytest.raises(ValueError, match=said):
        make(**keys)


class Captions(Pass):
    """Jobs that are no questions: their replies are rows of a room's own."""

    def finish(self, job, sample, reply, seed):
        """Append a row."""
        self.run.store.append({"image": job.key, "sample": sample, "response": reply.response, "seed": seed})


@pytest.mark.slow
def test_jobs_of_any_kind_are_asked_once(start_replay, sky_problems, make):
    """A room's own jobs, with its own records: what is there is not asked again, and a pass ends when all is there."""
    server = start_replay(max_chars=4000, share_429=0.2, share_500=0.2)
    config = make(urls=[server.url])
    config.output_dir.mkdir()
    texts = {f"{number}.png": problem.text for number, problem in enumerate(sky_problems[:8])}

    def key(row):
        return f"{row['image']} {row['sample']}"

    async def jobs(store, most):
        for image, text in list(texts.items())[:most]:
            missing = deque(sample for sample in range(2) if f"{image} {sample}" not in store)
            yield Job(image, missing, lambda image=image, text=text: compose(image, f"Solve.\n{text}"))

    class Writing(Asking):
        judges = False

        def __init__(self, *given, most):
            super().__init__(*given)
            self.most = most

        def questions(self):
            return iter(())

        async def prepare(self, stack: contextlib.AsyncExitStack, run, server):
            one = Captions(run, config.model_name_or_path, launch.sampling_of(config))
            await self.serve(stack, run, one, server, config.urls, None)
            return [one.ask_all(jobs(self.store, self.most))]

    for most in (3, 8, 8):
        with Records(config.output_dir, "captions", key) as store:
            Writing(config, None, store, lambda event: None, 60.0, most=most).go(None)
            assert store.count == 2 * most

    assert set(server.asked()["finished"].values()) == {1} and len(server.asked()["finished"]) == 16
