"""Thoughts in fields of their own: how columns and message fields that hold one are called, and what may stand in them.

Names are those of published cards and of servers' answers: `reasoning_content` (DeepSeek, vLLM, SGLang), `reasoning`
(vLLM since 0.11, OpenRouter, Dolphin-R1), `thinking` (gpt-oss, Ollama), `thinking_blocks` (LiteLLM), Anthropic's and
Mistral's typed parts, `model_reasoning` (GeneralThought), `deepseek_thinking_trajectory` (s1K-1.1).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.layouts.tags import format_of
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.row import QUESTION_COLUMNS, RejectedRow, plain
from virgo_factory.formats.texts import unix


MESSAGE_FIELDS = (
    *("reasoning_content", "reasoning", "thinking", "thinking_content", "reasoning_text", "thought", "thoughts"),
    *("reasoning_details", "thinking_blocks"),
)
"""Keys of an assistant's message that hold its thought, the content being the solution."""
_INSIDE = ("additional_kwargs", "provider_specific_fields", "model_extra", "info", "extra")
"""Objects of a message in which its thought may stand (LangChain, LiteLLM, AM's)."""
_ALSO_FIELDS = (
    *("analysis", "scratchpad", "rationale", "inner_monologue", "internal_monologue"),
    *("analysis_content", "rationale_content", "scratchpad_content"),
)
"""Keys that hold it where nothing else does: neither another key nor tags in the content."""
LIKE_A_THOUGHT = LazyPattern(
    r".*(?:think|thought|reason|cot|chain|rationale|explanation|analysis|trace|trajector|process|scratch|monologue|steps"
    r"|working|justification|reflection).*"
)
"""Names, in snake_case, of what may be a thought: a user is asked."""

THOUGHT_PARTS = ("thinking", "reasoning", "thought", "think")
REDACTED_PARTS = ("redacted_thinking", "redacted_reasoning", "reasoning.encrypted")
"""Types of the items of a typed content that hold a thought, or one that the provider keeps for itself."""

_TEXT_KEYS = (
    "thinking", "reasoning", "thought", "think", "text", "content", "summary", "reasoningContent", "reasoningText",
)  # fmt: skip

_THOUGHT = re.compile(
    r"(?!(?:.*_)?(?:query|prompt|instruction|input|system|user|template"  # a prompt that asks for one (MathVerse's `query_cot`)
    r"|captions?|captioning|domain|topic|subject|language|keywords?|title|ocr|options?|choices?|distractors?|source"
    r"|difficulty|quality|scores?|scoring|ratings?|grades?|labels?|labell?ing|categor(?:y|ies)|classification|tags?|tagging|filter"
    r"|filtering|selection|evaluation|eval|assessment|annotation|correctness|verification|safety|old|previous)_)"  # of something else
    r"(?:(?P<prefix>.+)_)?(?:(?:thinking|thoughts?|reasoning|think)(?:_(?:content|text|trace|traces|process|chain|steps"
    r"|trajectory|trajectories))?|co_?t)"
)
OF_OTHERS = LazyPattern(
    r"(?:.*_)?(?:wrong|incorrect|negatives?|neg|reject|rejected|bad|worse|worst|loser|losing|failed|failure|invalid|truncated"
    r"|incomplete|broken|corrupted|perturbed|hallucinated|examples?|exemplars?|demos?|demonstrations?|few_?shots?|icl"
    r"|baselines?|students?|drafts?|judges?|judge?ments?|verifiers?|graders?|grading|critics?|critiques?|evaluators?"
    r"|reviewers?|rewards?|feedback)(?:_?\d+)?(?:_.*)?"
)
"""Names, in snake_case, of texts that are no response to learn, whatever stands in them, unless `columns` says so."""

PAIRS = (
    *(("chosen", "rejected"), ("chosen", "reject"), ("winner", "loser"), ("winning", "losing"), ("win", "lose")),
    *(("better", "worse"), ("best", "worst"), ("preferred", "dispreferred"), ("preferred", "rejected")),
    *(("preferred", "non_preferred"), ("preferred", "nonpreferred"), ("preferred", "unpreferred"), ("accepted", "rejected")),
    *(("positive", "negative"), ("pos", "neg"), ("good", "bad"), ("w", "l"), ("desirable", "undesirable")),
    *(("prefer", "reject"), ("accept", "reject"), ("", "rejected"), ("", "reject"), ("", "negative"), ("", "dispreferred")),
)  # fmt: skip
"""How the better and the worse response of a preference pair are called, with or without a noun at either side."""
_NOUNS = ("response", "output", "completion", "generation", "answer", "text", "reply", "solution", "conversation",
          "messages", "sample", "y")  # fmt: skip
"""The first four are the response of a pair without a word, too, where a `rejected` stands beside it."""
_CHOOSER = re.compile(
    r"(?:better|safer|preferred|chosen|best|winning|winner|preference)_?(?:response|answer|output|completion|model)?_?"
    r"(?:id|index|idx|label)?|rank|ranks|ranking|rankings"
)
_CANDIDATE = re.compile(
    r"(?:model_)?(?P<noun>response|answer|output|completion|conversation)_?(?:model_)?(?:[ab]|[0-9])"
)

_SOLUTIONS = (
    *("response", "final_response", "output", "completion", "attempt", "content", "generation", "solution"),
    *("answer", "final_answer", "final", "result", "reply", "response_content", "answer_content", "final_content"),
)
"""How the columns beside a thought are called that may be its solution, the likeliest first: a short `answer` beside a
response is the gold answer."""

_WITH_SOLUTION = {"analysis": ("final",)} | dict.fromkeys(
    ("scratchpad", "inner_monologue", "internal_monologue"), _SOLUTIONS
)
"""Columns that are a thought only beside such a solution (gpt-oss's two channels in Multilingual-Thinking)."""

_QUESTIONS = ("question", "problem", "instruction", "prompt", "query", "input", "user")
_A_WORD = re.compile(r"[!-~]{0,30}")


def thought_text(value: Any, between: str = "\n\n", depth: int = 4) -> str | None:
    """Return the thought that a field or a typed part holds, with Unix line ends; None where it is empty or a flag.

    `value` is a text, an object with the text (or a list) in it, or a list of these, whose parts are joined by `between`:
    pieces inside of one part belong together without anything. Raises RejectedRow where the provider kept it for itself.
    """
    value = plain(value)
    if isinstance(value, str):
        return unix(value) if value.strip() else None

    if isinstance(value, list) and depth:
        texts = [thought_text(item, between, depth - 1) for item in value]
        return between.join(text for text in texts if text is not None) or None

    if isinstance(value, dict) and depth:
        if value.get("type") in REDACTED_PARTS:
            raise RejectedRow("the thought is redacted", f"its type is {value['type']}")

        texts = (thought_text(value.get(key), "", depth - 1) for key in _TEXT_KEYS)
        return next((text for text in texts if text is not None), None)

    return None


def thought_of_message(message: Mapping[str, Any]) -> str | None:
    """Return the thought in a field of an assistant's message; None without one.

    Raises RejectedRow where two fields hold different thoughts, or it is redacted.
    """
    found: dict[str, str] = {}
    for name in _message_fields(tuple(message)):
        value = message[name]
        if value is None or (name not in MESSAGE_FIELDS and not is_thought(value)):
            continue

        if (text := thought_text(value)) is not None:
            found.setdefault(text.strip(), name)

    if not found and len(message) > 2:
        content = plain(message.get("content", message.get("value")))
        if content is None or isinstance(content, str) and not format_of(content):
            for name in _also_fields(tuple(message)):
                if is_thought(value := plain(message[name])) and (text := thought_text(value)) is not None:
                    found.setdefault(text.strip(), name)

            inner = (message[name] for name in _INSIDE if isinstance(message.get(name), dict))
            found = found or {text: "" for text in map(thought_of_message, inner) if text}

    if len(found) > 1:
        raise RejectedRow("two different thoughts in a message", ", ".join(found.values()))

    return next(iter(found), None)


def like_a_thought(message: Mapping[str, Any]) -> str:
    """Return the key of a message that may hold its thought, by its name and several words in it; "" without one."""
    for name, value in message.items():
        if isinstance(value, str) and len(value.split()) > 3 and LIKE_A_THOUGHT.fullmatch(snake(str(name))):
            return str(name)

    return ""


@lru_cache(maxsize=256)
def _also_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if snake(str(name)) in _ALSO_FIELDS)


@lru_cache(maxsize=256)
def _message_fields(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys of a message that hold a thought, also in the spellings of columns (Bedrock's `reasoningContent`)."""
    words = {name: snake(str(name)) for name in names}
    return tuple(
        name
        for name, word in words.items()
        if name in MESSAGE_FIELDS or _THOUGHT.fullmatch(word) and not OF_OTHERS.fullmatch(word)
    )


def is_thought(value: Any) -> bool:
    """Whether a column of such a name holds a thought, or nothing, and not a flag such as "on", true or "high"."""
    value = plain(value)
    if isinstance(value, str):
        return not (_A_WORD.fullmatch(value) and value.strip())

    return value is None or isinstance(value, (list, dict))


@lru_cache(maxsize=256)
def thought_columns(names: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the columns whose name says that they hold a thought, each with those that may hold its solution.

    A column whose prefix is the same comes before others: `gemini_attempt` belongs to `gemini_thinking_trajectory`.

    >>> thought_columns(("question", "answer", "r1_reasoning", "r1_answer"))
    (('r1_reasoning', ('r1_answer', 'answer')),)
    """
    words = {snake(name): name for name in reversed(names)}
    found = []
    for word, name in words.items():
        if (match := _THOUGHT.fullmatch(word)) and not OF_OTHERS.fullmatch(word):
            prefixes = dict.fromkeys((f"{match['prefix']}_" if match["prefix"] else "", "", "model_"))
            beside = (words.get(prefix + solution) for prefix in prefixes for solution in _SOLUTIONS)
            found.append((name, tuple(column for column in dict.fromkeys(beside) if column not in (None, name))))

    if not found:  # less certain names: an `analysis` is an explanation in most sets
        for word, solutions in _WITH_SOLUTION.items():
            beside = tuple(words[name] for name in solutions if name in words)
            found += [(words[word], beside)] if word in words and beside else []

        return tuple(found)

    return tuple(sorted(found, key=lambda pair: bool(_THOUGHT.fullmatch(snake(pair[0]))["prefix"])))


@lru_cache(maxsize=256)
def same_thoughts(names: tuple[str, ...], thought: str) -> tuple[str, ...]:
    """Return the other columns that by their names hold the thought of the same model as one does.

    >>> same_thoughts(("thinking", "reasoning", "gemini_thinking", "answer"), "thinking")
    ('reasoning',)
    """
    matches = {name: _THOUGHT.fullmatch(snake(name)) for name, _ in thought_columns(names)}
    models = {name: (match["prefix"], name.isascii()) for name, match in matches.items() if match}
    return tuple(name for name, model in models.items() if name != thought and model == models.get(thought))


@lru_cache(maxsize=256)
def question_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that may hold the question of a row, the likeliest first, in any spelling of their case."""
    words = {snake(name): name for name in reversed(names)}
    return tuple(dict.fromkeys([*(name for name in QUESTION_COLUMNS if name in names),
                                *(words[word] for word in _QUESTIONS if word in words)]))  # fmt: skip


@lru_cache(maxsize=256)
def pair_columns(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the columns of the better and of the worse response of a preference pair; None without both.

    >>> pair_columns(("prompt", "response_winner", "response_loser")), pair_columns(("prompt", "response"))
    (('response_winner', 'response_loser'), None)
    """
    words = {snake(name): name for name in reversed(names) if isinstance(name, str)}
    joined = " ".join(words)
    for better, worse in PAIRS:
        if worse not in joined:
            continue

        for noun in ("", *_NOUNS) if better else _NOUNS[:4]:
            for form in ("{noun}_{word}", "{word}_{noun}") if noun and better else ("{word}",):
                pair = [form.format(noun=noun, word=word) for word in (better or noun, worse)]
                if not better and f"{worse}_{noun}" in words:
                    pair[1] = f"{worse}_{noun}"

                if all(pair) and all(name in words for name in pair):
                    return words[pair[0]], words[pair[1]]

    return None


@lru_cache(maxsize=256)
def chooser_of(names: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return the column that says by a number or a name which of several columns is the better response, and those.

    >>> chooser_of(("prompt", "response_0", "response_1", "better_response_id"))
    ('better_response_id', ('response_0', 'response_1'))
    """
    words = {name: snake(name) for name in names if isinstance(name, str)}
    chooser = next((name for name, word in words.items() if _CHOOSER.fullmatch(word)), None)
    candidates = tuple(name for name, word in words.items() if _CANDIDATE.fullmatch(word))
    return (chooser, candidates) if chooser and len(candidates) > 1 else None
