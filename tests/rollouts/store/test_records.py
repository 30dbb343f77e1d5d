"""Rows found by any key: what is there is known again, whoever was killed, and no row is written twice."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from virgo_factory.rollouts.store.records import Records


def records(folder, shard=None):
    return Records(folder, "captions", lambda row: f"{row['image']} {row['sample']}", shard)


def row(number: int) -> dict:
    return {"image": f"{number // 3}.png", "sample": number % 3, "response": "ein ß 😀", "completion_tokens": 7}


def test_what_is_there_is_known_again(tmp_path):
    with records(tmp_path) as one:
        for number in range(30):
            one.append(row(number))

        assert one.get("4.png 1") == row(13) and one.get("10.png 0") is None
        with pytest.raises(ValueError, match="4.png 1 is there already"):
            one.append(row(13))

    (tmp_path / ".captions.sqlite").unlink()  # it is never the truth
    path = tmp_path / "captions.jsonl"
    path.write_bytes(path.read_bytes()[:-9])  # killed in the middle of its last line
    with records(tmp_path) as one:
        assert (one.count, one.tokens) == (29, 29 * 7)
        assert "9.png 1" in one and "9.png 2" not in one
        one.append(row(29))
        assert one.get("9.png 2") == row(29)

    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [row(n) for n in range(30)]


def test_shards_know_each_others_rows_and_nobody_else_writes(tmp_path):
    with records(tmp_path, (1, 2)) as one, records(tmp_path, (2, 2)) as two:
        one.append(row(0))
        two.append(row(1))
        with pytest.raises(ValueError, match="writes to it"):
            records(tmp_path)

    with records(tmp_path) as whole:
        assert "0.png 0" in whole and "0.png 1" in whole and (tmp_path / "captions-2of2.jsonl").is_file()


@pytest.mark.slow
def test_threads_may_share_it(tmp_path):
    with records(tmp_path) as one, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (one.append(row(n)), one.get(f"{n // 3}.png {n % 3}")), range(300)))
        assert one.count == 300 and all(one.get(f"{n // 3}.png {n % 3}") == row(n) for n in range(0, 300, 17))


def test_a_line_that_is_none_of_them_is_named(tmp_path):
    (tmp_path / "captions.jsonl").write_text(json.dumps(row(0)) + '\n{"image": "a.png"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"captions\.jsonl:2: no row of captions \(KeyError\('sample'\)\)"):
        records(tmp_path)
