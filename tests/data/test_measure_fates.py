"""What check and preview say of a row is what the training hook does with it: the same rows, reasons and lengths."""

import json
import shutil
from collections import Counter

import pytest

from tests.data.conftest import write
from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.source import find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.data.show.preview import preview


pytestmark = pytest.mark.timeout(600)
SLOW = pytest.mark.integration  # ten seconds each
SYSTEM = {"role": "system", "content": "Count."}
GOOD = LongThought("I count the dots: 1, 2, 3. Wait, again: 1, 2, 3, 4.", "There are \\boxed{4}.").render()


def chat(name, question, response, images=()):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
    return {"id": name, "messages": messages, "images": list(images)}


def text_rows(shared_data):
    """Real responses of SkyThought, well formed and not; and rows with what real rows lack."""
    rows = []
    for file in sorted((shared_data / "skythought").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines()[::27]:
            raw = json.loads(line)
            rows.append(chat(f"{file.stem[-8:]}-{len(rows)}", raw["question"], raw["code"][0]))

    return [
        *rows,
        chat("forged", "Say <|im_end|>.", GOOD),
        chat("forged-answer", "Say it.", GOOD.replace("Wait", "<|im_start|>Wait")),
        chat("tool", "Say <tool_call>.", GOOD),
        chat("twice", "How many?", GOOD + GOOD),
        {"id": "no-columns", "text": "?"},
        ["not", "an", "object"],
        chat("surrogate", "How \ud83d many?", GOOD),
        {**chat("turns", "How many?", GOOD), "messages": chat("", "One?", GOOD)["messages"] * 2},
        {"id": "system", "messages": [SYSTEM, *chat("", "How many?", GOOD)["messages"]]},
    ]


def visual_rows(shared_data, folder):
    """Rows on real pictures, and on what pictures can be."""
    from PIL import Image

    pictures = sorted((shared_data / "tabmwp").rglob("*.png"))[:6] + sorted((shared_data / "geos").rglob("*.png"))[:4]
    pictures += sorted((shared_data / "mathvision").rglob("*.jpg"))[:4]
    rows = []
    for number, path in enumerate(pictures):
        shutil.copyfile(path, folder / f"{number}{path.suffix}")
        rows.append(chat(f"picture-{number}", "<image>\nHow many?", GOOD, [f"{number}{path.suffix}"]))

    names = [row["images"][0] for row in rows]
    (folder / "cut.png").write_bytes((folder / names[0]).read_bytes()[:-200])
    (folder / "text.png").write_text("not a picture")
    Image.new("CMYK", (300, 200)).save(folder / "cmyk.jpg")
    Image.new("RGB", (9000, 12)).save(folder / "thin.png")
    Image.new("RGB", (12, 9000)).save(folder / "high.png")
    Image.new("RGB", (60_000, 1)).save(folder / "line.png")
    Image.new("L", (3, 3)).save(folder / "dot.png")
    frames = [Image.new("RGB", (64, 64), (i, 0, 0)) for i in (0, 200)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return [
        *rows,
        chat("two", "<image><image>Which?", GOOD, names[:2]),
        chat("two-turns", "<image>Which?", GOOD, names[2:3]),
        chat("none", "<image>Which?", GOOD),
        chat("too-many", "<image>Which?", GOOD, names[:2]),
        *(
            chat(f"no-{number}", "<image>Which?", GOOD, [image])
            for number, image in enumerate(("gone.png", "/etc/hostname", "../up.png", "https://example.org/a.png", 7))
        ),
        *(chat(name, "<image>Which?", GOOD, [name]) for name in ("cut.png", "text.png", "cmyk.jpg", "thin.png")),
        *(chat(name, "<image>Which?", GOOD, [name]) for name in ("high.png", "line.png", "dot.png", "moving.gif")),
        chat("cut-and-forged", "<image><|im_end|>", GOOD, ["cut.png"]),
        chat("cut-and-short", "<image>Which?", LongThought("1", "1").render(), ["cut.png"]),
    ]


@pytest.fixture(scope="module")
def data(shared_data, tmp_path_factory):
    """A folder with dataset_info.json and four datasets."""
    folder = tmp_path_factory.mktemp("fates")
    lpt = shared_data / "long_perceptual_thoughts"
    pairs = json.loads((lpt / "dpo_docci_all_extended_cots_O.json").read_text(encoding="utf-8"))
    sft = json.loads((lpt / "sft_docci_all_extended_cots.json").read_text(encoding="utf-8"))
    for row in (*(pair for at, pair in enumerate(pairs) if at % 3), *sft[10:]):  # the pictures are not in the data
        row["images"] = []
        row["metadata"].pop("image_id")
        for message in row["messages"]:
            message["content"] = message["content"].replace("<image>", "")

    files = {"text": text_rows(shared_data), "visual": visual_rows(shared_data, folder), "lpt": sft, "pairs": pairs}
    for name, rows in files.items():
        write(folder / f"{name}.jsonl", rows)

    info = {name: {"file_name": f"{name}.jsonl", "formatting": "long_thought"} for name in files}
    info["pairs"]["ranking"] = True
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


RECIPE = {
    **{"stage": "sft", "do_train": True, "finetuning_type": "full", "report_to": "none", "use_cpu": True, "bf16": True},
    **{"template": "virgo", "question_prefix": "virgo", "image_max_pixels": 262_144},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(data, model_folder, tmp_path_factory):
    """A function that preprocesses datasets as a training run does, and returns its accounts and the rows' lengths."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    def load(**changes):
        out = tmp_path_factory.mktemp("out")
        recipe = (
            {"model_name_or_path": str(model_folder), "dataset_dir": str(data), "output_dir": str(out)}
            | RECIPE
            | changes
        )
        (out / "recipe.yaml").write_text(json.dumps(recipe))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("datasets.config.HF_DATASETS_CACHE", out / "cache")
            model_args, data_args, training_args, _, _ = get_train_args(dict(recipe))
            parts = load_tokenizer(model_args)
            template = get_template_and_fix_tokenizer(parts["tokenizer"], data_args)
            stage = "rm" if recipe["stage"] == "dpo" else recipe["stage"]
            module = get_dataset(template, model_args, data_args, training_args, stage=stage, **parts)

        accounts = json.loads((out / "virgo_rows.json").read_text())["datasets"]
        return out / "recipe.yaml", {entry["name"]: entry for entry in accounts}, module["train_dataset"]

    return load


KEYS = ("number", "part", "file", "line", "id", "reason", "detail")


def told(number, part, file, line, id, reason, detail):
    """Return what an account says of a dropped row; Pillow's own words for broken pictures are not compared."""
    return (number, part, file, line, id, reason, "" if reason == "image unreadable" else detail)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "text,visual,lpt", "cutoff_len": 1500, "min_response_tokens": 30, "max_response_tokens": 1200},
        pytest.param(
            {"dataset": "text,visual", "cutoff_len": 700, "malformed": "keep", "marker_tokens": True}, marks=SLOW
        ),
        pytest.param(
            {"dataset": "text", "max_samples": 60, "cutoff_len": 2400, "packing": True, "min_response_tokens": 1100}
            | {"max_response_tokens": 2300, "marker_tokens": True},
            marks=SLOW,
        ),
        pytest.param({"dataset": "pairs", "stage": "dpo", "cutoff_len": 600, "min_response_tokens": 90}, marks=SLOW),
    ],
    ids=["three datasets", "keep, marker tokens", "max_samples, packing", "pairs"],
)
def test_the_account_of_a_run(run, changes):
    recipe, accounts, table = run(**changes)
    sources, settings = find_sources(str(recipe))
    records = list(measure(sources, settings, workers=1, cache=None))
    for index, source in enumerate(sources):
        own = [record for record in records if record.source == index]
        account = accounts[source.name]
        assert len({record.number for record in own}) == account["rows_in"]
        reasons = Counter(record.reason for record in own if record.reason)
        assert reasons == account["reasons"], source.name
        theirs = [told(*map(row.get, KEYS)) for row in account["dropped_rows"]]
        dropped = [record for record in own if record.reason not in ("", "not drawn")]
        ours = [told(*(getattr(record, key) for key in KEYS)) for record in dropped]
        different = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
        assert different == []

    kept = [record for record in records if not record.reason]
    assert len(kept) > 5
    if "packing" in changes:  # and `max_samples`, of which a preview knows nothing
        return

    shown = [(row.place, row.id, row.reason) for row in preview(sources, settings, f"1-{len(records)}")]
    assert shown == [(record.place, record.id, record.reason) for record in records]

    if changes.get("stage") == "dpo":
        sides = zip(table["chosen_input_ids"], table["rejected_input_ids"], strict=True)
        lengths = [max(map(len, both)) for both in sides]
    else:
        lengths = [len(ids) for ids in table["input_ids"]]
        assert [record.prompt_tokens for record in kept] == [row.count(-100) for row in table["labels"]]

    assert [record.tokens for record in kept] == lengths
    assert any(record.images for record in kept) or changes["dataset"] in ("text", "pairs")
