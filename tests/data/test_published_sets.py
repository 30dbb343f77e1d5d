"""Sets of 2025 and 2026 from Parquet with their pictures inside: recognised without `columns`, checked, shown, sliced.

Columns as their cards, or those who downloaded them, name them; rows and pictures are made here.
"""

import io
import json
from base64 import b64encode
from pathlib import Path

import pytest
from datasets import Dataset, Image, Sequence
from PIL import Image as Pixels

from tests.data.conftest import write as write_jsonl
from virgo_factory.data.read.source import find_sources, shown_formatting


CARD = "original_question", "qwen3vl_235b_instruct_caption", "qwen3vl_4b_pass_rate"
DOWNLOADED = "ori_question", "caption", "pass_rate"
"""What three columns of MMFineReason are called, by its card and in the 123K rows."""
THOUGHT = "Look at the shape. It has one colour. Wait, is it red? Yes."
PARTS = "<think>{}</think>\n\nThe shape is red.\n\nTherefore, the final answer is <answer>A</answer>."
OMR = "<think>{}</think><answer>A</answer>"
SYSTEM = (
    "You are a helpful assistant. When the user asks a question, your response must include two parts: first, the reasoning "
    "process enclosed in <think>...</think> tags, then the final answer enclosed in <answer>...</answer> tags."
    "Please provide a clear, concise response within <answer> </answer> tags that directly addresses the question."
)


def picture(number: int = 0, kind: str = "PNG") -> dict:
    """Return a picture as `datasets` keeps one in a file: its bytes, and no path."""
    file = io.BytesIO()
    Pixels.new("RGB", (64 + 4 * number, 48), "red").save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


def write(path: Path, rows: list[dict], pictures: str | None = None) -> Path:
    """Write rows with a column of pictures, or of lists of them, as `to_parquet` does."""
    table = Dataset.from_list(rows)
    if pictures:
        kind = Sequence(Image()) if isinstance(rows[0][pictures], list) else Image()
        table = table.cast_column(pictures, kind)

    table.to_parquet(path)
    return path


@pytest.fixture
def run(call):
    """Return what a command of `data` prints; it must end with this exit code."""

    def printed(*arguments: object, code: int = 0) -> str:
        found, out, err = call("data", *arguments)
        assert found == code, err
        return out if code == 0 or out else err

    return printed


def added(run, file: Path, **expected) -> dict:
    """Return what `data add` finds in a file of the current folder; it has to be what is expected, and in the entry."""
    found = json.loads(run("add", file.stem, file.name, "--json"))
    assert {name: found[name] for name in expected} == expected
    assert json.loads(Path("dataset_info.json").read_text())[file.stem] == found["entry"]
    assert set(found["entry"]) == {"file_name", "formatting"}, "nothing had to be named"
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A folder of a tokenizer and an image processor, for previews."""
    from virgo_factory.preflight.twin.twin import make_twin

    return str(make_twin(tmp_path_factory.mktemp("model"), layers=1, heads=2, vision_layers=1))


RESPONSES = [
    PARTS.format(THOUGHT),
    f"<think>\n{THOUGHT} So <answer>A</answer>.\n</think>\n\nIt is <answer>A</answer>.",
    OMR.format(THOUGHT),
    f"<think>{THOUGHT}</think>\n\nRed, so \\boxed{{A}}.",
    f"<think>{THOUGHT}",
    PARTS.format(THOUGHT),
]


@pytest.mark.parametrize("names", [CARD, DOWNLOADED], ids=["the card's columns", "the download's"])
def test_mmfinereason(tmp_path, run, model, names):
    """The last row is one whose answer disagrees with the gold one: the raw set has them."""
    question, caption, rate = names
    rows = [
        {
            **{"source": "BMMR", "id": number, question: "Colour?", "original_answer": "A", "image": picture(number)},
            "question": f"<image>What colour is shape {number}? A. red B. blue",
            **{"answer": "A", caption: "A shape."},
            **{"qwen3vl_235b_thinking_response": response, rate: number / 4 if number < 5 else 0.0},
            **{"is_consistent": number < 5, "consistency_analysis": "Both say A."},
        }
        for number, response in enumerate(RESPONSES)
    ]  # fmt: skip
    file = write(tmp_path / "mmfr.parquet", rows, "image")
    dropped = {"no </think>": 1, "the response is marked wrong": 1}
    added(run, file, format="think_answer", rows=6, kept=4, dropped=dropped)
    shown = run("preview", "mmfr", "2", "--tokenizer", model, "--template", "think_qwen3_vl")
    assert "[image 1: in the row itself, 68x48" in shown
    assert f"<think>\n{THOUGHT} So <answer>A</answer>.\n</think>\n\nIt is <answer>A</answer>.<|im_end|>" in shown

    report = json.loads(run("check", "mmfr", "--json", code=1))
    (account,) = report["datasets"]
    assert account["notes"] == {}, (
        "no caption is missed beside its picture, and no rate of 0 is a mark of the response"
    )

    for what in ("mmfr", file.name):
        told = run("slice", what, "hard.parquet", "--pass-rate", "0:0.25", "--overwrite")
        assert "hard.parquet: 6 rows read, 3 written, 3 left out" in told
        assert '"hard": {"file_name": "hard.parquet", "formatting": "long_thought"}' in told


def test_honey_data(tmp_path, run, model):
    """Rows of both levels of thought; those of the lower one have none that could be learned."""
    answers = [
        f"<think>\n{THOUGHT}\n</think>\n\nRed.",
        "<think>\n\n</think>\n\nRed.",
        "It is red, for its fill is red.",
    ]
    rows = [
        {
            "id": f"h{number}",
            "conversations": [{"from": "human", "value": f"<image>\nWhat colour is {number}?"}, {"from": "gpt", "value": answer}],
            **{"images": [picture(number, "JPEG")], "source": "VisText", "img_phash": ["ff"], "img_size": [[64, 48]]},
        }
        for number, answer in enumerate(answers)
    ]  # fmt: skip
    file = write(tmp_path / "honey.parquet", rows, "images")
    dropped = {"the thought is empty": 1, "no tags of a known format": 1}
    added(run, file, format="think", rows=3, kept=1, dropped=dropped)
    shown = run("preview", "honey", "1", "--tokenizer", model)
    assert "[image 1: in the row itself, 64x48" in shown and "<think>" not in shown


def part(kind: str, value) -> dict:
    """Return a piece of a message as Parquet holds it: each has the keys of all."""
    return {"type": kind, "text": None, "image_url": None, "image": None} | {kind: value}


INSIDE = [
    ("path", part("image_url", {"url": "gone/1.png"}), {"images": [picture()]}),
    ("address", part("image_url", {"url": f"data:image/png;base64,{b64encode(picture()['bytes']).decode()}"}), {}),
    ("bytes", part("image", picture()), {}),
    ("place", part("image", None), {"images": [picture()]}),
]


@pytest.mark.parametrize(("pictures", "more"), [case[1:] for case in INSIDE], ids=[case[0] for case in INSIDE])
def test_openmmreasoner_with_pictures_inside(tmp_path, run, model, pictures, more):
    """One id for all responses to a question, and an answer None where the teacher gave none."""
    rows = [
        {
            "id": "wemath-9",
            "messages": [
                {"role": "system", "content": [part("text", SYSTEM)]},
                {"role": "user", "content": [pictures, part("text", "Which net folds?")]},
                {"role": "assistant", "content": [part("text", f"<think>{THOUGHT} {answer}</think><answer>{answer}</answer>")]},
            ],
            **more,
        }
        for answer in ("A", "B", "None")
    ]  # fmt: skip
    file = write(tmp_path / "omr.parquet", rows, "images" if "images" in more else None)
    added(run, file, format="think_answer", rows=3, kept=2, dropped={"the solution is None": 1})
    shown = run("preview", "omr", "2", "--tokenizer", model, "--template", "omr")
    assert "64x48" in shown and f"<think>{THOUGHT} B</think><answer>B</answer><|im_end|>" in shown


def test_llava_onevision_1_5(tmp_path, run, model):
    """Sub-sets joined into one file have the keys of both kinds of messages, empty where a message is of the other."""
    response = f"<think>{THOUGHT}</think>\n\nGreen."

    def said(**own) -> dict:
        return {"content": None, "from": None, "role": None, "value": None} | own

    rows = [
        [said(**{"from": "human", "value": "<image>\nWhat?"}), said(**{"from": "gpt", "value": response})],
        [said(role="user", content="<image>\nWhich?"), said(role="assistant", content=response)],
        [said(role="user", content="Where?"), said(role="assistant", content=response)],
        [said(**{"from": "human", "value": "<image>\nWhose?"}), said(**{"from": "gpt", "value": "Green."})],
    ]
    rows = [
        {
            "id": f"o{number}",
            "image": None if number == 2 else picture(number),
            "conversations": row,
            "data_source": "x",
        }
        for number, row in enumerate(rows)
    ]
    file = write(tmp_path / "ov15.parquet", rows, "image")
    added(run, file, format="think", rows=4, kept=3, dropped={"no tags of a known format": 1})
    assert "[image 1: in the row itself, 68x48" in run("preview", "ov15", "2", "--tokenizer", model)


@pytest.mark.parametrize("inside", [True, False], ids=["pictures inside", "paths, as published"])
def test_virl39k_is_a_set_of_prompts(tmp_path, run, inside):
    golds = ["\\boxed{2}", "\\boxed{A}", "\\boxed{17^\\circ}", "\\boxed{3.5}"]
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{number}.png").write_bytes(picture(number)["bytes"])

    rows = [
        {
            "question": "<image>\nHow many?" if number else "How many?",
            "answer": gold,
            "PassRate_32BTrained": [1.0, 0.5, 0.25, 0.0][number],
            "PassRate_7BBase": [-1.0, 0.25, 0.0, -1.0][number],
            **{"category": "(GradeSchool) Geometric", "source": "Processed", "qid": f"Processed-{number}-0"},
            "image": [picture(number) if inside else f"images/{number}.png"] if number else [],
        }
        for number, gold in enumerate(golds)
    ]  # fmt: skip
    file = write(tmp_path / "virl.parquet", rows[1:] + rows[:1], "image" if inside else None)
    found = added(run, file, format="questions", rows=4, kept=4, dropped={})
    assert found["entry"]["formatting"] == "questions" and "omr7b_gspo.yaml dataset=virl" in found["next"]
    report = json.loads(run("check", file.name, "--json"))
    assert (report["summary"]["kept"], report["kinds"]) == (4, [])

    told = run("slice", file.name, "some.parquet", "--pass-rate", "0:0.25", code=1)
    assert "PassRate_32BTrained, PassRate_7BBase are pass rates of several models" in told
    chosen = ["--pass-rate", "0:0.25", "--pass-rate-column", "PassRate_7BBase"]
    told = run("slice", file.name, "some.parquet", *chosen)
    assert "4 rows read, 2 written, 2 left out" in told and "2  no pass rate" in told
    assert '"formatting": "questions", "columns": {"pass_rate": "PassRate_7BBase"}' in told
    named = {"virl": found["entry"] | {"columns": {"pass_rate": "PassRate_32BTrained"}}}
    Path("dataset_info.json").write_text(json.dumps(named))
    assert "4 rows read, 2 written" in run("slice", "virl", "other.parquet", "--pass-rate", "0:0.25")
    run("check", "virl")


@pytest.mark.parametrize(
    ("row", "formatting"),
    [
        ({"problem": "1 + 1?", "answer": "\\boxed{2}", "images": []}, "questions"),
        ({"prompt": [{"role": "user", "content": "1 + 1?"}], "reward_model": {"ground_truth": "2"}}, "questions"),
        ({"question": "1 + 1?", "answer": "2", "pass_rate": 0.5}, "questions"),
        ({"question": "1 + 1?", "answer": "2"}, "long_thought"),
        ({"question": "1 + 1?", "answer": "2", "pass_rate": 0.5, "response": "<think>a</think>2"}, "long_thought"),
        ({"question": "1 + 1?", "answer": "So \\boxed{2}"}, "long_thought"),
        ({"pass_rate": 0.5}, "long_thought"),
    ],
)
def test_rows_show_by_themselves_that_they_are_prompts(tmp_path, row, formatting):
    file = write_jsonl(tmp_path / "rows.jsonl", [row])
    assert shown_formatting((file,)) == formatting
    assert find_sources(str(file))[0][0].formatting == formatting
    assert find_sources(str(file), formatting="virgo_dt")[0][0].formatting == "virgo_dt"
