"""Real model output is the input: every way of being broken is named, and nothing broken is read as whole."""

import json
import pickle
import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from virgo_factory.core.thought import MARKERS, REASONS, LongThought, MalformedThought


BT, ET, BS, ES = MARKERS
WHOLE = f"{BT}\n\nSeven eights: 56.\n\n{ET}\n\n{BS}\n\nIt is \\boxed{{56}}.\n\n{ES}"

BROKEN = [
    # (name, response, reason, line at which it shows)
    ("null", None, "not_text", 1),
    ("a list of samples", [WHOLE], "not_text", 1),
    ("bytes", WHOLE.encode(), "not_text", 1),
    ("nothing", "", "empty_response", 1),
    ("only line breaks", "\r\n\n \t\n", "empty_response", 1),
    ("a direct answer", "To find the sum, add.\n\n\\boxed{7}", "no_markers", 1),
    ("other tags", "<think>\nHmm.\n</think>\nIt is 7.", "no_markers", 1),
    ("a marker in capitals", WHOLE.upper().replace("BOXED", "boxed"), "no_markers", 1),
    ("markers with a blank", WHOLE.replace("<|", "<| "), "no_markers", 1),
    ("the opening was in the prompt", WHOLE.removeprefix(BT), "no_thought", 11),
    ("only the end of thought", f"So 7.\n{ET}\n\nThe answer is 7.", "no_thought", 4),
    ("only a solution", f"{BS}7{ES}", "no_thought", 1),
    ("cut off at the token limit", f"{BT}\n\nLet me see. Wait,", "thought_not_closed", 3),
    ("cut off inside a marker", f"{BT}\n\nSo 7.\n\n<|end_of_thou", "thought_not_closed", 5),
    ("thought runs into the solution", f"{BT}\nSo 7.\n{BS}\n7\n{ES}", "thought_not_closed", 5),
    ("no solution at all", f"{BT}\nSo 7.\n{ET}\n\nIt is 7.", "no_solution", 5),
    ("solution not opened", f"{BT}\nSo 7.\n{ET}\n7\n{ES}", "no_solution", 5),
    ("stopped at the last marker", WHOLE.removesuffix(ES), "solution_not_closed", 11),
    ("two thoughts", f"{BT}\na\n{ET}\n{BT}\nb\n{ET}\n{BS}c{ES}", "repeated_marker", 4),
    ("two whole answers", f"{WHOLE}\n{WHOLE}", "repeated_marker", 12),
    ("a solution that loops", f"{BT}a{ET}{BS}b{ES}\n{BS}b{ES}\n{BS}b{ES}", "repeated_marker", 2),
    ("repeated and cut off", f"{BT}\n{BT}\nHmm", "repeated_marker", 2),
    ("quoted in backticks", f"{BT}\nI close with `{ET}`.\n{ET}{BS}7{ES}", "quoted_marker", 3),
    ("quoted in code", f'{BT}\nx = "{BS}"\nprint(x)\n{ET}\n{BS}7{ES}', "quoted_marker", 5),
    ("quoted in single quotes", f"{BT}\ns.split('{ET}')\n{ET}{BS}7{ES}", "quoted_marker", 3),
    ("in a code block", f"{BT}\n```\n{ET}\n```\n{ET}{BS}7{ES}", "repeated_marker", 5),
    ("quoted only once, at the start", f"`{BT}` is how I begin.", "thought_not_closed", 1),
    ("solution first", f"{BS}7{ES}\n{BT}So 7.{ET}", "out_of_order", 1),
    ("ends swapped", f"{BT}\na\n{BS}\nb\n{ET}\nc\n{ES}", "out_of_order", 3),
    ("text before", f"\nSure!\n\n{WHOLE}", "text_before", 2),
    ("end of turn after", f"{WHOLE}<|im_end|>", "text_after", 11),
    ("the answer again after", f"{WHOLE}\n\nThe answer is 56.", "text_after", 13),
    ("text between", f"{BT}a{ET}\nSo the answer:\n{BS}b{ES}", "text_between", 2),
    ("empty thought", f"{BT}\n\n{ET}\n\n{BS}7{ES}", "empty_thought", 1),
    ("empty solution", f"{BT}a{ET}\r\n{BS} \t\r\n{ES}", "empty_solution", 1),
    ("both empty: the first is told", f"{BT}{ET}{BS}{ES}", "empty_thought", 1),
]


@pytest.mark.parametrize(("response", "reason", "line"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN])
def test_every_broken_response_has_its_reason(response, reason, line):
    with pytest.raises(MalformedThought) as caught:
        LongThought.parse(response)

    assert (caught.value.reason, caught.value.line) == (reason, line)
    assert str(caught.value) == f"{REASONS[reason]} (line {line} of the response)"


def test_the_table_reaches_every_reason():
    assert {case[2] for case in BROKEN} == set(REASONS)


READ = [
    ("as rendered", WHOLE),
    ("no whitespace", f"{BT}Seven eights: 56.{ET}{BS}It is \\boxed{{56}}.{ES}"),
    ("single line breaks", WHOLE.replace("\n\n", "\n")),
    ("Windows line ends", WHOLE.replace("\n", "\r\n")),
    ("old Mac line ends", WHOLE.replace("\n", "\r")),
    ("blanks before line breaks", WHOLE.replace("\n\n", " \n\t\n ")),
    ("blank edges", f"\n \u3000{WHOLE}\n\n\n"),
    ("solution without blank lines", f"{BT}\n\nSeven eights: 56.\n\n{ET}\n\n{BS}It is \\boxed{{56}}.{ES}"),
]


@pytest.mark.parametrize("response", [case[1] for case in READ], ids=[case[0] for case in READ])
def test_any_whitespace_around_the_markers_is_read(response):
    assert LongThought.parse(response) == LongThought("Seven eights: 56.", "It is \\boxed{56}.")


def test_lines_inside_a_part_keep_their_blanks_and_lose_only_carriage_returns():
    text = "  a  \r\n\r\n\tb\u2028c\r\n"
    assert LongThought(text, "x").thought == "a  \n\n\tb\u2028c"


def test_render_has_a_blank_line_on_each_inner_side():
    expected = "<|begin_of_thought|>\n\nSo.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n7\n\n<|end_of_solution|>"
    assert LongThought("So.", "7").render() == expected


MARKER = re.compile(r"<\|(begin|end)_of_(thought|solution)\|>")
PIECES = st.lists(
    st.one_of(
        st.text(), st.sampled_from(["\r", "\n", "\r\n", " ", "<|", "|>", "<|end_of_", "thought|>", "\x1c", "\x85"])
    )
).map("".join)
TEXTS = PIECES.filter(lambda text: text.strip() and not MARKER.search(text))


@given(TEXTS, TEXTS)
@example("a\r\r\nb", "a\rb")
def test_what_is_rendered_is_read_back(thought, solution):
    whole = LongThought(thought, solution)
    assert LongThought.parse(whole.render()) == whole
    assert LongThought.parse(whole.render().replace("\n", "\r\n")) == whole
    assert "\r\n" not in whole.render()


@given(PIECES, st.lists(st.one_of(st.text(max_size=5), st.sampled_from(MARKERS)), max_size=9))
def test_parse_raises_nothing_but_its_own_error_and_invents_no_text(before, pieces):
    response = before + "".join(pieces)
    try:
        whole = LongThought.parse(response)
    except MalformedThought as error:
        assert error.reason in REASONS
        assert 1 <= error.line <= response.count("\n") + 1
    else:
        assert not MARKER.search(whole.thought + whole.solution)
        kept = re.sub(r"\s", "", whole.thought + whole.solution)
        assert kept == re.sub(r"\s", "", MARKER.sub("", response))


@pytest.mark.parametrize(
    ("thought", "solution", "reason"),
    [
        (f"then {ET} comes", "7", "repeated_marker"),
        ("So.", f"{BT}7", "repeated_marker"),
        (" \n", "7", "empty_thought"),
        ("So.", "\r\n", "empty_solution"),
        (None, "7", "not_text"),
        ("So.", 7, "not_text"),
    ],
)
def test_what_could_not_be_read_back_cannot_be_made(thought, solution, reason):
    with pytest.raises(MalformedThought) as caught:
        LongThought(thought, solution)

    assert caught.value.reason == reason


def test_the_error_crosses_processes():
    error = pickle.loads(pickle.dumps(MalformedThought("text_after", 12)))
    assert (error.reason, error.line, str(error)) == (
        "text_after",
        12,
        "text after the solution (line 12 of the response)",
    )


LINE = "Wait, let me check `x < | y` and <|end_of_| again.\r\n"
LONG = {
    "whole": lambda body: f"{BT}{body}{ET}{BS}7{ES}",
    "never closed": lambda body: f"{BT}{body}",
    "no markers": lambda body: body,
    "markers over and over": lambda body: BT * (len(body) // len(BT)),
    "quotes over and over": lambda body: f"`{ET}`\n" * (len(body) // len(ET)),
    "only line breaks": lambda body: "\r\n" * (len(body) // 2),
    "almost markers": lambda body: "<|begin_of_" * (len(body) // 11),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG)
def test_time_is_linear_in_the_length(shape, grows_linearly):
    responses = {size: LONG[shape](LINE * (size // len(LINE))) for size in (300_000, 4_800_000)}

    def parse(size):
        try:
            LongThought.parse(responses[size])
        except MalformedThought:
            pass

    grows_linearly(parse, *responses)


def skythought(folder):
    """Yield all responses of the real files, in file order."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from json.loads(line)["code"]

    for path in sorted(folder.glob("*.json")):
        for problem in json.loads(path.read_text(encoding="utf-8")).values():
            yield from (response["content"] for response in problem["responses"].values())


def is_whole(text):
    """Whether a response is well formed, found without the parser: cut at the markers, look at the five pieces."""
    if [text.count(marker) for marker in MARKERS] != [1, 1, 1, 1]:
        return False

    pieces = []
    for marker in MARKERS:
        piece, found, text = text.partition(marker)
        if not found:
            return False

        pieces.append(piece.strip())

    before, thought, between, solution = pieces
    return not before and not between and not text.strip() and thought != "" and solution != ""


def test_real_output_every_response_is_whole_or_has_a_reason(shared_data):
    responses = list(skythought(shared_data / "skythought"))
    found = Counter()
    for response in responses:
        try:
            whole = LongThought.parse(response)
        except MalformedThought as error:
            found[error.reason] += 1
            assert not is_whole(response)
        else:
            found["whole"] += 1
            assert is_whole(response)
            assert LongThought.parse(whole.render()) == whole

    assert found == {
        "whole": 842,
        "no_markers": 227,
        "thought_not_closed": 190,
        "no_thought": 85,
        "solution_not_closed": 50,
        "text_before": 17,
        "repeated_marker": 1,
    }
    assert sum(found.values()) == len(responses) == 1412
    assert found["no_markers"] == sum(
        "_of_thought|>" not in text and "_of_solution|>" not in text for text in responses
    )
    assert found["whole"] + found["text_before"] + found["repeated_marker"] == sum(
        all(marker in text for marker in MARKERS) for text in responses
    )
