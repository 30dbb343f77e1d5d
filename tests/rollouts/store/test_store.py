"""The store survives what happens to files and processes: halves of lines, full disks, two writers, kills."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.rollouts.store.jsonl import lines_of
from virgo_factory.rollouts.store.rollout import Rollout, rollout_of
from virgo_factory.rollouts.store.store import RolloutStore, is_in_shard, read_rollouts


ROLLOUT = Rollout(
    *(
        "tabmwp/12",
        "saves/dt",
        0,
        "<|begin_of_thought|>\n\n3 × 4\u2028= 12\n\n<|end_of_thought|>",
        "stop",
        300,
        20,
        1.5,
    ),
    *(2**48 - 1, "0" * 64, {"temperature": 1.0}),
)


def _fill(folder: Path, count: int, shard: tuple[int, int] | None = None) -> list[Rollout]:
    rollouts = [replace(ROLLOUT, sample=sample) for sample in range(count)]
    with RolloutStore(folder, shard) as store:
        for rollout in rollouts:
            store.append(rollout)

    return rollouts


def test_what_was_appended_is_read_back_and_known_to_the_next_start(tmp_path):
    rollouts = _fill(tmp_path, 3)
    assert list(read_rollouts(tmp_path)) == rollouts
    with RolloutStore(tmp_path) as store:
        assert [store.has(rollout.key) for rollout in rollouts] == [True] * 3
        assert not store.has(replace(ROLLOUT, sample=3).key)
        assert not store.has(replace(ROLLOUT, model="other").key)
        assert (store.count, store.tokens) == (3, 60)
        with pytest.raises(ValueError, match="there already"):
            store.append(rollouts[0])


@pytest.mark.slow
@given(cut=st.integers(min_value=0, max_value=2000), rest=st.sampled_from([b"", b"\0\0\0", b"\xff{", b'"']))
def test_a_file_cut_anywhere_is_whole_lines_again(tmp_path_factory, cut, rest):
    folder = tmp_path_factory.mktemp("cut")
    rollouts = _fill(folder, 4)
    path = folder / "rollouts.jsonl"
    content = path.read_bytes()
    cut = min(cut, len(content))
    path.write_bytes(content[:cut] + rest)
    whole = content[:cut].count(b"\n")
    lacks_only_its_end = not rest and content[cut : cut + 1] == b"\n"
    assert len(list(read_rollouts(folder))) == whole  # also while the half of a line stands there

    with RolloutStore(folder) as store:
        assert store.count == whole + lacks_only_its_end
        for rollout in rollouts:
            if not store.has(rollout.key):
                store.append(rollout)

    assert sorted(read_rollouts(folder), key=lambda rollout: rollout.sample) == rollouts
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.slow
@given(response=st.text(), question=st.text(min_size=1), params=st.dictionaries(st.text(), st.floats(allow_nan=False)))
def test_any_text_comes_back(tmp_path_factory, response, question, params):
    folder = tmp_path_factory.mktemp("text")
    rollout = replace(ROLLOUT, response=response, question=question, params=params)
    with RolloutStore(folder) as store:
        store.append(rollout)
        store.append(replace(rollout, sample=1, response="\ud83d"))  # half a character

    assert list(read_rollouts(folder)) == [rollout, replace(rollout, sample=1, response="?")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": "0"}, "sample is a str"),
        ({"sample": True}, "sample is a bool"),
        ({"sample": -2}, "negative"),
        ({"finish_reason": "abort"}, "finish_reason is none of stop, length, loop"),
        ({"params": None}, "params is a NoneType"),
        ({"more": 1}, "more: no such field"),
        ({"response": ...}, "no response"),
    ],
)
def test_a_line_that_is_no_rollout_is_named(tmp_path, change, message):
    row = {name: value for name, value in (vars(ROLLOUT) | change).items() if value is not ...}
    lines = [json.dumps(vars(replace(ROLLOUT, sample=7))), json.dumps(row)]
    (tmp_path / "rollouts.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message) as raised:
        RolloutStore(tmp_path)

    assert str(raised.value).startswith(f"{tmp_path}/rollouts.jsonl:2: ")
    with pytest.raises(ValueError, match=message):
        rollout_of(row)


def test_a_key_that_stands_twice_is_told_with_both_places(tmp_path):
    _fill(tmp_path, 2)
    path = tmp_path / "rollouts.jsonl"
    (tmp_path / "rollouts-1of2.jsonl").write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(ValueError, match="rollouts-1of2.jsonl:1: sample 1 of tabmwp/12 .*/rollouts.jsonl:2"):
        RolloutStore(tmp_path)


def test_a_dropped_question_is_not_tried_again(tmp_path):
    with RolloutStore(tmp_path) as store:
        store.drop("geos/1", "m", "the picture is broken")
        assert store.is_dropped("geos/1", "m")

    with RolloutStore(tmp_path) as store:
        assert store.is_dropped("geos/1", "m")
        assert not store.is_dropped("geos/1", "base")

    assert [row["reason"] for _, row in lines_of(tmp_path / "dropped.jsonl")] == ["the picture is broken"]


@pytest.mark.slow
@given(question=st.text(), count=st.integers(1, 9))
def test_every_question_is_in_one_shard(question, count):
    assert sum(is_in_shard(question, (index, count)) for index in range(1, count + 1)) == 1
    sizes = [sum(is_in_shard(f"{question}/{n}", (index, 8)) for n in range(400)) for index in range(1, 9)]
    assert 20 < min(sizes) <= max(sizes) < 90, "about equal"


def test_a_shard_has_a_file_of_its_own_and_knows_what_the_folder_holds(tmp_path):
    _fill(tmp_path, 1)
    second = replace(ROLLOUT, sample=1)
    with RolloutStore(tmp_path, (1, 2)) as store, RolloutStore(tmp_path, (2, 2)) as other:
        assert store.has(ROLLOUT.key)
        assert store.count + other.count == 1  # counted where it belongs
        other.append(second)

    assert (tmp_path / "rollouts-2of2.jsonl").read_text().count("\n") == 1
    assert list(read_rollouts(tmp_path)) == [ROLLOUT, second]
    with pytest.raises(ValueError, match="split into 2.*merge"):
        RolloutStore(tmp_path, (1, 3))


WRITERS = [
    (None, None, True),
    (None, (1, 2), True),
    ((1, 2), None, True),
    ((1, 2), (1, 2), True),
    ((1, 2), (2, 2), False),
]


@pytest.mark.parametrize(("first", "second", "is_refused"), WRITERS)
def test_two_writers(tmp_path, first, second, is_refused):
    with RolloutStore(tmp_path, first):
        if not is_refused:
            RolloutStore(tmp_path, second).close()
            return

        with pytest.raises(ValueError, match=rf"process {os.getpid()} on \S+ writes to it since"):
            RolloutStore(tmp_path, second)

    RolloutStore(tmp_path, second).close()


_WRITER = """
import sys, json
from dataclasses import replace
from pathlib import Path
from virgo_factory.rollouts.store.rollout import rollout_of
from virgo_factory.rollouts.store.store import RolloutStore
rollout = rollout_of(json.loads(sys.argv[2]))
with RolloutStore(Path(sys.argv[1])) as store:
    print("open", flush=True)
    for sample in range(10**9):
        store.append(replace(rollout, sample=sample))
        print(sample, flush=True)
"""


def _writer(folder: Path, before: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", before + _WRITER, str(folder), json.dumps(vars(ROLLOUT))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_writer_leaves_every_row_that_it_called_finished_and_no_lock(tmp_path):
    writer = _writer(tmp_path)
    try:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match=f"process {writer.pid} on"):
            RolloutStore(tmp_path)

        time.sleep(0.2)
    finally:
        writer.send_signal(signal.SIGKILL)
        told = writer.communicate()[0].splitlines()

    with RolloutStore(tmp_path) as store:
        assert store.count >= len(told) > 1
        assert store.has(replace(ROLLOUT, sample=store.count - 1).key)


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
    writer = _writer(tmp_path, before=limit)
    told, error = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert f"{tmp_path}/rollouts.jsonl: cannot be written: File too large. Make room, then start again" in error
    content = (tmp_path / "rollouts.jsonl").read_bytes()
    assert content.endswith(b"\n") and len(content) > 9_000
    with RolloutStore(tmp_path) as store:
        assert store.count == len(told.splitlines()) - 1  # the first line is "open"


@pytest.mark.integration
def test_memory_stays_flat(tmp_path):
    """Some 100 bytes a rollout, whatever its response takes."""
    import tracemalloc

    row = json.dumps(vars(ROLLOUT))
    with (tmp_path / "rollouts.jsonl").open("w") as file:
        file.writelines(row.replace('"sample": 0', f'"sample": {sample}') + "\n" for sample in range(10_000))

    tracemalloc.start()
    try:
        with RolloutStore(tmp_path) as store:
            assert store.count == 10_000
            assert tracemalloc.get_traced_memory()[1] < 10_000 * 150
    finally:
        tracemalloc.stop()
