"""Tests of virgo_factory/data/fetch/materialize.py on a folder laid out like the hub dataset, made of real pictures."""

import contextlib
import functools
import hashlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from tests.data.conftest import write
from tests.pages import lines_of, sample
from virgo_factory.cli.data.materialize import EXAMPLE
from virgo_factory.core.example import Example
from virgo_factory.data.fetch import materialize as module
from virgo_factory.data.fetch.materialize import materialize
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.source import find_sources, read_source
from virgo_factory.formats import read_row


pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

HOW_MANY = {"question": "How many?", "answer": "3", "images": ["9.png"]}
THOUGHT = (
    "<|begin_of_thought|>\n\nLet me look again.\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is \\boxed{%s}.\n\n<|end_of_solution|>"
)


def released(question, image: str) -> dict:
    """Return a question as a row of the released dataset (raw_formats.md section 2)."""
    response, text = THOUGHT % question.answer, f"<image>\n{question.question}"
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": response}]
    responses = {"response": [response] * 5, "score": [1, 1, 0, 1, 1], "conversation": turns}
    return {"question": text, "answer": question.answer, **responses, "images": [image]}


def write_rows(path: Path, rows: list):
    """Write rows and return the source that reads them."""
    return find_sources(str(write(path, rows)), formatting="virgo_dsd")[0][0]


def write_shards(folder: Path, config: str, rows: list[dict], shards: int = 1, group: int = 4) -> None:
    """Write rows as CONFIG/train-*.parquet with the columns and types of the hub dataset."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    text = pa.string()
    schema = pa.schema([("id", text), ("image", image), ("conversations", turns), ("data_source", text)])
    (folder / config).mkdir(parents=True)
    size = -(-len(rows) // shards)
    for number in range(shards):
        table = pa.Table.from_pylist(rows[number * size : (number + 1) * size], schema=schema)
        pq.write_table(table, folder / config / f"train-{number:05}-of-{shards:05}.parquet", row_group_size=group)


def onevision_row(config: str, id: str, picture: bytes, pairs: list[tuple[str, str]], path: str | None = None) -> dict:
    turns = []
    for position, (question, answer) in enumerate(pairs):
        image = "<image>\n" if not position else ""
        if "MathV360K" in config:
            hint = "Hint: Please answer the question and provide the final answer at the end.\nQuestion: "
            question, answer = f"{image}{hint}{question}", f"The answer is {answer}"
        else:
            question, answer = f"{image}{question}\nGive a very brief answer.", f"{answer}."

        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]

    return {"id": id, "image": {"bytes": picture, "path": path}, "conversations": turns, "data_source": config}


@pytest.fixture(scope="session")
def origin(visual_questions, tmp_path_factory) -> Path:
    """A folder like the hub dataset: one row an image with all its questions, two shards a config."""
    folder = tmp_path_factory.mktemp("onevision")
    by_image = defaultdict(list)
    for question in visual_questions:
        by_image[question.config, question.picture].append(question)

    rows = defaultdict(list)
    for (config, picture), questions in by_image.items():
        pairs = [(question.question, question.answer) for question in questions]
        whole = [(picture.stem, pairs)]
        if "MathV360K" in config:  # one pair a row there
            whole = [(question.id, [pair]) for question, pair in zip(questions, pairs, strict=True)]

        rows[config] += [onevision_row(config, id, picture.read_bytes(), own) for id, own in whole]

    for config, listed in rows.items():
        write_shards(folder, config, listed, shards=2)

    return folder


@pytest.fixture(scope="session")
def configs(visual_questions) -> list[str]:
    return sorted({question.config for question in visual_questions})


def image_name(question) -> str:
    """Return a relative path as the released rows give it, which names the row or the picture of the origin."""
    folder = question.config.partition("(")[0].lower()
    return f"{folder}/{question.id if 'MathV360K' in question.config else question.picture.stem}.png"


def on_white(picture: Path) -> Image.Image:
    image = Image.open(picture).convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_every_row_gets_its_own_picture(visual_questions, origin, configs, tmp_path):
    dataset = write_rows(tmp_path / "rows.jsonl", [released(item, image_name(item)) for item in visual_questions])
    report = materialize(dataset, tmp_path / "out", str(origin), configs)
    assert (report.rows_in, report.kept, report.unmatched) == (len(visual_questions), len(visual_questions), {})
    assert report.by_name == report.kept
    rows = read(tmp_path / "out/rows.jsonl")
    for row, question in zip(rows, visual_questions, strict=True):
        (path,) = row["images"]
        saved = Image.open(tmp_path / "out" / path)
        expected = on_white(question.picture)
        assert saved.mode == "RGB" and row["image_sizes"] == [list(expected.size)]
        assert saved.tobytes() == expected.tobytes(), question
        assert row["image_source"]["config"] == question.config
        assert row["response"] == [THOUGHT % question.answer] * 5, "the row's other columns are kept"

    distinct = {on_white(item.picture).tobytes() for item in visual_questions}
    saved = sorted(path.name for path in (tmp_path / "out/images").iterdir())
    assert report.images == len(saved) == len(distinct) < len(rows), "each picture once"


@pytest.mark.slow
def test_text_alone_is_not_enough_where_several_pictures_fit(visual_questions, origin, configs, tmp_path):
    rows = [released(item, f"x/{n}.png") for n, item in enumerate(visual_questions)]
    dataset = write_rows(tmp_path / "rows.jsonl", rows)
    report = materialize(dataset, tmp_path / "out", str(origin), configs)

    def text_of(item) -> tuple[str, str]:
        return item.question.casefold(), item.answer.casefold()

    pictures = defaultdict(set)
    for item in visual_questions:
        pictures[text_of(item)].add(on_white(item.picture).tobytes())

    doubtful = [item for item in visual_questions if len(pictures[text_of(item)]) > 1]
    assert doubtful, "the real questions hold such cases"
    assert report.unmatched == {"several images fit": len(doubtful)}
    assert report.kept == len(visual_questions) - len(doubtful)
    assert report.by_name == 0
    listed = read(tmp_path / "out/unmatched.jsonl")
    assert [row["question"] for row in listed] == [f"<image>\n{item.question}" for item in doubtful]
    assert listed[0]["row"].startswith(f"{tmp_path}/rows.jsonl:")


def test_reasons(visual_questions, origin, configs, tmp_path):
    first = visual_questions[0]
    good = released(first, image_name(first))
    cases = [
        (good, None),
        ({**good, "question": "<image>How many angels?"}, "question not in the source"),
        ({**good, "answer": "none of them"}, "question found, with other answers"),
        ({**good, "question": None}, "no question"),
        ({**good, "answer": None}, "no answer"),
        ({**good, "images": []}, "0 images (the source has one a row)"),
        ({**good, "images": ["a.png", "b.png"]}, "2 images (the source has one a row)"),
        ({**good, "images": [{"bytes": "x"}]}, "its image is not a path"),
        ({**good, "images": "tabmwp/880.png"}, None),
        ([good], "the row is not an object"),
    ]
    dataset = write_rows(tmp_path / "rows.jsonl", [row for row, _ in cases])
    report = materialize(dataset, tmp_path / "out", str(origin), configs)
    assert report.kept == sum(reason is None for _, reason in cases)
    assert report.kept + sum(report.unmatched.values()) == report.rows_in == len(cases)
    listed = {row["row"].rpartition(":")[2]: row["reason"] for row in read(tmp_path / "out/unmatched.jsonl")}
    assert listed == {str(line): reason for line, (_, reason) in enumerate(cases, start=1) if reason}


def picture(color: str, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = BytesIO()
    Image.new(mode, (40, 30), color).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("rows", "kept", "reason"),
    [
        ([("a", picture("red"), None)], True, None),
        ([("a", picture("red"), None), ("b", picture("red", "BMP"), None)], True, None),  # one picture, two files
        ([("a", picture("red"), None), ("b", picture("blue"), None)], False, "several images fit"),
        ([("a", picture("red"), None), ("dir/17", picture("blue"), None)], True, None),  # the id names the image
        ([("a", picture("red"), None), ("b", picture("blue"), "images/17.png")], True, None),  # so does the path
        ([("a", b"no picture", None)], False, "its image cannot be read"),
        ([("a", None, None)], False, "its image cannot be read"),
        ([("a", b"no picture", None), ("b", picture("red"), None)], True, None),
        ([("a", picture("red")[:60], None)], False, "its image cannot be read"),
        ([("17", picture("red"), None), ("x/17", picture("blue"), None)], False, "several images fit"),
    ],
)
def test_which_of_several_images(rows, kept, reason, tmp_path):
    pairs = [("Is Red the minimum?", "Yes")]
    listed = [onevision_row("Figs(MathV360K)", id, content, pairs, path) for id, content, path in rows]
    write_shards(tmp_path / "origin", "Figs(MathV360K)", listed, group=1)
    other = [onevision_row("Other", "1", picture("green"), [("Which?", "That")])]  # so that one row is always kept
    write_shards(tmp_path / "origin", "Other", other)
    row = {"question": "<image>Is Red the minimum?", "answer": "yes", "images": ["17.png"]}
    sure = {"question": "Which? <image>", "answer": "that.", "images": ["z.png"]}
    dataset = write_rows(tmp_path / "rows.jsonl", [row, sure])
    report = materialize(dataset, tmp_path / "out", str(tmp_path / "origin"), ["Figs(MathV360K)", "Other"])
    assert report.kept == 1 + kept
    assert report.unmatched == ({reason: 1} if reason else {})
    assert len(list((tmp_path / "out/images").iterdir())) == report.images == 1 + kept, "no picture without a row"


def test_the_folder_of_a_path_decides_between_configs(tmp_path):
    configs = {"GEOS(MathV360K)": "red", "UniGeo(MathV360K)": "blue"}
    for config, color in configs.items():
        rows = [onevision_row(config, "1", picture(color), [("How many?", "3")])]
        write_shards(tmp_path / "origin", config, rows)

    dataset = write_rows(tmp_path / "rows.jsonl", [HOW_MANY | {"images": ["unigeo/9.png"]}])
    materialize(dataset, tmp_path / "out", str(tmp_path / "origin"), list(configs))
    (row,) = read(tmp_path / "out/rows.jsonl")
    assert Image.open(tmp_path / "out" / row["images"][0]).getpixel((0, 0)) == (0, 0, 255)


KILLED = """
import os, signal, sys
from virgo_factory.formats import read_row
from virgo_factory.cli.main import main
from virgo_factory.data.fetch import materialize as module
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.source import find_sources

rows, out, origin, at, *configs = sys.argv[1:]
calls = 0
stock = module._note

def note(*found):
    global calls
    calls += 1
    if calls == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    stock(*found)

module._note = note
module.materialize(find_sources(rows, formatting="virgo_dsd")[0][0], module.Path(out), origin, configs)
"""


@pytest.mark.integration
def test_killed_and_started_again(visual_questions, origin, configs, tmp_path):
    dataset = write_rows(tmp_path / "rows.jsonl", [released(item, image_name(item)) for item in visual_questions])
    whole = materialize(dataset, tmp_path / "whole", str(origin), configs)
    for at in (9, 25):
        command = [sys.executable, "-c", KILLED, dataset.files[0], tmp_path / "out", origin, str(at), *configs]
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert run.returncode == -signal.SIGKILL, run.stderr

    again = materialize(dataset, tmp_path / "out", str(origin), configs)
    assert (again.kept, again.unmatched, again.images) == (whole.kept, whole.unmatched, whole.images)
    assert (tmp_path / "out/rows.jsonl").read_bytes() == (tmp_path / "whole/rows.jsonl").read_bytes()
    names = [sorted(path.name for path in (tmp_path / folder / "images").iterdir()) for folder in ("out", "whole")]
    assert names[0] == names[1]


@pytest.mark.slow
def test_a_later_call_reads_only_what_is_new(visual_questions, origin, configs, tmp_path, monkeypatch):
    dataset = write_rows(tmp_path / "rows.jsonl", [released(item, image_name(item)) for item in visual_questions])
    first = materialize(dataset, tmp_path / "out", str(origin), configs[:2])
    assert 0 < first.kept < len(visual_questions)
    scanned = []
    stock = module._scan
    monkeypatch.setattr(module, "_scan", lambda shard, *rest: (scanned.append(shard.config), stock(shard, *rest)))
    second = materialize(dataset, tmp_path / "out", str(origin), configs)
    assert second.kept == len(visual_questions)
    assert set(scanned) == set(configs[2:])


def of_other_rows(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE about SET rows = 'others'")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: of_other_rows(folder / "out/state.sqlite"), "holds the images of other rows"),
        (lambda folder: (folder / "out/state.sqlite").write_text("nothing" * 99), "not a database. Remove the file to begin anew"),
        (lambda folder: next((folder / "out/images").iterdir()).unlink(), "images are gone"),
    ],
)  # fmt: skip
def test_folder_that_cannot_be_used(change, message, fetch, tmp_path):
    fetch()
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        fetch()


@pytest.fixture
def fetch(tmp_path):
    """A function that materializes the row HOW_MANY, which stands in config A of a folder."""
    write_shards(tmp_path / "origin", "A", [onevision_row("A", "1", picture("red"), [("How many?", "3")])])
    path = tmp_path / "rows.jsonl"

    def fetched(config="A", origin=tmp_path / "origin", row=HOW_MANY, **more):
        return materialize(write_rows(path, [row]), tmp_path / "out", str(origin), [config], **more)

    return fetched


def test_errors_name_place_and_remedy(fetch, tmp_path):
    with pytest.raises(ValueError, match=r"none of 1 rows was matched \(1 question not in the source\)"):
        fetch(row=HOW_MANY | {"question": "Else?"})

    shutil.rmtree(tmp_path / "out")
    with pytest.raises(ValueError, match=r"in a folder GEOS\(MathV360K\). There are: A. Name one with --config"):
        fetch("GEOS(MathV360K)")

    broken = tmp_path / "origin/B/train-0.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"PAR1 cut off")
    with pytest.raises(ValueError, match="B/train-0.parquet: .*Download it again"):
        fetch("B")

    pq.write_table(pa.table({"question": ["x"]}), broken)
    with pytest.raises(ValueError, match="columns found: question; expected id, image"):
        fetch("B")

    with pytest.raises(ValueError, match="could not be fetched .*HF_HUB_OFFLINE.*--source"):
        fetch(origin="lmms-lab/LLaVA-OneVision-Data")


def test_a_folder_in_use_is_left_alone(fetch):
    def second_run(*_):
        with pytest.raises(ValueError, match="another run is writing there"):
            fetch()

    fetch(progress=second_run)


@pytest.fixture
def run(call, visual_questions, origin, tmp_path):
    """Call `virgo-factory data materialize ...` in a folder with visual_rows.jsonl and onevision/."""
    (tmp_path / "onevision").symlink_to(origin)
    names = [image_name(item) if number % 3 else f"{number}.png" for number, item in enumerate(visual_questions)]
    write_rows(tmp_path / "visual_rows.jsonl", list(map(released, visual_questions, names)))
    return functools.partial(call, "data", "materialize")


def test_the_page_shows_what_is_really_printed(run):
    command, shown = sample("docs/data.md", "virgo-factory data materialize ")
    assert command == " ".join(EXAMPLE.replace("\\\n", "").split())
    code, out, err = run(*shlex.split(command)[3:])
    assert (code, err, lines_of(out)) == (0, "", shown)


def test_what_it_makes_is_read_and_described(run, tmp_path):
    configs = [word for config in ("TabMWP(MathV360K)", "FigureQA(MathV360K)") for word in ("--config", config)]
    words = ("visual_rows.jsonl", "--source", "onevision", "--out", "visual")
    first, told = (json.loads(run(*words, *some, "--json")[1]) for some in (configs[:2], configs))
    assert 0 < first["kept"] < told["kept"]
    (dataset,), _ = find_sources("visual_rows", tmp_path / "visual")
    assert dataset.formatting == "virgo_dsd" and dataset.media_dir == tmp_path / "visual"
    readings = [read_row(row.raw, dataset.formatting, dataset.options) for row in read_source(dataset)]
    examples = [part for reading in readings for part in reading.parts]
    assert len(examples) == told["kept"] and all(isinstance(example, Example) for example in examples)
    for example in examples:
        facts = inspect(example.images[0], dataset.media_dir)
        assert facts.is_readable and not facts.findings

    card = json.loads((tmp_path / "visual/rows.card.json").read_text())
    assert card["settings"]["configs"] == ["TabMWP(MathV360K)", "FigureQA(MathV360K)"]
    assert card["rows_in"] == card["kept"] + sum(card["dropped"].values())
    assert "--config 'FigureQA(MathV360K)' --json" in card["command"]
    assert list(json.loads((tmp_path / "visual/dataset_info.json").read_text())) == ["visual_rows"]


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks a hub for, answered from a folder; every shard that is sent is noted."""

    folder: Path
    sent: list[str]

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/some/data"):
            files = sorted(self.folder.glob("*/*.parquet"))
            found = [{"rfilename": str(path.relative_to(self.folder)), "size": path.stat().st_size} for path in files]
            self.answer(json.dumps({"id": "some/data", "sha": "f" * 40, "siblings": found}).encode(), {})
            return

        name = path.removeprefix(f"/datasets/some/data/resolve/{'f' * 40}/")
        content = (self.folder / name).read_bytes()
        if self.command == "GET":
            self.sent.append(name)

        self.answer(content, {"X-Repo-Commit": "f" * 40, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def answer(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)

        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


FROM_HUB = """
import sys
from pathlib import Path
import huggingface_hub
from virgo_factory.data.fetch.materialize import materialize
from virgo_factory.data.read.source import find_sources

rows, out, *configs = sys.argv[1:]
dataset = find_sources(rows, formatting="virgo_dsd")[0][0]
for names in (configs[:3], configs):
    print(materialize(dataset, Path(out), "some/data", names).kept)

huggingface_hub.HfApi = huggingface_hub.hf_hub_download = None  # all is there: the hub is not asked again
print(materialize(dataset, Path(out), "some/data", configs).kept)
"""


@pytest.mark.slow
def test_from_a_hub_one_shard_at_a_time(visual_questions, origin, configs, tmp_path):
    dataset = write_rows(tmp_path / "rows.jsonl", [released(item, image_name(item)) for item in visual_questions])
    hub = type("OneHub", (Hub,), {"folder": origin, "sent": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    home = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "hf")}
    home |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    environment = {**os.environ, **home}
    command = [sys.executable, "-c", FROM_HUB, str(dataset.files[0]), str(tmp_path / "out"), *configs]
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    finally:
        server.shutdown()
        server.server_close()

    first, *later = map(int, ended.stdout.split() or [0])
    assert 0 < first < len(visual_questions), ended.stderr
    assert later == [len(visual_questions)] * 2
    files = [str(path.relative_to(origin)) for path in origin.glob("*/*.parquet")]
    assert sorted(hub.sent) == sorted(files), "each once"
    assert not (tmp_path / "out/downloads").exists()
