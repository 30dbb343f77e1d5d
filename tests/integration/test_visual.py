"""Visual rows through training for real: real pictures and questions, the real processor, one pixel budget.

The connector learns from pictures and does not move without them; the vision tower never moves.
"""

import hashlib
import itertools
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import load_from_disk
from PIL import Image
from safetensors import safe_open
from transformers import AutoTokenizer


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
BUDGET = 50176
EACH = 3


def _questions(data: Path, visual_questions) -> list[tuple[str, list[Path], str]]:
    """Return real questions, their pictures and answers: EACH of seven sources, one with several pictures each."""
    found = []
    for _, rows in itertools.groupby(visual_questions, lambda row: row.config):
        found += [(row.question, [row.picture], row.answer) for row in itertools.islice(rows, EACH)]

    for folder in sorted((data / "iconqa/choose_img").iterdir())[:EACH]:
        row = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        pictures = [folder / "image.png", *(folder / choice for choice in row["choices"])]
        found.append((row["question"], pictures, "ABCDE"[row["answer"]]))

    return found


def _thought(question: str, answer: str, tags: tuple[str, str, str, str]) -> str:
    """Return a long thought about a real question: what a model would write is not the point here."""
    thought = (
        f"I look at the picture.\n\n{question}\n\nIt seems to be {answer}. Wait, let me look again. {answer} it is."
    )
    return "".join((tags[0], thought, tags[1], tags[2], f"The answer is \\boxed{{{answer}}}.", tags[3]))


MARKERS = (
    "<|begin_of_thought|>\n\n",
    "\n\n<|end_of_thought|>\n\n",
    "<|begin_of_solution|>\n\n",
    "\n\n<|end_of_solution|>",
)
THINK = ("<think>", "</think>", "<answer>", "</answer>")


@pytest.fixture(scope="module")
def runs(make_bench, demo_lines, shared_data, visual_questions, tmp_path_factory):
    """Two runs of one recipe: pictures and text on two ranks, text alone on one."""
    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("visual")
    base = make_twin(folder / "base", family="qwen2_5_vl", dtype="float32")
    shutil.copyfile(
        shared_data / "qwen2.5_vl_tokenizer" / "preprocessor_config.json", base / "preprocessor_config.json"
    )
    bench = make_bench(folder, base)
    questions = _questions(shared_data, visual_questions)
    paths, embedded, expected = [], [], {}
    media = folder / "media"
    for number, (question, pictures, answer) in enumerate(questions):
        text = f"{'<image>' * len(pictures)}\nRow {number}. {question}"
        expected[f"Row {number}."] = pictures
        if number % 3:
            names = [f"{number}/{picture.name}" for picture in pictures]
            for picture, name in zip(pictures, names, strict=True):
                (media / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, media / name)

            turns = [{"from": "human", "value": text}, {"from": "gpt", "value": _thought(question, answer, MARKERS)}]
            paths.append(json.dumps({"id": str(number), "conversations": turns, "images": names}))
        else:
            turns = [
                {"role": "user", "content": text},
                {"role": "assistant", "content": _thought(question, answer, THINK)},
            ]
            images = [{"bytes": picture.read_bytes(), "path": picture.name} for picture in pictures]
            embedded.append({"id": str(number), "messages": turns, "images": images})

    bench.add_dataset("paths", paths, formatting="long_thought")
    bench.add_dataset("embedded", [], formatting="long_thought", file_name="embedded.parquet")
    pq.write_table(pa.Table.from_pylist(embedded), folder / "data" / "embedded.parquet")
    bench.add_dataset("text", sorted(demo_lines, key=len)[:11])
    recipe = {
        "image_max_pixels": BUDGET,
        "media_dir": "media",
        "question_prefix": None,
        "cutoff_len": 4096,
        "per_device_train_batch_size": 4,
        "global_batch_size": 8,
    }
    seen = folder / "seen"
    environment = {"SEEN_ROWS": str(seen)}
    log = bench.train(
        2, env=environment, dataset="paths,embedded,text", tokenized_path="rows", output_dir="pictures", **recipe
    )
    bench.train(dataset="text", output_dir="text", **recipe)
    return SimpleNamespace(bench=bench, base=base, questions=expected, log=log, seen=seen, folder=folder)


def test_no_row_is_lost(runs):
    accounts = runs.bench.rows_json("pictures")
    counts = {name: (account["rows_in"], account["kept"]) for name, account in accounts.items()}
    assert counts == {"paths": (14, 14), "embedded": (7, 7), "text": (11, 11)}
    assert [account["format"] for account in accounts.values()][1] == "think_answer"


def _formula(path: Path) -> int:
    """Return the tokens of a picture, as reference llamafactory_095.md section 11 and the Qwen2-VL report give them."""
    width, height = Image.open(path).size
    if width * height > BUDGET:
        shrink = math.sqrt(BUDGET / (width * height))
        width, height = int(width * shrink), int(height * shrink)

    assert min(width, height) >= 28 and 56 * 56 <= width * height
    return round(width / 28) * round(height / 28)


def test_image_tokens_are_those_of_the_formula(runs):
    """Of every row, in the tokens that the run was trained on, under the run's one pixel budget."""
    tokenizer = AutoTokenizer.from_pretrained(runs.base)
    pad, start = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|vision_start|>"])
    table = load_from_disk(str(runs.folder / "rows"))["train"]
    found = {}
    for row in table:
        text = tokenizer.decode(row["input_ids"])
        name = next((name for name in runs.questions if name in text), None)
        found[name] = row["input_ids"].count(pad)
        assert row["input_ids"].count(start) == len(runs.questions.get(name, [])) == len(row["images"] or [])
        trained = tokenizer.decode([token for token in row["labels"] if token != -100])
        assert trained.startswith("<|begin_of_thought|>\n\n") and trained.endswith("<|end_of_solution|><|im_end|>\n")

    assert found.pop(None) == 0
    assert len(found) == 21
    tokens = {name: [_formula(picture) for picture in runs.questions[name]] for name in found}
    assert found == {name: sum(each) for name, each in tokens.items()}
    sizes = [Image.open(picture).size for name in found for picture in runs.questions[name]]
    assert any(width * height > BUDGET for width, height in sizes)  # so the budget does something here
    assert max(len(each) for each in tokens.values()) >= 3


def test_batches_mix_pictures_and_text(runs):
    """Both ranks saw micro-batches of rows with pictures and rows without."""
    table = load_from_disk(str(runs.folder / "rows"))["train"]
    names = [hashlib.sha1(torch.tensor(ids).numpy().tobytes()).hexdigest()[:12] for ids in table["input_ids"]]
    pictures = {name: bool(images) for name, images in zip(names, table["images"], strict=True)}
    seen = set()
    for rank in (0, 1):
        steps = [json.loads(line)["rows"] for line in Path(f"{runs.seen}.{rank}").read_text().splitlines()]
        assert any({pictures[row] for row in rows} == {True, False} for rows in steps)
        seen.update(row for rows in steps for row in rows)

    assert seen == set(names)


def test_what_moves(runs):
    """The connector moves with pictures and stays, bit by bit, without; the tower stays; the language model moves."""
    connector, tower, language = "visual.merger.", ("visual.patch_embed.", "visual.blocks."), ("lm_head.", "model.")
    with (
        safe_open(runs.base / "model.safetensors", "pt") as base,
        safe_open(runs.folder / "pictures" / "model.safetensors", "pt") as pictures,
        safe_open(runs.folder / "text" / "model.safetensors", "pt") as text,
    ):
        names = set(base.keys())
        assert names == set(pictures.keys()) == set(text.keys())
        moved = {
            run: {name for name in names if not torch.equal(base.get_tensor(name), file.get_tensor(name))}
            for run, file in (("pictures", pictures), ("text", text))
        }

    kinds = {
        kind: {name for name in names if name.startswith(start)}
        for kind, start in (("connector", connector), ("tower", tower), ("language", language))
    }
    assert names == set().union(*kinds.values()) and all(kinds.values())
    assert kinds["connector"] <= moved["pictures"]
    assert not kinds["tower"] & (moved["pictures"] | moved["text"])
    assert not kinds["connector"] & moved["text"]
    assert len(kinds["language"] & moved["text"]) > len(kinds["language"]) / 2
