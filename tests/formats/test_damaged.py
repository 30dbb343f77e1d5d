"""Text that was damaged on its way is told with what was seen; escapes that are meant, and other scripts, are text."""

import pytest

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats.any_row.damaged import damage


DAMAGED = [
    "It is \x08oxed{3}.", "\x0crac{1}{2}", "a\x00b", "a\x07lpha", "the \ufffd sign", "It isnâ€™t.", "30Â°", "cafÃ©", "It\x92s",
    "2 \times{} 3".replace("\\t", "\t"), "$3 \times 4$", "\text{cm}", "\\left(3\night)", "\nabla f", "\\\\boxed{3}", "2 \\\\times 3", "Add 1.\\n\\nThen 2.", "So 3.\\nThen 4.",
    "It is 4.\\n", "b'The answer is 3'", 'b"It is 3"',
    "x â‰¤ 12", "a â†’ b", "â‰ˆ 3", "âˆš2", "2 Ã— 3", "Ï€ r", "the angle Î±", "ç­”æ¡ˆæ˜¯12ã€‚", "ÐžÑ‚Ð²ÐµÑ‚ 12", "锟斤拷12", "烫烫烫12", "ĠTheĠanswer", "▁The▁answer", "It is \\u4e09.",
    "It is &lt; 12.", "3 &amp; 4", "TextBlock(text='It is 12.', type='text')", "[{'type': 'text', 'text': 'It is 12.'}]", '{"type": "text", "text": "It is 12."}',
    "<built-in function input>", "<__main__.Row object at 0x7f3c>",
]  # fmt: skip
WHOLE = [
    "It is \\boxed{3}.", "a\tb\nc", "print('\\n')", "Use `\\n` to end a line.", 'It is "a\\nb".', "```\ns = a\\nb\n```", "\\nRightarrow", "$\\nu$ and \\neq",
    "\\begin{align}\na &= 1 \\\\\nb &= 2\n\\end{align}", "1 & 2 \\\\\\frac{1}{2} & 3", "C:\\new\\name", "Zoë, São, À, Ã, Â, €, 中文, é", "x\tan y", "line\nright here", "b",
    "b'", "be 'so'", "x² 30°", "\u200bzero", "naïve — “so”", "a \\\\ b",
    "“Ã”", "«é»", "il a dit «\u00a0là\u00a0»", "Il l'a aimé…»", "ÉTÉ…”", "IRMÃ”", "5 ×…", "Spaß”", "α ≤ β × π → ∞", "Ответ 12", "Größe: 12 µm ≤ 13 µm", "水很烫", "1 & 2 \\\\ 3 & 4",
    "In HTML write &lt; for <.", "`&lt;` is one", "The regex is \\d+\\n in Python.", "\\underline{x} \\uparrow", "Text: it is", "{'a': 3}", '[{"type": "number"}]', "{'type': 3}", "<b>4</b>", "<class>", "▁",
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_damage_is_seen(text):
    assert damage(text)


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_meant_so_is_text(text):
    assert damage(text) == ""


def test_it_is_told_of_thought_and_solution_and_not_of_what_is_not_learned():
    told = [("I see.", "\x08oxed{3}"), ("It isnâ€™t.", "3")]
    for thought, solution in told:
        (finding,) = row_findings(Example("a", "Q?", LongThought(thought, solution)), ())
        assert (finding.code, finding.severity) == ("damaged_text", "warning")

    (finding,) = row_findings(Example("a", "Is\x08 it?", LongThought("I see.", "3")), ())
    assert (finding.code, finding.detail) == ("damaged_text", "'Is\\x08 it?' in the prompt")
    context = Turn("Is it?", LongThought("It isnâ€™t.", "3"), learned=False)
    assert row_findings(Example("a", "Is it?", LongThought("I see.", "3"), history=(context,)), ()) == ()


@pytest.mark.parametrize(
    "question",
    [
        "How many boÃ®tes?",
        "2 Ã— 3?",
        "b'How many?'",
        "[{'type': 'text', 'text': '1 + 1?'}]",
        "$3 \times 4$?",
        "x &lt; 3?",
    ],
)
def test_it_is_told_of_a_question(question):
    assert damage(question, True)


@pytest.mark.parametrize(
    "question",
    ["Which?\\nOptions:\\n- a\\n- b", "Print a and \\n.", "C:\\new", "Zoë, São?", "What does &lt; mean in HTML?"],
)
def test_lines_of_a_question_on_one_line_are_not(question):
    assert damage(question, True) == ""
