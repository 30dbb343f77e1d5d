"""How fast `virgo-factory data check` goes through rows, against LLaMA-Factory's own preprocessing of the same rows.

python benchmarks/data_check.py [--copies 4] [--repeat 3] [--workers 2] [--against CHECKOUT]

Rows: the well-formed responses of ../shared/data/skythought as chat rows (long), and the same with the first 400
characters of each thought (short), one JSONL file each. Sides, each in a process of its own, in turns:

- stock: LLaMA-Factory's `get_dataset` (load, convert, tokenise), `sharegpt`, template qwen2_vl, plugin switched off;
- check: what the verb calls (`audit`: adapters, every rule, tokens, fate), with nothing kept from before;
- again: the same a second time, with what the first time kept;
- batch: one `tokenizers` batch call over the texts alone, in as many threads.

With `--against` a checkout of another commit: the whole command of both, in turns, nothing kept, with one worker and with two; the processor
seconds of the command and its processes.

CPU seconds are those of all processes of a side, and what to look at on a busy machine. Stock's clock starts when its tokenizer is loaded, check's before; neither counts importing. Ratios are of the medians.
"""

import argparse
import contextlib
import io
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


DATA = Path(__file__).absolute().parents[2] / "shared" / "data"
TOKENIZER = DATA / "qwen2.5_vl_tokenizer"
MARKERS = [f"<|{name}|>" for name in ("begin_of_thought", "end_of_thought", "begin_of_solution", "end_of_solution")]
WELL_FORMED = re.compile(r"\s*{}(.*?){}\s*{}(.*?){}\s*".format(*map(re.escape, MARKERS)), re.DOTALL)
SIDES = ("stock", "check", "again", "batch")


def responses() -> list[tuple[str, str]]:
    """Return the (question, response) pairs of SkyThought."""
    pairs = []
    for path in sorted((DATA / "skythought").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            pairs += [(row["question"], response) for response in row["code"]]

    for path in sorted((DATA / "skythought").glob("*.json")):
        for question, row in json.loads(path.read_text(encoding="utf-8")).items():
            pairs += [(question, response["content"]) for response in row["responses"].values()]

    return [tuple(text.replace("\r\n", "\n") for text in pair) for pair in pairs]  # as our adapters read them


def chat_rows(short: bool, copies: int) -> list[dict]:
    """Return chat rows of the well-formed responses, each copy with a question of its own."""
    rows = []
    for copy in range(copies):
        for question, response in responses():
            parts = WELL_FORMED.fullmatch(response)
            if not parts or "<|" in parts.group(1) + parts.group(2):
                continue

            thought, solution = (text.strip() for text in parts.groups())
            thought = thought[:400].strip() if short else thought
            text = "\n\n".join([MARKERS[0], thought, MARKERS[1], MARKERS[2], solution, MARKERS[3]])
            pair = (("human", f"{question} ({copy})"), ("gpt", text))
            rows.append({"conversations": [{"from": role, "value": value} for role, value in pair]})

    return rows


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it has started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def stock(folder: Path, workers: int) -> dict:
    """Return seconds and rows of one preprocessing by LLaMA-Factory."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    recipe = {
        "model_name_or_path": str(TOKENIZER),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "template": "qwen2_vl",
        "dataset_dir": str(folder),
        "dataset": "rows",
        "cutoff_len": 32768,
        "preprocessing_num_workers": workers,
        "output_dir": str(folder / "out"),
        "report_to": "none",
        "use_cpu": True,
        "bf16": True,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        model_args, data_args, training_args, _, _ = get_train_args(recipe)
        parts = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(parts["tokenizer"], data_args)
        start, cpu = time.perf_counter(), cpu_seconds()
        module = get_dataset(template, model_args, data_args, training_args, stage="sft", **parts)
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu

    table = module["train_dataset"]
    return {"seconds": seconds, "cpu": cpu, "rows": len(table), "tokens": sum(len(ids) for ids in table["input_ids"])}


def check(folder: Path, workers: int) -> dict:
    """Return seconds and rows of one check."""
    from virgo_factory.data.check.audit import audit
    from virgo_factory.data.read.source import find_sources

    start, cpu = time.perf_counter(), cpu_seconds()
    sources, settings = find_sources(
        str(folder / "rows.jsonl"), tokenizer=str(TOKENIZER), template="qwen2_vl", cutoff_len=32768
    )
    report = audit(sources, settings, workers=workers, cache=folder / "kept")
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    (account,) = report.accounts
    return {
        "seconds": seconds,
        "cpu": cpu,
        "rows": account.kept,
        "tokens": report.tokens.total if report.tokens else 0,
    }


def batch(folder: Path, workers: int) -> dict:
    """Return seconds and rows of one batch call over the texts."""
    from transformers import AutoTokenizer

    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [message["value"] for row in rows for message in row["conversations"]]
    core = AutoTokenizer.from_pretrained(TOKENIZER).backend_tokenizer
    start, cpu = time.perf_counter(), cpu_seconds()
    found = core.encode_batch_fast(texts, add_special_tokens=False)
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    return {"seconds": seconds, "cpu": cpu, "rows": len(rows), "tokens": sum(len(encoding.ids) for encoding in found)}


def run(side: str, folder: Path, workers: int) -> dict:
    """Return what one side measured, in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"HF_DATASETS_CACHE": cache, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")  # as an installed package has it
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {"VIRGO_FACTORY_DISABLE": "1"} if side == "stock" else {}
        environment |= {"RAYON_NUM_THREADS": str(workers), "TOKENIZERS_PARALLELISM": "true"} if side == "batch" else {}
        command = [sys.executable, __file__, "--child", side, str(folder), "--workers", str(workers)]
        done = subprocess.run(command, env=environment, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])

        return json.loads(done.stdout.splitlines()[-1])


def command(package: Path, folder: Path, workers: int) -> tuple[float, str]:
    """Return the processor seconds of one `data check` by a checkout of the package, and its line of rows."""
    environment = os.environ | {"PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    options = [
        "--tokenizer",
        TOKENIZER,
        "--template",
        "qwen2_vl",
        "--cutoff-len",
        32768,
        "--workers",
        workers,
        "--no-cache",
    ]
    call = [
        sys.executable,
        "-c",
        "from virgo_factory.cli.main import app; app()",
        "data",
        "check",
        folder / "rows.jsonl",
        *options,
    ]
    before = cpu_seconds()
    done = subprocess.run(list(map(str, call)), env=environment, text=True, capture_output=True, cwd=folder)
    seconds = cpu_seconds() - before
    line = next((line for line in done.stdout.splitlines() if "rows in" in line), None)
    if line is None:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])

    return seconds, re.sub(r"^.*?: ", "", line.strip())


def compare_commits(name: str, other: Path, copies: int, repeat: int) -> None:
    """Print lines of the table of two checkouts on the same rows, with one worker and with two."""
    lines = [json.dumps(row, ensure_ascii=False) for row in chat_rows(name == "short", copies)]
    size = sum(len(line.encode()) for line in lines) // len(lines)
    packages = (other.absolute(), Path(__file__).absolute().parents[1])
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        for workers in (1, 2):
            told = {command(package, folder, workers)[1] for package in packages}  # once without the clock
            used = [[command(package, folder, workers)[0] for package in packages] for _ in range(repeat)]
            middle, least = (
                [pick(seconds) for seconds in zip(*used, strict=True)] for pick in (statistics.median, min)
            )
            print(
                f"| {name}, {len(lines)} rows of {size} bytes | {workers} | {middle[0]:.2f} | {middle[1]:.2f} "
                f"| **{middle[1] / middle[0]:.2f}** | {least[1] / least[0]:.2f} | {'yes' if len(told) == 1 else f'NO: {told}'} |",
                flush=True,
            )


def compare(name: str, copies: int, repeat: int, workers: int) -> str:
    """Return one line of the table: all sides in turns on the same rows."""
    rows = chat_rows(name == "short", copies)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    size = sum(len(line.encode()) for line in lines) // len(lines)
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    counts = set()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        entry = {"rows": {"file_name": "rows.jsonl", "formatting": "sharegpt"}}
        (folder / "dataset_info.json").write_text(json.dumps(entry))
        for side in SIDES:  # once without the clock: bytecode, the file system's cache
            run(side, folder, workers)

        for _ in range(repeat):
            for kept in folder.glob("kept/*.txt"):
                kept.unlink()

            for side in SIDES:
                found = run(side, folder, workers)
                seconds[side].append(found["seconds"])
                cpu[side].append(found["cpu"])
                if side != "batch":
                    counts.add((found["rows"], found["tokens"]))

    middle = {side: statistics.median(times) for side, times in seconds.items()}
    used = {side: statistics.median(times) for side, times in cpu.items()}
    rates = " | ".join(f"{len(lines) / middle[side]:,.0f}" for side in SIDES)
    return (
        f"| {name}, {len(lines)} rows of {size} bytes | {rates} | **{middle['stock'] / middle['check']:.2f}** "
        f"| **{used['stock'] / used['check']:.2f}** "
        f"| {middle['stock'] / middle['batch']:.2f} | **{middle['check'] / middle['again']:.1f}** "
        f"| {'yes' if len(counts) == 1 else f'NO: {counts}'} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=4, help="of every long row; four times as many of a short one")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="of another commit of the package")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        side, folder = options.child
        call = {"stock": stock, "check": check, "again": check, "batch": batch}[side]
        print(json.dumps(call(Path(folder), options.workers)))
        return

    if options.against:
        print("| rows | workers | other, processor s | this | this : other | least of each | same rows kept |")
        print("|---|---|---|---|---|---|---|")
        compare_commits("long", options.against, options.copies, options.repeat)
        compare_commits("short", options.against, 4 * options.copies, options.repeat)
        return

    print(
        "| rows | stock, rows/s | check | check again | batch call | check : stock | the same, CPU | batch : stock | again : check | same rows and tokens |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(compare("long", options.copies, options.repeat, options.workers), flush=True)
    print(compare("short", 4 * options.copies, options.repeat, options.workers))


if __name__ == "__main__":
    main()
