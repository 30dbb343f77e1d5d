"""A synthesis killed with SIGKILL at random moments of all its stages, against one that was left alone.

PYTHONPATH=tools python benchmarks/synthesis_kills.py [--kills 20] [--scenes 8] [--folder DIR]

Every role is played by the server of tools/demo_scenes. A kill comes when a random number of replies more is there, so that
no start is killed before it has done anything; what it hit is told. Asserts: no key stands twice, the same replies, the same files.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from demo_scenes.scenes import write_scenes
from demo_scenes.server import ROLES, serving
from virgo_factory.synthesis.run.folder import REPLIES
from virgo_factory.synthesis.run.steps import STEPS, Made


def counts(folder: Path) -> dict[str, int]:
    """Return the replies of each file."""
    files = {name: folder / f"{name}.jsonl" for name in REPLIES}
    return {name: path.read_bytes().count(b"\n") for name, path in files.items() if path.is_file()}


def start(config: Path, out: Path) -> subprocess.Popen:
    """Start a run."""
    command = ["virgo-factory", "synthesize", "run", str(config), f"output_dir={out}", f"dataset_dir={out}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def keys(folder: Path) -> dict[str, set[str]]:
    """Return the keys of each file of replies.

    Raises:
        AssertionError: one stands twice.
    """
    found = {}
    for name in REPLIES:
        rows = [json.loads(line)["key"] for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        found[name] = set(rows)
        assert len(found[name]) == len(rows), f"a key stands twice in {name}"

    return found


def main() -> None:
    """Print what was killed where."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="synthesis_kills_"))
    write_scenes(folder / "drawn", arguments.scenes)
    rng, where = random.Random(arguments.seed), Counter()
    with serving() as server:
        values = {"scenes": [{"reader": "rows", "file": str(folder / "drawn/scenes.jsonl"), "box_format": "xyxy"}]}
        values |= {"media_dir": str(folder / "drawn"), "urls": [server.url], "dataset": "killed"}
        values |= {name: {"model_name_or_path": name} for name in ROLES}
        config = folder / "config.yaml"
        config.write_text(json.dumps(values | {"output_dir": str(folder / "out")}))
        began = time.monotonic()
        whole = start(config, folder / "whole")
        assert whole.wait() == 0, whole.stdout.read()
        alone, began = time.monotonic() - began, time.monotonic()
        total = sum(counts(folder / "whole").values())
        out, kills = folder / "killed", 0
        while True:
            run, before = start(config, out), sum(counts(out).values())
            left = arguments.kills - kills
            enough = before + rng.randrange(1, max(2, 2 * (total - before) // (left + 1))) if left else total + 1
            while run.poll() is None and sum(counts(out).values()) < enough:
                time.sleep(0.002)

            if run.poll() is not None:
                break

            run.kill()
            run.communicate()
            kills += 1
            where[next((name for name, count in reversed(counts(out).items()) if count), "no file")] += 1

        took = time.monotonic() - began
        assert run.returncode == 0, run.stdout.read()

    made = [step.name for step in STEPS if isinstance(step, Made)]
    assert keys(out) == keys(folder / "whole")
    for name in made:
        assert (out / f"{name}.jsonl").read_bytes() == (folder / "whole" / f"{name}.jsonl").read_bytes(), name

    told = ", ".join(f"{count} in {name}" for name, count in sorted(where.items()))
    print(f"{kills} kills ({told}); {total:,} replies, no key twice, the same {len(made)} files")
    print(f"{alone:.0f} s alone, {took:.0f} s killed; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
