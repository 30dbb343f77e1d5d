"""Datasets without what they hold twice: copies go, for the first; questions that only look alike stay."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.data.conftest import write
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.check.alike_pictures import gathered
from virgo_factory.data.check.text_embedding import load_embedding
from virgo_factory.data.make.dedup import ACCOUNT, dedup
from virgo_factory.data.read.look import as_seen, difference_hash
from virgo_factory.data.read.source import find_sources
from virgo_factory.formats import read_row


def row(id: str, question: str, thought: str, answer: str, *images: str, **more) -> dict:
    response = f"<think>{thought}</think><answer>{answer}</answer>"
    return {"id": id, "question": question, "response": response, "images": list(images), **more}


def told(folder: Path) -> list[tuple[str, str]]:
    return [(one["id"], one["for_id"]) for one in map(json.loads, (folder / ACCOUNT).read_text().splitlines())]


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.fixture
def geometry(shared_data, tmp_path) -> list[dict]:
    """Real questions of Geometry3K on their pictures, as rows; the pictures lie beside them as PNG and as smaller JPEG."""
    rows = []
    for folder in sorted((shared_data / "geometry3k").iterdir()):
        item = json.loads((folder / "data.json").read_text())
        with Image.open(folder / "img_diagram.png") as opened:
            picture = as_seen(opened)

        picture.save(tmp_path / f"{folder.name}.png")
        picture.resize((picture.width // 2, picture.height // 2)).save(tmp_path / f"{folder.name}.jpg", quality=85)
        thought = f"The picture shows a {item['problem_type_graph'][0].lower()}. " + item["problem_text"]
        rows.append(
            row(folder.name, item["problem_text"], thought, item["answer"], f"{folder.name}.png", gold=item["answer"])
        )

    assert len(rows) == 5
    return rows


def run(folder: Path, *names: Path, **keys) -> dict:
    sources = [source for name in names for source in find_sources(str(name))[0]]
    return dedup(sources, folder, "command", workers=1, **keys)


def test_copies_with_other_pictures_files_go_and_what_only_looks_alike_stays(geometry, tmp_path):
    first, second, *_ = geometry
    copies = [one | {"id": f"copy{one['id']}", "images": [f"{one['id']}.jpg"]} for one in geometry]
    question = first["question"]
    number = next(part for part in ("30", "40", "60", "5", "8") if part in question)
    others = [
        first | {"id": "other picture", "images": second["images"]},
        first | {"id": "no picture", "images": []},
        first | {"id": "two pictures", "images": first["images"] * 2},
        first | {"id": "other number", "question": question.replace(number, "31.5")},
        first | {"id": "other gold", "gold": "17", "answer": "17"},
        first | {"id": "spaced", "question": f"  {question.upper()}\n"},
    ]
    a, b = write(tmp_path / "a.jsonl", geometry), write(tmp_path / "b.jsonl", copies + others)
    card = run(tmp_path / "out", a, b)
    assert ids(tmp_path / "out" / "a.jsonl") == [one["id"] for one in geometry]
    assert ids(tmp_path / "out" / "b.jsonl") == [one["id"] for one in others[:-1]]
    assert told(tmp_path / "out") == [(f"copy{one['id']}", one["id"]) for one in geometry] + [("spaced", first["id"])]
    assert card["for_whom"] == [{"of": "b", "stands_in": "a", "rows": 6}]
    assert (card["rows_in"], card["kept"], card["dropped"]) == (16, 10, {"stands in a already": 6})
    assert [json.loads(line) for line in (tmp_path / "out" / "b.jsonl").read_text().splitlines()] == others[:-1], (
        "as they were"
    )


@pytest.fixture
def embedding(tmp_path) -> Path:
    """A model as model2vec saves it: a vector for each of some words, and one for all others, which counts for nothing."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: at for at, word in enumerate(["[UNK]", *"find the angle area of a b circle quickly".split()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "potion"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    vectors = np.random.default_rng(0).normal(size=(len(words), 32)).astype(np.float32)
    vectors[words["quickly"]] *= 0.01
    save_file({"embeddings": vectors}, str(folder / "model.safetensors"))
    (folder / "config.json").write_text('{"normalize": true}')
    return folder


def test_a_model_at_hand_compares_texts_by_its_vectors(embedding, tmp_path):
    rows = [("a", "find the angle a 1", "x"), ("b", "the angle a find quickly 1", "x")]
    rows += [
        ("c", "find the area a 1", "x"),
        ("d", "find the angle a 2", "x"),
        ("e", "find the angle a 1", "y"),
        ("f", "of of of 1", "x"),
    ]
    first = write(tmp_path / "one.jsonl", [{"id": id, "question": text, "gold": gold} for id, text, gold in rows])
    second = write(tmp_path / "two.jsonl", [{"id": "g", "question": "find the angle 1 a", "gold": "x"}])
    sources = [find_sources(str(name), formatting="questions")[0][0] for name in (first, second)]
    keys = {"command": "c", "workers": 1, "embedding": embedding}
    assert dedup(sources, tmp_path / "within", **keys)["settings"]["bound"] == 0.99
    assert told(tmp_path / "within") == [("b", "a"), ("g", "a")]
    dedup(sources, tmp_path / "across", across=True, **keys)
    assert told(tmp_path / "across") == [("g", "a")]
    (embedding / "config.json").unlink()
    with pytest.raises(UserError, match=r"potion: config.json missing. Name the folder of a model2vec model"):
        load_embedding.__wrapped__(embedding)


@pytest.mark.parametrize(
    "content, message", [(b"\n\n", "no rows in the file"), ('{"question": "?"}'.encode("utf-16"), "UTF-16")]
)
def test_a_file_without_a_row_is_refused(geometry, tmp_path, content, message):
    (tmp_path / "other.jsonl").write_bytes(content)
    for files in ([tmp_path / "other.jsonl"], [write(tmp_path / "a.jsonl", geometry), tmp_path / "other.jsonl"]):
        with pytest.raises(UserError, match=f"other.jsonl: .*{message}"):
            run(tmp_path / "out", *files)


def test_across_leaves_alone_what_a_dataset_holds_twice_itself(geometry, tmp_path):
    own = [geometry[0], geometry[0] | {"id": "again"}]
    a, b = write(tmp_path / "a.jsonl", own), write(tmp_path / "b.jsonl", [one | {"id": "b"} for one in own])
    run(tmp_path / "across", a, b, across=True)
    assert ids(tmp_path / "across" / "a.jsonl") == [geometry[0]["id"], "again"]
    assert [id for id, _ in told(tmp_path / "across")] == ["b", "b"]
    run(tmp_path / "within", a, b)
    assert ids(tmp_path / "within" / "a.jsonl") == [geometry[0]["id"]]
    assert {kept for _, kept in told(tmp_path / "within")} == {geometry[0]["id"]}, (
        "for one that stays, never for one that went"
    )
    with pytest.raises(ValueError, match="two at least"):
        run(tmp_path / "one", a, across=True)


def test_eight_responses_of_a_question_stay_unless_the_question_is_compared(geometry, tmp_path):
    thoughts = ("Count the arcs.", "Use that equal chords have equal arcs.", "Guess from the figure and check it.")
    rows = [row(f"q#{at}", geometry[0]["question"], thought, "D", "11.png") for at, thought in enumerate(thoughts)]
    path = write(tmp_path / "x8.jsonl", rows)
    assert run(tmp_path / "rows", path)["kept"] == 3
    assert run(tmp_path / "questions", path, by="question")["kept"] == 1


@pytest.mark.slow
def test_real_long_thoughts_that_two_files_share(shared_data, tmp_path):
    lines = (shared_data / "skythought" / "sky_t1_math_correct_5k_27b__math500.jsonl").read_text().splitlines()
    third = len(lines) // 3
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_text("\n".join(lines[: 2 * third]) + "\n")
    b.write_text("\n".join(lines[third:]) + "\n")
    read = [read_row(json.loads(line), "long_thought").parts[0] for line in lines[third : 2 * third]]
    shared = {number for number, part in enumerate(read, start=1) if isinstance(part, Example)}
    card = run(tmp_path / "both", str(a), str(b))
    pairs = [json.loads(line) for line in (tmp_path / "both" / ACCOUNT).read_text().splitlines()]
    assert len(shared) > 10 and len(pairs) == len(shared) == card["dropped"]["stands in a already"]
    assert {int(one["dropped"].removeprefix(f"{b}:")) for one in pairs} == shared
    assert all(
        int(one["for"].removeprefix(f"{a}:")) - third == int(one["dropped"].removeprefix(f"{b}:")) for one in pairs
    )


def test_tables_stay_tables_with_their_pictures_inside(geometry, tmp_path):
    import pyarrow as pa

    def inside(one: dict, kind: str) -> dict:
        image = {"bytes": (tmp_path / f"{one['id']}.{kind}").read_bytes(), "path": None}
        return one | {"images": [image], "id": f"{kind}{one['id']}"}

    rows = [inside(one, kind) for kind in ("png", "jpg") for one in geometry]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet", row_group_size=3)
    card = run(tmp_path / "out", str(tmp_path / "t.parquet"))
    kept = pq.read_table(tmp_path / "out" / "t.parquet")
    assert kept.to_pylist() == rows[:5] and kept.schema.equals(pq.read_schema(tmp_path / "t.parquet"))
    assert (card["kept"], card["by_name"]) == (5, 0)


def test_what_cannot_be_compared_is_counted(geometry, tmp_path):
    why, gone = [{"id": id, "question": "Why?"} for id in "xy"], geometry[0] | {"images": ["gone.png"]}
    path = write(tmp_path / "a.jsonl", [geometry[0], *why, gone])
    path.write_text(path.read_text() + "{broken\n" + json.dumps(gone | {"id": "last"}) + "\n")
    card = run(tmp_path / "out", str(path))
    assert (card["not_compared"], card["by_name"]) == (2, 2)
    assert card["dropped"] == {"stands in a already": 1, "not JSON": 1}
    assert ids(tmp_path / "out" / "a.jsonl") == [geometry[0]["id"], "x", "y", geometry[0]["id"]]
    assert "2 rows give no example" in (tmp_path / "out" / "dropped.card.md").read_text()


def test_half_a_surrogate_pair_is_written_as_it_was_and_the_account_adds_up(tmp_path, call):
    good, half = row("a", "What is 1 + 1?", "One and one.", "2"), row("x", "What \ud83d is it?", "I add.", "2")
    path = write(tmp_path / "a.jsonl", [good, good | {"id": "b"}, half])
    path.write_text(path.read_text() + "{bad\n")
    code, out, err = call("data", "dedup", tmp_path / "out", path, "--workers", 1)
    assert code == 0, err
    assert [json.loads(line) for line in (tmp_path / "out" / "a.jsonl").read_text().splitlines()] == [good, half]
    assert "4 rows read, 2 stay; left out:\n  1  of a, stands in a\n  1  not JSON\n" in out
    code, out, err = call("data", "dedup", tmp_path / "again", tmp_path / "out" / "a.jsonl", "--workers", 1)
    assert "2 rows read, 2 stay; left out:\n  none\n" in out, err


def test_the_entry_of_the_card_reads_the_output(geometry, tmp_path):
    columns = {"prompt": "question", "response": "response"}
    entry = {"file_name": "a.jsonl", "formatting": "long_thought", "columns": columns}
    write(tmp_path / "a.jsonl", geometry)
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": entry | {"license": "mit", "num_rows": 5}}))
    sources, _ = find_sources("mine", tmp_path)
    card = dedup(sources, tmp_path / "out", "command", workers=1)
    assert card["outputs"][0]["entry"] == entry | {"file_name": "mine.jsonl", "license": "mit"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out", "a.jsonl", "a.jsonl"], "the output of several inputs"),
        (["out", "none.jsonl"], "gives an example, so nothing was compared"),
        (["out", "a.jsonl", "--by", "words"], "--by words: it is one of row, question"),
        ([".", "a.jsonl"], "a.jsonl exists"),
        (
            ["out.jsonl", "a.jsonl"],
            "out.jsonl: the output is a folder, with a file of each dataset in it. Name one, such as out.",
        ),
    ],
)
def test_bad_input(geometry, tmp_path, call, arguments, message):
    write(tmp_path / "a.jsonl", geometry)
    write(tmp_path / "none.jsonl", [{"id": "x", "question": "Why?"}])
    code, _, err = call("data", "dedup", *arguments)
    assert code and message in " ".join(err.split())
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_a_killed_run_leaves_no_output(geometry, tmp_path):
    rows = [one | {"id": f"{at}-{one['id']}"} for at in range(4000) for one in geometry]
    path = write(tmp_path / "a.jsonl", rows)
    command = [
        sys.executable,
        "-m",
        "virgo_factory.cli.main",
        "data",
        "dedup",
        tmp_path / "out",
        path,
        "--workers",
        "1",
    ]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (tmp_path / "out").is_dir() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)

    time.sleep(0.5)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL
    assert not [name for name in os.listdir(tmp_path / "out") if not name.startswith(".")]


def test_pictures_that_differ_by_two_bits_are_gathered_and_by_three_are_not():
    random = np.random.default_rng(0)
    first = random.integers(0, 2**64, 500, dtype=np.uint64)
    bits = random.integers(0, 64, (2, 500)).astype(np.uint64)
    near = first ^ (np.uint64(1) << bits[0]) ^ (np.uint64(1) << bits[1])
    far = first ^ np.uint64(0b111)
    found = gathered(np.concatenate([first, near, far]))
    assert (found[:500] == first).all() and (found[500:1000] == first).all() and (found[1000:] == far).all()
    chain = np.array([0, 0b11, 0b1111], np.uint64)
    assert gathered(chain).tolist() == [0, 0, 0b1111], "no chains: each is near to the one that stands for it"
    assert gathered(np.empty(0, np.uint64)).tolist() == []


def test_copies_hash_alike_and_other_pictures_do_not(geometry, tmp_path):
    def of(name):
        with Image.open(tmp_path / name) as opened:
            return int.from_bytes(difference_hash(as_seen(opened)))

    hashes = {one["id"]: (of(f"{one['id']}.png"), of(f"{one['id']}.jpg")) for one in geometry}
    assert all((png ^ jpg).bit_count() <= 2 for png, jpg in hashes.values())
    assert min((a[0] ^ b[0]).bit_count() for i, a in hashes.items() for j, b in hashes.items() if i < j) > 2
