"""Mixes: exact counts, no row twice, the same for the same seed, and all that is wrong told at once."""

import json
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from tests.data.conftest import write
from virgo_factory.core.thought import LongThought
from virgo_factory.data.make.holdout import rejecting
from virgo_factory.data.make.mix import Share, choose, mix, read_share
from virgo_factory.data.make.sampling import gather
from virgo_factory.data.read.source import Settings, find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.data.rows.worker import RowRecord


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("virgo_dt", Share("virgo_dt")),
        ("virgo_dt:3700", Share("virgo_dt", (), 3700)),
        ("virgo_dt:3.7k", Share("virgo_dt", (), 3700)),
        ("virgo_dt:1", Share("virgo_dt", (), 1)),
        ("virgo_dt:1.0", Share("virgo_dt", (), 1.0)),
        ("a/b.jsonl:25%", Share("a/b.jsonl", (), 0.25)),
        ("virgo_dt[math]:0.5", Share("virgo_dt", ("math",), 0.5)),
        ("virgo_dt[physics + biology]", Share("virgo_dt", ("physics", "biology"))),
    ],
)
def test_shares_are_read(text, share):
    assert read_share(text) == share


@pytest.mark.parametrize("text", ["a:", "a:0", "a:1.5", "a:-3", "a:many", "a:120%", "a[]:3", ":5", "a:3x"])
def test_what_is_no_share_is_told(text):
    with pytest.raises(ValueError, match="a|:5"):
        read_share(text)


def _candidates(rows):
    """Return candidates of (source, domain, digest) rows."""
    return gather(
        RowRecord(0, 0, 0, source=source, number=number, domain=domain, digest=digest)
        for number, (source, domain, digest) in enumerate(rows)
    )


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["math", "code", "physics", None]), st.integers(0, 60)),
    min_size=1,
    max_size=80,
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


@given(rows=ROWS, seed=st.integers(0, 5), data=st.data())
def test_exact_counts_no_row_twice_and_an_account_that_adds_up(rows, seed, data):
    candidates = _candidates(rows)
    there = [{digest for source, _, digest in rows if source == place} for place in (0, 1)]
    shared = there[0] & there[1]
    asked = [data.draw(st.integers(0, len(there[0]))), data.draw(st.integers(0, len(there[1] - shared)))]
    shares = [Share(name, (), count) for name, count in zip("ab", asked, strict=True)]
    assume(sum(asked))
    chosen, left_out = choose(candidates, shares, [[0], [1]], seed)
    digests = [rows[place][2] for place in chosen]
    assert Counter(rows[place][0] for place in chosen) == Counter({0: asked[0], 1: asked[1]})
    assert len(set(digests)) == len(digests)
    assert len(chosen) + sum(left_out.values()) == len(rows)
    again, _ = choose(candidates, shares, [[0], [1]], seed)
    assert again.tolist() == chosen.tolist()


def test_a_ratio_without_rows_is_one_of_the_rows_there_are():
    rows = [(0, "math", number) for number in range(10)] + [(0, "math", 3)]
    chosen, left_out = choose(_candidates(rows), [Share("a", (), 0.5)], [[0]], 1)
    assert len(chosen) == 5 and left_out == {"not drawn": 5, "not asked for": 0, "exact duplicate": 1}


def test_a_dataset_keeps_the_shares_of_its_domains():
    rows = [(0, "math" if number % 4 else "code", number) for number in range(4000)]
    chosen, _ = choose(_candidates(rows), [Share("a", (), 100)], [[0]], 7)
    assert 73 <= sum(rows[place][1] == "math" for place in chosen) <= 77


def test_all_that_is_wrong_is_told_at_once():
    rows = [(0, "math", number) for number in range(5)] + [(1, "code", number + 50) for number in range(5)]
    rows.append((1, "code", 0))  # as the first of a
    shares = [Share("a", (), 9), Share("b", ("law",), 3), Share("b", ("code",), 6), Share("b", (), 1)]
    with pytest.raises(ValueError, match="cannot be made") as error:
        choose(_candidates(rows), shares, [[0], [1], [1], [1]], 1)

    message = str(error.value)
    assert "a: 9 rows asked for, 5 there" in message
    assert "b[law]: no rows of this domain. There are: code 6, math 5" in message
    assert "b[code]: 6 rows asked for, 5 there (and 1 exact duplicate of rows before)." in message
    assert "b: rows of it are asked for in an earlier place as well" in message


def test_a_mix_of_no_rows_is_no_mix():
    with pytest.raises(ValueError, match="no row is asked for"):
        choose(_candidates([(0, "math", 1)]), [Share("a", (), 0.1)], [[0]], 1)


def _long_thought(number: int, domain: str) -> dict:
    text = LongThought(f"It is {number}, I think. " * 40, str(number)).render()
    return {"question": f"{domain} {number}?", "combined_text": text, "domain": domain}


@pytest.fixture
def datasets(tmp_path):
    for name, domain in (("a", "math"), ("b", "code")):
        rows = [_long_thought(number, domain) for number in range(600)]
        rows[7]["combined_text"] = "cut off"
        lines = [json.dumps(row) for row in rows]
        lines[9] = "{broken"
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*lines, lines[3]]) + "\n")

    return [source for name in "ab" for source in find_sources(str(tmp_path / f"{name}.jsonl"))[0]]


@pytest.mark.slow
def test_a_mix_is_the_same_whoever_reads_it(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr("virgo_factory.data.rows.pool.WORTH", -1.0)  # else so few rows are read in one process
    shares = [Share("a", (), 20), Share("b", (), 0.25)]

    def mixed(name: str, seed: int = 42, workers: int = 1):
        path = tmp_path / f"{name}.jsonl"
        card = mix(datasets, [[0], [1]], lambda: measure(datasets, Settings(), workers, None), shares, path, "x", seed)
        return path.read_bytes(), card

    content, card = mixed("one")
    assert mixed("two", workers=2)[0] == content and mixed("other", seed=1)[0] != content
    assert card.by["domain"] == {"code": 150, "math": 20}  # a quarter of 598 good rows is 149.5
    assert card.dropped == {"not drawn": 1026, "not JSON": 2, "no tags of a known format": 2, "exact duplicate": 2}
    assert card.rows_in == 1202 == card.kept + sum(card.dropped.values())

    source = tmp_path / "a.jsonl"
    lines = source.read_text().splitlines()
    source.write_text("\n".join(reversed(lines)) + "\n")
    assert mixed("reversed")[0] == content


def test_rows_that_ask_a_question_which_is_held_out_are_left_out_on_its_picture_alone(tmp_path):
    for name, colour in (("a.png", "red"), ("copy.bmp", "red"), ("b.png", "blue")):
        Image.new("RGB", (60, 60), colour).save(tmp_path / name)

    held_out = [
        {"id": "1", "question": "How many bars are there?", "images": ["a.png"], "gold": "4"},
        {"id": "2", "question": "What is 7 x 8?", "gold": "56"},
    ]
    write(tmp_path / "dev.jsonl", held_out)
    asked = [
        ("<image>How many bars are there?\n(A) 3\n(B) 4", "copy.bmp"),
        ("<image>How many bars are there?", "b.png"),
        ("What is 7 x 8?", None),
        ("What is 7 x 8? And 7 x 9?", None),
    ]
    rows = [
        {"id": str(number), "question": text, "thought": "A thought.", "solution": "4"}
        | ({"images": [image]} if image else {})
        for number, (text, image) in enumerate(asked)
    ]
    sources, _ = find_sources(str(write(tmp_path / "rows.jsonl", rows)))
    card = mix(
        sources, [[0]], lambda: measure(sources, Settings(), 1, cache=None), [Share("rows")], tmp_path / "mix.jsonl", "",
        holdout=tmp_path / "dev.jsonl",
    )  # fmt: skip
    kept = {json.loads(line)["id"] for line in (tmp_path / "mix.jsonl").open(encoding="utf-8")}
    assert kept == {"1", "3"}
    assert card.dropped["held out"] == 2 and card.settings["holdout"] == str(tmp_path / "dev.jsonl")
    with pytest.raises(ValueError, match=r"dev\.jsonl:1 \(id 1\): gone\.png cannot be opened"):
        (tmp_path / "dev.jsonl").write_text('{"id": "1", "question": "?", "images": ["gone.png"]}\n')
        rejecting(tmp_path / "dev.jsonl", sources)
