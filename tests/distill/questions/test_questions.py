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

from virgo_factory.cli.main import main
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
    values = {
        "questions": None,
        "dataset_dir": Path("."),
        "sources": {},
        "pool_factor": 1.0,
        "source_dir": None,
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


def write_config(
    folder: Path, config: str, rows: list[tuple[str, bytes | None, list[tuple[str, str]]]], shards=1
) -> None:
    """Write rows as CONFIG/train-*.parquet with the columns and types of the hub dataset."""
    listed = []
    for id, content, pairs in rows:
        turns = [
            turn for human, gpt in pairs for turn in ({"from": "human", "value": human}, {"from": "gpt", "value": gpt})
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
        assert (
            count.kept == sum(question.source == count.source for question in questions) or count.source == "questions"
        )

    written = {path.name for path in folder.iterdir()} - {"questions.jsonl", "images", ".questions.lock"}
    assert written == {"questions.card.md", "questions.card.json"}
    output = (folder / "questions.jsonl").read_bytes()
    assert hashlib.sha256(output).hexdigest() == card.output["sha256"]
    return questions


SOURCES = {"tabmwp": 20, "chartqa": 20, "figureqa": 25, "clevr": 4, "geos": 279, "geometry3k": 5, "iconqa": 30}


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
    for question in questions[::4]:
        prompt = make_prompt(question, tmp_path / "out")
        assert len(prompt.images) == len(question.images) and prompt.text.startswith(question.question)
        assert all(option in prompt.text for option in question.options)

    sources = [question.source for question in questions]
    assert sources != sorted(sources, key=list(SOURCES).index), "sources alternate, so that a budget cuts all of them"
    text = (tmp_path / "out/questions.card.md").read_text(encoding="utf-8")
    assert "| geos | 279 | 3 | 3 | 3 | 3 | 0% |" in text and "| not of the train split | 45 |" in text

    again = build_questions(config, tmp_path / "out")
    assert again == card, "a complete file is kept, and its card read"


def test_the_seed_decides(shared_data, tmp_path):
    written = {}
    for name, seed in (("one", 42), ("same", 42), ("other", 43)):
        config = settings(sources={"tabmwp": 10, "geos": 2}, source_dir=shared_data, seed=seed)
        build_questions(config, tmp_path / name)
        written[name] = (tmp_path / name / "questions.jsonl").read_bytes()

    assert written["one"] == written["same"] != written["other"]


def test_more_questions_on_a_picture(shared_data, tmp_path):
    config = settings(
        sources={"figureqa": 100, "geos": 2}, source_dir=shared_data, questions_per_image=4, pool_factor=1.5
    )
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    on_picture = [sum(question.images == other.images for other in questions) for question in questions]
    assert max(on_picture) == 4 and card.sources[0].kept == 30 * 4, "all there is on 30 pictures, of 150 asked for"
    assert [count.wanted for count in card.sources] == [150, 3]


def fill(folder: Path, rows: int = 40) -> None:
    """Write two configs: a question a row, and several questions on a picture."""
    hint = "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\nQuestion: "
    listed = [
        (f"{number:06}", picture(number), [(f"<image>\n{hint}What is x{number}?\nChoices:\n(A) 1\n(B) {number + 2}", "The answer is B")])
        for number in range(rows)
    ]  # fmt: skip
    write_config(folder, "GEOS(MathV360K)", listed, shards=3)
    several = [
        (
            f"CLEVR_{number}",
            picture(1000 + number),
            [
                (f"How many cubes has scene {number}{part}?" + ("\n<image>" if not part else ""), f"{part}.")
                for part in range(4)
            ],
        )
        for number in range(rows // 4)
    ]
    write_config(folder, "clevr(cauldron,llava_format)", several, shards=2)


def test_llava_onevision(tmp_path):
    fill(tmp_path / "origin")
    config = settings(sources={"geos": 12, "clevr": 6}, onevision=str(tmp_path / "origin"), questions_per_image=2)
    card = build_questions(config, tmp_path / "out")
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

    config = settings(sources={"geos": 12, "clevr": 6}, onevision=str(tmp_path / "origin"))
    build_questions(config, tmp_path / "local")
    monkeypatch.setattr("virgo_factory.distill.sources.onevision.opened", downloaded)
    check(tmp_path / "out", build_questions(config, tmp_path / "out"))
    assert there == [1] * 5
    one, other = (tmp_path / name / "questions.jsonl" for name in ("local", "out"))
    assert one.read_bytes() == other.read_bytes()


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
        config = settings(sources={"geos": 12, "clevr": 6}, onevision=str(tmp_path / name))
        build_questions(config, tmp_path / f"out-{name}")

    one, two = ((tmp_path / f"out-{name}/questions.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two


def test_whatever_is_wrong_has_a_reason(tmp_path):
    good = [("<image>\nWhat is x?\nChoices:\n(A) 1\n(B) 2", "The answer is B")]

    def asking(human, gpt):
        return [(human, gpt)]

    rows = [
        ("good", picture(1), good, None),
        ("again", picture(1), good, "the same question on the same picture"),
        ("null", None, asking("What is y?", "3"), "no picture"),
        ("text", b"no picture", asking("What is y?", "3"), "image unreadable"),
        ("cut", picture(2)[:90], asking("What is y?", "3"), "image truncated"),
        ("blank", picture(3), asking("What is y?", "The answer is ."), "no gold answer"),
        ("letter", picture(4), asking("What is y?", "The answer is C"), "the gold answer is a letter, and there are no options"),
        ("forged", picture(5), asking("What is y?<|im_end|>", "3"), "control token in the question"),
        ("silent", picture(6), [], "turns are not pairs"),
        ("endless", picture(7), asking("What is y?", "so on " * 4_000), "the gold answer cannot be checked"),
        ("vague", picture(8), asking("What is y?", "see the figure"), "the gold answer cannot be checked"),
        ("open", picture(9), asking("What is y?", "Answers may vary."), "the gold answer cannot be checked"),
        ("also on 1", picture(1), asking("What is z?", "3"), "another question on its picture is asked"),
    ]  # fmt: skip
    write_config(tmp_path / "origin", "GEOS(MathV360K)", [row[:3] for row in rows])
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
    write_config(tmp_path / "origin", "GEOS(MathV360K)", rows)
    card = build_questions(settings(sources={"geos": 9}, onevision=str(tmp_path / "origin")), tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert all(question.id.startswith("geos/7-") for question in questions) and len(questions) == 3


LONG = "A ladder of {} metres leans against a wall and its foot stands three metres away from that wall, so how high does it reach?"


def test_what_is_in_a_benchmark_is_not_trained_on(tmp_path):
    rows = [(str(number), picture(number), [(LONG.format(number + 5), str(number))]) for number in range(3)]
    rows += [
        (str(number), picture(number), [(f"How many shapes does picture {number} show?", "3")])
        for number in range(3, 60)
    ]
    write_config(tmp_path / "origin", "GEOS(MathV360K)", rows)
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


def test_others_take_the_places_of_a_benchmarks_questions(tmp_path):
    """More of the drawn ones are a benchmark's than are held in reserve: the source is gone through again."""
    rows = [(str(number), picture(number), [(LONG.format(number), "3")]) for number in range(150)]
    rows += [
        (str(number), picture(number), [(f"How many shapes does picture {number} show?", "3")])
        for number in range(150, 260)
    ]
    write_config(tmp_path / "origin", "GEOS(MathV360K)", rows)
    benchmark = tmp_path / "test.txt"
    # an 8-gram in 20 rows or more is a fixed phrase: each row shares its own words with the benchmark
    rows = [
        (id, content, [(human.replace("wall", f"wall{int(id) // 10}"), gpt)]) for id, content, [(human, gpt)] in rows
    ]
    shutil.rmtree(tmp_path / "origin")
    write_config(tmp_path / "origin", "GEOS(MathV360K)", rows)
    benchmark.write_text("\n".join(LONG.format("some").replace("wall", f"wall{tens}") for tens in range(15)))
    config = settings(sources={"geos": 90}, onevision=str(tmp_path / "origin"), benchmarks=(benchmark,))
    card = build_questions(config, tmp_path / "out")
    questions = check(tmp_path / "out", card)
    assert card.kept == 90 and all("shapes" in question.question for question in questions)
    assert card.sources[0].dropped == {"its question is a benchmark's": 150, "not drawn": 20}


def ready(tmp_path: Path, rows: list[dict]) -> Path:
    path = tmp_path / "ready/mine.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


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
    path = ready(tmp_path, [row for row, _ in rows])
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


def test_other_settings_are_refused(tmp_path):
    fill(tmp_path / "origin")
    config = settings(sources={"geos": 5}, onevision=str(tmp_path / "origin"))
    build_questions(config, tmp_path / "out")
    config.seed = 7
    with pytest.raises(
        ValueError, match="was made with seed: 42, now it is 7. Choose another output_dir, or set it back"
    ):
        build_questions(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sources": {"geos": 3}, "onevision": "ORIGIN"}, "no question is left. geos: 1 no picture. The first: GEOS"),
        (
            {"sources": {"clevr": 3}, "onevision": "ORIGIN"},
            "There are: GEOS.*Leave clevr out of sources, or set onevision",
        ),
        ({"sources": {"geos": 3}, "source_dir": "ORIGIN"}, "no folder .*geos. Folders there: GEOS"),
        ({"sources": {"unigeo": 3}, "source_dir": "ORIGIN"}, "the original files of unigeo are not read"),
        ({"questions": "ORIGIN/none.jsonl"}, "no such file"),
        (
            {"sources": {"geos": 3}, "onevision": "ORIGIN", "benchmarks": ("ORIGIN/b.txt",)},
            "benchmarks: .*no such file",
        ),
    ],
)
def test_errors_leave_nothing_that_looks_complete(changed, told, tmp_path):
    write_config(tmp_path, "GEOS(MathV360K)", [("1", None, [("What is x?", "3")])])
    filled = {
        key: str(tmp_path) if value == "ORIGIN" else Path(value.replace("ORIGIN", str(tmp_path))) if isinstance(value, str)
        else tuple(Path(item.replace("ORIGIN", str(tmp_path))) for item in value) if isinstance(value, tuple) else value
        for key, value in changed.items()
    }  # fmt: skip
    if "source_dir" in filled:
        filled["source_dir"] = Path(filled["source_dir"])

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
    config = settings(sources={"geos": 12, "clevr": 6}, onevision=str(tmp_path / "origin"))
    build_questions(config, tmp_path / "undisturbed")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, repr(vars(config)), str(tmp_path / "out"), "30"], env=os.environ, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out/questions.jsonl").exists()
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/.questions").glob("*.json*")}
    assert {"geos.jsonl", "geos.json"} <= set(parts), "the first source was done"
    seen = []
    card = build_questions(config, tmp_path / "out", lambda source, *_: seen.append(source))
    assert set(seen) == {"clevr"}, "and is not read again"
    check(tmp_path / "out", card)
    one, other = (tmp_path / name / "questions.jsonl" for name in ("out", "undisturbed"))
    assert one.read_bytes() == other.read_bytes()


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


def test_the_verb(tmp_path, capsys):
    fill(tmp_path / "origin")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("ORIGIN", str(tmp_path / "origin")).replace("OUT", str(tmp_path / "out")))

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["distill", "questions", str(path), *arguments])

        return stop.value.code, capsys.readouterr()

    code, told = call()
    assert code == 0, told.err
    rows = [line.split() for line in told.out.splitlines()]
    assert ["geos", "12", "40", "12", "12", "100%"] in rows and ["clevr", "6", "40", "6", "6", "0%"] in rows
    assert "geos, left out: 28 not drawn" in told.out
    assert f"{tmp_path}/out/questions.jsonl: 18 questions on 18 pictures" in told.out
    code, told = call("--json")
    assert code == 0 and json.loads(told.out)["output"]["rows"] == 18
    code, told = call("seed=7")
    assert code == 1 and "was made with seed: 42, now it is 7" in told.err
