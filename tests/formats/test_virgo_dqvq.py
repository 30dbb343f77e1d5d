"""QVQ's chain of thought has no tags: it is split at the block of its final answer, or counted as unsplittable."""

import json

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.families.virgo_dqvq import split
from virgo_factory.formats.row import RejectedRow


THOUGHT = "So I've got this figure. Hmm, wait, maybe \\boxed{12}? Okay."
BOX = "\\[ \\boxed{58} \\]"


def rollout(response, **columns):
    return {"id": "geo3k-17", "question": "Find x.", "response": response, "finish_reason": "stop"} | columns


def part(row, **options):
    reading = read_row(row, "virgo_dqvq", Options(**options))
    assert reading.format == "virgo_dqvq"
    (only,) = reading.parts
    return only


HEADINGS = [
    "**Final Answer**\n\n", "**Final Answer:**\n", "**Final Answer**:\n\n", "### Final Answer\n\n", "## Final answer: ",
    "Final Answer\n\n", "Final Answer:\n\n", "Final Answer: ", "  **Final Answer**  \n\n", "__Final Answer__\n", "**FINAL ANSWER**\n",
]  # fmt: skip


@pytest.mark.parametrize("heading", HEADINGS)
def test_split_at_the_final_answer_heading(heading):
    assert split(f"{THOUGHT}\n\n{heading}{BOX}") == LongThought(THOUGHT, f"{heading}{BOX}")


SPLIT = [
    # (name, response, solution)
    ("the last of two headings", f"{THOUGHT}\n\n**Final Answer**\n\n7? No.\n\n**Final Answer**\n\n{BOX}", f"**Final Answer**\n\n{BOX}"),
    ("a heading before a box", f"{THOUGHT}\n\n{BOX}\n\nFinal Answer: 58", "Final Answer: 58"),
    ("a heading without text: the box", f"{THOUGHT}\n\nx is {BOX}\n\n**Final Answer**\n", f"x is {BOX}\n\n**Final Answer**"),
    ("the last paragraph with a box", f"{THOUGHT}\n\nSo x is\n{BOX}", f"So x is\n{BOX}"),
    ("text behind the box", f"{THOUGHT}\n\n{BOX}\n\nDone.", f"{BOX}\n\nDone."),
    ("braces in the box", f"{THOUGHT}\n\n\\boxed{{\\frac{{1}}{{2}}}}", "\\boxed{\\frac{1}{2}}"),
    ("an unbalanced box behind a balanced one", f"a\n\nb {BOX}\n\n\\boxed{{5", f"b {BOX}\n\n\\boxed{{5"),
    ("a sentence on the final answer is no heading", f"{THOUGHT}\nFinal answer is near.\n\n{BOX}", BOX),
]  # fmt: skip


@pytest.mark.parametrize(("response", "solution"), [case[1:] for case in SPLIT], ids=[case[0] for case in SPLIT])
def test_split(response, solution):
    found = split(response)
    assert found.solution == solution
    assert found.thought + solution == response.replace("\n\n" + solution, solution).rstrip()


UNSPLITTABLE = [
    # (name, response, reason)
    ("no box and no heading", "So the answer is 58.", "no final answer to split at"),
    ("a box in the only paragraph", f"So x is {BOX}", "no final answer to split at"),
    ("an unbalanced box", "Well.\n\n\\boxed{58", "no final answer to split at"),
    ("a heading without text", "Well.\n\n**Final Answer**\n\n", "no final answer to split at"),
    ("nothing before the heading", "**Final Answer**\n\n58", "the thought is empty"),
    ("markers", f"<|begin_of_thought|>{THOUGHT}\n\n{BOX}", "a marker occurs more than once"),
    ("empty", " \n", "no final answer to split at"),
]


@pytest.mark.parametrize(("response", "reason"), [case[1:] for case in UNSPLITTABLE], ids=[c[0] for c in UNSPLITTABLE])
def test_what_cannot_be_split_is_counted_not_guessed(response, reason):
    assert part(rollout(response)).reason == reason
    kept = part(rollout(response), keep_malformed=True)
    assert kept.response == response if response.strip() else isinstance(kept, RejectedRow)


def test_rows():
    whole = f"{THOUGHT}\r\n\r\n**Final Answer**\r\n\r\n{BOX}"
    example = part(rollout(whole, images=["a.png"], answer=58))
    assert (example.id, example.question, example.answer) == ("geo3k-17", "<image>\nFind x.", "58")
    assert (example.source, example.format) == ("virgo_dqvq", "virgo_dqvq")
    assert example.response == LongThought(THOUGHT, f"**Final Answer**\n\n{BOX}")
    messages = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Find x."}]
    messages.append({"role": "assistant", "content": whole})
    example = part({"messages": messages})
    assert (example.system, example.question) == ("Think.", "Find x.")
    assert part({"messages": messages + messages[1:]}).reason == "several questions"


@pytest.mark.parametrize("reason", ["length", "max_tokens"])
def test_a_response_at_the_token_limit_is_rejected_before_splitting(reason):
    row = rollout(f"{THOUGHT}\n\n{BOX}", finish_reason=reason)
    assert part(row).reason == "the response was cut off at the token limit"
    assert part(row, keep_malformed=True).reason == "the response was cut off at the token limit"


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["\\boxed{", "\\boxed{1}\n\n", "{", "}", "**Final Answer**\n", "\n", " ", "\n \n"])
def test_splitting_is_linear(piece, grows_linearly):
    def look(count):
        try:
            split(piece * count)
        except RejectedRow:
            pass

    grows_linearly(look, 25_000, 100_000)


@pytest.mark.slow
def test_real_untagged_responses(shared_data):
    """Real answers of Qwen-VL-Max and Gemini: a box or a heading decides, by plain text search."""
    split_ones = unsplittable = 0
    for name in ("Gemini-Pro-CoT", "Qwen-VL-Max-CoT"):
        for line in (
            (shared_data / "mathvision" / "outputs" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        ):
            row = json.loads(line)
            found = part({"id": row["id"], "question": "Find x.", "response": row["response"], "correct": True})
            if isinstance(found, RejectedRow):
                unsplittable += 1
                assert found.reason in ("no final answer to split at", "the thought is empty")
                continue

            split_ones += 1
            text = row["response"].replace("\r\n", "\n")
            assert "\\boxed" in found.response.solution or "final answer" in found.response.solution.lower()
            assert text.strip().startswith(found.response.thought) and text.strip().endswith(found.response.solution)

    assert split_ones + unsplittable == 2 * 1558
    assert split_ones > 100, "the rule is used on real text"
