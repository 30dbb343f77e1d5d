"""Loops are cut early on real responses that loop; real responses that are whole are not cut."""

import json

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.rollouts.servers.loop_detector import TAILS, LoopWatch


def cut_at(text: str, step: int = 128) -> int | None:
    """Return after how many characters a response is cut; None for one that is not."""
    watch = LoopWatch()
    for start in range(0, len(text), step):
        if watch.feed(text[start : start + step]):
            return min(start + step, len(text))

    return None


@pytest.fixture(scope="module")
def responses(shared_data) -> list[tuple[str, bool]]:
    """The real responses of skythought, each with whether it was marked correct."""
    found = []
    for file in sorted((shared_data / "skythought").glob("*.json*")):
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            rows = map(json.loads, text.splitlines())
            found += [pair for row in rows for pair in zip(row["code"], row["score"], strict=True)]
        else:
            replies = (reply for row in json.loads(text).values() for reply in row["responses"].values())
            found += [(reply["content"], reply["correctness"]) for reply in replies]

    return found


def is_whole(text: str) -> bool:
    try:
        LongThought.parse(text)
    except ValueError:
        return False

    return True


@pytest.mark.slow
def test_real_responses(responses):
    """Of 842 whole responses 2 are cut, both wrong: they try one number after the other in the same words."""
    whole = [(text, correct) for text, correct in responses if is_whole(text)]
    cut = [correct for text, correct in whole if cut_at(text)]
    assert len(whole) == 842
    assert len(cut) == 2 and not any(cut)

    others = [(text, cut_at(text)) for text, _ in responses if not is_whole(text)]
    saved = sum(len(text) - at for text, at in others if at)
    assert sum(at is not None for _, at in others) == 106
    assert saved / sum(len(text) for text, _ in responses) > 0.25


def numbered(lines: int) -> str:
    return "".join(f"Line {number} says {number * 7919 % 1000}. " for number in range(lines))


LOOPS = [("Wait, let me check this once more: it is 7. ", 2_000), (numbered(40), 12_000), (numbered(110), 20_000)]
LOOPS += [(unit, 5_000) for unit in ("等一下，让我再检查一遍：答案是七。", "0", "\n", "\n ")]


@pytest.mark.parametrize(("unit", "latest"), LOOPS)
def test_made_loops(unit, latest):
    opening = "".join(f"We look at case {n}: its square is {n**2}, {n**3} its cube. " for n in range(9))
    at = cut_at(opening + unit * (40_000 // len(unit)))
    assert at is not None and at <= len(opening) + latest


@pytest.mark.parametrize("step", [1, 7, 128, 5_000])
def test_the_size_of_pieces_hardly_matters(responses, step):
    text = next(text for text, _ in responses if (cut_at(text) or 10**9) < 6_000)
    assert abs(cut_at(text, step) - cut_at(text)) <= max(step, 128)


def test_nothing_and_little():
    watch = LoopWatch()
    assert not any(watch.feed(piece) for piece in ("", "So", "", " 3 + 4 = 7." * 20))


def test_time_is_linear(grows_linearly):
    """A response of 4 million characters, of whatever kind, costs no more a character than one of 400,000."""
    text = "".join(f"Case {n}: {n * 7919 % 10007} and {n * 104729 % 10009}. " for n in range(120_000))

    def look(length: int) -> None:
        assert cut_at(text[:length], 1_000) is None

    grows_linearly(look, 400_000, len(text))
    assert len(text) > 10 * TAILS[-1]
