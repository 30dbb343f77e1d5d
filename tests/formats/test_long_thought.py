"""Every family is recognised by its columns and tags; the rows are the layouts of raw_formats.md, filled in here."""

import copy
import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pytest

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.formats import Options, RejectedRow, options_of, read_row
from virgo_factory.formats.families.llamav_o1 import STAGES


BT, ET, BS, ES = MARKERS
ASKED = "Which is larger, A or B?"
THINK = "<think>\nA is 3. Wait, B is 5.\n</think>\n\nSo it is **B**."
THINK_ANSWER = "<think> A is 3. Wait, B is 5. </think> <answer> (B) </answer>"
LONG = LongThought("A is 3. Wait, B is 5.", "(B)")
LONG_REST = LongThought("A is 3. Wait, B is 5.", "So it is **B**.")
SECTIONS = (
    "<SUMMARY> Compare both. </SUMMARY>\n\n<CAPTION> Two boxes. </CAPTION>\n\n"
    "<REASONING> B is taller. </REASONING>\n\n<CONCLUSION> B </CONCLUSION>"
)
HEADINGS = (
    "### Image Description:\nTwo boxes.\n\n### Rationales:\nCompare them.\n\n### Let's think step by step.\n\n"
    "### Step 1:\nB is taller.\n\n### The final answer is:\nB"
)
STEPS = [
    {"count": 1, "title": "Look", "content": "Two boxes.", "next_action": "continue"},
    {"count": 2, "title": "Compare", "content": "B is taller.", "next_action": "final_answer"},
]


def part(row, options=Options(), formatting="long_thought"):
    """Return the only part of a row."""
    (only,) = read_row(row, formatting, options).parts
    return only


def chat(response, question=ASKED, spelling=("role", "content", "user", "assistant"), column="messages", **columns):
    """Return a chat row of one question."""
    role, content, user, assistant = spelling
    return {column: [{role: user, content: question}, {role: assistant, content: response}]} | columns


FROM_VALUE = ("from", "value", "human", "gpt")
FAMILIES = [
    # (name, row, format, attributes of the example)
    (
        "STILL-2",
        {"question": ASKED, "combined_text": LONG.render(), "domain": "math"},
        "four_markers",
        {"response": LONG, "domain": "math", "source": "four_markers"},
    ),
    (
        "Sky-T1",
        chat(LONG.render(), spelling=("from", "value", "user", "assistant"), column="conversations", system="Be brief."),
        "four_markers",
        {"response": LONG, "system": "Be brief."},
    ),
    (
        "OpenThoughts metadata",
        {"problem": ASKED, "deepseek_reasoning": "A is 3.", "deepseek_solution": "B", "ground_truth_solution": "long",
         "domain": "math", "source": "numina", "test_cases": None, "starter_code": None},
        "openthoughts_metadata",
        {"response": LongThought("A is 3.", "B"), "answer": None, "source": "numina", "domain": "math"},
    ),
    (
        "LLaVA-CoT",
        chat(SECTIONS, f"<image>\n{ASKED}", FROM_VALUE, "conversations", id="sqa_1", image="sqa/1/image.png"),
        "four_sections",
        {"id": "sqa_1", "images": ("sqa/1/image.png",),
         "response": LongThought("Compare both.\n\nTwo boxes.\n\nB is taller.", "B")},
    ),
    (
        "Vision-R1",
        chat("<think>\nFour parts.\n</think>\n\n<answer> Final Answer:2/5 </answer>", f"<image>{ASKED}", images=["m/1.png"]),
        "think_answer",
        {"response": LongThought("Four parts.", "Final Answer:2/5"), "images": ("m/1.png",)},
    ),
    (
        "VLAA-Thinking",
        {"id": "c-1.png", "image": "clevr_math/1.png", "question": ASKED, "gt": 6, "caption": "...",
         "ds_answer": "<think>  \nI count four. \n</think>  \n\nFour.\n\n**Answer:** 6",
         "meta": {"caption_model_id": "x", "rationale": ""}},
        "think",
        {"id": "c-1.png", "answer": "6", "question": f"<image>\n{ASKED}", "images": ("clevr_math/1.png",),
         "response": LongThought("I count four.", "Four.\n\n**Answer:** 6")},
    ),
    (
        "LPT",
        chat(THINK_ANSWER, f"<image>{ASKED}", images=["/abs/1.jpg"], assistant_prefix="<think> A is 3.",
             metadata={"mcq_unique_id": "m", "extended_cot_unique_id": "e", "image_id": "1"}),
        "think_answer",
        {"id": "e", "response": LONG, "assistant_prefix": f"{BT}\n\nA is 3."},
    ),
    (
        "Marco-o1",
        {"instruction": ASKED, "response": "<Thought>\nA is 3.\n</Thought>\n<Output>\nB\n</Output>"},
        "thought_output",
        {"response": LongThought("A is 3.", "B")},
    ),
    (
        "alpaca's input",
        {"instruction": "Answer.", "input": ASKED, "output": THINK},
        "think",
        {"question": f"Answer.\n{ASKED}"},
    ),
    (
        "alpaca's input, as pandas writes a missing one",
        {"instruction": ASKED, "input": "nan", "output": THINK},
        "think",
        {"question": ASKED},
    ),
    (
        "HuatuoGPT-o1",
        {"question": "choices", "Question": ASKED, "Complex_CoT": "Hmm.", "Response": "B.", "Ground-True Answer": "B"},
        "huatuogpt_o1",
        {"question": ASKED, "answer": "B", "response": LongThought("Hmm.", "B.")},
    ),
    (
        "the layout of HuatuoGPT-o1 with its other question",
        {"Open-ended Verifiable Question": ASKED, "Complex_CoT": "Hmm.", "Response": "B.", "Ground-True Answer": 5},
        "huatuogpt_o1",
        {"question": ASKED, "answer": "5"},
    ),
    (
        "LPT, a first thought",
        chat(THINK_ANSWER, f"<image>{ASKED}", images=["/abs/1.jpg"], metadata={"mcq_unique_id": "m", "image_id": "1"}),
        "think_answer",
        {"id": f"m-{hashlib.sha256(THINK_ANSWER.encode()).hexdigest()[:8]}"},
    ),
    (
        "reasoning and solution",
        {"problem": ASKED, "reasoning": "Hmm.", "solution": "B.", "answer": "B"},
        "reasoning_solution",
        {"question": ASKED, "answer": "B", "response": LongThought("Hmm.", "B.")},
    ),
    (
        "Insight-V",
        {"question": f"<image>{ASKED}", "image": "a.png", "steps": STEPS,
         "final": {"title": "FINAL ANSWER", "content": "B"}},
        "steps",
        {"response": LongThought("Two boxes.\n\nB is taller.", "B")},
    ),
    (
        "Insight-V as its generator ends",
        {"question": ASKED, "steps": [*STEPS, ["Final Answer", '{"title": "FINAL ANSWER", "content": "B"}', 2.5]]},
        "steps",
        {"response": LongThought("Two boxes.\n\nB is taller.", "B")},
    ),
    (
        "Insight-V, tagged",
        chat("<thoughts>B is taller.</thoughts>\nB", f"<image>{ASKED}", image="a.png"),
        "thoughts",
        {"response": LongThought("B is taller.", "B")},
    ),
    (
        "LlamaV-o1",
        {"image": "1.png", "final_answer": "C", "conversations": [
            message
            for question, answer in zip([f"<image>{ASKED}\n{STAGES[0]}", *STAGES[1:]], ["I will.", "A.", "Step 1", "C"], strict=True)
            for message in ({"from": "human", "value": question}, {"from": "gpt", "value": answer})]},
        "four_stages",
        {"question": f"<image>{ASKED}", "answer": "C", "response": LongThought("I will.\n\nA.\n\nStep 1", "C")},
    ),
    (
        "ScreenSpot trace",
        {"filename": "m.png", "instruction": "open a photo", "text": ["[1, 2]"], "thinking": ["I see a plus."]},
        "screen_traces",
        {"question": "<image>\nopen a photo", "images": ("m.png",), "response": LongThought("I see a plus.", "[1, 2]")},
    ),
    (
        "judged output",
        {"id": "11", "question": ASKED, "model_response": THINK_ANSWER, "judgment": 1, "standard_answer": "B", "answer": "",
         "prompt": "<|im_start|>", "response": [THINK_ANSWER], "image": ["images/11.jpg"], "unfinished": False},
        "think_answer",
        {"id": "11", "answer": "B", "question": f"<image>\n{ASKED}", "response": LONG},
    ),
    (
        "log of the Responses API",
        {"request": {"input": [{"role": "user", "content": [{"type": "input_text", "text": ASKED}]}]},
         "response": {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": THINK}]}]}},
        "think",
        {"question": ASKED, "response": LONG_REST},
    ),
    (
        "normal form",
        {"id": "a", "question": f"<image>{ASKED}", "thought": "Hmm.", "solution": "B", "images": ["a.png"], "answer": "B",
         "source": "somewhere", "domain": "math", "system": "Be brief.", "assistant_prefix": f"{BT}\n\nHm",
         "history": [{"question": "Before?", "thought": "h", "solution": "s"}], "rejected": None},
        "thought_solution",
        {"id": "a", "response": LongThought("Hmm.", "B"), "source": "somewhere", "system": "Be brief.",
         "assistant_prefix": f"{BT}\n\nHm", "history": (Turn("Before?", LongThought("h", "s")),), "answer": "B"},
    ),
    (
        "released D_SD",
        {"question": f"<image>\n{ASKED}", "answer": "B", "score": [1], "response": [LONG.render()], "images": ["f/1.png"]},
        "virgo_dsd",
        {"response": LONG, "answer": "B"},
    ),
]  # fmt: skip
CASES = [pytest.param(*case[1:], id=case[0]) for case in FAMILIES]


@pytest.mark.parametrize(("row", "format", "expected"), CASES)
def test_families(row, format, expected):
    before = json.dumps(row)
    reading = read_row(row, "long_thought")
    (example,) = reading.parts
    assert isinstance(example, Example), example
    assert (reading.format, example.format) == (format, format)
    assert {name: getattr(example, name) for name in expected} == expected
    assert json.dumps(row) == before, "the row is left as it was"


@pytest.mark.parametrize(("row", "format", "expected"), CASES)
def test_a_row_of_arrow_or_numpy_is_the_same_row(row, format, expected):
    """Rows of Parquet come with nulls for missing keys, as tuples, or as NumPy arrays (pandas)."""

    def numpy(value):
        if isinstance(value, list):
            array = np.empty(len(value), dtype=object)
            array[:] = [numpy(item) for item in value]
            return array

        return {name: numpy(item) for name, item in value.items()} if isinstance(value, dict) else value

    read = read_row(row, "long_thought")
    assert read_row({name: numpy(value) for name, value in row.items()}, "long_thought") == read
    assert read_row({name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}, "long_thought") == read
    if format != "steps":  # a list of objects and lists has no type in Arrow
        nulls = dict.fromkeys(
            ["question", "chosen", "rejected", "assistant_prefix", "system", "steps", "image", "metadata"]
        )
        (again,) = pa.Table.from_pylist([nulls | row]).to_pylist()
        assert read_row(again, "long_thought") == read


@pytest.mark.parametrize(("row", "format", "expected"), CASES)
def test_windows_line_ends_and_white_space_change_nothing(row, format, expected):
    def changed(value):
        if isinstance(value, str) and "\n" in value and not value.startswith("{"):
            is_more = value.startswith(("<image>", BT)) and ET not in value  # the end of a question or prefix counts
            return value.replace("\n", "\r\n") + ("" if is_more else " \r\n")

        if isinstance(value, list):
            return [changed(item) for item in value]

        return {name: changed(item) for name, item in value.items()} if isinstance(value, dict) else value

    example, again = part(row), part(changed(row))
    assert again.response == example.response
    assert again.question == example.question


BROKEN = [
    # (name, row, format, reason, in the detail)
    ("nothing", {}, None, "format not known", "columns found: none; expected one of: messages"),
    ("unknown columns", {"a": 1, "b": 2}, None, "format not known", "columns found: a, b"),
    ("a picture's column", {"a": 1, "pic": "p.png"}, None, "format not known", "columns found: a, pic;"),
    ("no question but a picture", {"thought": "a", "solution": "b", "pic": "p.png"}, "thought_solution", "no question", "solution, pic;"),
    ("a list", [], None, "the row is not an object", "found list"),
    ("no tags", chat("It is B."), None, "no tags of a known format", "<|begin_of_thought|>, <think>"),
    ("cut off in the thought", chat("<think>\nA is"), None, "no </think>", "line 2"),
    ("cut off in the answer", chat("<think>a</think><answer>b"), "think_answer", "no </answer>", "line 1"),
    ("only an answer", chat("<answer>(B)</answer>"), "think_answer", "no opening <think>", ""),
    ("thought not closed before the answer", chat("<think>a\n<answer>b</answer>"), "think_answer", "no </think>", ""),
    ("two thoughts", chat("<think>a</think><think>b</think>c"), "think", "a tag occurs more than once", "<think>"),
    ("a think tag in the solution", chat(THINK + "</think>"), "think", "a tag occurs more than once", "line 5"),
    ("wrong order", chat("</think>a<think>b"), "think", "tags out of order", "</think>"),
    ("an answer inside the thought", chat("<think>a<answer>b</answer></think>c"), "think", "a tag out of place", "<answer>"),
    ("text before", chat("Sure. <think>a</think>b"), "think", "text before the thought", "line 1"),
    ("text on both sides of the answer", chat("<think>a</think>x<answer>b</answer>y"), "think_answer", "text between thought and solution", ""),
    ("two answers", chat("<think>a</think>x<answer>b</answer>, <answer>c</answer>"), "think_answer", "a tag occurs more than once", "<answer>"),
    ("an explained answer that is empty", chat("<think>a</think>So <answer> </answer>."), "think_answer", "the solution is empty", ""),
    ("an answer in the thought, none behind", chat("<think>So <answer>b</answer></think>\n"), "think", "a tag out of place", "<answer>"),
    ("text behind", chat("<think>a</think><answer>b</answer>\nc"), "think_answer", "text after the solution", "line 2"),
    ("text between sections", chat(SECTIONS.replace("<CAP", "x<CAP")), "four_sections", "text between thought and solution", ""),
    ("a section missing", chat(SECTIONS.split("<CONCL")[0]), "four_sections", "no opening <CONCLUSION>", ""),
    ("no solution", chat("<think>a</think> \n"), "think", "the solution is empty", ""),
    ("no thought", chat("<think> </think>b"), "think", "the thought is empty", ""),
    ("the answer None", chat("<think>a</think><answer>None</answer>"), "think_answer", "the solution is None", ""),
    ("the question again", chat(f"<think>{ASKED}</think>b"), "think", "the thought repeats the question", ""),
    ("a marker in the thought", chat(f"<think>{BT}</think>b"), "think", "a marker occurs more than once", ""),
    ("headings without an end", chat(HEADINGS.split("### The")[0]), "headings", "no ### The final answer is:", ""),
    ("cut at the token limit", chat(THINK, finish_reason="length"), "think", "the response was cut off at the token limit", ""),
    ("unfinished", {"question": "q", "response": THINK, "unfinished": True}, "think", "the response was cut off at the token limit", ""),
    ("marked wrong", {"question": "q", "response": THINK, "judgment": 0}, "think", "the response is marked wrong", "judgment is 0"),
    ("a marker too much", chat(THINK, "<image><image>q", image="a"), "think", "<image> and images do not match", "2 <image> and 1"),
    ("an image token", chat(THINK.replace("A is", "<|image_pad|>")), "think", "control token in the response", "<|image_pad|>"),
    ("<image> in the thought", chat(THINK.replace("A is", "<image>")), "think", "control token in the response", "<image>"),
    ("null thought", {"question": "q", "thought": None, "solution": "b"}, "thought_solution", "thought is null", ""),
    ("number as a thought", {"question": "q", "thought": 3, "solution": "b"}, "thought_solution", "thought is not text", ""),
    ("no question", {"thought": "a", "solution": "b"}, "thought_solution", "no question", "columns found: thought, solution"),
    ("history of another form", {"question": "q", "thought": "a", "solution": "b", "history": [["a", "b"]]}, "thought_solution", "history is not in the normal form", ""),
    ("alpaca history", {"instruction": "q", "output": THINK, "history": ["a", "b"]}, None, "earlier turns that are not read", "pairs"),
    ("prefix of another text", chat(THINK, assistant_prefix="<think> B"), "think", "the response does not begin with assistant_prefix", ""),
    ("prefix without its tag", chat(THINK, assistant_prefix="A is 3."), "think", "the response does not begin with assistant_prefix", ""),
    ("prefix into the solution", chat(THINK_ANSWER, assistant_prefix=THINK_ANSWER[:-12]), "think_answer", "the response does not begin with assistant_prefix", ""),
    ("prefix a list", chat(THINK, assistant_prefix=["<think>"]), "think", "assistant_prefix is not text", "list"),
    ("a failed step", {"question": "q", "steps": [{"title": "Error", "content": "x"}], "final": {"content": "b"}}, "steps", "a step failed", "step 1"),
    ("steps without an end", {"question": "q", "steps": STEPS}, "steps", "no final answer", ""),
    ("only a final step", {"question": "q", "steps": [{"title": "FINAL ANSWER", "content": "b"}]}, "steps", "no step before the final answer", ""),
    ("trace without a question", {"episode_id": "1", "index": "2", "text": ["a"], "thinking": ["b"]}, "screen_traces", "no question", "expected one of question"),
    ("a chat that ends with thanks", {"messages": [{"role": role, "content": THINK} for role in ("user", "assistant", "user")]}, None,
     "no response to the last question", "3 messages in messages; take the last one out to learn those before it"),
    ("history without an end", {"messages": [{"role": "user", "content": "q"}]}, None, "no response to the last question", ""),
    ("D_SD without a correct response", {"question": "q", "response": ["a"], "score": [0]}, "virgo_dsd", "no correct response", ""),
    ("LlamaV-o1, but for a word", {"conversations": [
        {"from": who, "value": text} for who, text in (("human", "q\n" + STAGES[0]), ("gpt", "a"), ("human", STAGES[1] + "!"), ("gpt", "b"))
    ]}, None, "no tags of a known format", ""),
]  # fmt: skip


EXPLAINED = [
    # (response, thought, solution): MMFineReason's, of which seven in eight end so
    ("<think>\nA is.\n</think>\n\nA is 3.\n\nTherefore, the final answer is <answer>B</answer>.",
     "A is.", "A is 3.\n\nTherefore, the final answer is <answer>B</answer>."),
    ("<think>So <answer>B</answer>, I think.</think>It is **<answer>B</answer>**",
     "So <answer>B</answer>, I think.", "It is **<answer>B</answer>**"),
    ("<think>They want <answer> tags.</think>\n<answer>B</answer>", "They want <answer> tags.", "B"),
    ("A is.</think>Hence <ANSWER>\nB\n</ANSWER>", "A is.", "Hence <ANSWER>\nB\n</ANSWER>"),
]  # fmt: skip


@pytest.mark.parametrize(("response", "thought", "solution"), EXPLAINED)
def test_an_answer_in_tags_may_end_a_solution_that_explains_it(response, thought, solution):
    reading = read_row(chat(response), "long_thought")
    (example,) = reading.parts
    assert reading.format == "think_answer"
    assert example.response == LongThought(thought, solution)


@pytest.mark.parametrize(
    ("row", "format", "reason", "detail"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_rows_that_are_rejected(row, format, reason, detail):
    reading = read_row(row, "long_thought")
    (rejected,) = reading.parts
    assert isinstance(rejected, RejectedRow), rejected
    assert (rejected.reason, reading.format) == (reason, format)
    assert detail in rejected.detail
    assert rejected.__traceback__ is rejected.__context__ is None, "they would keep the row's whole text alive"


@pytest.mark.parametrize("response", ["It is B.", "<think>\nA is", "<answer>(B)</answer>"])
def test_keep_malformed_keeps_the_text(response):
    keep = Options(keep_malformed=True)
    assert part(chat(response), keep).response == response
    assert part({"question": "q", "response": response}, keep).response == response
    assert isinstance(part(chat(" \n"), keep), RejectedRow)


PAIR = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"<image>{ASKED}"}],
    "images": ["1.jpg"],
    "chosen": {"role": "assistant", "content": THINK_ANSWER},
    "rejected": {"role": "assistant", "content": "<think> A is 7. </think> <answer> A </answer>"},
    "metadata": {"image_id": "1", "mcq_unique_id": "m"},
}
OTHER = LongThought("A is 7.", "A")
RANKING = Options(ranking=True)


@pytest.mark.parametrize("spelling", ["objects", "texts", "lists", "from and value"])
def test_preference_pairs(spelling):
    row = copy.deepcopy(PAIR)
    for name in ("chosen", "rejected"):
        text = row[name]["content"]
        row[name] = {
            "objects": row[name], "texts": text, "lists": [row[name]], "from and value": {"from": "gpt", "value": text},
        }[spelling]  # fmt: skip

    example = part(row, RANKING)
    assert (example.response, example.rejected) == (LONG, OTHER)
    assert (example.question, example.system, example.history) == (f"<image>{ASKED}", "Be brief.", ())
    expected = hashlib.sha256(f"{THINK_ANSWER}\n{PAIR['rejected']['content']}".encode()).hexdigest()[:8]
    assert example.id == f"m-{expected}", "pairs on one question share its id"


@pytest.mark.parametrize(
    "columns",
    [
        {"question": "What is A?"},
        {"prompt": "What is A?"},
        {"instruction": "What is", "input": "A?"},
        {"instruction": "What is A?", "input": "", "system": "Be brief.", "history": [["1?", "One."]]},
    ],
)
def test_pairs_of_plain_columns(columns):
    row = {**columns, "chosen": THINK_ANSWER, "rejected": PAIR["rejected"]["content"]}
    example = part(row, RANKING)
    assert (example.response, example.rejected) == (LONG, OTHER)
    assert example.question.split() == ["What", "is", "A?"] and example.system == columns.get("system")
    assert [(turn.question, turn.response, turn.learned) for turn in example.history] == (
        [("1?", "One.", False)] if "history" in columns else []
    )
    assert part(row, Options()).reason == "a preference pair"


@pytest.mark.parametrize(
    "more", [{}, {"prompt": "What is A?"}, {"prompt": [{"role": "user", "content": "What is A?"}]}]
)
def test_pairs_of_whole_conversations(more):
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is A?"}]
    row = {name: [*asked, PAIR[name]] for name in ("chosen", "rejected")} | more
    example = part(row, RANKING)
    assert (example.question, example.system) == ("What is A?", "Be brief.")
    assert (example.response, example.rejected) == (LONG, OTHER)
    row["rejected"] = [{"role": "user", "content": "What is B?"}, PAIR["rejected"]]
    assert part(row, RANKING).reason == "chosen and rejected answer different questions"


def test_normal_form_pairs():
    row = {"id": "a", "question": "q", "thought": "t", "solution": "s", "rejected": {"thought": "x", "solution": "y"}}
    assert part(row, RANKING).rejected == LongThought("x", "y")


@pytest.mark.parametrize(
    ("row", "options", "reason"),
    [
        (PAIR, Options(), "a preference pair"),
        (chat(THINK), RANKING, "no preference pair"),
        (PAIR | {"rejected": PAIR["chosen"]}, RANKING, "chosen and rejected response are the same"),
        (PAIR | {"rejected": {"role": "assistant", "content": "<think> A is 7."}}, RANKING, "no </think>"),
        (PAIR | {"rejected": None}, RANKING, "rejected is not a response"),
        (PAIR | {"chosen": {"role": "user", "content": THINK}}, RANKING, "chosen is not a response"),
        (PAIR | {"messages": chat(THINK)["messages"]}, RANKING, "no question for chosen and rejected"),
    ],
)
def test_pairs_that_are_rejected(row, options, reason):
    assert part(row, options).reason == reason


def turns(*questions, **columns):
    messages = []
    for question in questions:
        messages += [{"from": "human", "value": question}, {"from": "gpt", "value": THINK}]

    return {"id": "c-1", "conversations": messages} | columns


SPLIT = Options(turns="split")


@pytest.mark.parametrize(
    ("questions", "images", "places"),
    [
        (["<image>\nHow many?", "Why?", "And the other?"], ["a.png"], [1, 0, 0]),
        (["How many?", "Why?"], ["a.png"], [1, 0]),
        (["How many?", "<image>Why?"], ["a.png"], [0, 1]),
        (["How many?", "Why?"], [], [0, 0]),
        (["<image>One?", "<image>Two?"], ["a.png", "b.png"], [1, 1]),
    ],
)
def test_a_conversation_is_one_example_with_its_earlier_turns_as_history(questions, images, places):
    reading = read_row(turns(*questions, **({"images": images} if images else {})), "long_thought")
    (example,) = reading.parts
    assert [turn.question.count("<image>") for turn in example.turns] == places
    assert [turn.question.replace("<image>", "").strip() for turn in example.turns] == [
        question.replace("<image>", "").strip() for question in questions
    ]
    assert example.id == "c-1" and example.images == tuple(images) and all(turn.learned for turn in example.turns)


@pytest.mark.parametrize(
    ("questions", "images", "expected"),
    [
        (
            ["<image>\nHow many?", "What colour?", "And the other?"],
            ["a.png"],
            [("<image>\nHow many?", "a.png"), ("<image>\nWhat colour?", "a.png"), ("<image>\nAnd the other?", "a.png")],
        ),
        (["Why?", "How?"], [], [("Why?",), ("How?",)]),
        (["<image>One?", "<image>Two?"], ["a", "b"], [("<image>One?", "a"), ("<image>Two?", "b")]),
        (
            ["<image><image>Which?", "Why?", "<image>This?"],
            ["a", "b", "c"],
            [("<image><image>Which?", "a", "b"), ("<image><image>\nWhy?", "a", "b"), ("<image>This?", "c")],
        ),
    ],
)  # fmt: skip
def test_the_questions_of_an_entry_that_splits_them_are_examples_of_their_own(questions, images, expected):
    reading = read_row(turns(*questions, **({"images": images} if images else {})), "long_thought", SPLIT)
    assert [(part.question, *part.images) for part in reading.parts] == expected
    assert [part.id for part in reading.parts] == [f"c-1-{at}" for at in range(len(questions))]
    assert all(part.history == () for part in reading.parts)


def test_one_broken_answer_of_several_that_are_split_costs_only_its_question():
    row = turns("<image>How many?", "What colour?", image="a.png")
    row["conversations"][1]["value"] = "<think>\nA"
    first, second = read_row(row, "long_thought", SPLIT).parts
    assert first.reason == "no </think>" and second.id == "c-1-1"
    assert part(row).reason == "no </think>"


def test_what_a_row_says_of_its_end_is_about_the_last_question():
    row = turns("<image>How many?", "What colour?", image="a.png")
    first, second = read_row(row | {"finish_reason": "length"}, "long_thought", SPLIT).parts
    assert isinstance(first, Example) and second.reason == "the response was cut off at the token limit"
    first, second = read_row(row | {"assistant_prefix": "<think>\nA is"}, "long_thought", SPLIT).parts
    assert (first.assistant_prefix, second.assistant_prefix) == ("", f"{BT}\n\nA is")
    first, second = read_row(row | {"correct": False}, "long_thought", SPLIT).parts
    assert first.reason == second.reason == "the response is marked wrong"


def test_conversations_without_images_or_with_several_keep_their_history():
    example = part(turns("First?", "And second?"))
    assert (example.id, example.question, example.history) == ("c-1", "And second?", (Turn("First?", LONG_REST),))
    example = part(turns("<image>First?", "<image>Second?", images=["a", "b"]))
    assert (example.images, len(example.history)) == (("a", "b"), 1)


def typed(*urls, text=ASKED, id="wemath-9", answer="B"):
    """Return a row as OpenMMReasoner's distill_response.py writes it."""
    items = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    system = (
        "You are a helpful assistant. When the user asks a question, your response must include two parts: "
        "first, the reasoning process enclosed in <think>...</think> tags, then the final answer enclosed in "
        "<answer>...</answer> tags.Please provide a clear, concise response within <answer> </answer> tags that "
        "directly addresses the question."
    )
    return {
        "id": id,
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": system}]},
            {"role": "user", "content": [*items, {"type": "text", "text": text, "image_url": None}]},
            {"role": "assistant", "content": [{"type": "text", "text": f"<think>Net A</think><answer>{answer}</answer>"}]},
        ],
    }  # fmt: skip


def test_an_object_of_lists_is_a_list_of_objects():
    """What `datasets` makes of a sequence of objects."""
    row = {"conversations": {"from": ["human", "gpt"], "value": [ASKED, THINK]}}
    assert part(row).response == LONG_REST
    assert part({"conversations": {"from": ["human", "gpt"], "value": [ASKED]}}).reason.endswith(
        "not a list of messages"
    )


def test_typed_contents_hold_their_images():
    example = part(typed("wemath/9.png"))
    assert (example.images, example.question) == (("wemath/9.png",), f"<image>{ASKED}")
    assert (example.system, example.response) == (None, LongThought("Net A", "B"))
    assert part(typed("a", "b")).images == ("a", "b")
    assert part(typed()).images == ()
    assert part(typed(answer="None")).reason == "the solution is None"


def test_rows_that_share_an_id_get_different_ones():
    ids = {part(typed(answer=answer)).id for answer in "ABCB"}
    assert len(ids) == 3 and all(id.startswith("wemath-9-") for id in ids)


def test_columns_of_dataset_info():
    entry = {"columns": {"messages": "chat", "images": "pictures", "system": "role"}}
    row = chat(THINK, column="chat", pictures=["a.png"], role="Be brief.", messages="not these")
    example = part(row, options_of(entry))
    assert (example.images, example.system, example.response) == (("a.png",), "Be brief.", LONG_REST)

    entry = {"columns": {"prompt": "q", "query": "more", "response": "generation"}}
    row = {"q": "Answer.", "more": ASKED, "generation": THINK, "question": "another", "output": "another"}
    assert part(row, options_of(entry)).question == f"Answer.\n{ASKED}"
    assert part({"q": "Answer."}, options_of(entry)).reason == "no column generation"
    assert part({"q": "x", "generation": LONG.render()}, options_of(entry), "virgo_dt").response == LONG


def test_difficulty_of_the_normal_form():
    row = {"question": "q", "thought": "a", "solution": "b"}
    medium = Options(difficulty="medium")
    assert isinstance(part(row | {"difficulty": "medium"}, medium), Example)
    assert part(row | {"difficulty": "hard"}, medium).reason == "difficulty is not medium"
    assert part(row, medium).reason == "difficulty not known"


OPENR1 = {
    "uuid": "u-1", "problem": "Solve 2x=6.", "answer": "3",
    "generations": ["<think>\nDivide by two.\n</think>\n\nx = 3", "<think>\n...", "<think>b</think>x = 3", "<think>c</think>4"],
    "is_reasoning_complete": [True, False, True, True], "correctness_math_verify": [True, False, False, False],
    "correctness_llama": None, "finish_reasons": ["stop", "length", "stop", "stop"],
    "messages": [{"role": "user", "content": "Solve it."}, {"role": "assistant", "content": "<think>b</think>x"}],
}  # fmt: skip


def test_openr1_takes_the_shortest_generation_that_is_complete_and_correct():
    example = part(OPENR1)
    assert (example.id, example.answer, example.question) == ("u-1", "3", "Solve 2x=6.")
    assert example.response == LongThought("Divide by two.", "x = 3")
    judged = OPENR1 | {"correctness_llama": [False, True, True, False]}
    assert part(judged).response == LongThought("b", "x = 3"), "where the rule misses it"
    parts = read_row(judged, "long_thought", Options(responses="all")).parts
    assert [p.id for p in parts] == ["u-1-2"], "generation 1 is not complete, the judge says no of 0"
    judged |= {"finish_reasons": ["stop", "length", "length", "stop"], "correctness_llama": None}
    assert part(judged).response.solution == "x = 3" and part(judged).response.thought == "Divide by two."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"correctness_math_verify": None}, "no verdicts on the responses"),
        ({"correctness_math_verify": [False] * 4}, "no correct response"),
        *(({name: marks}, "responses and verdicts do not match") for name in ("correctness_math_verify", "correctness_llama")
          for marks in ([False], [True], [True] * 5)),
        ({"is_reasoning_complete": [False, True], "correctness_math_verify": [True] * 4, "finish_reasons": None}, "no </think>"),
        ({"problem": None}, "no question"),
    ],
)  # fmt: skip
def test_openr1_rows_that_are_rejected(change, reason):
    assert part(OPENR1 | change).reason == reason
    without = {"generations": None, "problem": None} | {name: OPENR1[name] for name in ("uuid", "messages")}
    assert isinstance(part(without), Example), "its messages, where it has no generations"


OPENED = [
    '<think time="3">',
    "<THINK time=3 >",
    "<think\n>",
    "<think a=\"b>c\" d='e'>",
    '<thinking budget="9">',
    "<thoughts n=1>",
]


@pytest.mark.parametrize("opening", OPENED)
def test_an_opening_tag_may_have_attributes(opening):
    closing = f"</{re.match('<([a-z]+)', opening, re.I)[1]}>"
    for solution in (
        "B",
        '<solution kind="short">B</solution>',
        *(['<answer kind="short">B</answer>'] * ("s n" not in opening)),
    ):
        response = f"{opening}\nA.\n{closing}\n\n{solution}"
        assert part({"question": "Which?", "response": response}).response == LongThought("A.", "B")

    for thought in (f"{opening}A.{closing}", f"{opening}A.", f"\n{opening}A.{closing}\nB"):
        said = {"role": "assistant", "content": "B", "reasoning_content": thought}
        for row in (
            {"question": "Which?", "reasoning": thought, "answer": "B"},
            {"messages": [{"role": "user", "content": "Which?"}, said]},
        ):
            assert part(row).response == LongThought("A.", "B")


def test_words_in_an_opening_tag_are_no_attributes():
    assert (
        part({"question": "Which?", "reasoning": "<think about it>A.", "answer": "B"}).response.thought
        == "<think about it>A."
    )


BESIDE = [
    # (content beside the thought "A.", solution or reason)
    ("<think></think>B", "B"),
    ("<think>\n\n</think>\n\n<answer>B</answer>", "B"),
    ('<think time="0"></think>B', "B"),
    ("<answer>B</answer>", "B"),
    ("<think>A.</think>B", "B"),
    ("A.</think>B", "B"),
    ("C.</think>B", "two different thoughts in a message"),
    ('<think time="3">C.</think>B', "two different thoughts in a message"),
    ("<think>A.</think>", "the solution is empty"),
    ("<think></think><answer></answer>", "the solution is empty"),
]


@pytest.mark.parametrize(("content", "expected"), BESIDE)
def test_a_thought_beside_a_content_with_tags_of_its_own(content, expected):
    said = {"role": "assistant", "content": content, "reasoning_content": "A."}
    found = part({"messages": [{"role": "user", "content": "Which?"}, said]})
    assert (found.response == LongThought("A.", "B")) if expected == "B" else (found.reason == expected)


@pytest.mark.parametrize(
    "other", [THINK_ANSWER, THINK.replace("think", "thinking").replace("B**", "A**"), f"{BT}A.{ET}{BS}A{ES}"]
)
def test_each_response_of_a_row_is_read_in_its_own_tags(other):
    asked = {"role": "user", "content": ASKED}
    pair = {"messages": [asked], "chosen": {"role": "assistant", "content": THINK}, "rejected": {"content": other}}
    found = part(pair, Options(ranking=True))
    alone = part({"question": ASKED, "response": other})
    assert (found.response, found.rejected) == (LONG_REST, alone.response)
    answers = [{"role": "assistant", "content": text} for text in (THINK, other)]
    turns = part({"messages": [asked, answers[0], asked, answers[1]]}).turns
    assert [turn.response for turn in turns] == [LONG_REST, alone.response]


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NA", "N/A", "null", "<NA>", " nan\n"])
def test_a_missing_value_as_text_is_no_question(text):
    for row in ({"question": text}, {"question": f"<image>\n{text}", "image": "a.png"}):
        (found,) = read_row({**row, "response": "<think>\na\n</think>\n\nb"}, "long_thought").parts
        assert found.reason == "the question is a missing value"


@pytest.mark.parametrize("text", ["nan", "NaN", "<NA>"])
def test_a_missing_value_as_text_is_no_thought_and_no_solution(text):
    for thought, solution, name in (("a", text, "solution"), (text, "b", "thought")):
        (found,) = read_row({"question": "q", "thought": thought, "solution": solution}, "long_thought").parts
        assert found.reason == f"the {name} is {text}"
