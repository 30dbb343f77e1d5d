"""Lines found by their key, without holding them."""

import json

import pytest

from virgo_factory.distill.lines import LineIndex, Lines, hash_of, lines_of, shards_of


def write(path, rows, end="\n"):
    path.write_text("\n".join(map(json.dumps, rows)) + end, encoding="utf-8")
    return path


def test_each_row_is_found_by_its_column(tmp_path):
    rows = [{"id": f"a/{number}", "text": "é\u2028" * number} for number in range(50)]
    with LineIndex(write(tmp_path / "rows.jsonl", rows), "id") as index:
        assert [index.find(row["id"]) for row in reversed(rows)] == rows[::-1]
        assert index.find("gone") is None


def test_an_empty_file_has_none(tmp_path):
    with LineIndex(write(tmp_path / "rows.jsonl", [], ""), "id") as index:
        assert index.find("a") is None


def test_a_row_is_read_by_where_it_begins(tmp_path):
    paths = [write(tmp_path / f"{name}.jsonl", [{"name": name, "at": at} for at in range(3)]) for name in "ab"]
    with Lines(paths) as lines:
        for place, path in enumerate(paths):
            for _, start, row in lines_of(path):
                assert lines.read(place, start) == row


def test_a_last_line_without_its_end_is_not_there_yet(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"a": 1}, {"a": 2}], end="")
    assert [row for _, _, row in lines_of(path)] == [{"a": 1}]


@pytest.mark.parametrize("line", ["[1]", "{", "nan", '{"a": "\udcff"}', "[" * 100_000])
def test_a_broken_line_is_told_with_its_place(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(ValueError, match=r"rows.jsonl:3: not a JSON object"):
        list(lines_of(path))


def test_shards_come_behind_the_whole(tmp_path):
    for name in ("rollouts-2of8", "rollouts", "rollouts-1of8", "rollouts-notes", "verdicts"):
        write(tmp_path / f"{name}.jsonl", [{}])

    assert [path.name for path in shards_of(tmp_path, "rollouts")] == [
        "rollouts.jsonl",
        "rollouts-1of8.jsonl",
        "rollouts-2of8.jsonl",
    ]


def test_parts_of_a_key_are_kept_apart():
    assert hash_of("a", "b", 1) == hash_of("a", "b", 1)
    assert len({hash_of("a", "b"), hash_of("ab"), hash_of("a", "b", ""), hash_of("b", "a")}) == 4
