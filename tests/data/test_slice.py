"""Slices: nested, by domain and length, with an account that adds up."""

import json
import re
from pathlib import Path

import pytest

from tests.data.conftest import write
from virgo_factory.core.thought import LongThought
from virgo_factory.data.make.slice import Wanted, cut, output_files, read_bounds, read_names, read_rows
from virgo_factory.data.read.source import Settings, find_sources
from virgo_factory.data.rows.stream import measure


def _text(number: int) -> str:
    return LongThought(f"It is {number}.", f"\\boxed{{{number}}}").render()


@pytest.fixture
def data(tmp_path) -> Path:
    domains = ["math", "math", "math", "Physics", "puzzle"]
    rows = [
        {"id": number, "question": f"Is it {number}?", "combined_text": _text(number), "domain": domains[number % 5]}
        for number in range(200)
    ]
    rows[3]["combined_text"] = "cut off"
    return write(tmp_path / "rows.jsonl", rows)


def _cut(data: Path, target: Path, wanted: Wanted, settings: Settings = Settings(), **more):
    sources, _ = find_sources(str(data), **more)
    return cut(sources, lambda: measure(sources, settings, 1, None), target, wanted, "command", {})


def _ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_smaller_outputs_are_the_beginning_of_larger_ones(data, tmp_path):
    cards = _cut(data, tmp_path / "out.jsonl", Wanted(rows=(100, 20, 50)))
    small, middle, large = (_ids(tmp_path / f"out-{count}.jsonl") for count in (20, 50, 100))
    assert (len(small), len(set(middle)), len(set(large))) == (20, 50, 100)
    assert large[:50] == middle and middle[:20] == small
    assert [card.kept for card in cards] == [20, 50, 100]
    assert all(card.rows_in == 200 == card.kept + sum(card.dropped.values()) for card in cards)
    assert cards[0].dropped == {"not among the first": 179, "no tags of a known format": 1}
    assert cards[2].by["domain"] == {"math": 60, "Physics": 20, "puzzle": 20}
    _cut(data, tmp_path / "alone.jsonl", Wanted(rows=(50,)))
    assert _ids(tmp_path / "alone.jsonl") == middle
    _cut(data, tmp_path / "other.jsonl", Wanted(rows=(50,), seed=1))
    assert _ids(tmp_path / "other.jsonl") != middle


@pytest.mark.parametrize(
    ("domains", "ids"),
    [
        (("puzzle",), [str(number) for number in range(4, 200, 5)]),
        (("science", "PUZZLE"), [str(number) for number in range(4, 200) if number % 5 in (3, 4)]),
    ],
)
def test_without_rows_all_that_fit_stay_in_order(data, tmp_path, domains, ids):
    (card,) = _cut(data, tmp_path / "out.jsonl", Wanted(domains=domains))
    assert _ids(tmp_path / "out.jsonl") == ids
    assert card.dropped == {"another domain": 200 - 1 - len(ids), "no tags of a known format": 1}


@pytest.mark.slow
def test_by_tokens_is_what_the_recipe_keys_would_keep(tmp_path, shared_data, model_folder):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    data = shared_data / "skythought" / "sky_t1_math_correct_5k_27b__math500.jsonl"
    sources, _ = find_sources(str(data))
    target = tmp_path / "out.jsonl"
    settings = Settings(tokenizer=str(model_folder), min_response_tokens=1000, max_response_tokens=2000)
    (card,) = cut(sources, lambda: measure(sources, settings, 1, None), target, Wanted(), "x", {})

    tokenizer = Tokenizer(models.BPE.from_file(str(model_folder / "vocab.json"), str(model_folder / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(words), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    thought, solution = (rf"<\|begin_of_{part}\|>(.*)<\|end_of_{part}\|>" for part in ("thought", "solution"))
    whole = re.compile(rf"\s*{thought}\s*{solution}\s*", re.DOTALL)
    expected = []
    for line in data.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found = whole.fullmatch(row["code"][0])
        if found and row["score"][0] and row["code"][0].count("<|begin_of_") == 2:
            parts = [text.strip() for text in found.groups()]
            text = "".join(
                f"<|begin_of_{name}|>\n\n{part}\n\n<|end_of_{name}|>\n\n"
                for name, part in zip(("thought", "solution"), parts, strict=True)
            ).removesuffix("\n\n")
            if 1000 <= len(tokenizer.encode(text).ids) <= 2000:
                expected.append(str(row["idx"]))

    assert _ids(target) == expected and 50 < len(expected) < 166
    assert card.rows_in == 500 == card.kept + sum(card.dropped.values())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            Wanted(rows=(50, 500, 1000)),
            r"--rows 500, 1,000: 199 rows fit \(by domain: math 120, puzzle 40, Physics 39\)",
        ),
        (Wanted(domains=("law",)), "none of 200 rows fits"),
    ],
)
def test_nothing_is_written_where_rows_lack(data, tmp_path, wanted, words):
    with pytest.raises(ValueError, match=words):
        _cut(data, tmp_path / "out.jsonl", wanted)

    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_an_output_in_the_way_and_an_input_as_output(data, tmp_path):
    (tmp_path / "out-50.jsonl").write_text("kept")
    with pytest.raises(ValueError, match="out-50.jsonl exists"):
        _cut(data, tmp_path / "out.jsonl", Wanted(rows=(20, 50)))

    assert (tmp_path / "out-50.jsonl").read_text() == "kept" and not (tmp_path / "out-20.jsonl").exists()
    sources, _ = find_sources(str(data))
    with pytest.raises(ValueError, match="is an input as well"):
        cut(sources, lambda: [], data, Wanted(), "x", {}, overwrite=True)


def test_what_the_command_line_says():
    assert read_rows("1000,3k") == (1000, 3000) and read_rows(None) == ()
    assert [read_bounds(text) for text in ("2001:4000", ":9", "9:")] == [(2001, 4000), (None, 9), (9, None)]
    assert read_names(" math, puzzle,") == ("math", "puzzle")
    assert [path.name for path in output_files(Path("a.parquet"), (1000, 250))] == ["a-1k.parquet", "a-250.parquet"]
    for text in ("0", "1000;2", "-5", "a"):
        with pytest.raises(ValueError, match="whole numbers"):
            read_rows(text)

    for text in ("5", ":", "9:3", "a:b"):
        with pytest.raises(ValueError, match="FROM:TO"):
            read_bounds(text)
