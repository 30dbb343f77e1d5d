"""Tests of virgo_factory/data/show/preview.py: what is shown is what is tokenised, on real rows of several families."""

import html
import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from tests.data.conftest import write
from virgo_factory.core.example import Example
from virgo_factory.data.read.source import find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.data.show.preview import articles, lines, preview
from virgo_factory.data.tokens.tokens import RowTokenizer
from virgo_factory.report.page import write_page


pytestmark = pytest.mark.usefixtures("one_vocabulary")


@pytest.fixture(scope="session")
def tokenizer(model_folder):
    return str(model_folder)


@pytest.fixture
def look(tokenizer):
    """A function: path, wanted rows, recipe keys -> their previews, and the settings."""

    def run(path, wanted="1-1000", **keys):
        sources, settings = find_sources(str(path), tokenizer=tokenizer, **keys)
        return list(preview(sources, settings, wanted)), settings

    return run


def text_of(row, *kinds) -> str:
    return "".join(piece.text for part in row.parts for piece in part.pieces if part.kind in kinds)


def visual_rows(visual_questions, shared_data) -> list[dict]:
    """Return real questions with a long thought each, as chat rows."""
    rows = []
    for item in visual_questions:
        thought = f"The question is: {item.question}\nLet me look. Wait, once more. So it is {item.answer}."
        answer = f"<think>\n{thought}\n</think>\n\n\\boxed{{{item.answer}}}"
        messages = [{"role": "user", "content": f"<image>{item.question}"}, {"role": "assistant", "content": answer}]
        picture = str(item.picture.relative_to(shared_data))
        domain = item.config.partition("(")[0]
        rows.append({"id": item.id, "messages": messages, "images": [picture], "domain": domain})

    return rows


@pytest.mark.slow
@pytest.mark.parametrize("file", ["marco_o1/CoT_demo.json", "huatuogpt_o1/demo_data.json"])
def test_all_of_a_row_is_shown_and_counted(file, look, shared_data):
    rows, settings = look(shared_data / file, "1-60", cutoff_len=4096)
    assert len(rows) == 60
    for row in rows:
        if row.reason:
            assert row.raw and not row.parts
            continue

        assert [part.kind for part in row.parts] == ["prompt", "trained"]
        (turn,) = row.example.turns
        assert text_of(row, "trained") == f"{turn.response.render()}<|im_end|>\n"
        system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        asked = f"<|im_start|>user\n{turn.question}<|im_end|>\n<|im_start|>assistant\n"
        assert text_of(row, "prompt") == system + asked
        assert sum(part.tokens for part in row.parts) == row.tokens.total  # segments and counts are two ways to it
        shown = "".join(text for _, text in lines(row, settings))
        assert turn.question.splitlines()[0] in shown
        assert f"whole row {row.tokens.total:,} tokens of cutoff_len 4,096" in shown

    assert any(row.reason for row in rows) == (file == "marco_o1/CoT_demo.json")


@pytest.mark.slow
def test_pictures_by_size_and_tokens(look, visual_questions, shared_data, tmp_path):
    path = write(tmp_path / "rows.jsonl", visual_rows(visual_questions, shared_data))
    rows, settings = look(path, media_dir=str(shared_data), question_prefix="virgo")
    assert len(rows) == len(visual_questions)
    plain = RowTokenizer(settings)
    for row, item in zip(rows, visual_questions, strict=True):
        width, height = Image.open(item.picture).size
        (image,) = row.images
        assert (image.name, image.width, image.height) == (str(item.picture.relative_to(shared_data)), width, height)
        assert abs(image.tokens - width * height / 28**2) <= (width + height) / 28 + 1
        text = sum(len(segment.ids) for segment in plain.encode(row.example)) - 1  # without sizes: one pad an image
        assert row.tokens.image == image.tokens == sum(part.tokens for part in row.parts) - text
        pictures = [piece for part in row.parts for piece in part.pieces if piece.image is not None]
        told = f"image 1: {image.name}, {width}x{height}, {image.tokens:,} tokens"
        assert [piece.text for piece in pictures] == [told]
        assert "<|vision_end|>Please first think deeply" in text_of(row, "prompt")


def test_pictures_in_the_rows_themselves(look, visual_questions, shared_data, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = visual_rows(visual_questions[:3], shared_data)
    for row, item in zip(rows, visual_questions, strict=False):
        row["images"] = [{"bytes": item.picture.read_bytes(), "path": item.picture.name}]

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    seen, settings = look(tmp_path / "rows.parquet")
    assert [(row.reason, row.place) for row in seen] == [("", f"{tmp_path}/rows.parquet row {n}") for n in (1, 2, 3)]
    assert [row.images[0].name for row in seen] == [item.picture.name for item in visual_questions[:3]]
    assert write_page(tmp_path / "page.html", "rows", articles(iter(seen), settings, folded=True)) == 3
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count('src="data:image/png;base64,iVBOR') == 3


@pytest.mark.slow
def test_prefix_is_context(look, shared_data, tmp_path):
    source = shared_data / "long_perceptual_thoughts/sft_docci_all_extended_cots.json"
    raw = json.loads(source.read_text(encoding="utf-8"))
    rows, _ = look(source)
    assert len(rows) == len(raw)
    for row, given in zip(rows, raw, strict=True):
        prefix = given["assistant_prefix"].removeprefix("<think>").strip()
        kinds = ["prompt", "context", "trained"] if prefix else ["prompt", "trained"]
        assert [part.kind for part in row.parts] == kinds
        assert prefix in text_of(row, "context")
        assert text_of(row, "context") + text_of(row, "trained") == f"{row.example.response.render()}<|im_end|>\n"
        assert row.reason == "image outside media_dir" and row.parts, "its pictures are not here: shown all the same"


def test_both_sides_of_a_pair(look, shared_data):
    rows, _ = look(shared_data / "long_perceptual_thoughts/dpo_docci_all_extended_cots_X_O.json", "1-10")
    for row in rows:
        kinds = [(part.title, part.kind) for part in row.parts]
        assert kinds[-2:] == [("chosen", "trained"), ("rejected", "rejected")]
        chosen, rejected = ("".join(piece.text for piece in part.pieces) for part in row.parts[-2:])
        assert chosen == f"{row.example.response.render()}<|im_end|>\n"
        assert rejected == f"{row.example.rejected.render()}<|im_end|>\n" != chosen


def test_the_common_beginning_of_a_pair_is_context(look, tmp_path):
    beginning = "I see two flags."
    row = {
        "id": "a", "question": "How many?", "thought": f"{beginning} Wait, three.", "solution": "3",
        "rejected": {"thought": f"{beginning} Yes.", "solution": "2"},
        "assistant_prefix": f"<|begin_of_thought|>\n\n{beginning}",
    }  # fmt: skip
    entry = {"file_name": "rows.jsonl", "formatting": "long_thought", "ranking": True}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    write(tmp_path / "rows.jsonl", [row])
    (seen,), _ = look("mine", dataset_dir=str(tmp_path))
    assert seen.reason == "" and [part.kind for part in seen.parts] == ["prompt", "context", "trained", "rejected"]
    context, chosen, rejected = ("".join(piece.text for piece in part.pieces) for part in seen.parts[1:])
    assert context.endswith(beginning) and chosen.startswith(" Wait, three.") and rejected.startswith(" Yes.")


def chat(id, question="Q?", answer="<think>\nHm.\n</think>\n\nA.", **more):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": id, "messages": messages, **more}


TURNS = [
    {"role": "user", "content": "Q1?"}, {"role": "assistant", "content": "<think>\nH1.\n</think>\n\nA1."},
    {"role": "user", "content": "Q2?"}, {"role": "assistant", "content": "<think>\nH2.\n</think>\n\nA2."},
]  # fmt: skip


def test_turns_alternate(look, tmp_path):
    (row,), _ = look(write(tmp_path / "rows.jsonl", [{"id": "t", "messages": TURNS}]))
    assert [part.kind for part in row.parts] == ["prompt", "trained", "prompt", "trained"]
    assert sum(part.tokens for part in row.parts) == row.tokens.total


@pytest.mark.parametrize(
    ("row", "keys", "reason", "detail"),
    [
        (chat("a", answer="<think>\nHm."), {}, "no </think>", "line 2 of the response"),
        (chat("a", "<image>Q?", images=["gone.png"]), {}, "image missing", "no file"),
        (chat("a", "<image>Q?", images=["../x.png"]), {}, "image outside media_dir", "leads out"),
        (chat("a"), {"cutoff_len": 20}, "overlong > 20 tokens", " tokens"),
        (chat("a"), {"cutoff_len": 20, "overlong": "truncate"}, "", "LLaMA-Factory cuts it"),
        (chat("a"), {"min_response_tokens": 2000}, "response < 2000 tokens", " tokens"),
        (chat("a"), {"max_response_tokens": 3}, "response > 3 tokens", " tokens"),
        ("a text", {}, "the row is not an object", "found str"),
    ],
)
def test_why_a_row_is_not_trained_on(row, keys, reason, detail, look, tmp_path):
    (seen,), settings = look(write(tmp_path / "rows.jsonl", [row]), **keys)
    assert seen.reason == reason
    assert detail in seen.detail
    told = [text for kind, text in lines(seen, settings) if kind == "problem"]
    assert len(told) == 1 and told[0].startswith("\nnot trained on: " if reason else "\n")


@pytest.mark.parametrize(
    "keys", [{}, {"min_response_tokens": 5000}, {"max_response_tokens": 3}, {"cutoff_len": 20}], ids=str
)
def test_the_reasons_are_those_of_check(keys, look, tmp_path):
    Image.effect_noise((64, 64), 40).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    rows = [
        *(chat(name, "<image>Q?", images=[f"{name}.png"]) for name in ("whole", "cut", "gone", "../x")),
        chat("both", "<image><image>Q?", images=["cut.png", "gone.png"]),
        chat("malformed", answer="<think>\nHm."),
        chat("forged", question="Q?<|im_end|>"),
        chat("text"),
    ]
    seen, settings = look(path := write(tmp_path / "rows.jsonl", rows), **keys)
    sources, _ = find_sources(str(path))
    checked = list(measure(sources, settings, workers=1, cache=None))
    assert [(row.id, row.reason) for row in seen] == [(row.id, row.reason) for row in checked]
    assert any(row.reason for row in seen)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("1", ["r1"]),
        ("2-3", ["17", "r3"]),
        ("3,1", ["r1", "r3"]),
        ("3-99", ["r3", "r4"]),
        ("r3", ["r3"]),
        ("id:17", ["17"]),
        ("id:r4", ["r4"]),
    ],
)
def test_which_rows(wanted, ids, look, tmp_path):
    path = write(tmp_path / "rows.jsonl", [chat("r1"), chat(17), chat("r3"), chat("r4")])
    rows, _ = look(path, wanted)
    assert [row.id for row in rows] == ids


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("17", "no row 17; there are 2. For the id 17 say id:17."),
        ("0", "Rows are counted from 1"),
        ("3-2", "a range rises"),
        ("nobody", "no row with the id nobody among 2 rows"),
        ("id:3", "no row with the id 3"),
    ],
)
def test_no_such_row(wanted, message, look, tmp_path):
    with pytest.raises(ValueError, match=message):
        look(write(tmp_path / "rows.jsonl", [chat("r1"), chat("r2")]), wanted)


def test_a_broken_line_counts_and_is_told(look, tmp_path):
    path = write(tmp_path / "rows.jsonl", [chat("r1")])
    path.write_text(path.read_text() + "not json\n" + json.dumps(chat("r3")) + "\n")
    assert [row.id for row in look(path, "3")[0]] == ["r3"]
    with pytest.raises(ValueError, match="row 2 is broken. `virgo-factory data check`"):
        look(path, "2")


def test_stock_formattings_are_not_guessed(look, tmp_path):
    with pytest.raises(ValueError, match="--formatting long_thought"):
        look(write(tmp_path / "rows.jsonl", [chat("r1")]), formatting="sharegpt")


def test_a_row_with_several_responses(look, tmp_path):
    response = "<|begin_of_thought|>\n\n{}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n1\n\n<|end_of_solution|>"
    row = {
        "question": "Q?", "answer": "1", "images": [], "score": [1, 1, 0, 1, 1],
        "response": [response.format("long " * n) for n in (9, 7, 1, 5, 8)],
    }  # fmt: skip
    (seen,), _ = look(write(tmp_path / "rows.jsonl", [row]), formatting="virgo_dsd")
    assert seen.example.response.thought == ("long " * 5).strip()
    (again,), _ = look(tmp_path / "rows.jsonl", seen.id, formatting="virgo_dsd")
    assert again.id == seen.id


def texts_of(page: str) -> str:
    """Return the texts of a page's sections, in order, without what stands below pictures."""
    sections = re.findall(r'<div class="content">(.*?)</div>', page, re.DOTALL)
    return html.unescape(re.sub(r"<figcaption.*?</figcaption>|<[^>]*>", "", "".join(sections), flags=re.DOTALL))


def test_the_page_shows_the_same_text(look, visual_questions, shared_data, tmp_path):
    path = write(tmp_path / "rows.jsonl", visual_rows(visual_questions, shared_data)[:12])
    rows, settings = look(path, media_dir=str(shared_data))
    assert write_page(tmp_path / "page.html", "rows", articles(iter(rows), settings, folded=True)) == 12
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    pieces = [piece for row in rows for part in row.parts for piece in part.pieces if piece.image is None]
    assert texts_of(page) == "".join(piece.text for piece in pieces)
    assert page.count("<img") == 12


def test_segments_are_those_of_the_tokenizer(look, tmp_path, monkeypatch):
    """What is shown is not rendered a second time: a change of the segments is a change of the preview."""
    stock = RowTokenizer.encode

    def encode(self, example: Example, sizes=None):
        first, *rest = stock(self, example, sizes)
        return [replace(first, text=first.text.replace("helpful", "CHANGED")), *rest]

    monkeypatch.setattr(RowTokenizer, "encode", encode)
    (row,), _ = look(write(tmp_path / "rows.jsonl", [chat("r1")]))
    assert "You are a CHANGED assistant." in text_of(row, "prompt")


def test_a_turn_that_is_not_learned_is_context(look, tmp_path):
    said = "<think>\nHm.\n</think>\n\nA."
    messages = [{"role": role, "content": text} for role, text in (("user", "Q?"), ("assistant", said)) * 2]
    messages[1] |= {"content": "Ninety-nine.", "weight": 0}
    ((row,), settings) = look(write(tmp_path / "rows.jsonl", [{"id": "a", "messages": messages}]))
    assert [part.kind for part in row.parts] == ["prompt", "context", "prompt", "trained"]
    assert text_of(row, "context") == "Ninety-nine.<|im_end|>\n"
    assert row.parts[1].title == "response: context, not trained on"
    assert row.tokens.prompt == sum(part.tokens for part in row.parts[:3])
    assert any("with turns that are not learned" in text for _, text in lines(row, settings))
