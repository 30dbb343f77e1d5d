"""A folder that cannot be had is told before anything is read, and looking for it leaves nothing behind."""

import os
import sys

import pytest

from tests.jsonl import write_jsonl
from virgo_factory.cli.main import main
from virgo_factory.io.files import check_folder


def test_a_folder_that_can_be_made_is_not_left_behind(tmp_path):
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("file/out", "file is a file"),
        ("file", "file is a file"),
        ("lost/out", "lost"),
        ("x" * 300, "File name too long"),
        ("/proc/out", "No such file or directory"),
    ],
)
def test_what_cannot_be_a_folder(tmp_path, monkeypatch, folder, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="cannot be made or written into.*Name another one") as told:
        check_folder(type(tmp_path)(folder))

    assert said in str(told.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "lost"]


ROWS = [{"question": "What is 1 + 1?", "answer": "2", "n": n} for n in range(3)]
DISTIL = (
    "questions: rows.jsonl\nmodel_name_or_path: m\nurls: [http://127.0.0.1:1]\noutput_dir: file/out\ndataset: mine\n"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "convert", "rows.jsonl", "file/out.jsonl"],
        ["data", "mix", "file/out.jsonl", "rows.jsonl:2"],
        ["data", "slice", "rows.jsonl", "file/out.jsonl", "--rows", "2"],
        ["data", "materialize", "rows.jsonl", "--out", "file/out", "--source", "."],
        ["data", "check", "rows.jsonl", "--findings", "file/findings.jsonl"],
        ["data", "stats", "rows.jsonl", "--plots", "file/plots"],
        ["data", "preview", "rows.jsonl", "--html", "file/page.html"],
        ["distill", "run", "distill.yaml"],
        ["distill", "questions", "distill.yaml"],
        ["score", "rows.jsonl", "--gold", "answer", "--response", "question", "--out", "file/out.jsonl"],
        ["smoke", "virgo7b_dt", "--work", "file/work"],
        ["reinforce", "status", "saves", "--html", "file/page.html"],
        ["reinforce", "export", "virgo7b_dt", "--verl", "file/out"],
        ["data", "check", "rows.jsonl", "--findings", "./"],
        ["data", "preview", "rows.jsonl", "--html", "./"],
        ["reinforce", "status", "saves", "--html", "./"],
    ],
    ids=lambda arguments: "-".join(arguments[:2] + arguments[-1:]).replace("/", "."),
)
def test_every_verb_says_so_before_it_reads_a_row(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["virgo-factory", *arguments])
    (tmp_path / "file").touch()
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "distill.yaml").write_text(DISTIL)
    before = set(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    said = "".join(capsys.readouterr())
    assert stop.value.code == 1
    *before_it, last = said.splitlines()
    assert len(before_it) == (arguments[0] == "smoke"), said  # which says first what it is about to do
    if arguments[-1] == "./":
        assert last == "virgo-factory: . is a folder. Name a file in it."
    else:
        assert "this folder for the output cannot be made or written into" in last and "file is a file" in last

    assert set(tmp_path.iterdir()) == before
