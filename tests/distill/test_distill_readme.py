"""The README's commands on visual long thoughts, from the dry run to the training, against the replay server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("## Visual long thoughts") :]
COMMANDS = re.search(r"```bash\n(.*?)```", SECTION, re.DOTALL)[1].splitlines()


def test_from_the_dry_run_to_the_training(tmp_path, sky_config, start_replay, reduced):
    """As they stand, with questions of the real responses' problems and a running server in place of the 72B models."""

    def run(command: str, *behind: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        line = " ".join([command, *behind])
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "NPROC_PER_NODE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    dry, distil, status, select, train = COMMANDS
    run("virgo-factory recipes copy .")
    url = start_replay().url
    overrides = [
        f"questions={sky_config(24).questions}",
        f"urls=[{url}]",
        f"base_urls=[{url}]",
        "served_model_name=replay",
        "base_served_model_name=replay",
        "image_max_pixels=65536",
    ]
    said = run(dry, *overrides)
    assert "Please first think deeply" in said
    assert not (tmp_path / "data/dsd_virgo72b/rollouts.jsonl").exists()

    run(distil, *overrides)
    rows = [json.loads(line) for line in (tmp_path / "data/dsd_virgo72b/rollouts.jsonl").open()]
    greedy = [row for row in rows if row["sample"] == -1]
    assert len(greedy) == 24
    assert len(rows) > 24 and (len(rows) - 24) % 5 == 0, "five responses to each question that is not solved"

    assert "24 questions" in run(status)
    assert "sky/" in (tmp_path / "status.html").read_text()

    run(select, "--difficulty any")
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["virgo72b_dsd_own"]
    assert (tmp_path / entry["file_name"]).is_file()

    small = [f"{key}={value}" for key, value in {**reduced, "dataset_dir": ".", "max_steps": 1}.items()]
    run(train, *small)
    (account,) = json.loads((tmp_path / "saves/dsd_own/virgo_rows.json").read_text())["datasets"]
    assert account["name"] == "virgo72b_dsd_own" and account["kept"] == account["rows_in"] > 0
