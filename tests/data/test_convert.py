"""Real rows of every shape through convert: independent counts, equal examples on the way back, stock readers."""

import base64
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.data.conftest import write
from virgo_factory.core.example import Example
from virgo_factory.data.make.convert import convert
from virgo_factory.data.make.pipeline import Media, difficulty_of, portable_images
from virgo_factory.data.make.writing import normal_row
from virgo_factory.data.read.source import Settings, Source, find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.formats import Options, RejectedRow, read_row
from virgo_factory.report.card import card_files


def _convert(path: Path, target: Path, **more):
    sources, _ = find_sources(
        str(path), media_dir=more.pop("media_dir", None), formatting=more.pop("formatting", None)
    )
    return convert(sources, target, "virgo-factory data convert", **more)


def _rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()

    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def _raw(path: Path) -> list[dict]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def _counts(text: str, tags: list[str]) -> bool:
    """Whether the tags stand in the text once each, in order, with nothing but blanks outside and text inside."""
    whole = r"\s*" + r"\s*".join(rf"{re.escape(tags[at])}(.*\S.*){re.escape(tags[at + 1])}" for at in (0, 2)) + r"\s*"
    return all(text.count(tag) == 1 for tag in tags) and re.fullmatch(whole, text, re.DOTALL) is not None


ROW = {"question": "Q?", "thought": "Hm.", "solution": "A."}
FOUR = ["<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>"]
MARCO = ["<Thought>", "</Thought>", "<Output>", "</Output>"]
THINK = ["<think>", "</think>", "<answer>", "</answer>"]
LPT = "long_perceptual_thoughts"
REAL = {
    **dict.fromkeys(
        (f"skythought/sky_t1_math_{name}.jsonl" for name in ("correct_5k_27b__math500", "wrong_5k_27b__minerva_math")),
        lambda row: row["score"][0] and _counts(row["code"][0], FOUR),
    ),
    "marco_o1/CoT_demo.json": lambda row: _counts(row["response"], MARCO),
    "huatuogpt_o1/demo_data.json": lambda row: bool(row["Complex_CoT"].strip() and row["Response"].strip()),
    f"{LPT}/sft_docci_all_extended_cots.json": lambda row: _counts(row["messages"][-1]["content"], THINK),
    f"{LPT}/dpo_docci_all_extended_cots_X_O.json": lambda row: (
        _counts(row["chosen"]["content"], THINK) and _counts(row["rejected"]["content"], THINK)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_what_is_kept_of_real_rows_is_what_an_independent_look_finds(shared_data, tmp_path, name):
    source = shared_data / name
    raw = _raw(source)
    expected = [bool(REAL[name](row)) for row in raw]
    card = _convert(source, tmp_path / "out.jsonl")
    assert (card.rows_in, card.kept) == (len(raw), sum(expected)) and card.kept > 0
    assert card.kept + sum(card.dropped.values()) == len(raw)
    assert len(card.listed) == len(raw) - card.kept
    if source.suffix == ".jsonl":
        lines = [number for number, kept in enumerate(expected, start=1) if not kept]
        assert [int(row["place"].rsplit(":", 1)[1]) for row in card.listed] == lines


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", [name for name in REAL if "wrong" not in name])
def test_examples_are_equal_on_the_way_back(shared_data, tmp_path, name, suffix):
    options = Options(ranking="dpo" in name)
    before = [part for row in _raw(shared_data / name) for part in read_row(row, "long_thought", options).parts]
    before = [part for part in before if isinstance(part, Example)]
    target = tmp_path / f"out{suffix}"
    card = _convert(shared_data / name, target)
    after = [read_row(row, "long_thought", options).parts[0] for row in _rows(target)]
    assert not any(isinstance(part, RejectedRow) for part in after)
    assert [replace(part, format=None) for part in after] == [replace(part, format=None) for part in before]
    assert card.entry["out"].get("ranking", False) == options.ranking
    sources, _ = find_sources(str(target))
    assert sources[0].media_dir == tmp_path


def test_everything_that_is_wrong_is_counted_and_listed(tmp_path):
    whole, *wrong = map(json.dumps, (ROW, ROW | {"thought": ""}, ROW | {"question": " "}))
    lines = [whole, "{broken", *wrong, "[1]"]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    card = _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl")
    assert (card.rows_in, card.kept, sum(card.dropped.values())) == (5, 1, 4)
    left = card.listed
    assert [row["place"].rsplit(":", 1)[1] for row in left] == ["2", "3", "4", "5"]
    assert left[0]["reason"] == "not JSON" and left[3]["reason"] == "the row is not an object"
    markdown, programs = card_files(tmp_path / "out.jsonl")
    told = json.loads(programs.read_text())
    assert told["kept"] == 1 and len(told["listed"]) == 4 and told["inputs"][0]["sha256"]
    assert "rows.jsonl:2" in markdown.read_text() and "left out: not JSON | 1" in markdown.read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_is_written_where_nothing_can_be(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n' * 3)
    with pytest.raises(ValueError, match="none of 3 rows can be converted"):
        _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl")

    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_rows_of_several_formats_are_brought_to_one(tmp_path):
    rows = [ROW, {"question": "Why?", "response": "<think>a</think>b"}]
    write(tmp_path / "rows.jsonl", rows)
    card = _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl")
    assert card.kept == 2 and "thought_solution (1, first at" in card.notes[0] and "rows.jsonl:2)" in card.notes[0]
    sources, _ = find_sources(str(tmp_path / "out.jsonl"))
    assert {record.format for record in measure(sources, Settings(), 1, None)} == {"thought_solution"}


def test_images_carried_by_rows_become_files_that_resolve(tmp_path, visual_questions):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from virgo_factory.data.read.media import find_image

    asked = visual_questions[::10][:4]
    contents = [question.picture.read_bytes() for question in asked]
    rows = [
        {"id": question.id, "question": question.question, "thought": "Look.", "solution": question.answer, "images": [{"bytes": content, "path": None}]}
        for question, content in zip(asked, contents, strict=True)
    ]  # fmt: skip
    (tmp_path / "in").mkdir()
    pq.write_table(pa.Table.from_pylist([*rows, {**rows[0], "id": "again"}]), tmp_path / "in" / "rows.parquet")
    card = _convert(tmp_path / "in" / "rows.parquet", tmp_path / "out" / "rows.jsonl")
    read = [read_row(row, "long_thought").parts[0] for row in _rows(tmp_path / "out" / "rows.jsonl")]
    assert card.media_dir == str(tmp_path / "out")
    assert all(example.images[0].startswith("rows_images/") for example in read)
    found = [Path(find_image(example.images[0], card.media_dir)) for example in read]
    assert [path.read_bytes() for path in found] == [*contents, contents[0]]
    assert found[0] == found[4]  # one file for one picture


def test_rows_that_carry_images_beside_rows_that_name_them(tmp_path, visual_questions):
    from virgo_factory.data.read.media import find_image

    content = visual_questions[0].picture.read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "named.png").write_bytes(content)
    carried = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    rows = [ROW | {"image": image} for image in ("named.png", carried)]
    write(tmp_path / "in" / "rows.jsonl", rows)
    card = _convert(tmp_path / "in" / "rows.jsonl", tmp_path / "out" / "rows.jsonl")
    assert card.media_dir == str(tmp_path) and card.kept == 2
    for row in _rows(tmp_path / "out" / "rows.jsonl"):
        assert Path(find_image(row["images"][0], card.media_dir)).read_bytes() == content


def test_relative_paths_stay_and_broken_pictures_are_told(tmp_path):
    broken = ("\ud800.png", "data:image/png;base64,bm90IGFuIGltYWdl")
    rows = [ROW | {"image": image} for image in ("a/b.png", "/data/c.png", *broken, "https://x.org/a.png")]
    write(tmp_path / "rows.jsonl", rows)
    card = _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl")
    images = [row["images"] for row in _rows(tmp_path / "out.jsonl")]
    assert images == [["a/b.png"], ["/data/c.png"], ["https://x.org/a.png"]]
    assert card.dropped == {"text is not valid Unicode": 1, "image unreadable": 1}


def test_an_output_is_replaced_only_when_asked_and_a_killed_run_leaves_no_trace(tmp_path):
    _convert(write(tmp_path / "rows.jsonl", [ROW]), tmp_path / "out.jsonl")
    first = (tmp_path / "out.jsonl").read_bytes()
    write(tmp_path / "rows.jsonl", [ROW] * 2)
    with pytest.raises(ValueError, match="--overwrite"):
        _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl")

    assert (tmp_path / "out.jsonl").read_bytes() == first
    (tmp_path / ".out.jsonl.spool").write_text("half")
    (tmp_path / ".out.jsonl.partial").write_text("half")
    assert _convert(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", overwrite=True).kept == 2
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["out.card.json", "out.card.md", "out.jsonl", "rows.jsonl"]


def test_an_input_that_changes_meanwhile_is_told(tmp_path):
    path = write(tmp_path / "rows.jsonl", [ROW] * 3)
    sources, _ = find_sources(str(path))
    with pytest.raises(ValueError, match="changed while it was read"):
        convert(sources, tmp_path / "out.jsonl", "x", progress=lambda done, total: write(path, [ROW] * 9))

    assert not (tmp_path / "out.jsonl").exists()


TEXTS = st.text(st.characters(codec=None, categories=None), max_size=30) | st.sampled_from(
    ["<image> a", "\r\n x \n", "5"]
)
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.lists(TEXTS, max_size=2)
    | st.dictionaries(TEXTS, TEXTS, max_size=1)
)
ROWS = st.fixed_dictionaries(
    {"question": TEXTS, "thought": TEXTS, "solution": TEXTS},
    optional=dict.fromkeys(
        ("id", "images", "answer", "source", "domain", "system", "assistant_prefix", "difficulty", "score"), ANYTHING
    )
    | {
        "rejected": st.fixed_dictionaries({"thought": TEXTS, "solution": TEXTS}),
        "history": st.lists(
            st.fixed_dictionaries({"question": TEXTS, "thought": TEXTS, "solution": TEXTS}), max_size=2
        ),
    },
)


GOOD = st.tuples(st.sampled_from(["Why is it? ", "So it is.\r\n\n Wait, ", "\\boxed{2} "]), st.text(max_size=30)).map(
    "".join
)
PARTS = {"thought": GOOD, "solution": GOOD}
MAYBE = st.none() | GOOD
GOOD_ROWS = st.fixed_dictionaries(
    {"question": GOOD, **PARTS},
    optional=dict.fromkeys(("id", "answer", "source", "domain", "system", "difficulty"), MAYBE)
    | {
        "score": st.lists(st.booleans(), min_size=5, max_size=5),
        "images": st.lists(st.sampled_from(["a.png", "/b/c.jpg"]), max_size=1),
        "history": st.lists(st.fixed_dictionaries({"question": GOOD, **PARTS}), max_size=2),
        "assistant_prefix": st.none() | st.just("<|begin_of_thought|>\n\n"),
        "rejected": st.fixed_dictionaries(PARTS),
    },
)


@given(row=GOOD_ROWS)
def test_any_row_is_rejected_or_comes_back_as_the_same_example(row):
    ranking = "rejected" in row
    source = Source("any", (), "long_thought", Path("."), Options(ranking=ranking))
    (part, *_) = read_row(row, "long_thought", source.options).parts
    if isinstance(part, RejectedRow):
        return event(part.reason)

    try:
        images = tuple(portable_images(part.images, source, Media(Path("."), Path("no folder"))))
    except RejectedRow as error:
        return event(error.reason)

    event("converted")
    line = json.dumps(normal_row(replace(part, images=images), difficulty=difficulty_of(row)), ensure_ascii=False)
    (again, *_) = read_row(json.loads(line.encode()), "long_thought", source.options).parts
    assert replace(again, format=None) == replace(part, format=None, images=images)


@pytest.mark.slow
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_any_rows_are_counted_whatever_they_are(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "rows.jsonl"), rows)
        try:
            card = _convert(path, Path(folder, "out.jsonl"))
        except ValueError as error:
            assert f"none of {len(rows):,} rows can be converted" in str(error)
        else:
            assert card.rows_in == len(rows) == card.kept + sum(card.dropped.values())
            assert len(_rows(Path(folder, "out.jsonl"))) == card.kept


def test_marks_and_requests_are_told_by_the_card(tmp_path):
    said = "<think>\nA.\n</think>\n\nA"
    messages = [
        {"role": "user", "content": "Which? Put your reasoning in <think> </think> tags."},
        {"role": "assistant", "content": said, "loss": False},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": said},
    ]
    rows = [{"id": "a", "messages": messages}, {"id": "b", "messages": messages[2:], "score": 0.37}]
    path = write(tmp_path / "rows.jsonl", rows)
    card = _convert(path, tmp_path / "out.jsonl")
    assert card.kept == 2 and set(card.notes) == {
        "1 with turns that are not learned.",
        "1 with a request for other tags taken out of the prompt.",
        "1 mark not understood: score.",
    }
    first, second = _rows(tmp_path / "out.jsonl")
    assert (first["loss"], second["loss"]) == ([False, True], []) and first["history"][0]["question"] == "Which?"
