"""Which turns are trained on: the labels of LLaMA-Factory's own dataset, against the model's own chat template."""

import pytest
from PIL import Image

from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.account import DatasetAccount


IGNORE = -100
SIZE = (56, 84)
GOOD, OTHER = LongThought("I add them: 4.", "It is \\boxed{4}."), LongThought("No, wait: 6.", "It is \\boxed{6}.")
PLAIN = "It is 99."


def think(thought):
    return f"<think>\n{thought.thought}\n</think>\n\n{thought.solution}"


def message(role, text, **marks):
    return {"role": role, "content": text, **marks}


def asked(*responses, image=False, **columns):
    """Return a row; each response is (text, marks)."""
    messages = []
    for turn, (text, marks) in enumerate(responses):
        messages += [
            message("user", f"{'<image>' * (image and not turn)}Question {turn}?"),
            message("assistant", text, **marks),
        ]

    return {"messages": messages, "images": ["picture.png"] * image, **columns}


A, B = think(GOOD), think(OTHER)
ROWS = {
    # name: (row, (text of the response in the target, whether it is learned) of each turn)
    "one": (asked((A, {})), [(GOOD, 1)]),
    "two": (asked((A, {}), (B, {})), [(GOOD, 1), (OTHER, 1)]),
    "first masked": (asked((A, {"loss": False}), (B, {"loss": True})), [(GOOD, 0), (OTHER, 1)]),
    "last masked": (asked((A, {}), (B, {"weight": 0})), [(GOOD, 1), (OTHER, 0)]),
    "middle masked": (asked((A, {}), (PLAIN, {"train": "no"}), (B, {})), [(GOOD, 1), (PLAIN, 0), (OTHER, 1)]),
    "plain text masked": (asked((PLAIN, {"loss_mask": 0.0}), (B, {})), [(PLAIN, 0), (OTHER, 1)]),
    "a wrong answer": (asked((A, {"correct": False}), (B, {"correct": True})), [(GOOD, 0), (OTHER, 1)]),
    "with a list": (asked((A, {}), (B, {}), loss_mask=[1, 0]), [(GOOD, 1), (OTHER, 0)]),
    "four on one picture": (asked(*[(A, {}), (B, {})] * 2, image=True), [(GOOD, 1), (OTHER, 1)] * 2),
    "masked with a picture": (asked((A, {"loss": 0}), (B, {}), image=True), [(GOOD, 0), (OTHER, 1)]),
}  # fmt: skip
DROPPED = {
    "all masked": (asked((A, {"loss": False}), (B, {"loss": 0})), "nothing in it is marked to be learned"),
    "half a weight": (asked((A, {"weight": 0.5}), (B, {})), "the mark of what is to be learned is not understood"),
    "marked wrong": (asked((A, {}), correct=0.0), "the response is marked wrong"),
    "cut": (asked((A, {}), finish_reason=["LENGTH"]), "the response was cut off at the token limit"),
    "foreign": (asked((f"{A}<|eot_id|>", {})), "a control token of another model in the response"),
}
NOTED = {
    "a score": asked((A, {}), score=0.37),
    "a request": {"messages": [message("user", "Question 0? Put your reasoning in <think> </think> tags."), message("assistant", A)]},
}  # fmt: skip


@pytest.fixture
def load(tmp_path, write_data, preprocess, model_folder):
    """A function: rows, recipe -> what LLaMA-Factory makes of them, and their account."""
    Image.new("RGB", SIZE, (9, 90, 160)).save(tmp_path / "picture.png")

    def run(rows, entry=(), **recipe):
        write_data(rows=([row | {"id": f"r{number}"} for number, row in enumerate(rows)], dict(entry)))
        made = preprocess({"model_name_or_path": str(model_folder), "dataset": "rows", **recipe})
        return made, made.accounts["rows"]

    return run


def expected(processor, row, turns, history=True, prompts=False):
    """Return input ids and labels by the processor's own chat template and image processor.

    Args:
        processor: of the model, as published.
        row: see ROWS.
        turns: see ROWS.
        history: whether turns before the last are learned (`mask_history` of LLaMA-Factory).
        prompts: whether prompts are learned (`train_on_prompt`).
    """
    images = [Image.new("RGB", SIZE, (9, 90, 160)) for _ in row["images"]]
    messages, ends = [message("system", "You are a helpful assistant.")], []
    for said, (response, _) in zip(row["messages"][::2], turns, strict=True):
        text = said["content"].removeprefix("<image>")
        picture = [{"type": "image"}] if said["content"].startswith("<image>") else []
        messages.append({"role": "user", "content": [*picture, {"type": "text", "text": text}]})
        begin = len(ids_of(processor, messages, images, add_generation_prompt=True))
        messages.append(message("assistant", response if isinstance(response, str) else response.render()))
        ends.append((begin, len(ids_of(processor, messages, images))))

    ids = ids_of(processor, messages, images)
    labels = list(ids) if prompts else [IGNORE] * len(ids)
    for turn, ((begin, end), (_, learned)) in enumerate(zip(ends, turns, strict=True)):
        is_learned = learned and (history or turn == len(turns) - 1)
        labels[begin:end] = ids[begin:end] if is_learned else [IGNORE] * (end - begin)

    return ids, labels


def ids_of(processor, messages, images, **more):
    text = processor.apply_chat_template(messages, tokenize=False, **more)
    return processor(text=[text], images=images or None).input_ids[0]


def test_what_is_learned_is_what_the_rows_say(load, real_processor):
    rows = [row for row, _ in ROWS.values()] + [row for row, _ in DROPPED.values()] + list(NOTED.values())
    made, account = load(rows)
    trained = list(made.module["train_dataset"])
    for number, (name, (row, turns)) in enumerate(ROWS.items()):
        ids, labels = expected(real_processor, row, turns)
        assert trained[number]["input_ids"] == list(ids), name
        assert trained[number]["labels"] == list(labels), name

    assert trained[-1]["input_ids"] == trained[0]["input_ids"]  # but for the request
    assert account["rows_in"] == len(rows) and account["kept"] == len(trained) == len(ROWS) + len(NOTED)
    assert [row["reason"] for row in account["dropped_rows"]] == [reason for _, reason in DROPPED.values()]
    masked = sum(not all(learned for _, learned in turns) for _, turns in ROWS.values())
    assert account["notes"] == {
        "with turns that are not learned": masked,
        "mark not understood: score": 1,
        "with a request for other tags taken out of the prompt": 1,
    }


def test_the_printed_line_tells_it(load, caplog):
    _, account = load([ROWS["first masked"][0], NOTED["a score"]])
    values = {key: value for key, value in account.items() if key not in ("kept", "dropped")}
    assert str(DatasetAccount(**values)).endswith(
        "2 kept, 0 dropped; of the kept 1 with turns that are not learned, 1 mark not understood: score"
    )


@pytest.mark.slow
def test_mask_history_and_train_on_prompt_are_still_llamafactorys(load, real_processor):
    names = [name for name in ROWS if "picture" not in name]
    made, account = load([ROWS[name][0] for name in names], mask_history=True)
    learned = [name for name in names if ROWS[name][1][-1][1]]
    for name, found in zip(learned, made.module["train_dataset"], strict=True):
        assert (found["input_ids"], found["labels"]) == expected(real_processor, *ROWS[name], history=False), name

    assert account["reasons"] == {"nothing in it is marked to be learned": len(names) - len(learned)}
    made, _ = load([ROWS[name][0] for name in names], train_on_prompt=True)
    for name, found in zip(names, made.module["train_dataset"], strict=True):
        assert (found["input_ids"], found["labels"]) == expected(real_processor, *ROWS[name], prompts=True), name


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["packing", "neat_packing"])
def test_packed_rows_have_the_same_labels(load, real_processor, packing):
    made, _ = load([row for row, _ in ROWS.values()], **{packing: True})
    both = [(tuple(row["input_ids"]), tuple(row["labels"])) for row in made.module["train_dataset"]]
    assert len(both) < len(ROWS)
    for row, turns in ROWS.values():
        ids, labels = map(tuple, expected(real_processor, row, turns))
        places = [
            (all_ids, all_labels, at)
            for all_ids, all_labels in both
            for at in range(len(all_ids) - len(ids) + 1)
            if all_ids[at : at + len(ids)] == ids
        ]
        assert any(all_labels[at : at + len(ids)] == labels for _, all_labels, at in places)


def test_preference_pairs_learn_the_last_response_alone(load, real_processor):
    said = {"messages": [*asked((A, {"loss": False}))["messages"], message("user", "Again?")]}
    pair = said | {"chosen": message("assistant", A), "rejected": message("assistant", B)}
    cut = said | {"chosen": message("assistant", A, finish_reason="length"), "rejected": message("assistant", B)}
    made, account = load([pair, cut], [("ranking", True)], stage="dpo")
    (found,) = made.module["train_dataset"]
    for side, response in (("chosen", GOOD), ("rejected", OTHER)):
        row = {"images": [], "messages": [*said["messages"], message("assistant", "")]}
        ids, labels = expected(real_processor, row, [(GOOD, 0), (response, 1)])
        assert (found[f"{side}_input_ids"], found[f"{side}_labels"]) == (ids, labels)

    assert account["reasons"] == {"the response was cut off at the token limit": 1}


def test_the_entry_splits_a_conversation(load, real_processor):
    row, turns = ROWS["four on one picture"]
    made, account = load([row], [("turns", "split")])
    assert (account["rows_in"], account["extra"], account["kept"]) == (1, 3, 4)
    for number, (turn, found) in enumerate(zip(turns, made.module["train_dataset"], strict=True)):
        single = {
            "messages": [message("user", f"<image>{chr(10) * bool(number)}Question {number}?"), None],
            "images": ["a"],
        }
        assert (found["input_ids"], found["labels"]) == expected(real_processor, single, [turn])

    with pytest.raises(ValueError, match="turns: 'some' in dataset_info.json. It is one of history, split"):
        load([row], [("turns", "some")])


def test_the_bounds_look_at_learned_responses_only(load):
    long = think(LongThought("word " * 200, "x"))
    rows = [asked((long, {"loss": False}), (B, {})), asked((long, {}), (B, {}))]
    _, account = load(rows, max_response_tokens=150)
    assert account["kept"] == 1 and account["reasons"] == {"response > 150 tokens": 1}


@pytest.mark.slow
def test_cutting_at_the_token_limit_keeps_the_mask(load):
    rows = [ROWS["first masked"][0], ROWS["two"][0]]
    made, account = load(rows, cutoff_len=110, overlong="truncate")
    masked, whole = made.module["train_dataset"]
    assert account["notes"] == {"with turns that are not learned": 1, "cut off at 110 tokens": 2}
    assert account["kept"] == 2 and masked["input_ids"] == whole["input_ids"] and len(whole["input_ids"]) == 110
    first = len(made.tokenizer.encode(GOOD.render() + "<|im_end|>\n"))
    learned = [at for at, label in enumerate(whole["labels"]) if label != IGNORE]
    assert len(learned) > first and whole["labels"] == [
        IGNORE if at not in learned else token for at, token in enumerate(whole["input_ids"])
    ]
    for at in learned[:first]:
        assert masked["labels"][at] == IGNORE
    assert masked["labels"][learned[first] :] == whole["labels"][learned[first] :]

    _, account = load(rows, cutoff_len=40, overlong="truncate")
    assert account["kept"] == 1 and account["reasons"] == {"nothing in it is marked to be learned": 1}
