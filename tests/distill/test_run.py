"""A run against a server of real responses that fails on order: what is asked, what is not, and how it ends."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from virgo_factory.distill.config import read_folder
from virgo_factory.distill.launch import Outcome, distil
from virgo_factory.distill.todo import wave
from virgo_factory.rollouts.judge import verdicts
from virgo_factory.rollouts.judge.verdicts import read_verdicts
from virgo_factory.rollouts.run import launch as launching
from virgo_factory.rollouts.run.run import Event
from virgo_factory.rollouts.run.todo import seed_of
from virgo_factory.rollouts.store.jsonl import lines_of
from virgo_factory.rollouts.store.rollout import GREEDY, Rollout, difficulty_of
from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = pytest.mark.usefixtures("judge_at_hand")


def run(config, **more) -> tuple[Outcome, list[Event]]:
    """Return how a start ended, and what it told."""
    events: list[Event] = []
    return distil(config, on_event=events.append, **more), events


def kinds(events: list[Event]) -> Counter:
    return Counter(event.kind for event in events)


def content(rollout: Rollout) -> tuple:
    """What a rollout is, whichever server gave it and however long that took."""
    params = {name: value for name, value in rollout.params.items() if name != "url"}
    return (*rollout.key, rollout.response, rollout.finish_reason, rollout.seed, rollout.prompt_sha256, str(params))


@pytest.mark.slow
def test_every_sample_is_there_once_through_all_failures(start_replay, sky_config):
    faults = dict.fromkeys(("share_429", "share_500", "share_dropped", "share_half"), 0.1)
    server = start_replay(max_chars=4000, delay=0.02, **faults)
    config = sky_config(12, urls=[server.url])
    outcome, events = run(config)

    rollouts = list(read_rollouts(config.output_dir))
    assert {rollout.key for rollout in rollouts} == {
        (f"sky/{number}", "replay", sample) for number in range(12) for sample in range(5)
    }
    assert len(rollouts) == outcome.finished == 60
    assert (outcome.left.samples, outcome.gave_up, outcome.dropped, outcome.stopped) == (0, 0, 0, "")
    for rollout in rollouts:
        assert rollout.seed == seed_of(42, rollout.question, rollout.sample)
        assert rollout.finish_reason == "stop"
        assert rollout.params["max_tokens"] == 8192
        assert rollout.params["vllm"] == "0.20.2"

    assert {verdict.key for verdict in read_verdicts(config.output_dir)} == {rollout.key for rollout in rollouts}
    told = kinds(events)
    assert (told["start"], told["rollout"], told["verdict"]) == (1, 60, 60)
    assert told["retry"] >= 5
    asked = server.asked()
    assert asked["most_in_flight"] <= 8
    assert set(asked["finished"].values()) == {1}


@pytest.mark.slow
def test_what_is_there_is_never_asked_again(start_replay, sky_config):
    server = start_replay(max_chars=4000)
    config = sky_config(6, urls=[server.url], max_rollouts=12)
    outcome, events = run(config)
    rollouts = list(read_rollouts(config.output_dir))
    assert Counter(rollout.question for rollout in rollouts) == {
        "sky/0": 5,
        "sky/1": 5,
    }  # no third that is not finished
    assert outcome.stopped == "max_rollouts: 12"
    assert kinds(events)["budget"] == 1
    assert (outcome.left.questions, outcome.left.samples) == (4, 20)

    again, events = run(config)
    assert (again.finished, again.stopped) == (0, "max_rollouts: 12")

    rest, _ = run(config.model_copy(update={"max_rollouts": None}))
    assert (rest.finished, rest.left.samples) == (20, 0)
    started = list(map(tuple, server.asked()["started"]))
    assert len(set(started)) == len(started) == 30
    places = defaultdict(list)
    for place, (prompt, _) in enumerate(started):
        places[prompt].append(place)

    # all samples of a question one behind the other, but for requests that overtake those in flight
    assert len(places) == 6 and max(max(found) - min(found) for found in places.values()) < 5 + 8

    nothing, events = run(config.model_copy(update={"urls": ("http://127.0.0.1:9",)}))  # nobody is needed any more
    assert nothing.finished == 0
    assert not events


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "delay", "most"),
    [({"max_tokens_total": 3000}, 0.1, 3000 + 8 * 8192), ({"max_hours": 2.5 / 3600}, 0.6, None)],
)
def test_a_budget_ends_a_run_with_whole_questions(start_replay, sky_config, keys, delay, most):
    server = start_replay(max_chars=4000, delay=delay)
    config = sky_config(40, urls=[server.url], **keys)
    outcome, _ = run(config)
    rollouts = list(read_rollouts(config.output_dir))
    assert outcome.stopped.startswith(next(iter(keys)))
    assert 0 < len(rollouts) < 200
    assert set(Counter(rollout.question for rollout in rollouts).values()) == {5}
    assert outcome.left.samples == 200 - len(rollouts)
    if most:
        assert 3000 <= sum(rollout.completion_tokens for rollout in rollouts) < most


# Greedy pass


class _Served:
    """Stands for a server of our own: the replay server, and a note of when it was up."""

    def __init__(self, url: str, up: list[str]) -> None:
        self._url, self._up = url, up

    def __call__(self, model: str, log: Path, **_) -> "_Served":
        server = _Served(self._url, self._up)
        server.model, server.log, server.url = model, log, self._url
        return server

    def __enter__(self) -> "_Served":
        self._up.append(f"{self.model} up")
        return self

    def __exit__(self, *_) -> None:
        self._up.append(f"{self.model} down")

    def alive(self) -> bool:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("served", [True, False])
def test_what_the_base_model_solves_is_not_sampled(start_replay, sky_config, monkeypatch, served):
    server = start_replay(max_chars=4000, model=("base", "replay"), delay=0.01)
    keys = {"base_model_name_or_path": "base", "stop_when_decided": False}
    if served:
        up: list[str] = []
        monkeypatch.setattr(launching, "Server", _Served(server.url, up))
    else:
        keys |= {"urls": [server.url], "base_urls": [server.url]}

    config = sky_config(16, **keys)
    outcome, events = run(config)
    if served:
        assert up == ["base up", "base down", "replay up", "replay down"]  # never both

    rollouts = list(read_rollouts(config.output_dir))
    verdicts = {verdict.key: verdict.outcome for verdict in read_verdicts(config.output_dir)}
    greedy = {rollout.question for rollout in rollouts if rollout.sample == GREEDY}
    solved = {id for id in greedy if verdicts[id, "base", GREEDY] == "correct"}
    assert len(greedy) == 16
    assert 0 < len(solved) < 16
    sampled = Counter(rollout.question for rollout in rollouts if rollout.sample != GREEDY)
    assert sampled == dict.fromkeys(greedy - solved, 5)
    assert {rollout.params["temperature"] for rollout in rollouts if rollout.sample == GREEDY} == {0.0}
    assert outcome.left.samples == outcome.left.greedy == 0

    for path in config.output_dir.glob("verdicts.jsonl"):
        path.unlink()  # derived: made again, and nothing is asked again

    again, _ = run(config)
    assert again.finished == 0
    assert {verdict.key: verdict.outcome for verdict in read_verdicts(config.output_dir)} == verdicts


@pytest.mark.slow
@pytest.mark.parametrize("served", [True, False])
def test_a_budget_leaves_room_for_the_samples_of_what_the_base_model_was_asked(
    start_replay, sky_config, monkeypatch, served
):
    server = start_replay(max_chars=4000, model=("base", "replay"), delay=0.01)
    urls = {} if served else {"urls": [server.url], "base_urls": [server.url]}
    monkeypatch.setattr(launching, "Server", _Served(server.url, []))
    config = sky_config(30, base_model_name_or_path="base", max_rollouts=31, **urls)
    outcome, _ = run(config)
    rollouts = list(read_rollouts(config.output_dir))
    sampled = Counter(rollout.question for rollout in rollouts if rollout.sample != GREEDY)
    verdicts = {verdict.key: verdict.outcome for verdict in read_verdicts(config.output_dir)}
    unsolved = {id for id, model, sample in verdicts if sample == GREEDY and verdicts[id, model, sample] != "correct"}
    assert sampled == dict.fromkeys(unsolved, 5)  # whatever was begun is finished
    assert 20 < len(rollouts) <= 31
    assert outcome.stopped == "max_rollouts: 31"


# Samples until the difficulty is certain


# correct, wrong, asked, samples -> how many more can decide
WAVES = {
    **{
        (0, 0, 0, 5): 4,
        (4, 0, 4, 5): 0,
        (0, 4, 4, 5): 0,
        (2, 2, 4, 5): 0,
        (3, 2, 5, 5): 0,
        (0, 0, 0, 1): 1,
        (6, 0, 6, 10): 2,
    },
    **{(3, 1, 4, 5): 1, (1, 3, 4, 5): 1},  # medium or hard; hard or unsolved
    **{(3, 0, 4, 5): 1},  # one is unverifiable
    **{(0, 0, 0, 10): 7},  # 7 wrong: at most 3 of 10 correct
}


def test_the_next_samples_are_those_that_can_decide():
    assert {counts: wave(*counts) for counts in WAVES} == WAVES


@pytest.mark.slow
def test_stopping_when_decided_asks_fewer_and_says_the_same(start_replay, sky_config, tmp_path):
    server = start_replay(max_chars=4000)
    full = sky_config(24, urls=[server.url], output_dir=tmp_path / "full")
    early = full.model_copy(update={"output_dir": tmp_path / "early", "stop_when_decided": True})
    run(full)
    outcome, _ = run(early)

    def levels(config) -> dict[str, str]:
        correct, wrong = Counter(), Counter()
        for verdict in read_verdicts(config.output_dir):
            correct[verdict.question] += verdict.outcome == "correct"
            wrong[verdict.question] += verdict.outcome != "correct"

        return {id: difficulty_of(correct[id], wrong[id], 5) for id in correct}

    assert levels(early) == levels(full)
    assert len(set(levels(full).values())) > 1
    rollouts = {rollout.key: content(rollout) for rollout in read_rollouts(early.output_dir)}
    assert rollouts.items() < {rollout.key: content(rollout) for rollout in read_rollouts(full.output_dir)}.items()
    assert 96 <= len(rollouts) < 120
    assert outcome.left.samples == 0
    assert run(early)[0].finished == 0


# Servers that die, and wrong ones


@pytest.mark.slow
def test_a_server_that_dies_is_gone_around_and_found_again(start_replay, sky_config):
    first, second = start_replay(max_chars=4000, delay=0.1), start_replay(max_chars=4000, delay=0.1)
    gone = "http://127.0.0.1:9"  # not there at the start: only its own requests wait for it
    config = sky_config(40, urls=[first.url, second.url, gone], requests_in_flight=4)
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        done = sum(event.kind == "rollout" for event in events)
        if event.kind == "rollout" and done in (40, 120):
            second.control(refusing=done == 40)
            if done == 120:
                first.control(delay=2.0)  # what is left takes 40 seconds, unless the second one is found

    outcome = distil(config, on_event=on_event)
    assert outcome.finished == 200
    told = [(event.kind, event.url) for event in events if event.kind in ("lost", "back")]
    assert told == [("lost", gone), ("lost", second.url), ("back", second.url)]
    by_url = Counter(rollout.params["url"] for rollout in read_rollouts(config.output_dir))
    assert len(by_url) == 2
    assert second.asked()["most_in_flight"] <= 4


@pytest.mark.slow
def test_without_any_server_the_run_ends_and_says_how_to_go_on(start_replay, sky_config):
    server = start_replay(max_chars=4000, delay=0.05)
    config = sky_config(20, urls=[server.url])
    done = 0

    def on_event(event: Event) -> None:
        nonlocal done
        done += event.kind == "rollout"
        if done == 20:
            server.stop()

    with pytest.raises(ValueError, match="no server has answered for 1 seconds") as raised:
        distil(config, on_event=on_event, patience=1)

    there, folder = len(list(read_rollouts(config.output_dir))), config.output_dir
    assert there >= 20
    assert f"{there:,} rollouts are in {folder}. Go on: virgo-factory distill resume {folder}" in str(raised.value)


@pytest.mark.slow
def test_a_request_that_always_fails_is_given_up_and_asked_by_the_next_start(start_replay, sky_config, tmp_path):
    server = start_replay(max_chars=4000, share_500=0.5)
    config = sky_config(6, urls=[server.url], retries=0)
    outcome, events = run(config)
    assert outcome.gave_up == kinds(events)["gave_up"] == 30 - outcome.finished == outcome.left.samples > 0
    server.control(share_500=0.0)
    rest, _ = run(config)
    assert rest.finished == outcome.gave_up
    server.control(share_500=1.0)  # one that fails every request ends the run
    with pytest.raises(ValueError, match="no server has answered for 1 seconds:\n.*500"):
        run(sky_config(8, urls=[server.url], retries=50, output_dir=tmp_path / "other"), patience=1)


@pytest.mark.slow
def test_a_judge_that_cannot_write_ends_the_run(start_replay, sky_config, monkeypatch):
    """Under a base model the run waits for verdicts: it must not wait for ever."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(verdicts, "append_line", full)
    server = start_replay(max_chars=4000)
    with pytest.raises(ValueError, match="No space left on device\n.*Go on: virgo-factory distill resume"):
        run(sky_config(3, urls=[server.url], base_urls=[server.url], base_model_name_or_path="base"))


def test_a_question_that_is_refused_is_dropped_with_its_reason(start_replay, sky_config, tmp_path):
    server = start_replay(max_chars=4000, max_model_len=1000)
    config = sky_config(5, urls=[server.url], max_tokens=500)
    rows = [json.loads(line) for line in config.questions.read_text().splitlines()]
    rows[2]["question"] = "How many? " * 1000
    rows.append(rows[0] | {"id": "lost", "images": ["gone.png"]})
    rows.append(rows[0] | {"id": "twice"})
    config.questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome, events = run(config)
    assert (outcome.finished, outcome.dropped, outcome.left.samples) == (20, 1, 0)
    ((_, dropped),) = lines_of(config.output_dir / "dropped.jsonl")
    told = "questions.jsonl: 5 kept; left out 1 image missing, 1 the same question on the same picture; see questions.card.md"
    assert (events[0].kind, events[0].message) == ("questions", told)
    assert (dropped["question"], dropped["model"]) == ("sky/2", "replay")
    assert "maximum context length is 1000" in dropped["reason"]
    assert [event.question for event in events if event.kind == "dropped"] == ["sky/2"]
    assert run(config)[0].dropped == 0  # not tried again


@pytest.mark.parametrize(("keys", "told"), [({}, 1), ({"served_model_name": "replay"}, 0)])
def test_a_server_that_has_one_model_under_another_name_is_told(start_replay, sky_config, keys, told):
    server = start_replay(max_chars=4000)
    _, events = run(sky_config(1, urls=[server.url], model_name_or_path="saves/m0", samples=1, **keys))
    said = [event.message for event in events if event.kind == "server"]
    assert (
        said
        == [f"{server.url} serves replay alone, which is taken for saves/m0 (served_model_name says which is meant)"]
        * told
    )


def test_a_picture_that_is_gone_drops_its_question(start_replay, sky_config):
    server = start_replay(max_chars=4000)
    config = sky_config(3, urls=[server.url], max_rollouts=1)
    run(config)  # makes the questions
    for picture in config.output_dir.glob("images/*/*"):
        picture.unlink()

    outcome, _ = run(config.model_copy(update={"max_rollouts": None}))
    assert outcome.dropped == 3
    assert all("images/" in row["reason"] for _, row in lines_of(config.output_dir / "dropped.jsonl"))
    assert server.asked()["started"] == []


@pytest.mark.parametrize(
    ("options", "keys", "message"),
    [
        ({"not_vllm": True}, {}, "not vLLM"),
        ({"model": ("a", "b")}, {}, "serves a, b, not replay"),
        ({}, {"served_model_name": "other"}, "serves replay, not other"),
        ({"max_model_len": 4096}, {}, "context of 4,096 tokens is too small for max_tokens: 8,192"),
        ({"api_key": "secret-4711"}, {}, "api_key_env"),
    ],
)
def test_a_wrong_server_is_found_before_the_first_request(start_replay, sky_config, options, keys, message):
    server = start_replay(**options)
    with pytest.raises(ValueError, match=message):
        run(sky_config(2, urls=[server.url], **keys))

    assert server.asked()["started"] == []


@pytest.mark.parametrize("place", ["folder", "cache"])
def test_a_context_without_room_for_the_prompts_is_found_before_the_first_request(
    start_replay, sky_config, model_folder, tmp_path, monkeypatch, place
):
    server = start_replay(max_model_len=600)
    model = str(model_folder)
    if place == "cache":
        model = "someone/slow-thinker"
        kept = tmp_path / "hub" / "models--someone--slow-thinker"
        (kept / "refs").mkdir(parents=True)
        (kept / "refs" / "main").write_text("a" * 40)
        (kept / "snapshots").mkdir()
        (kept / "snapshots" / ("a" * 40)).symlink_to(model_folder)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    with pytest.raises(ValueError, match="600 tokens is too small: a prompt of .* and max_tokens: 560 do not fit"):
        run(sky_config(4, urls=[server.url], model_name_or_path=model, served_model_name="replay", max_tokens=560))

    assert server.asked()["started"] == []


def test_a_key_is_sent_and_stands_in_no_file(start_replay, sky_config, monkeypatch):
    server = start_replay(max_chars=4000, api_key="secret-4711")
    monkeypatch.setenv("SKY_KEY", "secret-4711")
    config = sky_config(2, urls=[server.url], api_key_env="SKY_KEY")
    _, events = run(config)
    assert len(list(read_rollouts(config.output_dir))) == 10
    for path in config.output_dir.rglob("*"):
        assert path.is_dir() or b"secret-4711" not in path.read_bytes()

    assert "secret-4711" not in str(events)


# The folder


def test_another_configuration_is_refused_for_a_folder_with_rollouts(start_replay, sky_config):
    server = start_replay(max_chars=4000)
    config = sky_config(2, urls=[server.url])
    run(config)
    with pytest.raises(ValueError, match="temperature: 1.0, now 0.5; max_tokens: 8192, now 99"):
        run(config.model_copy(update={"temperature": 0.5, "max_tokens": 99}))

    changed = config.model_copy(update={"requests_in_flight": 3})
    run(changed)
    assert read_folder(config.output_dir).text() == changed.text()


@pytest.mark.slow
def test_shards_ask_each_question_once(start_replay, sky_config, tmp_path):
    server = start_replay(max_chars=4000)
    config = sky_config(12, urls=[server.url])
    first, _ = run(config, shard=(1, 2))
    assert 0 < first.finished < 60
    assert first.left.samples == 0
    second, _ = run(config, shard=(2, 2))
    assert first.finished + second.finished == 60
    assert len({rollout.key for rollout in read_rollouts(config.output_dir)}) == 60
    assert {path.name for path in config.output_dir.glob("*of2.jsonl")} == {
        f"{name}-{index}of2.jsonl" for name in ("rollouts", "verdicts") for index in (1, 2)
    }


def test_verdicts_that_a_killed_run_did_not_make_are_made(start_replay, sky_config):
    server = start_replay(max_chars=4000)
    config = sky_config(6, urls=[server.url], max_rollouts=20)
    run(config)
    path = config.output_dir / "verdicts.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:20])
    _, events = run(config.model_copy(update={"max_rollouts": None}))
    assert "judging 13 rollouts that have no verdict yet" in [event.message for event in events]
    assert Counter(verdict.key for verdict in read_verdicts(config.output_dir)) == Counter(
        rollout.key for rollout in read_rollouts(config.output_dir)
    )


def test_a_rollout_that_was_taken_out_is_asked_and_judged_again(start_replay, sky_config):
    server = start_replay(max_chars=4000, model=("base", "replay"))
    config = sky_config(4, urls=[server.url], base_urls=[server.url], base_model_name_or_path="base")
    run(config)
    path = config.output_dir / "rollouts.jsonl"
    rows = {rollout.key: content(rollout) for rollout in read_rollouts(config.output_dir)}
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[2:]))  # as a message on a broken line says
    outcome, events = run(config)
    assert outcome.finished == kinds(events)["verdict"] == 2
    assert {rollout.key: content(rollout) for rollout in read_rollouts(config.output_dir)} == rows
    assert Counter(verdict.key for verdict in read_verdicts(config.output_dir)) == Counter(list(rows))
