"""Prompts with the control tokens of a chat template around them: what they ask is read, whatever the layout is."""

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.formats import read_row
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow


RESPONSE = "<think>\nSeven times eight is 56.\n</think>\n\nIt is \\boxed{56}."
LONG = LongThought("Seven times eight is 56.", "It is \\boxed{56}.")
CHATML = "<|im_start|>user\nWhat is 7 * 8?<|im_end|>\n<|im_start|>assistant\n"
LLAMA = "<|start_header_id|>user<|end_header_id|>\n\nWhat is 7 * 8?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
SYSTEM = "<|im_start|>system\nBe brief.<|im_end|>\n"
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.mark.parametrize(
    ("row", "more"),
    [
        ({"prompt": CHATML, "response": RESPONSE}, {}),
        ({"input": SYSTEM + CHATML, "generated_text": RESPONSE}, {"system": "Be brief."}),
        ({"prompt": f"{CHATML}<think>\n", "output": RESPONSE.removeprefix("<think>\n")}, {}),
        ({"prompt": CHATML, "outputs": [{"text": RESPONSE, "finish_reason": "stop"}]}, {}),
        ({"question": CHATML, "thought": LONG.thought, "solution": LONG.solution}, {}),
        ({"text": f"{SYSTEM}{CHATML}{RESPONSE}<|im_end|>\n"}, {"system": "Be brief."}),
        ({"prompt": f"<|begin_of_text|>{LLAMA}", "response": RESPONSE}, {}),
        ({"prompt": "<bos><start_of_turn>user\nWhat is 7 * 8?<end_of_turn>\n<start_of_turn>model\n", "response": RESPONSE}, {}),
        ({"prompt": "<｜begin▁of▁sentence｜><｜User｜>What is 7 * 8?<｜Assistant｜><think>\n", "response": RESPONSE}, {}),
        ({"prompt": CHATML.replace("What", f"{PICTURE}What"), "response": RESPONSE, "image": "a.png"}, {"images": ("a.png",), "question": "<image>What is 7 * 8?"}),
    ],
)  # fmt: skip
def test_what_a_rendered_prompt_asks_is_the_question(row, more):
    (part,) = read_row(row, "long_thought").parts
    assert part.response == LONG
    told = {"question": "What is 7 * 8?", "system": None, "images": (), "history": ()} | more
    assert {name: getattr(part, name) for name in told} == told
    assert part.notes == ("with the question read out of a rendered template",)


def test_earlier_turns_of_a_rendered_prompt_are_history():
    earlier = f"{CHATML}{RESPONSE}<|im_end|>\n"
    (part,) = read_row({"prompt": earlier + CHATML.replace("7 *", "9 *"), "response": RESPONSE}, "long_thought").parts
    assert [turn.question for turn in part.turns] == ["What is 7 * 8?", "What is 9 * 8?"]
    assert [turn.response for turn in part.turns] == [LONG, LONG]


def test_a_pair_of_a_rendered_prompt():
    row = {"prompt": CHATML, "chosen": RESPONSE, "rejected": RESPONSE.replace("56", "54")}
    (part,) = read_row(row, "long_thought", Options(ranking=True)).parts
    assert (part.question, part.response) == (
        "What is 7 * 8?",
        LONG,
    ) and part.rejected.solution == "It is \\boxed{54}."


@pytest.mark.parametrize(
    "question",
    [
        "What does <|im_start|>user\nmean?<|im_end|>",
        f"Look: {CHATML}",
        CHATML.replace("7 * 8?", "7 * 8? <|vision_start|>"),
        f"{CHATML}and then",
        "<|im_start|>tool\n56<|im_end|>",
    ],
)
def test_what_is_no_whole_prompt_still_forges_no_token(question):
    (part,) = read_row({"question": question, "response": RESPONSE}, "long_thought").parts
    assert isinstance(part, RejectedRow)


def test_a_question_about_html_stays():
    question = "What does <start> do in <body>?"
    assert read_row({"question": question, "response": RESPONSE}, "long_thought").parts[0].question == question
