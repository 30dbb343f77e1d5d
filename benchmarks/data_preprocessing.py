"""What the plugin's reader, converters and row policy add to LLaMA-Factory's preprocessing, on the same rows.

python benchmarks/data_preprocessing.py [--copies 4] [--repeat 5]

Rows: the well-formed responses of ../shared/data/skythought as chat rows (long), and the same with the first 400
characters of each thought (short), each in one JSONL file. Both sides run LLaMA-Factory's own `get_dataset` (load,
convert, tokenise) with the real tokenizer and processor, one worker and an empty cache: `sharegpt` with the plugin
switched off, `virgo_dt` with it. The sides take turns in processes of their own; ratios are of the fastest run of each
side, since other work on the machine can only add time.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path


DATA = Path(__file__).absolute().parents[2] / "shared" / "data"
MARKERS = [f"<|{name}|>" for name in ("begin_of_thought", "end_of_thought", "begin_of_solution", "end_of_solution")]
WELL_FORMED = re.compile(r"\s*{}(.*?){}\s*{}(.*?){}\s*".format(*map(re.escape, MARKERS)), re.DOTALL)
SIDES = {"stock": "sharegpt", "plugin": "virgo_dt"}


def chat_rows(short: bool) -> list[dict]:
    """Return the chat rows of the well-formed responses."""
    found = []
    for path in sorted((DATA / "skythought").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            parts = WELL_FORMED.fullmatch(row["code"][0])
            if not parts or "<|" in parts.group(1) + parts.group(2):
                continue

            thought, solution = (text.strip() for text in parts.groups())
            thought = thought[:400].strip() if short else thought
            pieces = (f"{MARKERS[0]}\n\n{thought}", MARKERS[1], f"{MARKERS[2]}\n\n{solution}", MARKERS[3])
            pair = (("human", row["question"]), ("gpt", "\n\n".join(pieces)))
            found.append({"conversations": [{"from": role, "value": text} for role, text in pair]})

    return found


def measure(folder: Path, formatting: str) -> None:
    """Print, as JSON, seconds and CPU seconds of one preprocessing, and a digest of its tokens."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    recipe = {
        "model_name_or_path": str(DATA / "qwen2.5_vl_tokenizer"),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "template": "qwen2_vl",
        "dataset_dir": str(folder),
        "dataset": formatting,
        "cutoff_len": 32768,
        "output_dir": str(folder / "out"),
        "report_to": "none",
        "use_cpu": True,
        "bf16": True,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        model_args, data_args, training_args, _, _ = get_train_args(recipe)
        tokenizer_module = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
        wall, cpu = time.perf_counter(), time.process_time()
        module = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer_module)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    table = module["train_dataset"]
    digest = hashlib.sha256()
    for row in table:
        digest.update(json.dumps([row["input_ids"], row["labels"]]).encode())

    print(json.dumps({"wall": wall, "cpu": cpu, "rows": len(table), "digest": digest.hexdigest()}))


def run(folder: Path, side: str) -> dict:
    """Return what `measure` prints in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"HF_DATASETS_CACHE": cache, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        environment["VIRGO_FACTORY_DISABLE"] = "1" if side == "stock" else ""
        command = [sys.executable, __file__, "--child", str(folder), SIDES[side]]
        done = subprocess.run(command, env=environment, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])

        return json.loads(done.stdout.splitlines()[-1])


def compare(name: str, copies: int, repeat: int) -> str:
    """Return one line of the table: both sides in turns on the same rows."""
    lines = []
    for copy in range(copies):
        for row in chat_rows(short=name == "short"):
            row["conversations"][0]["value"] += f" ({copy})"
            lines.append(json.dumps(row, ensure_ascii=False))

    runs = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        entries = {formatting: {"file_name": "rows.jsonl", "formatting": formatting} for formatting in SIDES.values()}
        (folder / "dataset_info.json").write_text(json.dumps(entries))
        for _ in range(repeat):
            for side, results in runs.items():
                results.append(run(folder, side))

    stock, ours = ({key: min(one[key] for one in results) for key in ("wall", "cpu")} for results in runs.values())
    equal = len({(one["digest"], one["rows"]) for results in runs.values() for one in results}) == 1
    return (
        f"| {name}, {len(lines)} rows of {sum(map(len, lines)) // len(lines)} bytes | {stock['wall']:.2f} "
        f"| {ours['wall']:.2f} | {ours['wall'] / stock['wall']:.3f} | {ours['cpu'] / stock['cpu']:.3f} "
        f"| {'yes' if equal else 'NO'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=4, help="of every long row; four times as many of a short one")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(Path(options.child[0]), options.child[1])
        return

    print("| rows | stock sharegpt (s) | virgo_dt (s) | ratio, wall | ratio, CPU | same tokens |")
    print("|---|---|---|---|---|---|")
    print(compare("long", options.copies, options.repeat))
    print(compare("short", 4 * options.copies, options.repeat))


if __name__ == "__main__":
    main()
