"""Rows of packed files, CSV and lists in objects: each row with its place, whole or told where they break off."""

import csv
import gzip
import io
import json
import subprocess

import pytest

from virgo_factory.data.read.files import chunks
from virgo_factory.data.read.files.chunks import UnreadableFile
from virgo_factory.data.read.files.json_lists import is_list
from virgo_factory.data.read.reader import cut_file, read_chunk, read_rows


ROWS = [
    {"id": f"r{number}", "question": "Wie viele Füße? 几个?\n" * (number % 3 + 1), "n": [number]}
    for number in range(40)
]
LINES = "".join(json.dumps(row, ensure_ascii=number % 2 == 0) + "\n" for number, row in enumerate(ROWS)).encode()


def chunks_of(path):
    """Return (line, row) of all chunks, or of those before the error, and the error."""
    found = []
    try:
        for chunk in cut_file(path):
            for row in read_chunk(chunk):
                assert not row.problem, row.problem
                found.append((row.line, row.raw))
    except UnreadableFile as error:
        return found, f"{error}"

    return found, ""


def lines_of(path):
    found = []
    try:
        for row in read_rows(path):
            found.append((row.line, json.loads(row.text)))
    except UnreadableFile as error:
        return found, f"{error}"

    return found, ""


def indented(rows):
    return json.dumps(rows, indent=1, ensure_ascii=False).encode()


def csv_of(rows, **settings):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, **settings)
    writer.writerow(["id", "question"])
    writer.writerows([[row["id"], row["question"]] for row in rows])
    return buffer.getvalue().encode()


def lines_in_csv(rows):
    line, found = 2, []
    for row in rows:
        found.append(line)
        line += 1 + row["question"].count("\n")

    return found


TEXTS = [{"id": row["id"], "question": row["question"]} for row in ROWS]
ITEMS = [-item for item in range(1, 41)]
FILES = [
    # (name, content, rows, lines)
    ("a.jsonl.gz", gzip.compress(LINES), ROWS, list(range(1, 41))),
    ("a.jsonl.gz", gzip.compress(b"\xef\xbb\xbf\n" + LINES), ROWS, list(range(2, 42))),
    ("a.jsonl.gz", gzip.compress(LINES[:3000]) + gzip.compress(LINES[3000:]), ROWS, list(range(1, 41))),
    ("a.jsonl", gzip.compress(LINES), ROWS, list(range(1, 41))),
    ("a.json.gz", gzip.compress(indented(ROWS)), ROWS, None),
    ("a.json", indented(ROWS), ROWS, None),
    ("a.json", indented({"train": ROWS}), ROWS, None),
    ("a.json.gz", gzip.compress(indented({"version": {"a": [1]}, "data": ROWS, "n": 3})), ROWS, None),
    ("a.jsonl", json.dumps({"data": ROWS}).encode(), ROWS, ITEMS),
    ("a.json", json.dumps({"name": "x", "my rows": ROWS, "ids": [1, 2]}).encode(), ROWS, ITEMS),
    ("a.json", indented({row["id"]: row for row in ROWS}), ROWS, list(range(2, 282, 7))),
    ("a.json", json.dumps({row["id"]: row for row in ROWS}).encode(), ROWS, ITEMS),
    ("a.json.gz", gzip.compress(indented({row["id"]: {"question": row["question"], "n": row["n"]} for row in ROWS})), ROWS, list(range(2, 242, 6))),
    ("a.csv", csv_of(ROWS), TEXTS, lines_in_csv(ROWS)),
    ("a.csv", b"\xef\xbb\xbf" + csv_of(ROWS, lineterminator="\n"), TEXTS, lines_in_csv(ROWS)),
    ("a.csv", csv_of(ROWS, delimiter=";", quoting=csv.QUOTE_ALL), TEXTS, lines_in_csv(ROWS)),
    ("a.tsv", csv_of(ROWS, delimiter="\t"), TEXTS, lines_in_csv(ROWS)),
    ("a.csv.gz", gzip.compress(csv_of(ROWS)), TEXTS, lines_in_csv(ROWS)),
]  # fmt: skip


@pytest.mark.parametrize("size", [1 << 18, 300])
@pytest.mark.parametrize(("name", "content", "rows", "lines"), FILES)
def test_every_row_with_its_line(tmp_path, monkeypatch, name, content, rows, lines, size):
    monkeypatch.setattr(chunks, "CHUNK", size)
    path = tmp_path / name
    path.write_bytes(content)
    for found, error in (chunks_of(path), lines_of(path)):
        assert error == "" and [row for _, row in found] == rows
        if lines is None:
            text = gzip.decompress(content) if name.endswith(".gz") else content
            lines = [text[: text.index(json.dumps(row["id"]).encode())].count(b"\n") for row in rows]

        assert [line for line, _ in found] == lines

    assert is_list(path) == (".json" in name and (lines[0] < 0 or lines[1] > 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
def test_a_packed_file_that_breaks_off_gives_the_rows_before_and_the_place(tmp_path, monkeypatch, name):
    monkeypatch.setattr(chunks, "CHUNK", 300)
    content = {"a.jsonl.gz": 9 * LINES, "a.json.gz": indented(9 * ROWS), "a.csv.gz": csv_of(9 * ROWS)}[name]
    packed = gzip.compress(content, 0)  # so that a byte of the packed file is one of the content
    path = tmp_path / name
    for size in range(200, len(packed), 1711):
        path.write_bytes(packed[:size])
        for found, error in (chunks_of(path), lines_of(path)):
            assert [row for _, row in found] == (9 * (TEXTS if "csv" in name else ROWS))[: len(found)]
            line = int(error.partition(f"{path}:")[2].partition(":")[0])
            assert "breaks off or is damaged" in error or "not CSV" in error or "not JSON" in error, error
            assert content[: size + 200].count(b"\n") + 2 >= line > (found[-1][0] if found else 0) - 1

        assert "csv" in name or len(chunks_of(path)[0]) >= content[: max(size - 9000, 0)].count(b'"id"') - 3


def test_a_changed_byte_in_a_packed_file_is_an_error(tmp_path):
    packed = bytearray(gzip.compress(LINES))
    packed[-6] ^= 0xFF  # of the checksum
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    assert "breaks off or is damaged" in chunks_of(tmp_path / "a.jsonl.gz")[1]
    assert "breaks off or is damaged" in lines_of(tmp_path / "a.jsonl.gz")[1]


REFUSED = [
    ("a.json", indented({"train": ROWS, "test": ROWS}), "a second list of objects, test, beside train"),
    ("a.json", indented({"train": ROWS})[:-2], "expecting ',' or '}' after the list"),
    ("a.json", indented({"a": {"b": 1}, "c": {"d": 2}}), "one JSON object over several lines (its keys: a, c)"),
    ("a.json", indented(dict.fromkeys("abcdefg", 1)), "one JSON object over several lines (its keys: a, b, c, d, e, ...)"),
    ("a.jsonl", b"".join(indented(row) + b"\n" for row in ROWS), "one JSON object over several lines (its keys: id,"),
    ("a.json", b'{"question": {"0": "a", "1": "b"}, "answer": {"0": "c", "1": "d"}}', "a table by its columns (question, ...)"),
    ("a.csv", b"id,id\n1,2\n", "the header has 'id' twice"),
    ("a.csv", b'id,question\n1,"open\n2,x\n', "a.csv:2: not CSV"),
    ("a.csv", "id,question\n1,一个问题\n".encode("gbk"), "iconv -f GB18030"),
    ("a.csv", "id,question\n1,x\n".encode("utf-16"), "a.csv: not UTF-8, but UTF-16"),
    ("a.csv", b"id,question\n", "no rows in the file"),
    ("a.csv", b'What is 1 + 1?,"<think>1 and 1.</think>2"\nWhat is 2?,"<think>2.</think>2"\n', "a.csv:1: no header"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), REFUSED)
def test_what_is_no_file_of_rows_says_why(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    for _, error in (chunks_of(path), lines_of(path)):
        assert words in error and name in error, error


def test_the_remedy_for_another_encoding_can_be_pasted(tmp_path):
    content = b'{"question": "1 + 1?"}\n'
    for name, packed in (("a.jsonl", False), ("a.jsonl.gz", True)):
        path = tmp_path / "my rows" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((gzip.compress if packed else bytes)(content.decode().encode("utf-16")))
        command = chunks_of(path)[1].partition("Convert it: ")[2]
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
        assert (tmp_path / "NEW.jsonl").read_bytes() == content


def test_a_line_of_csv_with_other_cells_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,question\n1,a\n2\n3,b,c\n4,\n")
    rows = [row for chunk in cut_file(path) for row in read_chunk(chunk)]
    assert [(row.line, row.raw, row.problem) for row in rows] == [
        (2, {"id": "1", "question": "a"}, ""),
        (3, None, "1 cells, where the header has 2"),
        (4, None, "3 cells, where the header has 2"),
        (5, {"id": "4", "question": None}, ""),
    ]
    found, error = lines_of(path)
    assert len(found) == 1 and "a.csv:3: 1 cells" in error and "a.csv:4: 3 cells" in error


def test_numbers_of_rows_as_pandas_writes_them_are_no_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b",id,question\n0,1,a\n1,2\n")
    rows = [row for chunk in cut_file(path) for row in read_chunk(chunk)]
    assert [(row.raw, row.problem) for row in rows] == [
        ({"id": "1", "question": "a"}, ""),
        (None, "2 cells, where the header has 3"),
    ]


def test_gbk_is_told_from_latin(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"question": "一共有几个苹果?"}\n'.encode("gbk"))
    (row,) = [row for chunk in cut_file(path) for row in read_chunk(chunk)]
    assert "iconv -f GB18030" in row.problem
    for text in ("Wie viele Füße?", "Größe", "Où êtes-vous né?"):  # "öß" is a letter of GBK
        path.write_bytes(f'[{{"question": "{text}"}}]'.encode("latin-1"))
        assert "iconv -f WINDOWS-1252" in chunks_of(path)[1]


TWICE = '{"id": 1, "a": {"correct": false, "b": 2, "correct": true}}'
ONCE = [
    '{"a" : "x\\": 1", "b": {"a": NaN}}', '{"id": 12345678901234567890123456789, "a": "\\ud800"}', '{"a": {"a": [{"a": 1}, {"a": 2}]}}',
    '{"a": "\\"a\\": 1, \\"a\\": 2", "b": -0.5e-3}',
]  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_key_that_stands_twice_is_no_row_and_all_others_are_as_python_reads_them(tmp_path, name):
    path = tmp_path / name
    lines = [*ONCE, TWICE, ONCE[0], TWICE.replace('"correct": f', '"correct" : f')]
    path.write_text("\n".join(lines) if name == "a.jsonl" else f"[{', '.join(lines)}]")
    rows = [row for chunk in cut_file(path) for row in read_chunk(chunk)]
    assert [row.problem for row in rows] == [
        "the key correct stands twice in one object" if "correct" in line else "" for line in lines
    ]
    assert repr([row.raw for row in rows if not row.problem]) == repr(
        [json.loads(line) for line in lines if "correct" not in line]
    )


@pytest.mark.parametrize("depth", [300, 990, 1010, 1023, 1030, 5000])
def test_a_row_that_is_nested_too_deeply_is_told(tmp_path, depth):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": {"[" * depth}{"]" * depth}}}\n{{"id": 1}}\n')
    first, second = (row for chunk in cut_file(path) for row in read_chunk(chunk))
    assert first.problem in (("",) if depth < 900 else ("", "nested too deeply")) and second.raw == {"id": 1}


JSONL = [
    b'{"steps": [{"a": 1}], "question": "x"}\n{"steps": [{"a": 1}], "question": "x"}\n', b'{"messages": [{"role": "user"}]}\n',
    b'{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}\n', b'{"question": "x", "data": [{"a": 1}]}\n', b'{"a": 1}\n{"a": \n{"a": 2}\n',
]  # fmt: skip


OBJECTS = [
    {"request": {"model": "m", "messages": []}, "response": {"model": "m", "choices": [], "id": "r"}},
    {"question": "a", "meta": {"a": 1}},
]


@pytest.mark.parametrize("row", OBJECTS)
def test_an_object_that_is_a_row_is_none_of_rows_by_their_ids(tmp_path, row):
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert chunks_of(tmp_path / "a.json") == ([(1, row)], "")


def test_one_row_by_its_id_and_rows_that_are_no_objects(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"7": {"question": "a"}}))
    assert chunks_of(path)[0] == [(1, {"id": "7", "question": "a"})]
    path.write_text(json.dumps({str(n): {"question": "a", "n": n} for n in range(3)} | {"version": 3}))
    assert [row for _, row in chunks_of(path)[0]][-1] == 3
    path.write_text(json.dumps({str(n): {"question": "a"} for n in range(3)})[:-4])
    assert "not JSON" in chunks_of(path)[1]


@pytest.mark.parametrize("content", JSONL)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_lines_of_rows_are_no_list(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert not is_list(tmp_path / name)
