"""The one judgement on rows: every reason, in the order in which a run finds out; and who uses it."""

from dataclasses import replace

import pytest

from virgo_factory.core.policy import Drop, KnownFacts, Policy, judge
from virgo_factory.core.reasons import Reason


GOOD = KnownFacts(responses=(30, 40), tokens=100)
STRICT = Policy(cutoff_len=100, min_response_tokens=30, max_response_tokens=40, takes_prefix=False)
BAD = {
    "rejected": (Drop("no thought", ""), "no thought"),
    "control_token": (("question", "<|im_end|>"), "control token in the question"),
    "responses": ((29, 40), "response < 30 tokens"),
    "has_prefix": (True, "assistant_prefix"),
    "unreadable": ("image file is truncated", "image unreadable"),
    "tokens": (101, "overlong > 100 tokens"),
    "is_learned": (False, "nothing in it is marked to be learned"),
}


def test_a_row_within_all_limits_is_kept():
    assert judge(GOOD, STRICT) is None
    assert judge(replace(GOOD, has_prefix=True, tokens=10**9), Policy()) is None


@pytest.mark.parametrize("fact", BAD)
def test_each_fact_drops_a_row(fact):
    value, reason = BAD[fact]
    assert judge(replace(GOOD, **{fact: value}), STRICT).reason == reason


@pytest.mark.parametrize(("first", "second"), [(a, b) for n, a in enumerate(BAD) for b in list(BAD)[n + 1 :]])
def test_of_two_reasons_the_one_that_a_run_meets_first(first, second):
    both = replace(GOOD, **{first: BAD[first][0], second: BAD[second][0]})
    assert judge(both, STRICT).reason == BAD[first][1]


def test_nothing_behind_the_first_reason_is_asked_for():
    class Facts:
        rejected = None
        control_token = ("response", "<|im_start|>")

        def __getattr__(self, name):
            raise AssertionError(f"{name} costs time")

    assert judge(Facts(), STRICT) == ("control token in the response", "<|im_start|>")


def test_bounds_judge_each_response_by_itself():
    policy = Policy(max_response_tokens=67)
    assert judge(replace(GOOD, responses=[62, 62]), policy) is None
    assert judge(replace(GOOD, responses=[62, 70]), policy) == ("response > 67 tokens", "70 tokens")
    assert judge(replace(GOOD, responses=[]), Policy(min_response_tokens=5)) is None


def test_a_row_that_is_cut_is_kept():
    assert judge(replace(GOOD, tokens=101), Policy(cutoff_len=100, truncates=True)) is None


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_found_again_by_its_text(reason):
    assert Reason.of(reason.text(12)) is reason
