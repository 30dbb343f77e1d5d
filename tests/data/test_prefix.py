"""The question prefix: after the leading images, once, and a line break before the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.data.read.prefix import add_prefix, read_prefix


PREFIX = "Please first think deeply about the question, and then put the final answer in \\boxed{}."
IMAGE = "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>"
VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"

PLACED = [
    # (question, with the prefix "P.")
    ("How many?", "P.\nHow many?"),
    ("  \n How many?\n", "P.\nHow many?\n"),
    ("<image>How many?", "<image>P.\nHow many?"),
    ("<image>\nHow many?", "<image>P.\nHow many?"),
    ("\n<image> \r\n How many?", "<image>P.\nHow many?"),
    ("<image><image>Which?", "<image><image>P.\nWhich?"),
    ("<image>\n<image>\nWhich?", "<image><image>P.\nWhich?"),
    ("<image>A <image> B", "<image>P.\nA <image> B"),
    ("Look: <image>\nHow many?", "P.\nLook: <image>\nHow many?"),
    (f"{IMAGE}\nHow many?", f"{IMAGE}P.\nHow many?"),
    (f"{IMAGE}{IMAGE}{VIDEO}How many?", f"{IMAGE}{IMAGE}{VIDEO}P.\nHow many?"),
    ("<video>What happens?", "<video>P.\nWhat happens?"),
    ("P.\nHow many?", "P.\nHow many?"),
    ("<image>P.\nHow many?", "<image>P.\nHow many?"),
    ("<image>\nP. How many?", "<image>P. How many?"),
    ("What is P.?", "P.\nWhat is P.?"),
    ("<image>", "<image>"),
    ("", ""),
]


@pytest.mark.parametrize(("question", "expected"), PLACED)
def test_where_the_prefix_stands(question, expected):
    assert add_prefix(question, "P.") == expected


@pytest.mark.parametrize("question", [question for question, _ in PLACED])
def test_no_prefix_changes_nothing(question):
    assert add_prefix(question, "") == question


PARTS = st.lists(st.sampled_from(["<image>", IMAGE, " ", "\n", "A", "P.", "How?", "<|vision_start|>"]), max_size=8)


@given(PARTS.map("".join), st.sampled_from(["P.", PREFIX]))
def test_the_prefix_stands_once_and_loses_nothing(question, prefix):
    once = add_prefix(question, prefix)
    assert add_prefix(once, prefix) == once
    assert once.count("<image>") == question.count("<image>")
    assert "".join(once.replace(prefix, "", 1).split()) in {
        "".join(question.split()),
        "".join(question.replace(prefix, "", 1).split()),
    }


def test_many_images_and_much_whitespace_take_no_time():
    assert add_prefix("<image> \n" * 2000 + " " * 50_000 + "x", "P.") == "<image>" * 2000 + "P.\nx"
    assert add_prefix("<image> \n" * 20_000, "P.") == "<image>" * 20_000


def test_the_prefix_of_virgo_is_the_papers():
    assert read_prefix("virgo") == read_prefix("virgo.prefix.txt") == PREFIX


@pytest.mark.parametrize("name", [None, "none"])
def test_none_is_no_prefix(name):
    assert read_prefix(name) == ""


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    path = tmp_path / "templates" / "mine.txt"
    path.parent.mkdir()
    path.write_text("\nDenke nach: ünter 你.\nTwo lines.\n\n", encoding="utf-8")
    assert read_prefix(str(path)) == "Denke nach: ünter 你.\nTwo lines."
    monkeypatch.chdir(tmp_path)
    assert read_prefix("templates/mine.txt") == read_prefix("mine.txt") == read_prefix(str(path))


@pytest.mark.parametrize("name", ["virgi", "", "templates", "/nowhere/a.txt", "a\0b", "x" * 5000, 5, True, ["virgo"]])
def test_anything_else_names_what_there_is(name):
    with pytest.raises(ValueError, match="question_prefix: .* is not one of none, virgo, and no such file exists"):
        read_prefix(name)


@pytest.mark.parametrize(("content", "told"), [(b"\x89PNG\xff", "UTF-8"), (b" \n", "is empty")])
def test_a_file_that_says_nothing(tmp_path, content, told):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"question_prefix: .*mine\.txt.*{told}"):
        read_prefix(str(path))
