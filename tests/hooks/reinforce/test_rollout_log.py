"""What a killed run had written behind its checkpoint is taken back, and nothing else."""

import json

import pytest

from virgo_factory.hooks.reinforce.rollout_log import FILE, RolloutLog


def lines(steps):
    return [{"step": step, "question": "a", "sample": sample} for step in steps for sample in range(2)]


@pytest.mark.parametrize(
    ("done", "left", "cut"),
    [
        (0, [], ""),
        (2, [1, 2], ""),
        (3, [1, 2, 3], '{"step": 4, "quest'),
        (9, [1, 2, 3], "not json\n"),
        (9, [1, 2, 3], ""),
    ],
)
def test_a_run_goes_on_from_its_checkpoint(tmp_path, done, left, cut):
    first = RolloutLog(tmp_path / "out", 0)
    first.write(lines([1, 2]))
    first.write(lines([3]))
    first.close()
    file = tmp_path / "out" / FILE
    file.write_text(file.read_text() + cut)
    second = RolloutLog(tmp_path / "out", done)
    second.write(lines([done + 1]))
    second.close()
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert found == lines([*left, done + 1])


def test_a_response_of_any_text_is_one_line(tmp_path):
    log = RolloutLog(tmp_path, 0)
    log.write([{"step": 1, "response": "a\n\u2028\ud800"}])
    log.close()
    assert len((tmp_path / FILE).read_bytes().splitlines()) == 1
