"""Rows with their thoughts in fields, columns and other tags, through LLaMA-Factory's preprocessing to the labels.

What is expected is computed apart from the package: the four markers written out here, in the chat template of the
model's own processor.
"""

import json

import pytest


def asked(n):
    return f"What is {n} + 3?"


def thought(n):
    return f"{n} and 3.\n\nWait: {n} + 3 = {n + 3}."


def solution(n):
    return f"The answer is \\boxed{{{n + 3}}}."


def chat(n, content=None, **fields):
    answer = {"role": "assistant", "content": solution(n) if content is None else content, **fields}
    return {"id": str(n), "messages": [{"role": "user", "content": asked(n)}, answer]}


THINK = "<think>\n{}\n</think>\n\n{}"
ROWS = [
    chat(1, reasoning_content=thought(1)),
    chat(2, reasoning=f"\n{thought(2)}\n"),
    chat(3, [{"type": "thinking", "thinking": thought(3)}, {"type": "text", "text": solution(3)}]),
    chat(4, f"{thought(4)}\n</think>\n\n{solution(4)}"),
    {"id": "5", "question": asked(5), "model_reasoning": thought(5), "model_answer": solution(5)},
    {"id": "6", "question": asked(6), "deepseek_thinking_trajectory": thought(6), "deepseek_attempt": solution(6)},
    chat(7, THINK.format(thought(7), solution(7))),
    chat(8, f"\ufeff<thinking>{thought(8)}</thinking>{solution(8)}"),
    {"id": "9", "messages": json.dumps(chat(9, f"[THINK]{thought(9)}[/THINK]{solution(9)}")["messages"])},
    {"id": "10", "conversations": [{"from": "User", "value": asked(10)}, {"from": "model", "value": f"◁think▷{thought(10)}◁/think▷{solution(10)}"}]},
    {"id": "11", "problem": asked(11), "generated_solution": THINK.format(thought(11), solution(11))},
]  # fmt: skip


def expected(tokenizer, n):
    """Return the ids of a row and of what is trained on."""
    answer = (
        f"<|begin_of_thought|>\n\n{thought(n)}\n\n<|end_of_thought|>\n\n"
        f"<|begin_of_solution|>\n\n{solution(n)}\n\n<|end_of_solution|>"
    )
    messages = [{"role": "user", "content": asked(n)}, {"role": "assistant", "content": answer}]
    prompt = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    target = whole.removeprefix(prompt).rstrip("\n")
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    return encode(prompt) + encode(target), target


@pytest.fixture
def load(preprocess, base, write_data):
    def made(rows, **entry):
        write_data(mine=(rows, entry))
        return preprocess({"model_name_or_path": str(base), "dataset": "mine"})

    return made


def trained(tokenizer, row):
    ids = [label for label in row["labels"] if label != -100]
    return tokenizer.decode(ids).rstrip("\n")


def test_labels_are_the_rows_own_thought_and_solution(load):
    found = load(ROWS)
    account, tokenizer = found.accounts["mine"], found.tokenizer
    assert (account["rows_in"], account["kept"], account["reasons"]) == (len(ROWS), len(ROWS), {})
    for n, row in enumerate(found.module["train_dataset"], start=1):
        ids, target = expected(tokenizer, n)
        assert list(row["input_ids"][: len(ids)]) == ids
        assert trained(tokenizer, row) == target


def test_columns_of_the_entry_and_turns_that_are_context(load):
    rows = [{"q": asked(n), "chain": thought(n), "final": solution(n)} for n in (1, 2)]
    columns = {"question": "q", "thought": "chain", "solution": "final"}
    found = load([*rows, {"q": asked(3), "final": "6"}], columns=columns)
    assert found.accounts["mine"]["reasons"] == {"no column chain": 1}
    for n, row in enumerate(found.module["train_dataset"], start=1):
        assert trained(found.tokenizer, row) == expected(found.tokenizer, n)[1]

    talk = chat(1, reasoning_content=thought(1))
    talk["messages"] = [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hello, you."},
        *talk["messages"],
    ]
    found = load([talk])
    (row,) = found.module["train_dataset"]
    assert trained(found.tokenizer, row) == expected(found.tokenizer, 1)[1]
    assert "Hello, you." in found.tokenizer.decode(row["input_ids"])
