"""LongPerceptualThoughts' raw stage files: its own counts, one by one, and our further reasons behind them. Rows of our own text in its layout."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.synthesis.thoughts.expanding import FORBIDDEN
from virgo_factory.synthesis.thoughts.steps import Steps
from virgo_factory.synthesis.words import Dropped


SCRIPT = Path(__file__).parents[3] / "benchmarks" / "synthesis_replay.py"
ASKED = "Which cup is it?\nSelect from the following choices.\n"
METADATA = {"metadata": {"mcq_unique_id": "q1"}}

EXPANSIONS = [  # what a predecessor's row holds; closed, answered, a word, a word within another, passes, and what we make of it
    (" no, it is blue.\n</think>\n\nSo.\n\n<answer>B</answer>", "ca p", ""),
    (" the texture is blue. So B.\n</think>\n\n<answer>(B)</answer>", "ca ip", ""),
    (" the Text is blue.\n</think>\n\n<answer>B</answer>", "caw", "word"),
    (" the description says so.\n</think>\n\n<answer>B</answer>", "cawi", "word"),
    (" it is blue.\n</think>\n\nAs described.\n\n<answer>B. blue</answer>", "cap", ""),  # behind the thought nothing is looked for
    (" it is blue.\n</think>\n\nSo it is B.", "c", "no answer"),
    (" it is blue.\n</think>\n\n<answer>B", "c", "no answer"),
    (" the user's text is", "wi", "not closed"),
    (" it is blue, and", "", "not closed"),
    (" it is.\n</think>\n\n<answer> </answer>", "cap", "none of the options"),
    (" it is.\n</think>\n\n<answer>nobody knows</answer>", "cap", "none of the options"),
    (" it is.\n</think>\n\n<answer>A, B</answer>", "cap", "more than one answer"),
    (" <think> it is blue.\n</think>\n\n<answer>B</answer>", "cap", "tags out of order"),
    (" no, it is blue.\n</think>\n\n<answer>B</answer>", "cap", "the same addition"),
    (f"{' I look at the cup on the table.' * 3}\n</think>\n\n<answer>B</answer>", "cap", "a loop"),
    (" so it is (C) green.\n</think>\n\n<answer>B</answer>", "cap", "contradicts"),
]  # fmt: skip


@pytest.fixture
def raw(tmp_path):
    """Write raw files of one question, and return their folder."""

    def write(shorts: list[str], longs: list[str], cue: str = "Wait,", **mcq: str) -> Path:
        listed = "(A) red\n(B) blue\n(C) green\n(D) white"
        row = {"mcq_unique_id": "q1", "image_id": "train_1", "mcq_question": "Which cup is it?", "mcq_answer": "blue"}
        with (tmp_path / "docci_mcq.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [*row, "description"])
            writer.writeheader()
            writer.writerow(row | {"description": 'A "cup",\nblue.'} | mcq)

        def save(path: str, row: dict) -> None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(json.dumps(row, ensure_ascii=False) + "\n")

        prompt = f"<|im_start|>user\n{ASKED}{listed}<|im_end|>\n<|im_start|>assistant\n"
        save(
            "stage_2_simple_cot/intermediate_df/vlm.jsonl",
            {"prompt": prompt, "predict": shorts, "label": "", "metadata": METADATA},
        )
        prompt = f"<｜User｜>A cup.\nQuestion: {ASKED}{listed}<｜Assistant｜>"
        simple = {"simple_cot": "<think>\nOkay. It is red", "metadata": METADATA | {"simple_cot_unique_id": "s1"}}
        save(f"stage_3_expand_cot/intermediate_df/vlm/llm/{cue}.jsonl", {"prompt": prompt, "predict": longs} | simple)
        return tmp_path

    return write


@pytest.fixture
def replay(monkeypatch, capsys):
    """A function: folder -> what the script prints of it, run in this process."""
    limit = csv.field_size_limit()

    def run(folder: Path) -> str:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    yield run
    csv.field_size_limit(limit)


def test_raw_files_are_replayed_with_their_own_counts(raw, replay):
    shorts = ["<think> It is blue.</think>\n<answer>B</answer>", "<think>It is blue. </think> So <answer>(B) blue</answer>",
              "<think> It is.</think>\n<answer></answer>", "<think> It is"]  # fmt: skip
    said = replay(raw(shorts, [f".\nWait,{text}" for text, *_ in EXPANSIONS]))
    short, long = said.splitlines()
    assert short == (
        "stage_2_simple_cot/intermediate_df/vlm.jsonl: 4 in: 3 close the thought, 3 answer, 0 hold a forbidden word, "
        "3 pass all three (0 and 3 where parts of words count); 2 kept (1 the same thought as another of its question)"
    )
    count = {step: sum(step in held for _, held, _ in EXPANSIONS) for step in "cawip"}
    without = sum("a" in held and "i" not in held for _, held, _ in EXPANSIONS)
    kept = sum(not fault for *_, fault in EXPANSIONS)
    assert long.startswith(
        f"stage_3_expand_cot/intermediate_df/vlm/llm/Wait,.jsonl: {len(EXPANSIONS)} in: {count['c']} close the thought, "
        f"{count['a']} answer, {count['w']} hold a forbidden word, {count['p']} pass all three ({count['i']} and {without} "
        f"where parts of words count); {kept} kept ("
    )
    further = [fault for _, held, fault in EXPANSIONS if fault and "p" in held]
    assert all(fault in long for fault in further) and count["p"] == kept + len(further)


@pytest.mark.parametrize(("text", "held", "fault"), EXPANSIONS)
def test_each_count_by_itself(text, held, fault):
    steps = Steps(FORBIDDEN)
    steps.add(text, Dropped("s0/l0", fault))
    names = {"c": "closed", "a": "answered", "w": "word", "i": "word_within", "p": "passed"}
    wanted = {names[one] for one in held if one != " "}
    wanted |= {"passed_within"} if "a" in held and "i" not in held else set()
    assert {name for name in steps.counts if name != "in"} == wanted
    assert bool(steps.further) == ("p" in held)


@pytest.mark.parametrize(
    ("longs", "mcq", "said"),
    [
        (["Hmm, no."], {}, r"Wait,.jsonl:1: its responses do not begin with the cue 'Wait,' of the file's name"),
        (["\nWait, no."], {"mcq_unique_id": "q2"}, r"vlm.jsonl:1: question q1 is not in docci_mcq.csv"),
        (["\nWait, no."], {"mcq_answer": "pink"}, r"question q1: its answer 'pink' is not one of four options"),
    ],
)
def test_files_that_do_not_belong_together_are_named(raw, replay, longs, mcq, said):
    with pytest.raises(UserError, match=said):
        replay(raw(["<think> x </think> <answer>B</answer>"], longs, **mcq))
