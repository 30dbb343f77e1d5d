"""Every row and picture of shared/faults has one fate in `data check`, `data preview` and a real training: the one written here.

The fates are read off the descriptions of the faults (shared/reference/faults.md), and what is to be learned is put together
here from a row's own fields, with the real processor's chat template and Pillow: none of our reading is asked.
"""

import base64
import functools
import hashlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image, ImageOps
from typer.testing import CliRunner

from tests.integration.conftest import SMALL
from virgo_factory.cli.main import app
from virgo_factory.data.tokens import tokens


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
TURNED = {"image_turned"}
RESPONSE = "<|begin_of_thought|>\n\n{}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{}\n\n<|end_of_solution|>"


@dataclass(frozen=True)
class Learned:
    """A row that is kept.

    Attributes:
        turns: (question, response, whether it is learned); a question begins with its pictures' `<image>`.
        pictures: their files.
        codes: of the findings that `data check` has of it.
    """

    turns: list[tuple[str, str, bool]]
    pictures: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()


def _sum(line: int) -> str:
    """Return the question of the rows that ask for a sum: 1 + 3 in line 1, 2 + 4 in line 2, ..."""
    return f"What is {line} + {line + 2}?"


def _think(text: str) -> str:
    """Return a response in `<think>` as it is to be learned."""
    thought, solution = re.fullmatch(r"<think>(.*)</think>(.*)", text, re.DOTALL).groups()
    return RESPONSE.format(thought.strip(), solution.strip())


def _cut(line: int, row: dict) -> str:
    return "the response was broken off" if row["id"] == "r5" else "the response was cut off at the token limit"


def _followups(line: int, row: dict) -> Learned:
    said = [message["value"] for message in row["conversations"]]
    turns = [(question, _think(answer), True) for question, answer in zip(said[::2], said[1::2], strict=True)]
    return Learned(turns, ("exif6.jpg",), frozenset(TURNED))


def _request(line: int, row: dict) -> Learned:
    rest = " The final answer must be in \\boxed{}." if line == 1 else ""  # says nothing of tags
    return Learned([(_sum(line) + rest, _think(row["messages"][-1]["content"]), True)])


def _image_column(line: int, row: dict) -> Learned | str:
    if row["id"] in ("videos", "audios"):
        return {"videos": "a video, which is not trained on", "audios": "an audio, which is not trained on"}[row["id"]]

    return Learned([(f"<image>\n{row['question']}", row["response"], True)], ("exif6.jpg",), frozenset(TURNED))


def _mask(line: int, row: dict) -> Learned:
    first, wrong, again, right = (message["content"] for message in row["messages"])
    return Learned([(first, _think(wrong), False), (again, _think(right), True)])


def _picture(line: int, row: dict) -> Learned:
    code = ("image_transparent", "image_transparent", "image_deep", "image_turned")[line - 1]
    question = f"<image>\n{row['question']}"
    return Learned([(question, row["response"], True)], tuple(row["images"]), frozenset({code}))


def _reasoning(line: int, row: dict) -> Learned:
    response = RESPONSE.format(f"{line} and 3 give {line + 3}.", f"The answer is \\boxed{{{line + 3}}}.")
    return Learned([(f"What is {line} + 3?", response, True)])


FATES = {
    "rows_cut_marks": (7, _cut),
    "rows_followups_one_image": (1, _followups),
    "rows_foreign_ends": (6, lambda line, row: "a control token of another model in the response"),
    "rows_format_request": (4, _request),
    "rows_image_columns": (9, _image_column),
    "rows_loss_masks": (5, _mask),
    "rows_no_image": (6, lambda line, row: Learned([(row["question"], row["response"], True)])),
    "rows_pictures": (4, _picture),
    "rows_reasoning_fields": (6, _reasoning),
    "rows_wrong_marks": (11, lambda line, row: "the response is marked wrong"),
}
"""File -> its rows, and a function: line, row -> why it is not trained on, or what is learned of it."""

NOTHING_KEPT = ("rows_cut_marks", "rows_foreign_ends", "rows_wrong_marks")


@pytest.fixture(scope="module")
def faults(shared_data) -> Path:
    folder = shared_data.parent / "faults"
    if not folder.is_dir():
        pytest.skip("no fault files here")

    return folder


@pytest.fixture(scope="module")
def fates(faults) -> dict[tuple[str, int], Learned | str]:
    """(file, line) -> its fate."""
    assert sorted(FATES) == sorted(path.stem for path in faults.glob("rows_*.jsonl")), "a file without a fate"
    found = {}
    for name, (rows, fate) in FATES.items():
        lines = (faults / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == rows, name
        found |= {(name, line): fate(line, json.loads(text)) for line, text in enumerate(lines, start=1)}

    return found


@pytest.fixture(scope="module")
def model(make_bench, model_folder, tmp_path_factory):
    """A twin with the real tokenizer's first merges, and the real processor, which no code of ours has touched."""
    from transformers import AutoProcessor

    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("faults")
    base = make_twin(folder / "base", model_folder, family="qwen2_5_vl", dtype="float32", **SMALL)
    processor = AutoProcessor.from_pretrained(model_folder, use_fast=True)
    return SimpleNamespace(folder=folder, base=base, processor=processor, tokenizer=str(model_folder))


def _seen(path: Path) -> Image.Image:
    """Return a picture as people see it: upright, on white, 8 bits a channel."""
    with Image.open(path) as image:
        if image.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)).convert("RGB")

        if image.mode in ("RGBA", "LA"):
            alpha = np.asarray(image.convert("RGBA"), dtype=np.float64)
            share = alpha[..., 3:] / 255
            return Image.fromarray((alpha[..., :3] * share + 255 * (1 - share)).round().astype(np.uint8))

        return ImageOps.exif_transpose(image).convert("RGB")


def _expected(processor, fate: Learned, faults: Path) -> SimpleNamespace:
    """Return the text of a row in the processor's chat template, its ids, what of it is learned, and its pixels."""
    messages = []
    for question, response, _ in fate.turns:
        text = question.removeprefix("<image>")
        parts = [{"type": "image"}] * question.count("<image>") + [{"type": "text", "text": text}]
        messages += [{"role": "user", "content": parts}]
        messages += [{"role": "assistant", "content": [{"type": "text", "text": response}]}]

    text = processor.apply_chat_template(messages, tokenize=False)
    pictures = [_seen(faults / name) for name in fate.pictures]
    batch = processor(text=[text], images=pictures or None, return_tensors="pt")
    learned = "".join(f"{response}<|im_end|>\n" for _, response, is_learned in fate.turns if is_learned)
    # a text alone goes with a white picture that it does not look at (llamafactory/data/collator.py)
    shown = processor.image_processor(images=pictures or [Image.new("RGB", (64, 64), "white")], return_tensors="pt")
    pixels = shown["pixel_values"].float().contiguous()
    return SimpleNamespace(
        text=text,
        ids=batch["input_ids"][0].tolist(),
        learned=learned,
        pixels=hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
    )


def _call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_check_and_preview(fates, faults, model, monkeypatch):
    monkeypatch.setattr(tokens, "load_vocabulary", functools.cache(tokens.load_vocabulary))
    for name, (rows, _) in FATES.items():
        path = str(faults / f"{name}.jsonl")
        code, out = _call("data", "check", path, "--tokenizer", model.tokenizer, "--no-cache", "--json")
        report = json.loads(out)
        _, out = _call("data", "preview", path, "--rows", f"1-{rows}", "--tokenizer", model.tokenizer, "--json")
        previews = [json.loads(line) for line in out.splitlines()]
        assert [preview["place"] for preview in previews] == [f"{path}:{line}" for line in range(1, rows + 1)]
        dropped, errors, kept = {}, set(), []
        for line, preview in enumerate(previews, start=1):
            fate = fates[name, line]
            found = {found["code"]: found for found in report["findings"] if found["line"] == line}
            if isinstance(fate, str):
                dropped[fate] = dropped.get(fate, 0) + 1
                (finding,) = found.values()
                errors |= {fate} if finding["severity"] == "error" else set()
                assert finding["code"] == re.sub(r"\W+", "_", fate), (name, line)
                assert preview["reason"] == fate and not preview["parts"], (name, line)
                continue

            kept.append(fate)
            assert set(found) == fate.codes, (name, line)
            expected = _expected(model.processor, fate, faults)
            pieces = [piece for part in preview["parts"] for piece in part["pieces"]]
            text = "".join("<|image_pad|>" if piece["image"] is not None else piece["text"] for piece in pieces)
            assert (preview["reason"], text) == ("", expected.text), (name, line)
            learned = "".join(piece["text"] for piece in pieces if piece["kind"] == "trained")
            assert learned == expected.learned, (name, line)
            assert preview["tokens"]["total"] == len(expected.ids), (name, line)

        shown = _shown_pictures(path, rows, model)
        expected = [_seen(faults / name) for fate in kept for name in fate.pictures]
        assert [picture.tobytes() for picture in shown] == [picture.tobytes() for picture in expected], name

        (account,) = report["datasets"]
        assert (account["rows"], account["kept"], account["dropped"]) == (rows, rows - sum(dropped.values()), dropped)
        assert code == int(bool(errors)), name


def _shown_pictures(path: str, rows: int, model) -> list[Image.Image]:
    """Return the pictures of the page that shows all rows of a file, in its order."""
    page = model.folder / "page.html"
    _call("data", "preview", path, "--rows", f"1-{rows}", "--tokenizer", model.tokenizer, "--html", str(page))
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text(encoding="utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in found]


def _train(make_bench, model, faults: Path, names: list[str], ok: bool):
    """Train on files of faults, one row a step; return the bench and, by (file, line), (ids, labels) as tokenised.

    Their pictures are links out of `media_dir`, into a folder that the environment allows.
    """
    folder = model.folder / f"run{ok}"
    (folder / "media").mkdir(parents=True)
    for picture in faults.iterdir():
        (folder / "media" / picture.name).symlink_to(picture)

    bench = make_bench(folder, model.base)
    for name in names:
        file = bench.add_dataset(name, [], formatting="long_thought")
        shutil.copyfile(faults / file.name, file)

    bench.train(
        ok=ok,
        env={"SEEN_ROWS": str(folder / "seen"), "VIRGO_FACTORY_MEDIA_ROOTS": str(faults)},
        dataset=",".join(names),
        media_dir="media",
        cache_dir=str(folder / "cache"),
        question_prefix=None,
        global_batch_size=1,
    )
    rows = {}
    for path in (folder / "cache").rglob("*.arrow"):
        table = Dataset.from_file(str(path))
        if "labels" in table.column_names:
            for row in table:
                assert (row["_row_reason"] == "") == any(label != -100 for label in row["labels"])
                place = (Path(row["_row_file"]).stem, row["_row_line"])
                rows[place] = None if row["_row_reason"] else (row["input_ids"], row["labels"])

    return bench, rows


def test_rows_are_trained_on_as_written(make_bench, model, fates, faults):
    """The tokenised rows, by file and line; what the trainer is given is those rows, with these pixels."""
    names = [name for name in FATES if name not in NOTHING_KEPT]
    bench, rows = _train(make_bench, model, faults, names, ok=True)
    expected = {place: fate for place, fate in fates.items() if place[0] in names}
    assert rows.keys() == expected.keys()
    decode = model.processor.tokenizer.decode
    wanted = []
    for place, fate in expected.items():
        if isinstance(fate, str):
            assert rows[place] is None, place
            continue

        ids, labels = rows[place]
        row = _expected(model.processor, fate, faults)
        assert decode(ids) == decode(row.ids) and ids == row.ids, place
        assert decode([label for label in labels if label != -100]) == row.learned, place
        assert all(label in (-100, id) for id, label in zip(ids, labels, strict=True)), place
        wanted.append((_hash(ids), _hash(labels), row.pixels))

    steps = [json.loads(line) for line in (bench.folder / "seen.0").read_text().splitlines()]
    assert sorted((*step["rows"], *step["labels"], step["pixels"]) for step in steps) == sorted(wanted)
    for name in names:
        dropped = {line: fate for (file, line), fate in fates.items() if file == name and isinstance(fate, str)}
        _check_account(bench.rows_json()[name], FATES[name][0], dropped)


def test_files_of_which_nothing_is_to_be_learned(make_bench, model, fates, faults):
    """The run stops before the model is loaded, and names every row."""
    bench, rows = _train(make_bench, model, faults, list(NOTHING_KEPT), ok=False)
    assert not (bench.folder / "seen.0").exists() and set(rows.values()) == {None}
    for name in NOTHING_KEPT:
        dropped = {line: fate for (file, line), fate in fates.items() if file == name}
        _check_account(bench.rows_json()[name], FATES[name][0], dropped)


def _check_account(account: dict, rows: int, dropped: dict[int, str]) -> None:
    assert (account["rows_in"], account["kept"], account["dropped"]) == (rows, rows - len(dropped), len(dropped))
    assert {row["line"]: row["reason"] for row in account["dropped_rows"]} == dropped


def _hash(ids: list[int]) -> str:
    return hashlib.sha1(torch.tensor(ids).numpy().tobytes()).hexdigest()[:12]
