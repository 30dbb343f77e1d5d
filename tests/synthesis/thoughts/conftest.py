"""Questions, scenes and replies for the tests of thoughts; LongPerceptualThoughts' released rows as what models replied."""

import json
import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from virgo_factory.answers.options import inline_options
from virgo_factory.synthesis.thoughts.reading import letters_in
from virgo_factory.synthesis.words import LETTERS, Question, Scene, SceneObject, Thought


TAGGED = r"<think> (.*) </think> <answer> (.*) </answer>"


QUESTION = Question(
    "coco/1/ab", "coco/1", "What colour is the cup?", ("red", "blue", "green", "white"), "B", "recognition"
)
SCENE = Scene(
    "coco/1",
    0,
    "pictures/1.png",
    "f" * 64,
    300,
    300,
    ("A blue cup on a table.",),
    (SceneObject("cup 1", "cup", (10, 220, 60, 290)),),
)


def short(sample: int, letter: str, thought: str = "", question: Question = QUESTION) -> Thought:
    """A short thought that ends with a letter."""
    text = thought or f"I look at the cup, number {sample}."
    return Thought(f"{question.id}/s{sample}", question.id, text, letter, letter == question.answer)


def long(of: Thought, sample: int, letter: str, added: str = "", question: Question = QUESTION) -> Thought:
    """An expansion of a short thought that ends with a letter."""
    added = added or f" looking again, the {sample}. time, it is ({letter})."
    planted = f"{of.thought}\nWait,"
    return Thought(
        f"{of.id}/l{sample}", question.id, planted + added, letter, letter == question.answer, of.id,
        len(of.thought), len(planted), "Wait,",
    )  # fmt: skip


@dataclass
class Released:
    """LongPerceptualThoughts' released rows.

    Attributes:
        questions: by id.
        shorts: the 400 short thoughts, by the id of their question.
        sft: the 94 rows for SFT.
        pairs: file -> its pairs.
    """

    questions: dict[str, Question] = field(default_factory=dict)
    shorts: dict[str, list[str]] = field(default_factory=dict)
    sft: list[dict] = field(default_factory=list)
    pairs: dict[str, list[dict]] = field(default_factory=dict)

    def expansions(self) -> list[tuple[Question, str, str, str, str]]:
        """Return (question, short thought, what joins them, what is added behind `Wait,`, answer), each once."""
        sides = [(row, row[side]) for rows in self.pairs.values() for row in rows for side in ("chosen", "rejected")]
        texts = {
            message["content"]: row for row, message in (*sides, *((row, row["messages"][-1]) for row in self.sft))
        }
        found = []
        for text, row in texts.items():
            id = row["metadata"]["mcq_unique_id"]
            thought, answer = re.fullmatch(TAGGED, text, re.DOTALL).groups()
            if (begin := self.begin(id, thought)) != thought:
                join, added = re.fullmatch(r"(\.?[\n ])Wait,(.*)", thought[len(begin) :], re.DOTALL).groups()
                found.append((self.questions[id], begin, join, added, answer))

        return found

    def groups(self) -> list[tuple[Question, Scene, list[Thought], list[Thought]]]:
        """Return each question with its short thoughts and expansions, and what the rows tell of their answers.

        A short thought is right where a row begins with it that has no `assistant_prefix`, or where a pair of O prefers it.
        """
        said: dict[tuple[str, str], str] = {}
        right: set[tuple[str, str]] = set()
        messages = [(row, row["messages"][-1], not row["assistant_prefix"]) for row in self.sft]
        for name, pairs in self.pairs.items():
            messages += [
                (row, row[side], side == "chosen" and name == "O") for row in pairs for side in ("chosen", "rejected")
            ]

        for row, message, begins_right in messages:
            id = row["metadata"]["mcq_unique_id"]
            thought, answer = re.fullmatch(TAGGED, message["content"], re.DOTALL).groups()
            said[id, thought] = answer
            if begins_right:
                right.add((id, self.begin(id, thought)))

        found = []
        for id, question in self.questions.items():
            shorts, longs = [], []
            for number, text in enumerate(self.shorts[id]):
                letter = letters_in(question, f"<answer>{said[id, text]}</answer>") if (id, text) in said else ""
                shorts.append(
                    Thought(
                        f"{id}/s{number}",
                        id,
                        text,
                        letter or question.answer * ((id, text) in right),
                        (id, text) in right,
                    )
                )

            of = {one.thought: one for one in shorts}
            for (other, text), answer in said.items():
                if other == id and text not in of:
                    begin, letter = of[self.begin(id, text)], letters_in(question, f"<answer>{answer}</answer>")
                    known = (len(begin.thought), text.index("Wait,", len(begin.thought)) + 5, "Wait,")
                    longs.append(
                        Thought(
                            f"{begin.id}/l{len(longs)}", id, text, letter, letter == question.answer, begin.id, *known
                        )
                    )

            found.append((question, replace(SCENE, id=question.scene), shorts, longs))

        return found

    def begin(self, id: str, thought: str) -> str:
        """Return the short thought that a thought is, or goes on with."""
        return max((one for one in self.shorts[id] if thought.startswith(one)), key=len)


@pytest.fixture(scope="session")
def released(shared_data) -> Released:
    folder, made = shared_data / "long_perceptual_thoughts", Released()

    def load(name: str) -> list[dict]:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    for row in load("sft_docci_all_mcqs.json"):
        id, (_, user, assistant) = row["metadata"]["mcq_unique_id"], row["messages"]
        text, _, listed = user["content"].removeprefix("<image>").partition("\nSelect from the following choices.\n")
        options = inline_options(listed)
        gold = re.fullmatch(r"<answer>(.*)</answer>", assistant["content"])[1].strip("().")
        letter = gold if gold in LETTERS else LETTERS[options.index(gold)]
        made.questions[id] = Question(id, row["metadata"]["image_id"], text, options, letter)

    for row in load("sft_docci_thought_expansion.json"):
        made.shorts.setdefault(row["metadata"]["mcq_unique_id"], []).append(row["metadata"]["simple_cot"].strip())

    made.sft = load("sft_docci_all_extended_cots.json")
    made.pairs = {name: load(f"dpo_docci_all_extended_cots_{name}.json") for name in ("X_O", "O")}
    return made


@pytest.fixture(scope="session")
def thoughts() -> SimpleNamespace:
    """What makes thoughts."""
    return SimpleNamespace(short=short, long=long, question=QUESTION, scene=SCENE)
