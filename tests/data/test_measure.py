"""The engine: order, broken rows, what is kept and when it is believed, kills, dead workers, memory."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import write
from virgo_factory.data.read import reader
from virgo_factory.data.read.files import chunks, json_lists
from virgo_factory.data.read.source import find_sources, read_source
from virgo_factory.data.rows import cache as memory
from virgo_factory.data.rows import pool
from virgo_factory.data.rows import worker as measuring
from virgo_factory.data.rows.stream import MixedFormats, cache_folder, measure
from virgo_factory.formats.row import QWEN_VL_TOKENS


ANSWER = "<|begin_of_thought|>\n\n{}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{}\n\n<|end_of_solution|>"


def row(number, thought="I count: 1, 2, 3.", **more):
    return {
        "id": f"r{number}",
        "question": f"How many is {number}?",
        "combined_text": ANSWER.format(thought, number),
    } | more


def records(path, workers=1, cache=None, rules=False, **changes):
    sources, settings = find_sources(str(path), formatting="virgo_dt", **changes)
    return list(measure(sources, settings, workers=workers, cache=cache, rules=rules))


@pytest.fixture
def calls(monkeypatch):
    """The chunks that were really measured."""
    seen = []
    stock = measuring.Measurer.measure

    def noted(self, source, chunk):
        seen.append(chunk)
        return stock(self, source, chunk)

    monkeypatch.setattr(measuring.Measurer, "measure", noted)
    return seen


@pytest.fixture
def small_chunks(monkeypatch):
    """Many chunks of small data, and processes for them where there are to be several."""
    monkeypatch.setattr(chunks, "CHUNK", 2000)
    monkeypatch.setattr(pool, "WORTH", 0.0)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A small tokenizer of the Qwen kind, with an image processor's sizes; made without torch."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator([ANSWER.format("I count: 1, 2, 3.", "How many?")] * 3, trainer)
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in QWEN_VL_TOKENS])
    folder = tmp_path_factory.mktemp("tokenizer")
    core.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Qwen2VLImageProcessor"}')
    return folder


# rows


def test_a_record_of_every_row_in_order(tmp_path, small_chunks, tokenizer):
    path = write(tmp_path / "rows.jsonl", [row(n, domain="math") for n in range(100)])
    found = records(path, tokenizer=str(tokenizer))
    assert [(record.number, record.line, record.id) for record in found] == [(n, n + 1, f"r{n}") for n in range(100)]
    assert {(record.reason, record.format, record.domain, record.part) for record in found} == {
        ("", "virgo_dt", "math", 0)
    }
    assert all(0 < record.response_tokens < record.tokens - record.prompt_tokens < record.tokens for record in found)
    assert len({record.digest for record in found}) == 100
    assert found[3].place == f"{path}:4"


@pytest.mark.slow
def test_the_same_from_workers(tmp_path, small_chunks):
    rows = [row(n, "Wait. " * (n % 7)) for n in range(150)]
    path = write(tmp_path / "rows.jsonl", [*rows[:70], "no object", *rows[70:]])
    alone = records(path)
    with_workers = records(path, workers=2)
    assert with_workers == alone
    assert sum(record.reason == "the row is not an object" for record in alone) == 1


def test_equal_rows_have_equal_digests(tmp_path):
    rows = [row(1), row(1, id="other"), row(1, question="How  many is\n1?"), row(1, question="How many is 2?"), row(2)]
    first, *others = records(write(tmp_path / "rows.jsonl", rows))
    assert [other.digest == first.digest for other in others] == [True, True, False, False]
    assert [other.question_digest == first.question_digest for other in others] == [True, True, False, False]


def test_broken_lines_are_records(tmp_path):
    lines = [json.dumps(row(n)).encode() for n in range(6)]
    lines[1] = lines[1][:40]
    lines[3] = lines[3].replace(b"many", b"m\xe9ny")
    lines[4] += b"\0\0"
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = records(path)
    assert [record.reason for record in found] == ["", "not JSON", "", "not UTF-8", "not JSON", ""]
    assert [record.line for record in found] == [1, 2, 3, 4, 5, 6]
    assert "Unterminated string" in found[1].detail
    assert "not UTF-8 (byte 0xe9 at column" in found[3].detail
    assert "2 NUL bytes" in found[4].detail
    assert [(finding.code, finding.severity) for finding in found[4].findings] == [("not_json", "error")]


def test_a_list_that_breaks_off(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row(n) for n in range(4)], indent=1)[:-30])
    found = records(path)
    assert [record.reason for record in found] == ["", "", "", "not JSON"]
    assert found[3].line == 20
    assert found[3].detail == "not JSON (Unterminated string starting at); the rows behind it cannot be read"


def test_several_files_are_numbered_on(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("b", "a"):
        write(folder / f"{name}.jsonl", [row(f"{name}{n}") for n in range(2)])

    (tmp_path / "dataset_info.json").write_text('{"d": {"file_name": "parts", "formatting": "virgo_dt"}}')
    sources, settings = find_sources("d", tmp_path)
    found = list(measure(sources, settings, workers=1))
    assert [(record.number, record.line, record.id) for record in found] == [(0, 1, "ra0"), (1, 2, "ra1"), (2, 1, "rb0"), (3, 2, "rb1")]  # fmt: skip
    assert (tmp_path / ".virgo_factory").is_dir()
    assert not (folder / ".virgo_factory").exists()  # LLaMA-Factory reads every file of that folder


def test_other_formattings_are_counted(tmp_path):
    write(tmp_path / "a.jsonl", [{"instruction": "x"}, {"instruction": "y"}])
    (tmp_path / "dataset_info.json").write_text('{"d": {"file_name": "a.jsonl"}}')
    sources, settings = find_sources("d", tmp_path, tokenizer="nowhere", cutoff_len=1)
    found = list(measure(sources, settings, cache=None))
    assert [(record.format, record.reason, record.tokens) for record in found] == [("alpaca", "", 0)] * 2
    assert found[0].detail == "not in one of our formattings: not checked"


def test_limits_and_bounds(tmp_path, tokenizer):
    path = write(tmp_path / "rows.jsonl", [row(n, "Wait. " * 10 * n + "So.") for n in range(6)])
    plain = records(path, tokenizer=str(tokenizer))
    by_length = [record.tokens for record in plain]
    cutoff, low, high = by_length[3], plain[1].response_tokens, plain[4].response_tokens
    bounds = {"min_response_tokens": low, "max_response_tokens": high}
    found = records(path, tokenizer=str(tokenizer), cutoff_len=cutoff, **bounds)
    reasons = [f"response < {low} tokens", "", "", "", f"overlong > {cutoff} tokens", f"response > {high} tokens"]
    assert [record.reason for record in found] == reasons
    assert found[4].detail == f"{by_length[4]} tokens"
    kept = records(path, tokenizer=str(tokenizer), cutoff_len=cutoff, overlong="truncate", max_samples=5)
    assert [record.reason for record in kept] == [""] * 5 + ["not drawn"]


def test_mixed_formats_name_the_lines(tmp_path):
    think = {"problem": "How many?", "solution": "3", "messages": None}
    chat = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "<think>\nI count.\n</think>\n\n3"},
    ]
    rows = [row(1), row(2), {"messages": chat}, row(4), {**think, "messages": chat}]
    path = write(tmp_path / "rows.jsonl", rows)
    sources, settings = find_sources(str(path))
    found = []
    with pytest.raises(MixedFormats, match=r"rows\.jsonl:3") as error:
        found += measure(sources, settings, cache=None)

    assert "data convert" in str(error.value)
    assert "2 formats" in str(error.value)


@pytest.mark.slow
def test_parquet(tmp_path, small_chunks, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from virgo_factory.data.read.files import tables

    monkeypatch.setattr(tables, "_CHUNK", 3000)
    rows = [row(n) for n in range(300)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=120)
    found = records(path, cache=tmp_path / "kept")
    assert [record.id for record in found] == [f"r{n}" for n in range(300)]
    assert found[7].place == f"{path} row 8"
    assert len(list(reader.cut_file(path))) > 10
    assert records(path, cache=tmp_path / "kept") == found
    assert records(path, workers=2) == found
    assert [one.raw["id"] for one in read_source(find_sources(str(path))[0][0])] == [f"r{n}" for n in range(300)]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="not a readable Parquet file .* It may have been cut off"):
        records(path)


def test_images_in_parquet_are_measured(tmp_path, tokenizer, shared_data):
    import pyarrow as pa
    import pyarrow.parquet as pq

    picture = next((shared_data / "tabmwp").rglob("*.png"))
    image = {"bytes": picture.read_bytes(), "path": None}
    rows = [row(n, question="<image>How many?", images=[image]) for n in range(20)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = records(path, tokenizer=str(tokenizer))
    assert {(record.reason, record.images) for record in found} == {("", 1)}
    assert len({record.image_tokens for record in found}) == 1 < found[0].image_tokens


# what is kept


def test_unchanged_rows_are_not_measured_again(tmp_path, small_chunks, calls):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(100)])
    first = records(path, cache=...)
    measured = len(calls)
    assert measured > 5
    assert records(path, cache=...) == first
    assert len(calls) == measured
    assert (tmp_path / ".virgo_factory" / ".gitignore").read_text() == "*\n"

    lines = path.read_text().splitlines()
    lines[50] = json.dumps(row(50, "Another thought."))
    path.write_text("\n".join([json.dumps(row("new")), *lines]) + "\n")
    again = records(path, cache=...)
    assert [record.line for record in again] == list(range(1, 102))
    assert [record.digest for record in again[1:51]] == [record.digest for record in first[:50]]
    assert again[51].digest != first[50].digest
    assert len(calls) - measured <= measured // 2  # where a file is cut depends on its lines


def test_an_unchanged_list_is_not_even_decoded(tmp_path, small_chunks, calls, monkeypatch):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row(n) for n in range(60)], indent=1))
    first = records(path, cache=...)
    measured = len(calls)
    assert measured > 3
    with monkeypatch.context() as patch:
        patch.setattr(json_lists, "_items", lambda text: pytest.fail("decoded again"))
        assert records(path, cache=...) == first

    path.write_text(path.read_text().replace("is 50?", "is fifty?"))
    assert [a.digest == b.digest for a, b in zip(records(path, cache=...), first, strict=True)].count(False) == 1
    assert len(calls) == measured + 1


def test_limits_are_never_kept(tmp_path, calls, tokenizer):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(3)])
    records(path, cache=..., tokenizer=str(tokenizer))
    found = records(path, cache=..., tokenizer=str(tokenizer), cutoff_len=5, malformed="error")
    assert len(calls) == 1
    assert {record.reason for record in found} == {"overlong > 5 tokens"}


def test_records_with_rules_serve_those_without(tmp_path, calls):
    path = write(tmp_path / "rows.jsonl", [row(n, "Hm.") for n in range(3)])
    assert all(record.findings for record in records(path, cache=..., rules=True))
    assert not any(record.findings for record in records(path, cache=...))
    assert len(calls) == 1


CHANGES = (
    {"question_prefix": "virgo"},
    {"template": "virgo_qwen3_vl"},
    {"default_system": "Think."},
    {"marker_tokens": True},
    {"malformed": "keep"},
    {"image_max_pixels": 4096},
    {"image_min_pixels": 4096},
    {"media_dir": "other"},
)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_a_changed_setting_is_measured(tmp_path, calls, tokenizer, changes):
    path = write(tmp_path / "rows.jsonl", [row(1)])
    records(path, cache=..., tokenizer=str(tokenizer))
    records(path, cache=..., tokenizer=str(tokenizer), **changes)
    assert len(calls) == 2


def test_a_changed_tokenizer_is_measured(tmp_path, calls, tokenizer):
    path = write(tmp_path / "rows.jsonl", [row(1)])
    own = tmp_path / "model"
    shutil.copytree(tokenizer, own)
    before = records(path, cache=..., tokenizer=str(own))
    config = json.loads((own / "tokenizer.json").read_text())
    config["model"]["merges"] = config["model"]["merges"][:-20]
    (own / "tokenizer.json").write_text(json.dumps(config))
    after = records(path, cache=..., tokenizer=str(own))
    assert len(calls) == 2
    assert after[0].tokens > before[0].tokens


def test_a_changed_prefix_file_formatting_code_or_library_is_measured(tmp_path, calls, monkeypatch):
    path = write(tmp_path / "rows.jsonl", [row(1)])
    prefix = tmp_path / "mine.txt"
    prefix.write_text("Think.")
    changes = {"question_prefix": str(prefix)}
    records(path, cache=..., **changes)
    prefix.write_text("Think again.")
    records(path, cache=..., **changes)
    assert len(calls) == 2
    sources, settings = find_sources(str(path), **changes)

    def measured(sources=sources) -> int:
        list(measure(sources, settings, workers=1))
        return len(calls)

    assert measured() == 3
    monkeypatch.setattr(memory, "code_hash", lambda more: "another")
    assert measured() == 4
    monkeypatch.setattr("virgo_factory.data.rows.cache._version", lambda name: "0")
    assert measured() == 5
    monkeypatch.setenv("VIRGO_FACTORY_MEDIA_ROOTS", str(tmp_path))
    assert measured() == 6
    ranking = [replace(source, options=replace(source.options, ranking=True)) for source in sources]
    assert measured(ranking) == measured(ranking) == 7


def test_a_changed_image_is_measured(tmp_path, calls):
    from PIL import Image

    path = write(tmp_path / "rows.jsonl", [row(1, question="<image>How many?", images=["a.png"])])
    assert records(path, cache=...)[0].reason == "image missing"
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    assert records(path, cache=...)[0].reason == ""
    records(path, cache=...)
    assert len(calls) == 2
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    assert records(path, cache=...)[0].reason == "image unreadable"
    os.unlink(tmp_path / "a.png")
    assert records(path, cache=...)[0].reason == "image missing"
    assert len(calls) == 4


@pytest.mark.parametrize("damage", ["cut", "zeros", "no database", "other json", "no table"])
def test_a_damaged_memory_is_not_believed(tmp_path, calls, damage):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(3)])
    first = records(path, cache=...)
    (kept,) = (tmp_path / ".virgo_factory").glob("measured-*")
    content = kept.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "zeros": content[:100] + bytes(len(content) - 100),
        "no database": b"no database" * 999,
    }
    if damage in damaged:
        kept.write_bytes(damaged[damage])
    else:
        with contextlib.closing(sqlite3.connect(kept, isolation_level=None)) as database:
            other = zlib.compress(b'{"a": 1}').hex()
            database.execute(
                "DROP TABLE measured" if damage == "no table" else f"UPDATE measured SET packed = x'{other}'"
            )

    assert records(path, cache=...) == records(path, cache=...) == first
    assert len(calls) == 2


def test_old_memories_are_forgotten(tmp_path):
    path = write(tmp_path / "rows.jsonl", [row(1)])
    for pixels in range(1, 15):
        records(path, cache=..., image_min_pixels=pixels)

    assert len(list((tmp_path / ".virgo_factory").glob("measured-*"))) == memory.KEPT + 1


def test_a_memory_that_is_a_file(tmp_path, caplog):
    path = write(tmp_path / "rows.jsonl", [row(1)])
    (tmp_path / ".virgo_factory").write_text("in the way")
    assert len(records(path, cache=...)) == 1
    assert "cannot be written" in caplog.text


def test_where_measured_rows_are_kept(tmp_path):
    write(tmp_path / "rows.jsonl", [row(1)])
    (source,), _ = find_sources(str(tmp_path / "rows.jsonl"))
    assert cache_folder(source) == tmp_path / ".virgo_factory"
    hub = replace(source, hub="some/data", media_dir=tmp_path / "media")
    assert cache_folder(hub) == tmp_path / "media" / ".virgo_factory"
    assert cache_folder(find_sources("virgo_demo_dt")[0][0]) is None, "nothing inside the package"


# kills


MEASURER = """
import os, time
from virgo_factory.data.rows import worker

class Slow(worker.Measurer):
    def measure(self, source, chunk):
        time.sleep(0.02)
        {action}
        return super().measure(source, chunk)
"""
SCRIPT = """
import sys
from slow_measurer import Slow
import virgo_factory.data.rows.stream as engine
from virgo_factory.data.read import reader
from virgo_factory.data.read.files import chunks
from virgo_factory.data.rows import pool
from virgo_factory.data.read.source import find_sources

chunks.CHUNK, pool.WORTH, engine.Measurer = 2000, 0.0, Slow
sources, settings = find_sources(sys.argv[1], formatting="virgo_dt")
for record in engine.measure(sources, settings, workers=2):
    print(record.number, flush=True)
"""


def script_of(folder, action=""):
    """Return a script that measures rows, without a main guard, and does `action` before each chunk."""
    (folder / "slow_measurer.py").write_text(MEASURER.format(action=action))
    (folder / "slow.py").write_text(SCRIPT)
    return folder / "slow.py"


@pytest.mark.slow
def test_a_killed_check_goes_on_where_it_was(tmp_path, small_chunks, calls):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(2000)])
    process = subprocess.Popen([sys.executable, script_of(tmp_path), path], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) > 400:
            process.send_signal(signal.SIGKILL)
            break

    process.communicate()
    assert process.returncode == -signal.SIGKILL
    chunks = len(list(reader.cut_file(path)))
    found = records(path, cache=...)
    assert [record.number for record in found] == list(range(2000))
    assert 0 < len(calls) < chunks - chunks // 6
    assert found == records(path)


@pytest.mark.slow
def test_a_dead_worker_names_the_rows(tmp_path):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(300)])
    chunk = next(chunk for chunk in cut(path) if chunk.line > 100)
    script = script_of(tmp_path, f"if chunk.line == {chunk.line}: os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, script, path], capture_output=True, text=True)
    message = done.stderr.splitlines()[-1]
    assert f"ChildProcessError: {path}:{chunk.line} to line " in message
    assert "killed by signal 9 (9 is what the system sends when memory runs out)" in message
    printed = [int(line) for line in done.stdout.splitlines()]
    assert printed == list(range(len(printed)))
    assert len(printed) <= chunk.line


def cut(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 2000)
        return list(reader.cut_file(path))


def test_an_error_of_a_worker_is_raised_here(tmp_path, small_chunks):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(100)])
    with pytest.raises(ValueError, match="no tokenizer.json, and no vocab.json"):
        records(path, workers=2, tokenizer=str(tmp_path))


def test_progress(tmp_path, small_chunks):
    path = write(tmp_path / "rows.jsonl", [row(n) for n in range(100)])
    seen = []
    sources, settings = find_sources(str(path), formatting="virgo_dt")
    list(measure(sources, settings, workers=1, cache=None, progress=lambda done, size: seen.append((done, size))))
    size = path.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


@given(st.text(st.sampled_from("ab \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u2028\u3000\u201c\u00e9\ud800"), max_size=14))
def test_blanks_are_squeezed_as_split_does(text):
    assert measuring.squeezed(text) == " ".join(text.split()).encode("utf-8", "surrogatepass")
