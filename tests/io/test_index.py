"""The index gives what the files say, whatever was done to either, by whomever, and at whatever moment they were killed."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from virgo_factory.io import index as module
from virgo_factory.io.index import NAME, Index, Source


SCHEMA = ("CREATE TABLE rows (place INTEGER PRIMARY KEY, key TEXT, value INTEGER)",)


def row_of(row):
    if "value" not in row:
        raise ValueError("no value")

    return row["key"], row["value"]


def files_of(folder):
    return sorted(folder.glob("*.jsonl"))


def opened(folder, version="1", files=None, **more) -> Index:
    source = Source("rows", ("key", "value"), lambda: files_of(files or folder), row_of, ". Mend it.")
    return Index(folder, [source], SCHEMA, version, **more)


def rows_of(folder, **more):
    with opened(folder, **more) as index:
        return index.ask(lambda index: index.db.execute("SELECT key, value FROM rows ORDER BY place").fetchall())


def truth(folder):
    """What the files say, read line by line."""
    lines = [line for path in files_of(folder) for line in path.read_bytes().splitlines(keepends=True)]
    rows = [json.loads(line) for line in lines if line.endswith(b"\n") and line.strip()]
    return [(row["key"], row["value"]) for row in rows]


def write(path, rows, mode="a", end="\n"):
    with path.open(mode, encoding="utf-8") as file:
        file.write(
            "".join(json.dumps({"key": str(key), "value": value}) + "\n" for key, value in rows)[: -len(end)] + end
        )


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "b.jsonl", [(number, number) for number in range(5)])
    assert rows_of(tmp_path) == truth(tmp_path)
    return tmp_path


def rewrite(folder, old: str, new: str) -> None:
    path = folder / "b.jsonl"
    path.write_text(path.read_text().replace(old, new, 1))


CHANGES = {
    "nothing": lambda folder: None,
    "appended": lambda folder: write(folder / "b.jsonl", [(9, 9)]),
    "half a line appended": lambda folder: (folder / "b.jsonl").open("a").write('{"key": "x", "va'),
    "a blank line": lambda folder: (folder / "b.jsonl").open("a").write("\n"),
    "a line taken out": lambda folder: rewrite(folder, '{"key": "1", "value": 1}\n', ""),
    "a line changed, as long as before": lambda folder: rewrite(folder, '"value": 1', '"value": 7'),
    "a line changed and one appended": lambda folder: (rewrite(folder, '"value": 1', '"value": 7'), CHANGES["appended"](folder)),
    "another in its place": lambda folder: write(folder / "b.jsonl", [(n, -n) for n in range(50)], "w"),
    "shorter": lambda folder: os.truncate(folder / "b.jsonl", 30),
    "empty": lambda folder: os.truncate(folder / "b.jsonl", 0),
    "gone": lambda folder: (folder / "b.jsonl").unlink(),
    "one in front": lambda folder: write(folder / "a.jsonl", [(8, 8)]),
    "one behind": lambda folder: write(folder / "c.jsonl", [(8, 8)]),
    "renamed": lambda folder: (folder / "b.jsonl").rename(folder / "d.jsonl"),
    "index gone": lambda folder: (folder / NAME).unlink(),
    "index cut": lambda folder: os.truncate(folder / NAME, 6000),
    "index no index": lambda folder: (folder / NAME).write_bytes(b"no database" * 1000),
    "index empty": lambda folder: os.truncate(folder / NAME, 0),
    "index of something else": lambda folder: sqlite3.connect(folder / NAME).execute("CREATE TABLE other (a)").connection.close(),
    "index a folder": lambda folder: ((folder / NAME).unlink(), (folder / NAME).mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_it_says_what_the_files_say(folder, change):
    CHANGES[change](folder)
    assert rows_of(folder) == truth(folder)
    assert rows_of(folder) == truth(folder)
    write(folder / "z.jsonl", [(9, 9)])
    assert rows_of(folder) == truth(folder)


@pytest.mark.slow
def test_pages_that_are_broken_are_found_when_they_are_read(folder):
    write(folder / "b.jsonl", [(n, n) for n in range(5000)])
    rows_of(folder)
    content = bytearray((folder / NAME).read_bytes())
    for page in range(5 * 4096, len(content), 4096):
        content[page : page + 200] = b"\xff" * 200

    (folder / NAME).write_bytes(content)
    assert rows_of(folder, is_own=True) == truth(folder), "a copy is not trusted either"
    assert rows_of(folder) == truth(folder)
    assert sqlite3.connect(folder / NAME).execute("PRAGMA quick_check").fetchall() == [("ok",)]


def test_another_versions_is_made_anew(folder):
    assert rows_of(folder, version="2") == truth(folder)
    with opened(folder, version="2") as index:
        assert index.db.execute("SELECT count(*) FROM rows").fetchone() == (5,), "it is kept"

    assert rows_of(folder, version="1") == truth(folder)


def test_only_what_is_new_is_read(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "read_object", lambda line: seen.append(line) or json.loads(line))
    rows_of(folder)
    assert not seen
    write(folder / "b.jsonl", [(9, 9)])
    rows_of(folder)
    assert len(seen) == 1


def test_a_file_that_is_old_enough_is_not_even_opened(folder, monkeypatch):
    past = time.time() - 60
    os.utime(folder / "b.jsonl", (past, past))
    rows_of(folder)
    monkeypatch.setattr(module, "_tail", None)
    assert rows_of(folder) == truth(folder)
    rewrite(folder, '"value": 1', '"value": 7')
    monkeypatch.undo()
    assert rows_of(folder) == truth(folder)


def test_a_moved_folder_keeps_its_index(folder, tmp_path, monkeypatch):
    moved = folder.rename(tmp_path.with_name("moved"))
    monkeypatch.setattr(module, "read_object", None)
    assert rows_of(moved) == truth(moved)


@pytest.mark.parametrize("line", ["[1]", "{", '{"key": "a"}', "[" * 100_000])
def test_a_wrong_line_is_named_and_leaves_the_index_as_it_was(folder, line):
    with (folder / "b.jsonl").open("a") as file:
        file.write(f"\n{line}\n")

    for _ in range(2):
        with pytest.raises(ValueError, match=r"b.jsonl:7: .*Mend it"):
            rows_of(folder)

    assert sqlite3.connect(folder / NAME).execute("SELECT count(*) FROM rows").fetchone() == (5,)


def test_a_line_is_read_by_where_it_is(folder):
    write(folder / "c.jsonl", [(8, 8)])
    with opened(folder).sync() as index:
        for key, place in index.db.execute("SELECT key, place FROM rows ORDER BY place DESC").fetchall():
            assert json.loads(index.line("rows", place))["key"] == key

        place = index.db.execute("SELECT place FROM rows WHERE key = '3'").fetchone()[0]
        assert index.where("rows", place) == f"{folder}/b.jsonl:4"


def test_an_own_copy_is_written_to_and_nobody_sees_it(folder):
    with opened(folder, is_own=True).sync() as index:
        index.db.execute("DELETE FROM rows")
        write(folder / "b.jsonl", [(9, 9)])
        assert rows_of(folder) == truth(folder)


def test_a_folder_that_cannot_be_written_to(folder):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        there = Path(place) / "folder"
        subprocess.run(["cp", "-r", str(folder), str(there)], check=True)
        write(there / "b.jsonl", [(9, 9)])
        bare = Path(place) / "bare"
        bare.mkdir()
        write(bare / "b.jsonl", [(9, 9)])
        for path in (there / NAME, there, bare):
            path.chmod(path.stat().st_mode & 0o555)

        before = (there / NAME).read_bytes()
        is_root = os.geteuid() == 0
        try:
            if is_root:
                os.seteuid(65534)

            assert rows_of(there) == truth(there)
            assert rows_of(bare) == truth(bare)
        finally:
            if is_root:
                os.seteuid(0)

            for path in (there, bare):
                path.chmod(0o755)

        assert (there / NAME).read_bytes() == before
        assert not (bare / NAME).exists()


def test_while_another_process_writes_it_a_copy_is_read(folder, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.1)
    write(folder / "b.jsonl", [(9, 9)])
    with sqlite3.connect(folder / NAME, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert rows_of(folder) == truth(folder)
        other.execute("ROLLBACK")


def test_what_is_read_is_of_one_moment(folder, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.1)
    with opened(folder).sync() as index:
        assert index.db.execute("SELECT count(*) FROM rows").fetchone() == (5,)
        write(folder / "b.jsonl", [(9, 9)])
        assert len(rows_of(folder)) == 6, "who comes second works on a copy meanwhile"
        assert index.db.execute("SELECT count(*) FROM rows").fetchone() == (5,)
        index.release()
        assert len(rows_of(folder)) == 6
        assert index.db.execute("SELECT count(*) FROM rows").fetchone() == (6,)


_READER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_index import rows_of
print("ready", flush=True)
while True:
    rows_of(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_two_at_once(tmp_path):
    draw = random.Random(0)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", _READER, str(tmp_path), here]
    for number in range(3):
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        try:
            for reader in readers:
                assert reader.stdout.readline() == b"ready\n"

            end = time.monotonic() + draw.uniform(0.1, 0.6)
            while time.monotonic() < end:
                write(tmp_path / f"{draw.choice('ab')}.jsonl", [(draw.random(), n) for n in range(200)])
                if draw.random() < 0.1:
                    (tmp_path / NAME).unlink(missing_ok=True)
                    (tmp_path / f"{NAME}-journal").unlink(missing_ok=True)
        finally:
            for reader in readers:
                reader.send_signal(signal.SIGKILL)
                reader.communicate()

        assert rows_of(tmp_path) == truth(tmp_path), number
