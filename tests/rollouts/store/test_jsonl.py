"""The lines of JSONL files, and which files of a folder hold them."""

import json

import pytest

from virgo_factory.rollouts.store.jsonl import hash_of, lines_of, shards_of


def write(path, rows, end="\n"):
    path.write_text("\n".join(map(json.dumps, rows)) + end, encoding="utf-8")
    return path


def test_a_last_line_without_its_end_is_not_there_yet(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"a": 1}, {"a": 2}], end="")
    assert list(lines_of(path)) == [(1, {"a": 1})]
    assert hash_of("\ud83d") != hash_of("?") == hash_of("?"), "half a character has a hash"


@pytest.mark.parametrize("line", ["[1]", "{", "nan", '{"a": "\udcff"}', "[" * 100_000])
def test_a_broken_line_is_told_with_its_place(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(ValueError, match=r"rows.jsonl:3: not a JSON object"):
        list(lines_of(path))


def test_shards_come_behind_the_whole(tmp_path):
    for name in ("rollouts-2of8", "rollouts", "rollouts-1of8", "rollouts-notes", "verdicts"):
        write(tmp_path / f"{name}.jsonl", [{}])

    names = [path.name for path in shards_of(tmp_path, "rollouts")]
    assert names == ["rollouts.jsonl", "rollouts-1of8.jsonl", "rollouts-2of8.jsonl"]
