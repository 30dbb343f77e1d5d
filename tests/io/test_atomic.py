"""Files that are there whole or not at all."""

import json
import os
import subprocess
import sys

import pytest

from virgo_factory.io.atomic import new_file, new_folder, new_path, replace_file, write_json


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with new_file(path) as file:
        file.write("e\u0301\n")
        assert not path.exists()

    assert path.read_bytes() == "e\u0301\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_where_the_writing_fails_what_was_there_stays(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(type(error)):
        with new_file(path) as file:
            file.write("half")
            raise error

    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_the_file_before_or_the_users_own(tmp_path):
    path = tmp_path / "a.txt"
    replace_file(path, b"1")
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o600)
    replace_file(path, b"2")
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, b"2")


def test_a_library_may_write_to_the_path(tmp_path):
    with new_path(tmp_path / "a.bin") as partial:
        partial.write_bytes(b"1")

    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_appears_at_the_end(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with new_folder(tmp_path / name) as partial:
            (partial / "a.txt").write_text("1")
            assert not list((tmp_path / name).glob("*"))

        assert (tmp_path / name / "a.txt").read_text() == "1"

    with pytest.raises(ValueError, match="new is there already. Name a new folder"), new_folder(tmp_path / "new"):
        pass

    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "other") as partial:
        (partial / "a.txt").write_text("1")
        raise KeyboardInterrupt

    assert sorted(os.listdir(tmp_path)) == ["new", "there"]


KILLED = """
import os, sys
from pathlib import Path
from virgo_factory.io.atomic import new_file

with new_file(Path(sys.argv[1])) as file:
    file.write("half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    assert subprocess.run([sys.executable, "-c", KILLED, path]).returncode == -9
    assert path.read_text() == "before"


def test_the_file_is_never_half_written(tmp_path):
    path = tmp_path / "new" / "virgo_rows.json"
    write_json(path, {"a": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})

    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    write_json(path, {"a": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 2}
    assert [file.name for file in path.parent.iterdir()] == ["virgo_rows.json"]
