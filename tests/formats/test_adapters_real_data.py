"""Real rows of six families: which are kept, why the others are not, and that nothing in them is lost.

What is expected of a row is worked out here from its text by regular expressions, not by the code under test.
"""

import json
import re
from collections import Counter

import pytest

from virgo_factory.core.example import Example
from virgo_factory.formats import Options, options_of, read_row


MARKERS = [f"<|{edge}_of_{part}|>" for part in ("thought", "solution") for edge in ("begin", "end")]
THINK = ["<think>", "</think>", "<answer>", "</answer>"]
OUTPUT = ["<Thought>", "</Thought>", "<Output>", "</Output>"]


def between(text, tags):
    """Return the two texts between four tags, each of them there once and nothing else outside; None if it is not so."""
    begin, end, answer, close = map(re.escape, tags)
    found = re.fullmatch(rf"\s*{begin}(.*){end}\s*{answer}(.*){close}\s*", text, re.DOTALL)
    if not found or any(text.count(tag) != 1 for tag in tags):
        return None

    thought, solution = (part.replace("\r\n", "\n").strip() for part in found.groups())
    return (thought, solution) if thought and solution else None


def rows_of(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]

    rows = json.loads(text)
    return rows if isinstance(rows, list) else list(rows.values())


def read_all(rows, options=Options()):
    """Return the only part of each row, and the formats that were recognised."""
    readings = [read_row(row, "long_thought", options) for row in rows]
    assert all(len(reading.parts) == 1 for reading in readings)
    return [reading.parts[0] for reading in readings], Counter(reading.format for reading in readings)


def check(rows, parts, expected):
    """Compare parts with what is expected of the rows; return how many are kept and how many not, by reason."""
    told = Counter()
    for row, part, texts in zip(rows, parts, map(expected, rows), strict=True):
        if isinstance(part, Example):
            assert (part.response.thought, part.response.solution) == texts, row
            told["kept"] += 1
        else:
            assert texts is None, (part, row)
            told[part.reason] += 1

    ids = [part.id for part in parts if isinstance(part, Example)]
    assert len(set(ids)) == len(ids) and all(ids)
    return dict(told)


def scored(row):
    return between(row["code"][0], MARKERS) if row["score"] == [True] else None


def keyed(row):
    (response,) = row["responses"].values()
    return between(response["content"], MARKERS) if response["correctness"] is True else None


WRONG, NO_TAGS = "no correct response", "no tags of a known format"
SKYTHOUGHT = {
    "qwen2.5_32b_instruct__aime__still2_sys_zero.json": {"kept": 6, WRONG: 24},
    "qwen2.5_32b_instruct__math500__cw_0.1.json": {
        "kept": 315, WRONG: 111, "no <|begin_of_thought|>": 59, "text before the thought": 13,
        "a marker occurs more than once": 1, "no end of thought": 1},
    "sky_t1_math_correct_5k_27b__math500.jsonl": {
        "kept": 166, WRONG: 200, NO_TAGS: 117, "no end of solution": 12, "no end of thought": 5},
    "sky_t1_math_correct_5k_32b_ckpt133__aime24.jsonl": {"kept": 11, WRONG: 18, "no end of solution": 1},
    "sky_t1_math_corrupt_0.5_32b__amc23.jsonl": {"kept": 31, WRONG: 9},
    "sky_t1_math_reflection_1.0_32b__amc23.jsonl": {"kept": 31, WRONG: 9},
    "sky_t1_math_wrong_5k_27b__minerva_math.jsonl": {
        "kept": 56, WRONG: 203, "no end of solution": 5, NO_TAGS: 5, "no end of thought": 3},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), SKYTHOUGHT.items(), ids=SKYTHOUGHT)
def test_skythought(shared_data, name, expected):
    """1,412 rows of one response: marked wrong by the repository's own scripts, or not in the four markers, or kept."""
    rows = rows_of(shared_data / "skythought" / name)
    parts, formats = read_all(rows)
    assert check(rows, parts, keyed if name.endswith(".json") else scored) == expected
    assert set(formats) <= {"four_markers", None}
    response = (lambda row: next(iter(row["responses"].values()))["content"]) if name.endswith(".json") else None
    tagged = sum(any(marker in (response(row) if response else row["code"][0]) for marker in MARKERS) for row in rows)
    assert formats["four_markers"] == tagged
    for row, part in zip(rows, parts, strict=True):
        if isinstance(part, Example):
            assert part.question == row.get("question", row.get("problem"))
            assert part.answer == str(row.get("gt", row.get("answer")))


def test_skythought_in_all(shared_data):
    assert {path.name for path in (shared_data / "skythought").glob("*.json*")} == set(SKYTHOUGHT)
    totals = Counter(sum(map(Counter, SKYTHOUGHT.values()), Counter()))
    assert totals.total() == 1412
    correct = sum(
        row["score"] == [True] for path in (shared_data / "skythought").glob("*.jsonl") for row in rows_of(path)
    )
    correct += sum(
        response["correctness"]
        for path in (shared_data / "skythought").glob("*.json")
        for row in rows_of(path)
        for response in row["responses"].values()
    )
    assert totals.total() - totals[WRONG] == correct


def test_marco_o1(shared_data):
    rows = rows_of(shared_data / "marco_o1" / "CoT_demo.json")
    parts, formats = read_all(rows)
    assert check(rows, parts, lambda row: between(row["response"], OUTPUT)) == {"kept": 123, "no </Output>": 2}
    assert formats == {"thought_output": 125}
    assert [part.question for part in parts if isinstance(part, Example)] == [
        row["instruction"] for row in rows if between(row["response"], OUTPUT)
    ]


def test_huatuogpt_o1(shared_data):
    rows = rows_of(shared_data / "huatuogpt_o1" / "demo_data.json")
    parts, formats = read_all(rows)
    assert check(rows, parts, lambda row: (row["Complex_CoT"].strip(), row["Response"].strip())) == {"kept": 198}
    assert formats == {"huatuogpt_o1": 198}
    assert [part.question for part in parts] == [row["Question"] for row in rows]
    assert [part.answer for part in parts] == [row["Ground-True Answer"].strip() for row in rows]


def lpt_entries(shared_data):
    folder = shared_data / "long_perceptual_thoughts"
    infos = [json.loads(path.read_text()) for path in sorted(folder.glob("*dataset_info.json"))]
    return {name.split("/")[1]: entry for info in infos for name, entry in info.items()}


def lpt(shared_data, name):
    rows = rows_of(shared_data / "long_perceptual_thoughts" / f"{name}.json")
    return rows, options_of(lpt_entries(shared_data)[name] | {"formatting": "long_thought"})


LPT_SYSTEM = re.compile(
    r"A conversation between User and Assistant\..*</answer>\. (The following question requires .*)", re.DOTALL
)


def test_lpt_sft(shared_data):
    rows, options = lpt(shared_data, "sft_docci_all_extended_cots")
    parts, formats = read_all(rows, options)
    assert check(rows, parts, lambda row: between(row["messages"][-1]["content"], THINK)) == {"kept": 94}
    assert formats == {"think_answer": 94}
    prefixed = 0
    for row, part in zip(rows, parts, strict=True):
        assert part.question == row["messages"][1]["content"] and part.images == tuple(row["images"])
        assert part.system == LPT_SYSTEM.fullmatch(row["messages"][0]["content"])[1]
        assert "<think>" not in part.system and "<answer>" not in part.system
        prefix = row["assistant_prefix"]
        if not prefix:
            assert part.assistant_prefix == ""
            continue

        prefixed += 1
        text, response = row["messages"][-1]["content"], part.response.render()
        assert response.startswith(part.assistant_prefix) and text.startswith(prefix)
        assert part.assistant_prefix.split(MARKERS[0])[1].strip() == prefix.split("<think>")[1].strip()
        target = text[len(prefix) :].replace("</think>", "").replace("<answer>", "").replace("</answer>", "")
        rendered = response[len(part.assistant_prefix) :]
        for marker in MARKERS:
            rendered = rendered.replace(marker, "")

        assert rendered.split() == target.split(), "what is left to train on is what the source leaves"

    assert prefixed == 47


PAIRS = [("dpo_docci_all_extended_cots_O", 52), ("dpo_docci_all_extended_cots_X_O", 104)]


@pytest.mark.parametrize(("name", "count"), PAIRS)
def test_lpt_preference(shared_data, name, count):
    rows, options = lpt(shared_data, name)
    assert options.ranking
    parts, formats = read_all(rows, options)
    assert check(rows, parts, lambda row: between(row["chosen"]["content"], THINK)) == {"kept": count}
    assert formats == {"think_answer": count}
    for row, part in zip(rows, parts, strict=True):
        assert (part.rejected.thought, part.rejected.solution) == between(row["rejected"]["content"], THINK)
        assert part.question == row["messages"][-1]["content"] and part.images == tuple(row["images"])
        assert part.history == () and part.assistant_prefix == ""

    refused, _ = read_all(rows)
    assert {part.reason for part in refused} == {"a preference pair"}


def test_lpt_files_that_hold_no_long_thoughts(shared_data):
    """Answers without a thought, and prompts with a thought begun: neither is long-thought data."""
    rows, options = lpt(shared_data, "sft_docci_all_mcqs")
    parts, formats = read_all(rows, options)
    assert check(rows, parts, lambda row: between(row["messages"][-1]["content"], THINK)) == {"no opening <think>": 40}
    assert formats == {"think_answer": 40}
    rows, options = lpt(shared_data, "sft_docci_thought_expansion")
    parts, formats = read_all(rows, options)
    assert check(rows, parts, lambda row: between(row["messages"][-1]["content"], THINK)) == {"no </think>": 400}
    assert formats == {None: 400}, "a think tag alone may be of two formats"


@pytest.mark.slow
def test_screen_traces(shared_data):
    """Neither question nor screenshot is in these rows; with an instruction they are examples."""
    (path,) = (shared_data / "vlm_reasoning_traces").rglob("*.jsonl")
    rows = rows_of(path)
    assert not any({"instruction", "question", "goal", "image", "filename"} & set(row) for row in rows)
    parts, formats = read_all(rows)
    assert check(rows, parts, lambda row: None) == {"no question": 500}
    assert formats == {"screen_traces": 500}
    asked = [row | {"instruction": "Open it.", "filename": "a.png"} for row in rows]
    parts, _ = read_all(asked)
    assert check(asked, parts, lambda row: (row["thinking"][0].strip(), row["text"][0].strip())) == {"kept": 500}


def test_mathvision_think_outputs(shared_data):
    """`<think>` outputs with an LLM judge's verdicts; the questions name parts of their one picture <image1>, ..."""
    rows = rows_of(shared_data / "mathvision" / "outputs" / "vprm_think_judge_results.jsonl")
    parts, formats = read_all(rows)
    assert check(rows, parts, lambda row: between(row["model_response"], THINK) if row["judgment"] else None) == {
        "kept": 42, "the response is marked wrong": 73, "no </think>": 21, "no opening <think>": 4, NO_TAGS: 3,
    }  # fmt: skip
    whole = [row for row in rows if between(row["model_response"], THINK)]
    assert (len(whole), sum(row["judgment"] for row in whole)) == (115, 42)
    answers = sum("<answer>" in row["model_response"] for row in rows)
    assert formats == {"think_answer": answers, None: len(rows) - answers}
    for row, part in zip(rows, parts, strict=True):
        if isinstance(part, Example):
            tags = set(re.findall(r"<image\d>", row["question"]))
            asked = row["question"].replace("<image1>", "<image>", 1)
            if len(tags) > 1:
                asked = "<image>\n" + re.sub(r"<image(\d)>", r"image \1", row["question"])

            assert part.question == asked if tags else part.question == f"<image>\n{row['question']}"
            assert part.images == tuple(row["image"])
            assert (part.answer, part.id) == (row["standard_answer"], row["id"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Gemini-Pro-CoT", "Qwen-VL-Max-CoT", "InternLM-XComposer2-VL-CoT"])
def test_outputs_without_a_question_are_of_no_known_format(shared_data, name):
    rows = rows_of(shared_data / "mathvision" / "outputs" / f"{name}.jsonl")
    parts, formats = read_all(rows)
    assert {part.reason for part in parts} == {"format not known"} and formats == {None: 1558}
    assert "columns found: id, model, response, model_answer, correct; expected one of: messages" in parts[0].detail
