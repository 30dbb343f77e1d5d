"""Preference pairs: which there are, how many are kept, and what their sides have in common."""

from collections import Counter
from dataclasses import replace

import pytest

from virgo_factory.core.thought import BEGIN_THOUGHT
from virgo_factory.formats import read_row
from virgo_factory.formats.options import Options
from virgo_factory.synthesis.thoughts.pairs import COMPACT, NO_ANSWER, TOO_MANY, X_O, O, pair_rows, pairs_of
from virgo_factory.synthesis.thoughts.rows import SAME
from virgo_factory.synthesis.words import Dropped


@pytest.fixture
def group(thoughts):
    """Two right and two wrong short thoughts, each with a right and a wrong expansion."""
    shorts = [thoughts.short(at, "BBAC"[at]) for at in range(4)]
    longs = [thoughts.long(one, at, "BD"[at]) for one in shorts for at in range(2)]
    return thoughts.question, thoughts.scene, shorts, longs


def parts(found):
    found = list(found)
    return [one for one in found if isinstance(one, dict)], [one for one in found if isinstance(one, Dropped)]


def test_all_pairs_of_a_question(group, thoughts):
    _, _, shorts, longs = group
    found = {(kind, chosen.id[10:], rejected.id[10:]) for kind, chosen, rejected in pairs_of(shorts, longs)}
    corrections = {(X_O, f"s{at}/l0", other) for at in (2, 3) for other in (f"s{at}/l1", f"s{at}")}
    right = {(O, f"s{at}", other) for at in (0, 1) for other in (f"s{at}/l1", "s2", "s2/l1", "s3", "s3/l1")}
    assert found == corrections | right


def test_pairs_for_compactness_have_a_rejected_side_that_is_half_as_long_again(group, thoughts):
    _, _, shorts, longs = group
    grown = replace(longs[0], thought=longs[0].thought + " Yes." * 20)
    found = [pair for pair in pairs_of(shorts, [grown, *longs[1:]], compact=True) if pair[0] == COMPACT]
    longest = [one for one in (grown, longs[2]) if len(one.thought) >= 1.5 * len(shorts[0].thought)]
    assert {pair[2] for pair in found} == set(longest) and grown in longest
    assert not [pair for pair in pairs_of(shorts, longs) if pair[0] == COMPACT]


def test_a_question_gives_so_many_of_a_kind_and_the_rest_is_told(group):
    rows, dropped = parts(pair_rows(lambda: [group], most=3))
    assert Counter(row["set"] for row in rows) == {X_O: 3, O: 3}
    assert len(rows) + len(dropped) == 14 and {one.reason for one in dropped} == {TOO_MANY}
    assert parts(pair_rows(lambda: [group], most=3)) == (rows, dropped)
    assert max(Counter(row["thought"] for row in rows).values()) == 2, "no thought stands in all of them"


def test_sides_of_a_correction_share_the_wrong_beginning_as_context(group, thoughts):
    question, _, shorts, longs = group
    rows, _ = parts(pair_rows(lambda: [group], most=99))
    known = {one.id: one for one in (*shorts, *longs)}
    for row in rows:
        chosen, _, rejected = row["id"].partition(" > ")
        chosen, rejected = known[chosen], known[f"{question.id}/{rejected}"]
        (example,) = read_row(row, "long_thought", Options(ranking=True)).parts
        assert (example.response.thought, example.rejected.thought) == (chosen.thought, rejected.thought)
        assert chosen.is_correct and not rejected.is_correct
        prefix = example.assistant_prefix
        assert prefix == (f"{BEGIN_THOUGHT}\n\n{known[chosen.short].thought}" if row["set"] == X_O else "")
        assert example.response.render().startswith(prefix) and example.rejected.render().startswith(prefix)

    assert len({tuple(sorted(row)) for row in rows}) == 1, "every row has the same columns"


def test_the_same_texts_are_one_pair_and_no_answer_is_none(group):
    question, scene, shorts, longs = group
    twin = replace(longs[0], id=f"{shorts[0].id}/l9", thought=longs[1].thought, answer="D", is_correct=False)
    unread = replace(shorts[3], answer="")
    rows, dropped = parts(pair_rows(lambda: [(question, scene, [*shorts[:3], unread], [*longs, twin])], most=99))
    assert Counter(one.reason for one in dropped) == {SAME: 1, NO_ANSWER: 3}
    assert len({row["id"] for row in rows}) == len(rows) == 11


def test_an_expansion_of_a_thought_that_is_gone_is_told(group):
    question, scene, shorts, longs = group
    _, dropped = parts(pair_rows(lambda: [(question, scene, shorts[1:], longs)], most=99))
    assert [(one.of, one.reason) for one in dropped] == [(one.id, "its short thought is missing") for one in longs[:2]]


@pytest.mark.slow
def test_released_pairs_are_rebuilt(released):
    """147 of 156; the other nine reject a thought whose answer is none of the options, which a row could not write."""
    rows, dropped = parts(pair_rows(released.groups, most=10**6))
    ours = set()
    for row in rows:
        (example,) = read_row(row, "long_thought", Options(ranking=True)).parts
        ours.add((row["set"], example.response.thought, example.rejected.thought))

    found = Counter()
    for name, pairs in released.pairs.items():
        for row in pairs:
            (theirs,) = read_row(row, "long_thought", Options(ranking=True)).parts
            found[name, (name, theirs.response.thought, theirs.rejected.thought) in ours] += 1

    assert found == {("X_O", True): 102, ("X_O", False): 2, ("O", True): 45, ("O", False): 7}
    assert {one.reason for one in dropped} == {NO_ANSWER}
