"""`virgo-factory data check`, run as people run it: every kind of bad input with its place and remedy, real data, options."""

import base64
import hashlib
import io
import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.jsonl import read_jsonl
from virgo_factory.core.thought import LongThought


THOUGHT = "Seven eights: 7 * 8 = 56, since 7 * 4 is 28 and twice that is 56."
SOLUTION = r"It is \boxed{56}."
RESPONSE = LongThought(THOUGHT, SOLUTION).render()


def _row(id="a", question="What is 7 * 8?", response=RESPONSE, **more):
    return {"id": id, "question": question, "response": response, **more}


def _line(*arguments, **more):
    return json.dumps(_row(*arguments, **more), ensure_ascii=False).encode()


def _response(thought=THOUGHT, solution=SOLUTION):
    return RESPONSE.replace(THOUGHT, thought).replace(SOLUTION, solution)


def _answered(thought):
    return _line("b", response=_response(thought))


def _picture(kind="PNG", size=(60, 40), **options):
    content = io.BytesIO()
    Image.effect_noise(size, 40).convert("RGB").save(content, kind, **options)
    return content.getvalue()


def _bomb():
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def run(call):
    """Runs `data check` in an empty folder; returns exit code and what is printed."""

    def run(*arguments):
        code, out, err = call("data", "check", *arguments)
        return code, out or err

    return run


def _write(*lines, name="rows.jsonl"):
    Path(name).write_bytes(b"\n".join(lines) + b"\n")
    return name


def _info(name, folder=".", **entry):
    content = {name: {"formatting": "long_thought", **entry}}
    Path(folder, "dataset_info.json").write_text(json.dumps(content))


def test_good_rows_pass_and_say_what_is_trained_on(run):
    code, output = run(_write(_line("a"), _line("b", "What is 8 * 7?")))
    assert code == 0
    assert output.splitlines()[0] == "Nothing is wrong with any row."
    assert "rows (four_markers): 2 rows in, 2 kept, 0 dropped" in output
    assert "Lengths were not checked: no tokenizer. Give the model's: --tokenizer DIR|ID." in output


GOOD = _line("good")

BAD_INPUT = {  # what is wrong -> the lines behind a good one, and what is told
    "broken line": ([b'{"id": "b", "question": "cut o', _line("c", "Another?")], ["error       1  not JSON", "rows.jsonl:2  not JSON (Unterminated string", "Repair or remove the line"]),
    "NUL bytes": ([b"\0" * 40 + b"{}"], ["rows.jsonl:2  not JSON (40 NUL bytes: the file was damaged", "Repair or remove the line"]),
    "wrong encoding": ([_line("é").decode().encode("latin-1")], ["rows.jsonl:2  not UTF-8 (byte 0xe9", "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"]),
    "missing columns": ([b'{"id": "b", "question": "What?"}'], ["rows.jsonl:2  columns found: id, question; expected one of"]),
    "null": ([_line("b", None)], ["rows.jsonl:2"]),
    "a number instead of text": ([_line("b", 7)], ["error       1  question is not text", "rows.jsonl:2  found int", "malformed: drop does not train on them"]),
    "not objects": ([b"[1, 2]", b'"text"'], ["error       2  the row is not an object", "rows.jsonl:2  found list"]),
    "duplicate ids": ([_line("good", "Another question?")], ["warning     1  an id that stands there before", "rows.jsonl:2  also the id of rows.jsonl:1, another question"]),
    "the same row twice": ([_line("b", "Another?"), GOOD], ["warning     1  the same row again", "rows.jsonl:3  as rows.jsonl:1", "Remove it"]),
    "forged control token": ([_answered("<|im_start|>system 56")], ["error       1  control token in the response", "rows.jsonl:2  <|im_start|>"]),
    "forged image": ([_answered("I see <image> and 56")], ["error       1  control token in the response", "rows.jsonl:2  <image>"]),
    "more images than places": ([_line("b", "<image><image> Which?", images=["good.png"])], ["rows.jsonl:2  2 <image> and 1 images"]),
    "no end of thought": ([_line("b", response="<|begin_of_thought|> and so on")], ["error       1  no end of thought", "rows.jsonl:2"]),
    "empty thought": ([_answered(" ")], ["error       1  the thought is empty", "rows.jsonl:2"]),
    "thought of one word": ([_answered("56")], ["warning     1  the thought is one word", "rows.jsonl:2  56"]),
    "answer not in the thought": ([_answered("I wonder what it may be.")], ["warning     1  the thought never mentions the answer that the solution boxes", "rows.jsonl:2  boxes 56"]),
    "loop": ([_answered("Wait, is it 56 or is it 54? " * 200)], ["warning     1  the response repeats itself", 'rows.jsonl:2  200 times "', "it teaches never to stop"]),
    "two formats": (
        [_line("b", "Another?"), _line("c", "A third?", response=f"<think>{THOUGHT}</think>{SOLUTION}")],
        ["error       1  of another format than most rows", "rows.jsonl:3  think; 2 rows are four_markers", "A run stops on this"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_rows_are_told_with_place_and_remedy(lines, expected, run):
    Path("good.png").write_bytes(_picture())
    code, output = run(_write(GOOD, *lines))
    assert [words for words in expected if words not in output] == [], output
    assert code == (1 if "error       " in output else 0)
    errors = 0 if code == 0 else sum(int(line.split()[1]) for line in output.splitlines() if line.startswith("error"))
    assert f"{errors} error" in output


def test_a_byte_order_mark_is_no_error(run):
    assert run(_write(b"\xef\xbb\xbf" + GOOD, _line("b", "Another?")))[0] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "rows.jsonl: no rows in the file."),
        (json.dumps(_row()).encode("utf-16"), "rows.jsonl: not UTF-8, but UTF-16"),
        (b"\x1f\x8b\x08\x00abcdef", "rows.jsonl:1  the packed file breaks off or is damaged here"),
    ],
)
def test_files_that_are_no_rows(content, message, run):
    Path("rows.jsonl").write_bytes(content)
    code, output = run("rows.jsonl")
    assert (code, message in output) == (1, True), output


@pytest.mark.integration
def test_a_line_of_50_megabytes_is_read_and_no_other_row_is_lost(run):
    long = _line("long", response=_response("".join(f"{number:x} " for number in range(8_000_000))))
    assert len(long) > 50_000_000
    code, output = run(_write(GOOD, long, _line("c", "Another?")))
    assert output.startswith("Nothing is wrong with any row.")
    assert "3 rows in, 3 kept, 0 dropped" in output
    assert code == 0


def test_a_long_row_is_told_to_be_overlong(run, tokenizer):
    long = _line("long", response=_response("hmm, let me see 56 " * 5_000))
    code, output = run(_write(GOOD, long, _line("c", "Another?")), "--tokenizer", tokenizer, "--cutoff-len", 4096)
    assert "warning     1  longer than cutoff_len\n               rows.jsonl:2  " in output
    assert "3 rows in, 2 kept, 1 dropped" in output
    assert code == 0


@pytest.fixture
def tokenizer(model_folder):
    return model_folder


IMAGES = {
    "path": ("good.png", None),
    "absolute path": ("{folder}/media/good.png", None),
    "data URI": ("data:image/png;base64,{base64}", None),
    "dictionary of a path": ({"path": "good.png", "bytes": None}, None),
    "missing": ("gone.png", ["image missing", "no file", "Set --media-dir"]),
    "absolute path elsewhere": ("{folder}/secret.png", ["image outside media_dir", "To read only them: media_dir: {folder}"]),
    "parent folder": ("../secret.png", ["image outside media_dir", "leads out of media_dir", "VIRGO_FACTORY_MEDIA_ROOTS={folder}"]),
    "symlink out of the folder": ("link.png", ["image outside media_dir", "link.png leads out of media_dir", "VIRGO_FACTORY_MEDIA_ROOTS={folder}"]),
    "URL": ("https://example.org/a.png", ["image is a URL", "is not fetched, since training uses no network", "give their paths"]),
    "bare base64": ("{base64}", None),
    "file URL": ("file://{folder}/media/good.png", None),
    "bomb": ("bomb.png", ["image too large to decode", "900,000,000 pixels by its header, not decoded", "Shrink it"]),
    "truncated JPEG": ("cut.jpg", ["image cut off or damaged", "truncated", "Fetch the file again"]),
    "truncated PNG": ("cut.png", ["image cut off or damaged", "Fetch the file again"]),
    "text": ("text.png", ["image not readable", "is not an image that Pillow knows", "Replace the file"]),
    "number": (7, ["image is int", "expected a path"]),
    "null": ([None], ["1 <image> and 0 images"]),
}  # fmt: skip


@pytest.mark.parametrize(("image", "expected"), IMAGES.values(), ids=IMAGES)
def test_images_in_every_form(image, expected, run):
    Path("media").mkdir()
    files = {"media/good.png": _picture(), "secret.png": _picture(), "media/bomb.png": _bomb()}
    files |= {
        "media/cut.png": _picture("PNG", (300, 200))[:-900],
        "media/cut.jpg": _picture("JPEG", (300, 200))[:-900],
    }
    for name, content in (files | {"media/text.png": b"no picture"}).items():
        Path(name).write_bytes(content)

    Path("media/link.png").symlink_to("../secret.png")
    known = {"folder": os.getcwd(), "base64": base64.b64encode(_picture(size=(8, 8))).decode()}
    image = image.format(**known) if isinstance(image, str) else image
    path = _write(_line("a"), _line("b", "<image> What is it?", images=image if isinstance(image, list) else [image]))
    code, output = run(path, "--media-dir", "media")
    if expected is None:
        assert (code, "Nothing is wrong with any row." in output) == (0, True), output
    else:
        assert code == 1
        assert [words for words in expected if words.format(**known) not in output] == [], output
        assert "rows.jsonl:2" in output
        assert "2 rows in, 1 kept, 1 dropped" in output


def test_images_as_bytes_in_parquet(run):
    import pyarrow
    import pyarrow.parquet

    rows = [
        _row("a", "<image>What?", images=[{"bytes": _picture(), "path": None}]),
        _row("b", "<image>What else?", images=[{"bytes": _picture()[:-500], "path": "b.png"}]),
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "rows.parquet")
    code, output = run("rows.parquet")
    assert code == 1
    assert "error       1  image cut off or damaged\n               rows.parquet row 2  an image of" in output


@pytest.mark.parametrize(("size", "words"), [((400, 300), None), ((2_100, 10), "image too long and narrow")])
def test_images_that_deserve_a_look_are_warnings(size, words, run):
    Path("a.img").write_bytes(_picture("JPEG", size))
    path = _write(_line("a", "<image>What?", images=["a.img"]))
    code, output = run(path)
    assert code == 0
    assert (words in output and "1 kept" in output) if words else "Nothing is wrong" in output
    assert run(path, "--strict")[0] == (1 if words else 0)


def test_what_is_done_to_pictures_is_told_by_kind_and_is_no_fault(run):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b", "c"):
        Path(f"{name}.img").write_bytes(_picture("JPEG", exif=exif))

    path = _write(*(_line(name, f"<image>What is {name}?", images=[f"{name}.img"]) for name in ("a", "b", "c")))
    code, output = run(path, "--strict", "--show", "1")
    assert code == 0 and "Nothing is wrong with any row" in output and "3 kept" in output
    assert "image turned by its EXIF" in output and "and 2 more" in output and "b.img" not in output
    assert "of the kept" not in output


def test_a_trailing_comma_in_dataset_info(run):
    Path("dataset_info.json").write_text('{\n "mine": {"file_name": "rows.jsonl", "formatting": "long_thought"},\n}\n')
    code, output = run("mine")
    assert code == 1 and "dataset_info.json:2:" in output
    assert "a comma behind the last entry, which JSON does not allow. Remove it." in output


def test_unknown_names_say_what_there_is(run):
    code, output = run("mine")
    assert code == 1
    assert "mine: no dataset of that name" in output and "--dataset-dir" in output


@pytest.mark.slow
def test_a_hub_dataset_when_offline_says_how_to_get_it(run):
    _info("far", hf_hub_url="nobody/such-a-set")
    code, output = run("far")
    assert code == 1
    assert "nobody/such-a-set is not in the Hugging Face cache" in output and "HF_HUB_OFFLINE=0" in output


def test_a_dataset_by_name_and_overlong_rows(run, tokenizer):
    Path("data").mkdir()
    _write(_line("a"), _line("b", response=_response(THOUGHT * 40)), name="data/rows.jsonl")
    _info("mine", "data", file_name="rows.jsonl")
    code, output = run("mine", "--dataset-dir", "data", "--tokenizer", tokenizer, "--cutoff-len", 512)
    assert code == 0
    assert "warning     1  longer than cutoff_len" in output
    assert "mine (four_markers): 2 rows in, 1 kept, 1 dropped" in output
    assert "of cutoff_len 512" in output


def test_findings_go_to_a_file_and_into_json(run):
    lines = [_line(f"r{number}", f"Question {number}?", "no thought") for number in range(30)]
    lines += [_line("ok"), _line("one", "And?", _response("56"))]
    code, output = run(_write(*lines), "--findings", "findings.jsonl", "--json")
    report = json.loads(output)
    assert code == 1 and report["passed"] is False
    summary = {name: value for name, value in report["summary"].items() if name != "tokens"}
    assert summary == {"rows": 32, "examples": 32, "kept": 2, "errors": 30, "warnings": 1}
    assert [(kind["severity"], kind["count"]) for kind in report["kinds"]] == [("error", 30), ("warning", 1)]
    assert len(report["findings"]) == 21  # 20 of a kind
    written = [json.loads(line) for line in Path("findings.jsonl").read_text().splitlines()]
    places = [row["place"] for row in written if row["severity"] == "error"]
    assert places == [f"rows.jsonl:{n + 1}" for n in range(30)]
    assert set(written[0]) == {"place", "dataset", "file", "line", "number", "id", "code", "severity", "detail"}
    assert written[0]["id"] == "r0"
    assert not list(Path().glob("*.partial"))


def test_findings_never_replace_the_data(run):
    content = Path(_write(GOOD)).read_bytes()
    code, output = run("rows.jsonl", "--findings", "./rows.jsonl")
    assert (code, "rows.jsonl is the data. Name another file for the findings." in output) == (1, True)
    assert Path("rows.jsonl").read_bytes() == content
    assert run("rows.jsonl", "--findings", "new/folder/findings.jsonl")[0] == 0
    assert Path("new/folder/findings.jsonl").read_text() == ""


def test_the_terminal_shows_some_of_a_kind_and_how_many_more(run):
    path = _write(*(_line(f"r{number}", f"Question {number}?", "no thought") for number in range(30)), _line("ok"))
    assert "rows.jsonl:1, 2, 3, 4, 5 and 25 more" in run(path)[1]
    assert "rows.jsonl:1, 2 and 28 more" in run(path, "--show", 2)[1]
    assert "20 and 10 more" in run(path, "--show", 20)[1]


def test_near_duplicates_only_when_asked(run):
    steps = (f"Step {number} uses {number * number} and gives {number + 7}." for number in range(60))
    thought = " ".join([*steps, "So 56."])
    rows = [
        _line("a", response=_response(thought)),
        _line("b", response=_response(thought.replace("Step 30", "Stage 30"))),
        _line("c", "Another?"),
        _line("d", response=_response(thought)),
    ]
    assert "nearly" not in run(_write(*rows))[1]
    code, output = run("rows.jsonl", "--near")
    assert code == 0
    assert "warning     1  nearly the same as an earlier row" in output
    assert "% of the word sequences of rows.jsonl:1" in output
    assert "rows.jsonl:4  as rows.jsonl:1" in output  # the exact one is told as such, once


@pytest.mark.slow
def test_a_benchmark_of_real_questions(run, shared_data):
    rows = read_jsonl(shared_data / "mathvision/test.jsonl")
    leaked = [row["question"].replace("<image1>", "").strip() for row in rows if len(row["question"].split()) > 25][:3]
    questions = [f"Here is number {number} of my own questions, is it not?" for number in range(10)]
    lines = [_line(f"own-{n}", question) for n, question in enumerate(questions)]
    lines += [_line(f"leak-{n}", f"Please think first. {question}") for n, question in enumerate(leaked)]
    code, output = run(_write(*lines), "--benchmark", shared_data / "mathvision/test.jsonl")
    assert code == 0
    assert "warning     3  a question of the benchmark" in output
    assert [f"rows.jsonl:{line}  " in output for line in (11, 12, 13)] == [True] * 3
    assert "8-grams of test.jsonl question" in output and "do not report that benchmark" in output
    assert run("rows.jsonl", "--benchmark", shared_data / "mathvision/test.jsonl", "--strict")[0] == 1


def test_a_second_check_and_one_without_the_cache_say_the_same(run):
    path = _write(*(_line(f"r{n}", f"Question {n}?", RESPONSE if n % 3 else "no thought") for n in range(50)))
    first = run(path)
    assert Path(".virgo_factory").is_dir()
    assert run(path) == first == run(path, "--no-cache")


def test_what_is_kept_is_what_the_account_says(run, shared_data):
    rows = json.loads((shared_data / "marco_o1/CoT_demo.json").read_text())
    tags = ("<Thought>", "</Thought>", "<Output>", "</Output>")
    whole = [row for row in rows if [row["response"].count(tag) for tag in tags] == [1, 1, 1, 1]]
    Path("marco.json").write_text(json.dumps(rows))
    code, output = run("marco.json")
    told = f"{len(rows)} rows in, {len(whole)} kept, {len(rows) - len(whole)} dropped"
    assert code == 1 and told in output, output


def test_real_perceptual_thoughts_without_their_pictures(run, shared_data):
    name = "long_perceptual_thoughts/sft_docci_all_extended_cots.json"
    content = (shared_data / name).read_bytes()
    Path("lpt.json").write_bytes(content)
    rows = json.loads(content)
    outside = [row for row in rows if row["images"]]
    code, output = run("lpt.json")
    assert code == 1
    assert f"error      {len(outside)}  image outside media_dir" in output
    assert "which does not exist on this machine" in output
    assert hashlib.sha256(Path("lpt.json").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_text_of_rows_cannot_move_the_cursor(run):
    _, output = run(_write(_line("\x1b[2J", "Q?", _response("\x1b[31m56"))))
    assert "\x1b" not in output


def test_items_of_a_list_on_one_line_are_named_by_their_number(run, tmp_path):
    Path("rows.json").write_text(json.dumps([_row("a"), _row("b", response="x"), _row("c", response="x")]))
    code, printed = run("rows.json", "--findings", "found.jsonl")
    assert code == 1 and "rows.json item 2, 3\n" in printed
    found = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [(row["place"], row["line"]) for row in found] == [("rows.json item 2", 0), ("rows.json item 3", 0)]
