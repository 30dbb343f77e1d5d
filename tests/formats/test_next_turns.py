"""Solutions that run on into the next turn, and those that hold a dialogue or several questions rightly."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import Options, read_row


SOLUTION = "I count them, so the answer is \\boxed{4}."
CERTAIN = (
    "\n\nHuman: And now?", "\n\nUser: And now?", "\nUser: And now?\n\nAssistant: It is 5.", "\n### Instruction:\nAdd 1.\n### Response:\n5",
    " Human: And now?", "Human: And now?", "\n\n**User:** And now?", "\n\n用户：现在呢？", "\nUSER: And now?\nASSISTANT: 5", "\n[User]: And now?",
    "\n### Human\nAnd now?", "\n<User>: And now?", "\n\nStudent: And now?",
    "\nuser\nAnd what is it now?\nassistant\nIt is 5.", "assistant\n\nThere are 4 dots.", "user\n\nAnd what is it now?assistant\n\nIt is 5.",
    "\nuser\nAnd what is it now?\nmodel\nIt is 5.", "\nassistant\nThere are 4 dots.", "\nUser\nAnd what is it now?\nAssistant\nIt is 5.", "\nuser", "assistant", "\nuser\nAnd what is it now?",
)  # fmt: skip
UNCERTAIN = (
    "\n\nQuestion 2: And now?", "\n\nQ: And now?", "\n\n**Problem 2:** And now?", "\n\nNext question: And now?", "\n\n## Question\nAnd now?",
    "\n\n题目2：现在呢？", f"\n\n{'It is so. ' * 30}\n\nUser: And now?",
    f"\n\n{'It is so. ' * 30}\nuser\nAnd what is it now?",
)  # fmt: skip
NONE = (
    "", "\n\nUser guides say the same.", "\n\nThe user: Tom.", "\n\nThe Human: a study of man.", "\n\n- User: Tom\n- Role: admin",
    "\n\n```\nUser: hi\nAssistant: hello\n```", "\n\nThe question is whether it holds.", "\n\n`Human: hi` is a head.",
    "\n\nThe roles are:\nuser\nwho asks a question\nassistant\nwho answers it",
    "\n\nThe roles are:\n\nuser\nThe one who asks.\n\nassistant\nThe one who answers.", "\n\nThe words are\nadmin\nuser\nassistant\nmodel",
    "\n\nIt is told by the user\nand not by the assistant\nthat there are four.", "\n\n```\nuser\nHow are you?\nassistant\nFine.\n```",
    "\n\nThe word is\nuser", "\n\nIt is told by the user", "\n\n**Word**\nassistant",
    "\n\nIt is a statistical\nmodel\nof them all.",
)  # fmt: skip


def read(solution, question="How many dots are there?", **options):
    messages = [{"role": "user", "content": question}]
    messages += [{"role": "assistant", "content": f"<think>\nThere are 4.\n</think>\n\n{solution}"}]
    (part,) = read_row({"id": "r", "messages": messages}, "long_thought", Options(**options)).parts
    return part


def told(example):
    return [finding.code for finding in row_findings(example, []) if finding.code == "next_question"]


@pytest.mark.parametrize("behind", CERTAIN)
def test_a_solution_that_runs_on_is_not_learned(behind):
    found = read(SOLUTION + behind)
    assert found.reason == "the response runs on into the next turn"
    assert behind.strip().partition("\n")[0] in found.detail


@pytest.mark.parametrize("behind", UNCERTAIN)
def test_what_may_be_a_part_of_the_task_is_told(behind):
    assert told(read(SOLUTION + behind)) == ["next_question"]


@pytest.mark.parametrize("behind", NONE)
def test_an_ordinary_solution_stays(behind):
    assert told(read(SOLUTION + behind)) == []


@pytest.mark.parametrize(
    ("question", "solution"),
    [
        ("Write a dialogue between a user and a bot.", "A morning\n\nUser: Hi!\nAssistant: Hello."),
        ("Give me a chat transcript.", "Here it is:\n\nHuman: Hi!\n\nAI: Hello."),
        ("What is the format of Alpaca's prompt?", "It is\n\n### Instruction:\n{instruction}\n\n### Response:"),
        ("Question 1: What is 1 + 1?\nQuestion 2: What is 2 + 2?", "Question 1: the answer is 2.\nQuestion 2: 4."),
        ("How many?", "User: Tom\nRole: admin"),
    ],
)
def test_a_dialogue_that_is_asked_for_stays(question, solution):
    assert isinstance(read(solution, question), Example) and told(read(solution, question)) == []


def test_a_turn_that_is_context_may_run_on():
    row = {"messages": [
        {"role": "user", "content": "How many?"}, {"role": "assistant", "content": f"{SOLUTION}\nHuman: hi", "loss": False},
        {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "<think>\n4.\n</think>\n\nYes."},
    ]}  # fmt: skip
    (example,) = read_row(row, "long_thought").parts
    assert [turn.learned for turn in example.turns] == [False, True]
