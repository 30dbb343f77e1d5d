"""Tests of virgo_factory/distill/questions/build.py: from sources to questions.jsonl with pictures, card and account."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw

from virgo_factory.distill.questions.build import build_questions
from virgo_factory.rollouts.prompt import make_prompt
from virgo_factory.rollouts.question import read_questions


pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
SCHEMA = pa.schema([("id", pa.string()), ("image", IMAGE), ("conversations", TURNS), ("data_source", pa.string())])


def settings(**changed) -> SimpleNamespace:
    """Return a configuration's keys that questions are made by."""
    values = {"questions": None, "dataset_dir": Path("."), "sources": {}, "pool_factor": 1.0, "source_dir": None}
    values |= {
        "onevision": "nowhere",
        "benchmarks": (),
        "questions_per_image": 1,
        "seed": 42,
        "image_max_pixels": 589_824,
    }
    return SimpleNamespace(**{**values, **changed})


def picture(number: int) -> bytes:
    """Return a small picture that only this number has."""
    image = Image.new("RGB", (40, 30), (number % 256, number // 256, 90))
    ImageDraw.Draw(image).line((0, 0, number % 40, 29), fill="white")
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_config(folder: Path, rows: list[tuple], config: str = "GEOS(MathV360K)", shards=1) -> None:
    """Write rows (id, picture, pairs of turns) as CONFIG/train-*.parquet with the columns and types of the hub dataset."""
    listed = []
    for id, content, pairs in rows:
        turns = [
            {"from": who, "value": said} for pair in pairs for who, said in zip(("human", "gpt"), pair, strict=True)
        ]
        image = None if content is None else {"bytes": content, "path": None}
        listed.append({"id": id, "image": image, "conversations": turns, "data_source": config})

    (folder / config).mkdir(parents=True)
    size = -(-len(listed) // shards)
    for number in range(shards):
        table = pa.Table.from_pylist(listed[number * size : (number + 1) * size], schema=SCHEMA)
        pq.write_table(table, folder / config / f"train-{number:05}-of-{shards:05}.parquet", row_group_size=5)


def check(folder: Path, card) -> list:
    """Return the questions of a folder, after what must be true of every such folder has been checked."""
    questions = list(read_questions(folder / "questions.jsonl"))
    assert len({question.id for question in questions}) == len(questions) == card.kept == card.output["rows"]
    shown = set()
    for question in questions:
        assert len(question.images) == len(question.image_sha256) > 0
        for name, digest in zip(question.images, question.image_sha256, strict=True):
            content = (folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
            assert Image.open(BytesIO(content)).mode == "RGB"
            shown.add(name)

    stored = {str(path.relative_to(folder)) for path in (folder / "images").rglob("*") if path.is_file()}
    assert stored == shown and len(shown) == card.output["images"], "each picture once, and none without a question"
    for count in card.sources:
        assert count.rows_in + count.extra == count.kept + sum(count.dropped.values())
        own = sum(question.source == count.source for question in questions)
        assert count.kept == own or count.source == "questions"

    written = {path.name for path in folder.iterdir()} - {"questions.jsonl", "images", ".questions.lock"}
    assert written == {"questions.card.md", "questions.card.json"}
    output = (folder / "questions.jsonl").read_bytes()
    assert hashlib.sha256(output).hexdigest() == card.output["sha256"]
    return questions


SOURCES = {"tabmwp": 20, "chartqa": 20, "figureqa": 25, "clevr": 4, "geos": 279, "geometry3k": 5, "iconqa": 30}


@pytest.mark.slow
def test_real_sources(shared_data, tmp_path):
    config = settings(sources=SOURCES, source_dir=shared_data)
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    counts = {count.source: count for count in card.sources}
    assert {name: count.kept for name, count in counts.items()} == {**SOURCES, "geos": 3}
    assert card.notes == (
        "geos: 279 asked for, 3 there.",
        "No benchmarks are named: whether a question is also a benchmark's was not looked at.",
    )
    assert counts["clevr"].dropped["not of the train split"] == 45
    assert counts["figureqa"].dropped["two gold answers to one question on one picture"] == 4
    assert counts["figureqa"].binary == 25 and counts["clevr"].binary == 0
    assert max(sum(question.images == other.images for other in questions) for question in questions) == 1
    for question in questions[::8]:
        prompt = make_prompt(question, tmp_path / "out")
        assert len(prompt.images) == len(question.images) and prompt.text.startswith(question.question)
        assert all(option in prompt.text for option in question.options)

    sources = [question.source for question in questions]
    assert sources != sorted(sources, key=list(SOURCES).index), "sources alternate, so that a budget cuts all of them"
    text = (tmp_path / "out/questions.card.md").read_text(encoding="utf-8")
    assert "| geos | 279 | 3 | 3 | 3 | 3 | 0% |" in text and "| not of the train split | 45 |" in text

    again = build_questions(config, tmp_path / "out")
    assert again == card, "a complete file is kept, and its card read"


@pytest.mark.slow
def test_the_seed_decides(shared_data, tmp_path):
    written = {}
    for name, seed in (("one", 42), ("same", 42), ("other", 43)):
        config = settings(sources={"tabmwp": 10, "geos": 2}, source_dir=shared_data, seed=seed)
        build_questions(config, tmp_path / name)
        written[name] = (tmp_path / name / "questions.jsonl").read_bytes()

    assert written["one"] == written["same"] != written["other"]


@pytest.mark.slow
def test_more_questions_on_a_picture(shared_data, tmp_path):
    wanted = {"sources": {"figureqa": 100, "geos": 2}, "pool_factor": 1.5}
    config = settings(**wanted, source_dir=shared_data, questions_per_image=4)
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    on_picture = [sum(question.images == other.images for other in questions) for question in questions]
    assert max(on_picture) == 4 and card.sources[0].kept == 30 * 4, "all there is on 30 pictures, of 150 asked for"
    assert [count.wanted for count in card.sources] == [150, 3]


def fill(folder: Path, rows: int = 40) -> None:
    """Write two configs: a question a row, and several questions on a picture."""
    hint = "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\nQuestion: "

    def choice(n: int) -> tuple[str, str]:
        return f"<image>\n{hint}What is x{n}?\nChoices:\n(A) 1\n(B) {n + 2}", "The answer is B"

    def count(n: int, part: int) -> tuple[str, str]:
        return f"How many cubes has scene {n}{part}?" + ("\n<image>" if not part else ""), f"{part}."

    write_config(folder, [(f"{n:06}", picture(n), [choice(n)]) for n in range(rows)], shards=3)
    several = [(f"CLEVR_{n}", picture(1000 + n), [count(n, part) for part in range(4)]) for n in range(rows // 4)]
    write_config(folder, several, "clevr(cauldron,llava_format)", shards=2)


def both(tmp_path: Path, origin: str = "origin", **changed) -> SimpleNamespace:
    return settings(sources={"geos": 12, "clevr": 6}, onevision=str(tmp_path / origin), **changed)


def same(tmp_path: Path, *folders: str) -> bool:
    """Whether folders have the same questions."""
    return len({(tmp_path / name / "questions.jsonl").read_bytes() for name in folders}) == 1


def test_llava_onevision(tmp_path):
    fill(tmp_path / "origin")
    card = build_questions(both(tmp_path, questions_per_image=2), tmp_path / "out")
    questions = check(tmp_path / "out", card)
    geos, clevr = card.sources
    assert (geos.rows_in, geos.extra, geos.kept) == (40, 0, 12)
    assert (clevr.rows_in, clevr.extra, clevr.kept) == (10, 30, 6)
    for question in questions:
        number = int(question.id.split("/")[1].removeprefix("CLEVR_"))
        if question.source == "geos":
            assert question.question == f"What is x{number}?" and question.gold == str(number + 2)
            assert question.options == ("1", str(number + 2)) and question.kind == "choice"
            assert question.origin == f"GEOS(MathV360K)/{number:06}/0"
            expected = picture(number)
        else:
            part = int(question.id.rpartition("/")[2])
            assert (question.question, question.gold) == (f"How many cubes has scene {number}{part}?", str(part))
            assert question.origin == f"clevr(cauldron,llava_format)/CLEVR_{number}/{part}"
            expected = picture(1000 + number)

        assert (tmp_path / "out" / question.images[0]).read_bytes() == expected, "its own picture"


def test_one_downloaded_file_at_a_time(tmp_path, monkeypatch):
    """A picture is taken while its file is there: a downloaded one is gone afterwards."""
    fill(tmp_path / "origin")
    there = []

    @contextlib.contextmanager
    def downloaded(origin, shard, revision, downloads):
        path = downloads / shard.name
        shutil.copy(Path(origin, shard.config, shard.name), path)
        there.append(len(list(downloads.iterdir())))
        yield path
        path.unlink()

    config = both(tmp_path)
    build_questions(config, tmp_path / "local")
    monkeypatch.setattr("virgo_factory.data.fetch.onevision._local", downloaded)
    check(tmp_path / "out", build_questions(config, tmp_path / "out"))
    assert there == [1] * 5 and same(tmp_path, "local", "out")


def test_the_order_of_files_and_rows_does_not_count(tmp_path):
    fill(tmp_path / "one")
    (tmp_path / "two").mkdir()
    for config in (tmp_path / "one").iterdir():
        tables = [pq.read_table(path) for path in sorted(config.iterdir())]
        (tmp_path / "two" / config.name).mkdir()
        table = pa.concat_tables(reversed(tables))
        order = list(range(table.num_rows))[::-1]
        pq.write_table(table.take(order), tmp_path / "two" / config.name / "train-0.parquet", row_group_size=40)

    for name in ("one", "two"):
        build_questions(both(tmp_path, name), tmp_path / f"out-{name}")

    assert same(tmp_path, "out-one", "out-two")


def test_whatever_is_wrong_has_a_reason(tmp_path):
    good = ("<image>\nWhat is x?\nChoices:\n(A) 1\n(B) 2", "The answer is B")
    rows = [
        ("good", picture(1), good, None),
        ("again", picture(1), good, "the same question on the same picture"),
        ("null", None, ("What is y?", "3"), "no picture"),
        ("text", b"no picture", ("What is y?", "3"), "image unreadable"),
        ("cut", picture(2)[:90], ("What is y?", "3"), "image truncated"),
        ("blank", picture(3), ("What is y?", "The answer is ."), "no gold answer"),
        ("letter", picture(4), ("What is y?", "The answer is C"), "the gold answer is a letter, and there are no options"),
        ("forged", picture(5), ("What is y?<|im_end|>", "3"), "control token in the question"),
        ("silent", picture(6), None, "turns are not pairs"),
        ("endless", picture(7), ("What is y?", "so on " * 4_000), "the gold answer cannot be checked"),
        ("vague", picture(8), ("What is y?", "see the figure"), "the gold answer cannot be checked"),
        ("open", picture(9), ("What is y?", "Answers may vary."), "the gold answer cannot be checked"),
        ("also on 1", picture(1), ("What is z?", "3"), "another question on its picture is asked"),
    ]  # fmt: skip
    written = [(id, content, [pair] if pair else []) for id, content, pair, _ in rows]
    write_config(tmp_path / "origin", written)
    card = build_questions(settings(sources={"geos": 9}, onevision=str(tmp_path / "origin")), tmp_path / "out")
    (question,) = check(tmp_path / "out", card)
    assert question.images == (f"images/{question.image_sha256[0][:2]}/{question.image_sha256[0][:32]}.png",)
    (count,) = card.sources
    expected = [reason for *_, reason in rows if reason]
    assert count.dropped == {reason: expected.count(reason) for reason in expected}
    listed = {row["id"]: row["reason"] for row in count.listed}
    assert listed["geos/cut"] == "image truncated" and listed["geos/null"] == "no picture"
    details = {row["id"]: row["detail"] for row in count.listed}
    assert details["geos/vague"].startswith("see the figure: the gold answer cannot be checked")
    assert "geos/again" not in listed, "nothing is wrong with it"


def test_a_repeated_id_is_made_unique(tmp_path):
    rows = [("7", picture(number), [(f"What is x{number}?", str(number))]) for number in range(3)]
    write_config(tmp_path / "origin", rows)
    card = build_questions(settings(sources={"geos": 9}, onevision=str(tmp_path / "origin")), tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert all(question.id.startswith("geos/7-") for question in questions) and len(questions) == 3


LONG = "A ladder of {} metres leans against a wall and its foot stands three metres away from that wall, so how high does it reach?"


def showing(numbers: range) -> list[tuple]:
    return [(f"{n}", picture(n), [(f"How many shapes does picture {n} show?", "3")]) for n in numbers]


def test_what_is_in_a_benchmark_is_not_trained_on(tmp_path):
    rows = [(f"{n}", picture(n), [(LONG.format(n + 5), f"{n}")]) for n in range(3)]
    write_config(tmp_path / "origin", [*rows, *showing(range(3, 60))])
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/seen.png").write_bytes(picture(10))
    listed = [
        {"question": LONG.format(6), "image": "gone.png"},
        {"question": "What colour is it?", "image": "seen.png"},
        {"question": "Who was the first of the kings of the land of the long lost sea?"},
    ]
    benchmark = tmp_path / "bench/test.jsonl"
    benchmark.write_text("".join(json.dumps(row) + "\n" for row in listed))
    config = settings(sources={"geos": 100}, onevision=str(tmp_path / "origin"), benchmarks=(benchmark,))
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert card.sources[0].dropped == {"its question is a benchmark's": 3, "its picture is a benchmark's": 1}
    assert not {"geos/0", "geos/1", "geos/2", "geos/10"} & {question.id for question in questions}
    assert card.notes == (
        "geos: 100 asked for, 56 there.",
        f"{benchmark}: 1 of its pictures could not be opened, so that only texts were compared there.",
    )
    told = {row["id"]: row["detail"] for row in card.sources[0].listed}
    assert told["geos/0"].startswith("test.jsonl question 1: A ladder of 6 metres")


@pytest.mark.slow
def test_others_take_the_places_of_a_benchmarks_questions(tmp_path):
    """More of the drawn ones are a benchmark's than are held in reserve: the source is gone through again."""
    # an 8-gram in 20 rows or more is a fixed phrase: each row shares its own words with the benchmark
    rows = [(f"{n}", picture(n), [(LONG.format(n).replace("wall", f"wall{n // 10}"), "3")]) for n in range(150)]
    write_config(tmp_path / "origin", [*rows, *showing(range(150, 260))])
    benchmark = tmp_path / "test.txt"
    benchmark.write_text("\n".join(LONG.format("some").replace("wall", f"wall{tens}") for tens in range(15)))
    config = settings(sources={"geos": 90}, onevision=str(tmp_path / "origin"), benchmarks=(benchmark,))
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert card.kept == 90 and all("shapes" in question.question for question in questions)
    assert card.sources[0].dropped == {"its question is a benchmark's": 150, "not drawn": 20}


def test_a_ready_made_file(tmp_path):
    (tmp_path / "ready/img").mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"ready/img/{number}.png").write_bytes(picture(number))

    (tmp_path / "outside.png").write_bytes(picture(7))
    (tmp_path / "ready/cut.png").write_bytes(picture(8)[:90])
    good = {"id": "b/1", "source": "mine", "images": ["img/0.png"], "question": "How many?", "gold": "3"}
    rows = [
        ({**good, "image_sha256": [hashlib.sha256(picture(0)).hexdigest()]}, None),
        ({"id": "a", "images": ["img/1.png", "img/2.png"], "question": "Same?", "gold": "yes", "kind": "boolean"}, None),
        ({**good, "id": "b/2"}, "the same question on the same picture"),
        ({**good, "images": ["img/1.png"]}, "the id stands there twice"),
        ({**good, "id": "b/3", "gold": None}, "no gold answer"),
        ({**good, "id": "b/4", "gold": "3", "options": ["1", "2"], "kind": "choice"}, "the gold answer cannot be checked"),
        ({**good, "id": "b/5", "images": ["img/9.png"]}, "image missing"),
        ({**good, "id": "b/6", "images": ["../outside.png"]}, "image outside media_dir"),
        ({**good, "id": "b/7", "images": ["cut.png"]}, "image truncated"),
        ({**good, "id": "b/8", "images": []}, "no picture"),
        ({**good, "id": "b/9", "image_sha256": ["0" * 64]}, "the picture is not the one of image_sha256"),
        ({**good, "id": "b/10", "image_sha256": ["0" * 64] * 2}, "images and image_sha256 do not match"),
        ({**good, "id": "b/11", "colour": "red"}, "unknown column"),
        ({**good, "id": "b/12", "question": "<image> How many?"}, "control token in the question"),
        ([good], "not an object"),
    ]  # fmt: skip
    path = tmp_path / "ready/mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row, _ in rows), encoding="utf-8")
    card = build_questions(settings(questions=path), tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert [question.id for question in questions] == ["b/1", "a"], "in the file's order"
    assert [question.source for question in questions] == ["mine", "questions"]
    (count,) = card.sources
    expected = [reason for _, reason in rows if reason]
    assert count.dropped == {reason: expected.count(reason) for reason in expected}
    missing = next(row for row in count.listed if row["id"] == "b/5")
    assert missing["origin"] == f"{path}:7" and "img/9.png" in missing["detail"]
    shutil.rmtree(tmp_path / "ready")
    assert len(check(tmp_path / "out", card)) == 2, "the folder is complete without the file's own"


def test_a_file_in_the_folder_itself_is_kept(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(1))
    row = {"id": "a", "images": ["a.png"], "question": "How many?", "gold": "3"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n")
    card = build_questions(settings(questions=tmp_path / "questions.jsonl"), tmp_path)
    assert (card.kept, card.notes, card.output) == (1, ("The file was there already.",), {"rows": 1, "images": 1})
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"\(id a\): no picture .*a\.png"):
        build_questions(settings(questions=tmp_path / "questions.jsonl"), tmp_path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sources": {"geos": 3}, "onevision": "{}"}, "no question is left. geos: 1 no picture. The first: GEOS"),
        (
            {"sources": {"clevr": 3}, "onevision": "{}"},
            "There are: GEOS.*Leave clevr out of sources, or set onevision",
        ),
        ({"sources": {"geos": 3}, "source_dir": "{}"}, "no folder .*geos. Folders there: GEOS"),
        ({"sources": {"unigeo": 3}, "source_dir": "{}"}, "the original files of unigeo are not read"),
        ({"questions": "{}/none.jsonl"}, "no such file"),
        ({"sources": {"geos": 3}, "onevision": "{}", "benchmarks": "{}/b.txt"}, "benchmarks: .*no such file"),
    ],
)
def test_errors_leave_nothing_that_looks_complete(changed, told, tmp_path):
    write_config(tmp_path, [("1", None, [("What is x?", "3")])])
    kinds = {"sources": dict, "onevision": str, "benchmarks": lambda path: (Path(path),)}
    filled = {
        key: kinds.get(key, Path)(value if key == "sources" else value.format(tmp_path))
        for key, value in changed.items()
    }
    with pytest.raises(ValueError, match=told):
        build_questions(settings(**filled), tmp_path / "out")

    assert not list((tmp_path / "out").glob("questions*"))


def test_a_file_that_is_no_table_of_the_hub(tmp_path):
    (tmp_path / "GEOS(MathV360K)").mkdir()
    (tmp_path / "GEOS(MathV360K)/train-0.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(ValueError, match=r"GEOS\(MathV360K\)/train-0.parquet: .*Download it again"):
        build_questions(settings(sources={"geos": 3}, onevision=str(tmp_path)), tmp_path / "out")


KILLED = """
import os, signal, sys
from pathlib import Path, PosixPath
from types import SimpleNamespace
from virgo_factory.distill.questions import build as questions
from virgo_factory.rollouts import pictures

values, out, at = SimpleNamespace(**eval(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
calls, stock = 0, questions.store_picture

def counted(*arguments):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return stock(*arguments)

questions.store_picture = counted
questions.build_questions(values, out)
"""


@pytest.mark.integration
def test_killed_and_started_again(tmp_path):
    fill(tmp_path / "origin")
    config = both(tmp_path)
    build_questions(config, tmp_path / "undisturbed")
    command = [sys.executable, "-c", KILLED, repr(vars(config)), str(tmp_path / "out"), "30"]
    done = subprocess.run(command, env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out/questions.jsonl").exists()
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/.questions").glob("*.json*")}
    assert {"geos.jsonl", "geos.json"} <= set(parts), "the first source was done"
    seen = []
    card = build_questions(config, tmp_path / "out", lambda source, *_: seen.append(source))
    assert set(seen) == {"clevr"}, "and is not read again"
    check(tmp_path / "out", card)
    assert same(tmp_path, "out", "undisturbed")


def test_killed_behind_the_last_step(tmp_path, monkeypatch):
    fill(tmp_path / "origin")
    config = settings(sources={"geos": 5}, onevision=str(tmp_path / "origin"))
    with monkeypatch.context() as broken:
        broken.setattr("virgo_factory.distill.questions.build._clean_up", lambda *_: None)
        build_questions(config, tmp_path / "out")

    assert (tmp_path / "out/.questions").is_dir()
    card = build_questions(config, tmp_path / "out")
    assert len(check(tmp_path / "out", card)) == 5


CONFIG = """\
### questions
sources: {geos: 12, clevr: 6}
onevision: ORIGIN

### rollout model
model_name_or_path: org/model
urls: [http://127.0.0.1:1]

### output
output_dir: OUT
dataset: mine
"""


def test_the_verb(tmp_path, command):
    fill(tmp_path / "origin")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("ORIGIN", str(tmp_path / "origin")).replace("OUT", str(tmp_path / "out")))
    code, told, error = command("distill", "questions", path)
    assert code == 0, error
    rows = [line.split() for line in told.splitlines()]
    assert ["geos", "12", "40", "40", "12", "12", "100%"] in rows and [
        "clevr",
        "6",
        "10",
        "40",
        "6",
        "6",
        "0%",
    ] in rows
    assert "left out of geos" in told and ["not", "drawn", "28"] in rows
    assert f"{tmp_path}/out/questions.jsonl: 18 questions on 18 pictures" in told
    code, told, _ = command("distill", "questions", path, "--json")
    assert code == 0 and json.loads(told)["output"]["rows"] == 18
    code, _, error = command("distill", "questions", path, "seed=7")
    assert code == 1 and "was made with seed: 42, now it is 7. Choose another output_dir, or set it back" in error
