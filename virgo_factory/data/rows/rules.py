"""What can be wrong with one row that the formats accept: its thought, its answer, its prompt, its images."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from virgo_factory.core.example import Example
from virgo_factory.core.finding import Finding
from virgo_factory.data.rows.final_answer import no_such_option, two_answers, unmentioned_answer
from virgo_factory.data.rows.repetition import Loop, find_loop
from virgo_factory.formats.any_row.cut_off import mid_sentence
from virgo_factory.formats.any_row.damaged import damage
from virgo_factory.formats.any_row.foreign_tokens import TAGGED, foreign_token
from virgo_factory.formats.any_row.next_turns import next_question
from virgo_factory.formats.any_row.prompts import asks_for_less, asks_for_tags
from virgo_factory.formats.any_row.refusals import no_answer
from virgo_factory.formats.any_row.rendered_prompt import ends_with_speaker
from virgo_factory.formats.any_row.second_columns import NOT_TRAINED, NOT_TRAINED_BESIDE_CHAT, SECOND_RESPONSE
from virgo_factory.formats.any_row.tool_calls import runs_code
from virgo_factory.formats.marks.response_marks import NOT_UNDERSTOOD, UNREAD
from virgo_factory.formats.marks.row_marks import NOT_WEIGHED
from virgo_factory.formats.pictures.spoken_of import spoken_of


if TYPE_CHECKING:
    from virgo_factory.data.read.images import ImageFacts  # with Pillow, which rows without pictures do not need


__all__ = ["RULES", "Finding", "Rule", "row_findings"]

Rule = Callable[[Example, Sequence["ImageFacts"]], Iterable[Finding]]


def row_findings(example: Example, images: Sequence["ImageFacts"]) -> tuple[Finding, ...]:
    """Return what is wrong with a row, in the order of RULES; linear in its length."""
    return tuple(finding for rule in RULES for finding in rule(example, images))


def image_findings(example: Example, images: Sequence["ImageFacts"]) -> Iterable[Finding]:
    """Yield the findings of the row's images, each numbered where there are several."""
    for number, facts in enumerate(images, start=1):
        for finding in facts.findings:
            detail = f"image {number} of {len(images)}: {finding.detail}" if len(images) > 1 else finding.detail
            yield Finding(finding.code, finding.severity, detail)


def thought_findings(example: Example, images: Sequence["ImageFacts"]) -> Iterable[Finding]:
    """Yield what looks wrong with the thoughts of the row: a word long, a loop, not the one of its answer."""
    for turn in example.turns:
        if not turn.learned:
            continue

        response = turn.response
        if isinstance(response, str):
            yield Finding("malformed_kept", "warning")
            if loop := find_loop(response):
                yield _loop_finding(loop)

            continue

        if _is_one_word(response.thought):
            yield Finding("thought_tiny", "warning", response.thought)
        elif response.thought == response.solution:
            yield Finding("thought_is_solution", "warning")
        elif told := two_answers(response.solution, response.thought):
            yield Finding("two_answers", "warning", told)
        elif answer := unmentioned_answer(response.thought, response.solution):
            yield Finding("answer_not_in_thought", "warning", f"boxes {_short(answer)}")
        elif letter := no_such_option(turn.question, response.solution):
            yield Finding("no_such_option", "warning", f"boxes {letter}")

        if loop := find_loop(response.thought) or find_loop(response.solution):
            yield _loop_finding(loop)


def prompt_findings(example: Example, images: Sequence["ImageFacts"]) -> Iterable[Finding]:
    """Yield what of the prompt the row does not have (tags of a target, a picture), and tokens of other models in it."""
    questions = [turn.question for turn in example.turns]
    for text in [example.system, *questions] if example.system else questions:
        if sentence := asks_for_tags(text):
            yield Finding("prompt_names_tags", "warning", sentence)

        if token := foreign_token(text) or ends_with_speaker(text):
            yield Finding("foreign_token_in_the_prompt", "warning", token)

        if seen := damage(text, True):
            yield Finding("damaged_text", "warning", f"{seen} in the prompt")

    for turn in example.turns:
        if words := spoken_of(turn.question, len(example.images)):
            yield Finding("no_picture", "warning", words)


_CODES = {
    NOT_UNDERSTOOD: "mark_not_understood",
    NOT_WEIGHED: "row_not_weighed",
    NOT_TRAINED_BESIDE_CHAT: "column_not_in_messages",
    SECOND_RESPONSE: "second_response",
    TAGGED: "part_in_tags",
}
"""What notes begin with that deserve a look -> code of the finding."""


def run_on_findings(example: Example, images: Sequence["ImageFacts"]) -> Iterable[Finding]:
    """Yield where a response goes on with what is no model's (another question, the output of a tool), or stops too early."""
    for turn in example.turns:
        if not turn.learned:
            continue

        said = turn.response
        solution, thought = (said, "") if isinstance(said, str) else (said.solution, said.thought)
        if seen := damage(solution) or damage(thought):
            yield Finding("damaged_text", "warning", seen)

        if sentence := asks_for_less(turn.question, solution):
            yield Finding("prompt_asks_for_less", "warning", sentence)

        if words := no_answer(solution, turn.question, thought):
            is_task = example.answer or example.images or any(map(str.isdigit, turn.question))
            yield Finding("no_answer", "warning" if is_task else "info", words)

        if line := next_question(turn.question, solution):
            yield Finding("next_question", "warning", line)

        if words := mid_sentence(solution, thought):
            yield Finding("mid_sentence", "warning", words)

        if runs_code(solution) or thought and runs_code(thought):
            yield Finding("code_output", "warning")


def note_findings(example: Example, images: Sequence["ImageFacts"]) -> Iterable[Finding]:
    """Yield what the formats noted: what they did is counted, what they did not understand deserves a look."""
    for note in example.notes:
        yield Finding("note", "info", note)
        what, _, where = note.partition(": ")
        if what == NOT_TRAINED:
            yield Finding("column_not_trained", "warning", f'{where}: "columns": {{"query": "{where}"}}')
        elif what == UNREAD:
            yield Finding("yes_or_no_not_read", "info", where)
        elif code := _CODES.get(what):
            yield Finding(code, "warning", where)


def _is_one_word(text: str) -> bool:
    """Whether a text is one word; of a script without spaces, no more than four characters."""
    return len(text) <= (40 if text.isascii() else 4) and len(text.split()) == 1


def _loop_finding(loop: Loop) -> Finding:
    return Finding("loop", "warning", f'{loop.times} times "{_short(loop.words)}"')


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


RULES: tuple[Rule, ...] = (image_findings, thought_findings, prompt_findings, run_on_findings, note_findings)
