"""A teacher that answers in other tags is usable, and one that cannot be read is told of at its first responses."""

import json
import re

import pytest

from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.distill.config import read_folder
from virgo_factory.distill.first_responses import ENOUGH, ENOUGH_BROKEN, FirstResponses, UnreadableResponses
from virgo_factory.distill.launch import distil
from virgo_factory.distill.select.select import choose
from virgo_factory.distill.tell.estimate import estimated
from virgo_factory.rollouts.store.rollout import GREEDY, Rollout
from virgo_factory.rollouts.store.store import read_rollouts


pytestmark = pytest.mark.usefixtures("judge_at_hand")

BT, ET, BS, ES = MARKERS
MARKED = LongThought("Look.", "So \\boxed{7}.").render()
THINK = "<think>\nLook.\n</think>\n\nSo \\boxed{7}."
CLOSING = "Look.\n</think>\n\nSo \\boxed{7}."
QVQ = "Look.\n\n**Final Answer**\n\n\\boxed{7}"
PLAIN = "It is seven."


def rollouts(*responses, finish_reason="stop", sample=0):
    return [Rollout("q", "m", sample, text, finish_reason, 1, 1, 1.0, 1, "", {}) for text in responses]


def stops(response_format, made):
    """Return after how many rollouts a run stops, and what it says; None where it does not stop."""
    first = FirstResponses(response_format, "m")
    for number, rollout in enumerate(made, start=1):
        try:
            first.add(rollout)
        except UnreadableResponses as error:
            return number, str(error)

    return None


@pytest.mark.parametrize(
    ("response_format", "response", "remedy"),
    [
        ("four_markers", THINK, "10 of them are in the format think: set response_format=think"),
        ("four_markers", CLOSING, "set response_format=think"),
        ("four_markers", QVQ, "set response_format=virgo_dqvq"),
        ("four_markers", PLAIN, "in no format that is read"),
        ("think", MARKED, "set response_format=four_markers"),
        ("auto", QVQ, "set response_format=virgo_dqvq"),
        ("auto", PLAIN, "response_format is one of auto, four_markers, "),
        ("virgo_dqvq", MARKED, "set response_format=four_markers"),
    ],
)
def test_a_format_that_cannot_be_used_stops_the_run(response_format, response, remedy):
    number, message = stops(response_format, rollouts(*[response] * 50))
    assert number == ENOUGH
    for words in (remedy, f"response_format: {response_format} (10 ", response.split()[0]):
        assert words in message


@pytest.mark.parametrize(
    ("response_format", "made"),
    [
        ("four_markers", [*rollouts(*[PLAIN] * 9), *rollouts(MARKED), *rollouts(*[PLAIN] * 90)]),
        ("auto", rollouts(*[MARKED, THINK, CLOSING] * 20)),
        ("auto", rollouts(*[PLAIN] * 99, finish_reason="length")),
        ("auto", rollouts(*[PLAIN] * 99, finish_reason="loop")),
        ("auto", rollouts(*[PLAIN] * 99, sample=GREEDY)),
        ("four_markers", rollouts(*[f"{BT} a {ET} {BS} b"] * (ENOUGH_BROKEN - 1))),
        ("think", rollouts(*[CLOSING] * 99)),
    ],
)
def test_what_does_not_stop_a_run(response_format, made):
    assert stops(response_format, made) is None


def test_the_right_format_always_broken_stops_it_later():
    number, message = stops("four_markers", rollouts(*[f"{BT} a {ET} {BS} b"] * 99))
    assert number == ENOUGH_BROKEN and "no end of solution" in message


@pytest.mark.slow
@pytest.mark.parametrize("style", ["think", "closing", "reasoning", "reasoning_content"])
def test_a_think_teacher_is_distilled_from(style, start_replay, sky_config, tmp_path):
    """From its server to rows in the normal form: thought and solution are what was answered, letter for letter."""
    server = start_replay(max_chars=4000, style=style)
    config = sky_config(12, urls=[server.url], difficulty="any", dataset_dir=tmp_path)
    assert config.response_format == "auto"
    distil(config)
    answered = {}
    for rollout in read_rollouts(config.output_dir):
        found = re.fullmatch(r"(?:<think>)?(.*)</think>(.*)", rollout.response, re.DOTALL)
        if found:
            answered.setdefault(rollout.question, []).append(tuple(part.strip() for part in found.groups()))

    card = choose(config.output_dir)
    rows = [json.loads(line) for line in (config.output_dir / "selected.jsonl").open(encoding="utf-8")]
    assert len(rows) == card.kept >= 3
    assert sum((row["thought"], row["solution"]) in answered.get(row["id"], ()) for row in rows) >= 3
    assert not any("think>" in row["thought"] + row["solution"] for row in rows)


@pytest.mark.slow
def test_a_run_with_the_wrong_format_ends_at_its_first_responses(start_replay, sky_config, command):
    server = start_replay(max_chars=4000, style="think")
    config = sky_config(40, urls=[server.url], response_format="four_markers", requests_in_flight=2)
    file = config.output_dir.with_name("config.yaml")
    keys = config.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    file.write_text(json.dumps(keys | {"questions": str(config.questions)}), encoding="utf-8")

    def refused(*words) -> bool:
        code, _, error = command("distill", *words)
        return code == 1 and "set response_format=think" in error and "distill resume" in error

    assert refused("run", file)
    made = list(read_rollouts(config.output_dir))
    assert ENOUGH <= len(made) <= ENOUGH_BROKEN < 200, "nothing more was asked for"
    asked = len(server.asked()["started"])
    assert refused("resume", config.output_dir)
    assert len(server.asked()["started"]) == asked, "nobody is asked before the key is set"
    code, _, error = command("distill", "resume", config.output_dir, "response_format=think", "max_rollouts=30")
    assert code == 0, error
    assert len(list(read_rollouts(config.output_dir))) == 30
    assert read_folder(config.output_dir).response_format == "think"


def test_a_dry_run_says_what_is_expected(sky_config):
    expected = {"auto": "recognised in each", "four_markers": "four markers", "thinking": "thinking only"}
    for response_format, words in expected.items():
        config = sky_config(2, urls=["http://127.0.0.1:9"], response_format=response_format)
        (line,) = [line for line in estimated(config) if line.startswith("Responses expected")]
        assert words in line and f"first {ENOUGH} finished" in line
