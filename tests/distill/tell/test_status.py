"""Tests of virgo_factory/distill/tell/status.py: what is counted, from folders written as a run writes them."""

import json
import os
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.pages import lines_of, sample
from virgo_factory.cli.distill.status import EXAMPLE
from virgo_factory.core.thought import MARKERS
from virgo_factory.distill.tell.status import DROPPED, UNJUDGED, summarise, to_json
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.store import RolloutStore, is_in_shard


def question(id: str, kind: str | None = "number") -> VisualQuestion:
    source = id.partition("/")[0]
    return VisualQuestion(id, source, (f"images/{source}.png",), ("00" * 32,), f"How many in {id}?", "12", kind=kind)


ASKED = {
    "tabmwp/1": ["base:correct"],
    "tabmwp/2": ["base:wrong", *["correct"] * 4, "wrong"],
    "tabmwp/3": ["base:wrong", *["correct"] * 3, "truncated", "looping"],
    "tabmwp/4": ["base:truncated", *["wrong"] * 4, "truncated"],
    "figureqa/1": ["base:wrong", "correct", "correct", "unverifiable", "wrong", "wrong"],
    "figureqa/2": ["base:wrong", "correct", "unverifiable"],
    "figureqa/3": ["base:unverifiable", "correct", "unjudged"],
    "figureqa/4": ["base:wrong"],
    "figureqa/5": [],
}
LEVELS = ("easy", "medium", "hard", "unsolved", "undecided", DROPPED)


def write(folders, folder, asked=ASKED, shard_of=None, **keys):
    """Write a folder; a rollout of question n has 100 n tokens."""
    ids = list(ASKED)
    folders.start(folder, [question(id, "boolean" if "figureqa" in id else "number") for id in ids], **keys)
    shards = {shard_of and shard_of(id): ([], []) for id in asked}
    for id, outcomes in asked.items():
        rollouts, verdicts = folders.sampled(id, outcomes, tokens=100 * int(id.partition("/")[2]))
        shards[shard_of and shard_of(id)][0].extend(rollouts)
        shards[shard_of and shard_of(id)][1].extend(verdicts)

    for shard, made in shards.items():
        folders.add(folder, *made, shard)


def test_counts_by_source(folders, tmp_path):
    write(folders, tmp_path)
    found = summarise(tmp_path)
    table, figure = found.by_source["tabmwp"], found.by_source["figureqa"]
    assert list(found.by_source) == ["tabmwp", "figureqa"]
    assert table.levels == dict(zip(LEVELS, (1, 1, 1, 1, 0, 0), strict=True))
    assert table.outcomes == {"correct": 7, "wrong": 5, "unverifiable": 0, "truncated": 2, "looping": 1}
    assert (table.questions, table.binary, table.asked, table.rollouts, table.accepted) == (4, 0, 3, 15, 7)
    assert (table.tokens, table.base_tokens) == (5 * (200 + 300 + 400), 100 + 200 + 300 + 400)
    assert table.tokens_per_accepted == 4500 / 7
    assert (table.base_asked, table.base_solved) == (4, 1)

    # figureqa/1: an unverifiable one leaves open whether it is 2 or 3 of 5, which is hard either way
    assert figure.levels == dict(zip(LEVELS, (0, 0, 1, 0, 4, 0), strict=True))
    found_ones = {name: count for name, count in figure.outcomes.items() if count}
    assert found_ones == {"correct": 4, "wrong": 2, "unverifiable": 2, UNJUDGED: 1}
    assert (figure.binary, figure.binary_levels["undecided"], figure.tokens) == (5, 4, 5 * 100 + 2 * 200 + 2 * 300)

    whole = found.all
    assert (whole.questions, whole.rollouts, whole.accepted, whole.tokens) == (9, 24, 11, 4500 + 1500)
    assert {name: table.levels[name] + figure.levels[name] for name in LEVELS} == whole.levels
    assert found.correct_of == {0: 1, 1: 0, 2: 1, 3: 1, 4: 1, 5: 0}
    assert found.lengths["truncated"] == {300 // 64: 1, 400 // 64: 1}


@pytest.mark.slow
def test_what_is_left(folders, tmp_path):
    write(folders, tmp_path)
    found = summarise(tmp_path)
    assert (found.left, found.base_left) == (3 + 3 + 5 + 5, 1), "of figureqa/2 to 5, and figureqa/5 of the base model"
    assert found.seconds_left is None
    asked = {"tabmwp/1": ["base:wrong", "wrong", "wrong", "wrong", "wrong"]}
    for stop, left in ((False, 1 + 8 * 5), (True, 8 * 5)):  # four wrong ones decide
        write(folders, tmp_path / str(stop), asked, stop_when_decided=stop)
        assert summarise(tmp_path / str(stop)).left == left

    write(folders, tmp_path / "alone", {"tabmwp/2": ["correct"] * 5}, base_model_name_or_path=None)
    found = summarise(tmp_path / "alone")
    assert (found.left, found.base_left, found.all.base_asked, found.all.levels["medium"]) == (8 * 5, 0, 0, 1)


def test_cannot_be_asked(folders, tmp_path):
    write(folders, tmp_path, {"tabmwp/2": ["base:wrong", *["correct"] * 5]})
    with RolloutStore(tmp_path) as store:
        store.drop("tabmwp/1", folders.BASE, "400: too long")
        store.drop("figureqa/1", folders.BASE, "400: too long")
        store.drop("figureqa/2", folders.BASE, "picture missing")
        store.drop("tabmwp/2", folders.MODEL, "it has all its samples")

    found = summarise(tmp_path)
    assert found.dropped == {"400: too long": 2, "picture missing": 1}
    assert (found.all.levels[DROPPED], found.left, found.base_left) == (3, 5 * 5, 5)


FORMS = [
    ("four_markers", "{0} Look. {1} {2} \\boxed{{12}} {3}", 1),
    ("four_markers", "Look. So it is \\boxed{{12}}.", 0),
    ("virgo_dqvq", "Let me look.\n\n**Final Answer**\n\n\\boxed{{12}}", 1),
    ("virgo_dqvq", "Twelve.", 0),
]


@pytest.mark.parametrize(("response_format", "response", "accepted"), FORMS)
def test_accepted_is_well_formed(response_format, response, accepted, folders, tmp_path):
    folders.start(tmp_path, [question("tabmwp/1")], response_format=response_format)
    folders.add(tmp_path, *folders.sampled("tabmwp/1", ["correct"], response=response.format(*MARKERS)))
    found = summarise(tmp_path)
    assert (found.all.outcomes["correct"], found.all.accepted) == (1, accepted)


def test_real_responses_that_are_well_formed(shared_data, replaying):
    """842 of the 1,412 real responses, as counted by those who collected them."""
    problems = replaying.read_problems(sorted((shared_data / "skythought").glob("*.json*")))
    responses = [response for problem in problems for response in problem.responses]
    assert len(responses) == 1412
    assert sum(bool(read_thought(response, "four_markers")[0]) for response in responses) == 842


def test_shards_are_counted_together(folders, tmp_path):
    write(folders, tmp_path / "whole")
    write(folders, tmp_path / "split", shard_of=lambda id: (1 + int(id[-1]) % 2, 2))
    assert len(list((tmp_path / "split").glob("rollouts-*of2.jsonl"))) == 2
    whole, split = (to_json(summarise(tmp_path / name)) for name in ("whole", "split"))
    assert (whole.pop("shards"), split.pop("shards")) == ([], [[1, 2], [2, 2]])
    assert whole.pop("config")["questions"] != split.pop("config")["questions"]
    assert split == whole


def test_a_machine_with_one_shard(folders, tmp_path, status):
    """What the other machines ask is not left to be asked here."""
    mine = [id for id in ASKED if is_in_shard(id, (1, 2))]
    assert 2 < len(mine) < len(ASKED) - 2
    folders.start(tmp_path, [question(id) for id in ASKED])
    folders.add(tmp_path, *folders.sampled(mine[0], ["base:wrong", *["correct"] * 3]), shard=(1, 2))
    found = summarise(tmp_path)
    assert (found.all.questions, found.elsewhere, found.stray) == (len(mine), len(ASKED) - len(mine), 0)
    assert (found.left, found.base_left) == (5 * len(mine) - 3, len(mine) - 1)
    assert f"Go on: virgo-factory distill resume {tmp_path} --shard 1/2\n" in status()[1]
    folders.add(tmp_path, *folders.sampled(mine[0], ["wrong", "wrong"], first=3), shard=(1, 2))
    for id in mine[1:]:
        folders.add(tmp_path, *folders.sampled(id, ["base:correct"]), shard=(1, 2))

    assert "All of shard 1/2 is asked" in status()[1]


def test_while_a_run_writes(folders, tmp_path):
    """A half line is not there yet, of rollouts and of verdicts; the lock of the run does not keep anybody from looking."""
    write(folders, tmp_path)
    before = to_json(summarise(tmp_path))
    with RolloutStore(tmp_path):
        for name in ("rollouts", "verdicts", "dropped"):
            with (tmp_path / f"{name}.jsonl").open("a") as file:
                file.write('{"question": "figureqa/4", "model": "m", "sam')

        assert to_json(summarise(tmp_path)) == before


def test_rollouts_that_belong_nowhere(folders, tmp_path):
    write(folders, tmp_path)
    before = summarise(tmp_path)
    folders.add(tmp_path, [folders.rollout("tabmwp/99", 0, "x"), folders.rollout("tabmwp/2", 5, "x")])
    line = (tmp_path / "rollouts.jsonl").read_text().splitlines()[1]
    with (tmp_path / "rollouts.jsonl").open("a") as file:
        file.write(line + "\n")

    found = summarise(tmp_path)
    assert (found.stray, found.twice) == (2, 1)
    assert found.all == before.all


def test_broken_files_are_named(folders, tmp_path):
    with pytest.raises(ValueError, match="no distill.yaml in it"):
        summarise(tmp_path)

    write(folders, tmp_path)
    with (tmp_path / "rollouts.jsonl").open("a") as file:
        file.write("{}\n")

    with pytest.raises(ValueError, match=r"rollouts.jsonl:33: no question"):
        summarise(tmp_path)


def test_before_the_first_question(folders, tmp_path):
    folders.start(tmp_path, [])
    found = summarise(tmp_path, choose=5)
    assert (found.all.questions, found.left, found.chosen, found.by_source) == (0, 0, {}, {})
    (tmp_path / "questions.jsonl").unlink()
    assert summarise(tmp_path).all == found.all
    folders.start(tmp_path, [question("tabmwp/1")])
    folders.add(tmp_path, *folders.sampled("tabmwp/1", ["base:wrong"]))  # greedy is not a sample
    found = summarise(tmp_path)
    assert (found.all.rollouts, found.all.base_asked, found.left) == (0, 1, 5)


@pytest.mark.parametrize(
    ("files", "running", "tokens", "left"),
    [
        ({}, (), None, None),
        ({"progress.json": (True, 5, 2.0, 800.0)}, (11,), 800.0, (16 + 1) / 2),
        ({"progress.json": (False, 5, 2.0, 800.0)}, (), 800.0, (16 + 1) / 2),
        ({"progress.json": (True, 500, 2.0, 800.0)}, (), 800.0, (16 + 1) / 2),
        ({"progress.json": (True, 5, 0.0, 0.0)}, (11,), 0.0, None),
        ({"progress-1of3.json": (True, 5, 2.0, 800.0), "progress-2of3.json": (True, 5, 1.0, 300.0),
          "progress-3of3.json": (False, 5, 9.0, 9.0)}, (11, 12), 1100.0, (16 + 1) / 3),
    ],
)  # fmt: skip
def test_speed_of_those_that_run(files, running, tokens, left, folders, tmp_path):
    write(folders, tmp_path)
    for pid, (name, (is_running, age, rollouts, tokens_)) in enumerate(files.items(), start=11):
        row = {"running": is_running, "pid": pid, "rollouts_per_second": rollouts, "tokens_per_second": tokens_}
        (tmp_path / name).write_text(json.dumps(row))
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    (tmp_path / "progress-9of9.json").write_text("[1")  # broken ones are no matter
    (tmp_path / "progress-8of9.json").write_text("[1]")
    found = summarise(tmp_path)
    assert (found.running, found.tokens_per_second, found.seconds_left) == (running, tokens, left)


@pytest.mark.slow
def test_questions_are_drawn_evenly_and_by_seed(folders, tmp_path):
    outcomes = {"medium": ["correct"] * 5, "hard": ["correct", "correct", *["wrong"] * 3], "unsolved": ["wrong"] * 5}
    wanted = {"medium": 30, "hard": 2, "unsolved": 10}
    ids = {level: [f"{level}/{n}" for n in range(count)] for level, count in wanted.items()}
    folders.start(tmp_path, [question(id) for level in ids.values() for id in level] + [question("never/asked")])
    for level, names in ids.items():
        for id in names:
            folders.add(tmp_path, *folders.sampled(id, outcomes[level]))

    drawn = summarise(tmp_path, choose=12, seed=1).chosen
    assert list(drawn.values()) == ["medium"] * 5 + ["hard"] * 2 + ["unsolved"] * 5
    assert all(id.startswith(level) for id, level in drawn.items())
    assert summarise(tmp_path, choose=12, seed=1).chosen == drawn
    assert summarise(tmp_path, choose=12, seed=2).chosen != drawn
    assert len(summarise(tmp_path, choose=1000).chosen) == 42, "not the one without rollouts"


@pytest.fixture
def status(command, tmp_path):
    return lambda *options: command("distill", "status", tmp_path, *options)


def test_the_page_shows_what_is_really_printed(folders, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    said, shown = sample("docs/distil.md", "virgo-factory distill status ")
    write(folders, Path(said.split()[-1]))
    assert said == EXAMPLE and lines_of(command(*said.split()[1:])[1]) == shown


def test_the_verb_tells_what_is_outstanding(folders, tmp_path, status, command):
    write(folders, tmp_path)
    with RolloutStore(tmp_path) as store:
        store.drop("figureqa/5", folders.BASE, "400: too long \x1b[31m")

    code, out, _ = status()
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["all", "9", "1", "1", "2", "1", "3", "1"] in lines
    assert ["yes/no", "or", "1", "of", "2", "56%", "0%", "0%", "50%", "0%", "100%", "100%"] in lines
    assert "1  400: too long \\x1b[31m" in out and "\x1b" not in out
    assert f"Left: 11 rollouts\nGo on: virgo-factory distill resume {tmp_path}" in out
    assert max(len(line) for line in out.splitlines() if str(tmp_path) not in line) < 116
    row = json.loads(status("--json")[1])
    assert row["all"]["levels"]["medium"] == 1 and row["by_source"]["tabmwp"]["tokens"] == 4500
    assert (row["left"], row["base_left"], row["config"]["samples"]) == (11, 0, 5)
    code, out, err = command("distill", "status", tmp_path.parent)
    assert (code, out) == (1, "") and "no folder of a distillation" in err


@pytest.mark.parametrize("columns", ["20", "40", "60", "80", "120", ""])
def test_no_figure_and_no_name_is_cut(columns, folders, tmp_path, status, monkeypatch):
    """Large numbers and long names, at every width; tables that do not fit are parted, and names go on below."""
    monkeypatch.setenv("COLUMNS", columns)
    names = ["a_source_with_a_name_of_more_than_thirty_letters", "[red]x", "数学题" * 9]
    folders.start(
        tmp_path, [VisualQuestion(f"{n}", name, ("a.png",), ("00" * 32,), "?", "12") for n, name in enumerate(names)]
    )
    for n, name in enumerate(names):
        outcomes = ["correct", "wrong", "unverifiable", "truncated", "looping"]
        folders.add(tmp_path, *folders.sampled(f"{n}", ["base:wrong", *outcomes], tokens=123_456_789 + n))

    _, out, _ = status()
    assert "…" not in out
    for figure in ("617,283,945", "617,283,950", "617,283,955", "1,851,851,850", "per accepted", "unverifiable"):
        assert figure in out, figure

    assert {character for name in names for character in name} <= set(out)
    tables = [line for line in out.splitlines() if str(tmp_path) not in line and ":" not in line]
    if columns.isdecimal() and int(columns) >= 40:
        assert max(cell_len(line.rstrip()) for line in tables) <= int(columns)


def test_the_verb_says_what_comes_next(folders, tmp_path, status):
    folders.start(tmp_path, [question("tabmwp/1")])
    assert "Left: 1 of the base model and 5 rollouts at most" in status()[1]
    folders.add(tmp_path, *folders.sampled("tabmwp/1", ["base:wrong", *["correct"] * 5]))
    assert f"virgo-factory distill select {tmp_path}" in status()[1]
    told = {"running": True, "pid": 7, "rollouts_per_second": 1.0, "tokens_per_second": 812.0}
    (tmp_path / "progress.json").write_text(json.dumps(told))
    out = status()[1]
    assert "Running (process 7): 812 tokens/s" in out and "distill select" not in out
