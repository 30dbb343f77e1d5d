"""Rows for SFT: which thoughts become rows, how many, and that they are read as what they are."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest

from virgo_factory.core.thought import BEGIN_THOUGHT
from virgo_factory.formats import read_row
from virgo_factory.synthesis.thoughts.sets import NOT_DRAWN, WRONG, sft_rows
from virgo_factory.synthesis.words import Dropped


@pytest.fixture
def group(thoughts):
    """A function: number -> a question with six right short thoughts and four wrong ones, two of three expansions right."""

    def make(number):
        question = replace(thoughts.question, id=f"coco/{number}/ab", scene=f"coco/{number}")
        shorts = [thoughts.short(at, "B" if at < 6 else "A", question=question) for at in range(10)]
        longs = [
            thoughts.long(one, at, "BBC"[at], " so it is." * (at + 1), question=question)
            for one in shorts
            for at in range(3)
        ]
        return question, replace(thoughts.scene, id=f"coco/{number}"), shorts, longs

    return make


def parts(found):
    found = list(found)
    return [one for one in found if isinstance(one, dict)], [one for one in found if isinstance(one, Dropped)]


def test_the_shares_are_exact_and_everything_is_accounted_for(group):
    groups = [group(number) for number in range(50)]
    rows, dropped = parts(sft_rows(lambda: groups))
    sets = Counter(row["set"] for row in rows)
    right, corrected = 50 * (6 + 6 * 2), 50 * 4 * 2
    assert sets["O"] + sets["O->O"] == right // 10 and sets["X->O"] == right // 10 <= corrected
    assert len(rows) + len(dropped) == 50 * 40
    assert Counter(one.reason for one in dropped) == {WRONG: 50 * (4 + 10), NOT_DRAWN: right + corrected - len(rows)}
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("share", "x_to_o", "kept", "corrected"), [(1, 1, 90, 40), (0.5, 0.5, 45, 22), (0, 1, 0, 0), (1, 0, 90, 0)]
)
def test_shares_are_arguments(share, x_to_o, kept, corrected, group):
    groups = [group(number) for number in range(5)]
    rows, _ = parts(sft_rows(lambda: groups, share, x_to_o))
    sets = Counter(row["set"] for row in rows)
    assert (sets["O"] + sets["O->O"], sets["X->O"]) == (kept, corrected)


def test_a_stretch_of_the_file_gives_its_share(group):
    groups = [group(number) for number in range(40)]
    rows, _ = parts(sft_rows(lambda: groups))
    counts = Counter(row["question_id"] for row in rows)
    assert set(counts.values()) <= {2, 3, 4, 5} and len(counts) == 40  # 1.8 and 1.8 of each, rounded


@pytest.mark.slow
def test_each_rank_is_half_as_likely_as_the_one_before(thoughts):
    """One of four expansions is drawn: the longest in 8 of 15 draws, then 4, 2 and 1."""
    groups = []
    for number in range(3000):
        question = replace(thoughts.question, id=f"coco/{number}/ab")
        short = thoughts.short(0, "A", question=question)
        longs = [thoughts.long(short, at, "B", " blue" * (at + 1), question=question) for at in range(4)]
        right = [thoughts.short(1, "B", question=question)]
        groups.append((question, thoughts.scene, [short, *right], longs))

    rows, _ = parts(sft_rows(lambda: groups, share=1.0, x_to_o=1.0))
    drawn = Counter(int(row["id"][-1]) for row in rows if row["set"] == "X->O")
    assert drawn.total() == 3000
    for at, expected in enumerate((1, 2, 4, 8)):
        assert drawn[at] / 3000 == pytest.approx(expected / 15, abs=0.03)


def test_rows_are_the_same_whenever_they_are_drawn_and_others_with_another_seed(group):
    groups = [group(number) for number in range(20)]
    assert parts(sft_rows(lambda: groups)) == parts(sft_rows(lambda: iter(groups)))
    assert parts(sft_rows(lambda: groups, seed=1)) != parts(sft_rows(lambda: groups))


def test_a_row_is_read_as_the_thought_with_its_wrong_beginning_as_context(group):
    question, scene, shorts, longs = group(0)
    rows, _ = parts(sft_rows(lambda: [(question, scene, shorts, longs)], share=1))
    known = {one.id: one for one in (*shorts, *longs)}
    for row in rows:
        thought = known[row["id"]]
        (example,) = read_row(row, "long_thought").parts
        assert example.response.thought == thought.thought and example.response.solution == "(B) blue"
        assert example.question == "<image>What colour is the cup?\n(A) red\n(B) blue\n(C) green\n(D) white"
        assert (example.images, example.id, example.domain) == ((scene.image,), thought.id, "recognition")
        wrong = row["set"] == "X->O"
        assert example.assistant_prefix == (f"{BEGIN_THOUGHT}\n\n{known[thought.short].thought}" if wrong else "")
        assert thought.is_correct and row["source"] == f"stage 1, {row['set']}" and row["stage"] == 1

    assert len({tuple(sorted(row)) for row in rows}) == 1, "every row has the same columns"


def test_an_expansion_of_a_thought_that_is_gone_is_told(group):
    question, scene, shorts, longs = group(0)
    rows, dropped = parts(sft_rows(lambda: [(question, scene, shorts[1:], longs)], share=1))
    assert [one.of for one in dropped if one.reason == "its short thought is missing"] == [one.id for one in longs[:3]]
    assert len(rows) + len(dropped) == 39


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(group):
    def groups(count):
        return lambda: (group(number) for number in range(count))

    peaks = []
    for count in (20, 400):
        tracemalloc.start()
        assert sum(1 for _ in sft_rows(groups(count))) == count * 40
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]


def test_the_94_released_rows_are_rebuilt(released):
    """Of what their files tell of 400 short thoughts and their expansions: each row with its set and its wrong beginning."""
    rows, _ = parts(sft_rows(released.groups, share=1.0, x_to_o=99))
    ours = {}
    for row in rows:
        (example,) = read_row(row, "long_thought").parts
        ours[row["question_id"], example.response.thought] = (example.assistant_prefix, row["set"])

    sets = Counter()
    for row in released.sft:
        (theirs,) = read_row(row, "long_thought").parts
        prefix, kind = ours[row["metadata"]["mcq_unique_id"], theirs.response.thought]
        assert prefix == theirs.assistant_prefix
        sets[kind] += 1

    assert sets == {"X->O": 47, "O->O": 37, "O": 10}
