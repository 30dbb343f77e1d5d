"""Files as they come from outside: every row with its line, every complaint with file and line, no memory spent."""

import codecs
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.data.read import reader
from virgo_factory.data.read.files import chunks
from virgo_factory.data.read.files.chunks import UnreadableFile
from virgo_factory.data.read.reader import read_rows


ROWS = [{"id": f"r{i}", "text": 'Grüße, 你好 \\ " \u2028 \x85'} for i in range(60)]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def write(folder, content, name="rows.jsonl"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path):
    """Return the rows read before an error, as (line, value), and the error's message or ""."""
    rows = []
    try:
        for row in read_rows(path):
            rows.append((row.line, json.loads(row.text)))
    except UnreadableFile as error:
        return rows, str(error)

    return rows, ""


LINES = [f"{line}\n" for line in JSONL.split("\n")[:-1]]
ITEMS = list(range(-1, -61, -1))
WHOLE = [
    ("JSONL", JSONL, list(range(1, 61))),
    ("without the last line break", JSONL.rstrip("\n"), list(range(1, 61))),
    ("Windows line ends", JSONL.replace("\n", "\r\n"), list(range(1, 61))),
    ("byte order mark", codecs.BOM_UTF8 + JSONL.encode(), list(range(1, 61))),
    ("blank lines", JSONL.replace("\n", "\n \t\n"), list(range(1, 120, 2))),
    ("blank lines first", "\n\n" + JSONL, list(range(3, 63))),
    ("escaped to ASCII", "".join(json.dumps(row) + "\n" for row in ROWS), list(range(1, 61))),
    ("a list on one line", json.dumps(ROWS, ensure_ascii=False), ITEMS),
    ("a list, a row a line", "[" + ",\n".join(map(json.dumps, ROWS)) + "]\n", list(range(1, 61))),
    ("a list, brackets on lines of their own", "[\n" + ",".join(map(json.dumps, ROWS)) + "\n]\n", ITEMS),
    ("a list, indented", json.dumps(ROWS, indent=2, ensure_ascii=False), list(range(2, 242, 4))),
    ("a list with byte order mark", codecs.BOM_UTF8 + json.dumps(ROWS).encode(), ITEMS),
    ("a list after blank lines", "\r\n\n \t" + json.dumps(ROWS), ITEMS),
    ("a list, Windows line ends", json.dumps(ROWS, indent=2).replace("\n", "\r\n"), list(range(2, 242, 4))),
]


@pytest.mark.parametrize(("content", "lines"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_rows_and_lines(tmp_path, monkeypatch, content, lines, chunk):
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    for name in ("rows.jsonl", "rows.json"):  # what is in the file counts, not its name
        rows, error = read(write(tmp_path, content, name))
        assert error == ""
        assert [line for line, _ in rows] == lines
        assert [row for _, row in rows] == ROWS


def test_any_type_in_any_column_is_read(tmp_path):
    mixed = [{"a": 1}, {"a": "1"}, {"a": None}, {"a": [1, {"b": 2.5e3}]}, {"b": True}, [], 3, "text", None]
    rows, error = read(write(tmp_path, "".join(json.dumps(row) + "\n" for row in [{}, *mixed])))
    assert (rows, error) == ([(number, row) for number, row in enumerate([{}, *mixed], start=1)], "")


def broken_at(*numbers):
    """Return the 60 good lines with some cut off in the middle."""
    return "".join(
        line[: 2 * len(line) // 3] + "\n" if i in numbers else line for i, line in enumerate(LINES, start=1)
    )


BROKEN = [
    # (name, content, rows before the error, parts of the message, in order)
    ("line 37", broken_at(37), 36, ["rows.jsonl:37: not JSON (Unterminated string starting at column "]),
    ("first line", broken_at(1), 0, ["rows.jsonl:1: not JSON"]),
    ("last line cut off", JSONL[:-20], 59, ["rows.jsonl:60: not JSON", "cut off"]),
    ("several lines", broken_at(5, 37, 60), 4, ["rows.jsonl:5: ", "rows.jsonl:37: ", "rows.jsonl:60: "]),
    ("NUL bytes in a line", JSONL.replace("r36", "r\0"), 36, ["rows.jsonl:37: not JSON (1 NUL bytes: the file was damaged"]),
    ("a block of NUL bytes at the end", JSONL + "\0" * 100, 60, ["rows.jsonl:61: not JSON (100 NUL bytes"]),
    ("two rows on a line", JSONL.replace("\n", "", 1), 0, ["rows.jsonl:1: not JSON (Extra data"]),
    ("single quotes", "{'a': 1}\n", 0, ["rows.jsonl:1: not JSON"]),
    ("CSV", "question,answer\nHow many?,7\n", 0, ["rows.jsonl:1: ", "rows.jsonl:2: "]),
    ("nested too deeply", "{}\n" + "[" * 100_000 + "\n", 1, ["rows.jsonl:2: nested too deeply"]),
    ("a number of 5,000 digits", "{}\n{}\n" + "9" * 5000 + "\n{]\n", 2, ["rows.jsonl:3: ", "digits", "rows.jsonl:4: "]),
    ("an object over several lines", '{\n "a": 1\n}\n', 0, ["one JSON object over several lines", "one row a line"]),
    ("empty", "", 0, ["rows.jsonl: no rows in the file"]),
    ("only a byte order mark", codecs.BOM_UTF8, 0, ["no rows in the file"]),
    ("only blank lines", " \n\r\n\t", 0, ["no rows in the file"]),
    ("an empty list", "[\n]\n", 0, ["no rows in the file"]),
    ("Latin-1", JSONL.encode().replace("ü".encode(), b"\xfc"), 0, ["rows.jsonl:1: not UTF-8 (byte 0xfc at column 25)", "iconv -f WINDOWS-1252 -t UTF-8"]),
    ("UTF-16", JSONL.encode("utf-16"), 0, ["rows.jsonl: not UTF-8, but UTF-16", "iconv -f UTF-16"]),
    ("UTF-16 list", json.dumps(ROWS).encode("utf-16-le"), 0, ["rows.jsonl: not UTF-8, but UTF-16"]),
    ("gzip", b"\x1f\x8b\x08\x00" + bytes(range(128, 256)), 0, ["rows.jsonl:1: the packed file breaks off or is damaged"]),
    ("Latin-1 list", json.dumps(ROWS, indent=1, ensure_ascii=False).encode().replace("ü".encode(), b"\xfc"), 0, ["rows.jsonl:4: not UTF-8 (byte 0xfc at"]),
    ("list cut off inside a row", json.dumps(ROWS[:9], indent=0, ensure_ascii=False)[:-6], 8, ["rows.jsonl:36: not JSON (Unterminated"]),
    ("list on one line, cut off in a row", '[{}, {}, {"a":', 2, ["rows.jsonl:1: not JSON", ", in item 3."]),
    ("list on one line, cut off after a row", "[{}, {}", 2, ["rows.jsonl:1: not JSON", "after item 2)"]),
    ("list cut off after a row", '[{},\n{}\n', 2, ["rows.jsonl:3: not JSON (expecting ',' or ']'"]),
    ("list without commas", "[{}\n{}]", 1, ["rows.jsonl:2: not JSON (expecting ',' or ']'"]),
    ("list with a comma too many", "[{},\n{},\n]", 2, ["rows.jsonl:3: not JSON (Expecting value"]),
    ("list with a bad row", '[{"a": 1},\n{"a": 1,\n "b" 2},\n{"a": ' + "1" * 50 + "}]", 1, ["rows.jsonl:3: not JSON (Expecting ':'"]),
    ("text after the list", "[{},\n{}]\n\nThanks!", 2, ["rows.jsonl:4: not JSON (text after the end of the list)"]),
    ("two lists one after the other", "[{}]\n[{}]\n", 1, ["rows.jsonl:2: not JSON (text after the end of the list)"]),
    ("list nested too deeply", "[{},\n" + "[" * 100_000, 1, ["rows.jsonl:2: nested too deeply"]),
    ("list with a number of 5,000 digits", "[{},\n{},\n" + "9" * 5000 + "\n]", 2, ["rows.jsonl:3: ", "digits"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "before", "parts"), [c[1:] for c in BROKEN], ids=[c[0] for c in BROKEN])
@pytest.mark.parametrize("chunk", [1 << 20, 11])
def test_broken_files(tmp_path, monkeypatch, content, before, parts, chunk):
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    path = write(tmp_path, content)
    rows, error = read(path)
    assert len(rows) == before
    at = -1
    for part in parts:
        at = error.find(part, at + 1)
        assert at >= 0, f"{part!r} is not in, or not in this order in: {error}"

    assert str(path) in error


def test_no_more_than_20_broken_lines_are_told(tmp_path):
    _, error = read(write(tmp_path, broken_at(*range(30, 55))))
    assert [f":{n}: not JSON" in error for n in (29, 30, 49, 50)] == [False, True, True, False]
    assert "... and 5 more" in error


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl"):
        list(read_rows(tmp_path / "gone.jsonl"))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(["\\", '"', "]", "[{", "\n", "\u2028", "😀", "\\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    rows=st.lists(VALUES, min_size=1, max_size=6),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 0, 1, 5]),
    ascii_only=st.booleans(),
    space=st.sampled_from(["", " ", "\n", "\r\n\t", "\n" * 20, " " * 30]),
)
def test_any_list_is_read_in_any_pieces(tmp_path_factory, rows, chunk, indent, ascii_only, space):
    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    content, lines = f"{space}[{space}", []
    for number, text in enumerate(texts):
        lines.append(content.count("\n") + 1)
        content += text + space + ("," + space if number < len(texts) - 1 else "]" + space)

    path = write(tmp_path_factory.mktemp("list"), content, "rows.json")
    if lines[1:2] == lines[:1]:  # of a line that holds several items the number in it is the place
        lines = [-number for number in range(1, len(rows) + 1)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", chunk)
        found = list(read_rows(path))
        cut = [row for piece in reader.cut_file(path) for row in reader.read_chunk(piece)]

    assert [row.raw for row in found] == [json.loads(row.text) for row in found] == rows
    assert [row.line for row in found] == [row.line for row in cut] == lines


@given(content=st.binary(max_size=60) | st.text('[]{}:,"\\ \n\r01e-.nulltrue\ufeff', max_size=40).map(str.encode))
def test_any_bytes_are_rows_or_an_unreadable_file(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("bytes"), content)
    found = []
    for chunk in (1, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK", chunk)
            found.append(read(path))

    assert str(found[0][0]) == str(found[1][0])  # as text, since NaN != NaN
    assert bool(found[0][1]) == bool(found[1][1])
    assert found[0][0] or found[0][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_row_of_50_mb(tmp_path, name, grows_linearly):
    def look(words):
        row = '{"text": "' + "Wait, \\n" * words + '"}'
        content = f"{row}\n{{}}\n" if name == "rows.jsonl" else f"[{row},\n{{}}]"
        found = [(row.line, len(row.text)) for row in read_rows(write(tmp_path, content, name))]
        assert found == [(1, len(row)), (2, 2)]

    grows_linearly(look, 781_250, 6_250_000)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_memory_does_not_grow_with_the_rows(tmp_path, name):
    rows = 40_000
    line = '{"question": "How many?", "combined_text": "' + "x" * 600 + '"}'
    content = f"{line}\n" * rows if name == "rows.jsonl" else "[" + f"{line},\n" * (rows - 1) + line + "]"
    path = write(tmp_path, content, name)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path)) == rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8_000_000 < path.stat().st_size / 3  # bytes; pieces of 1 MB, at times two and their copies


def independent_count(path):
    """Return how many non-blank lines a file has, read as bytes."""
    return sum(1 for line in path.read_bytes().split(b"\n") if line.strip())


def test_real_files_have_the_rows_that_they_have(shared_data):
    for path in sorted((shared_data / "skythought").glob("*.jsonl")):
        rows = list(read_rows(path))
        assert len(rows) == independent_count(path)
        lines = path.read_bytes().split(b"\n")
        assert all(lines[row.line - 1].decode().strip() == row.text for row in rows)

    path = shared_data / "marco_o1" / "CoT_demo.json"
    assert [json.loads(row.text) for row in read_rows(path)] == json.loads(path.read_text(encoding="utf-8"))
