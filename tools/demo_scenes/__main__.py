"""Draw the demo's scenes anew and record what every role says about them, with the faults that the writer made."""

import json
import shutil
import tempfile
from pathlib import Path

from demo_scenes.scenes import write_scenes
from demo_scenes.server import serving
from virgo_factory.io.files import RECIPES
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.folder import REPLIES
from virgo_factory.synthesis.run.launch import synthesize


COUNT = 8
FOLDER = RECIPES / "demo" / "synthesis"
PARAMS = {"played_by": "tools/demo_scenes"}  # in place of how it was sampled


def record(folder: Path = FOLDER, count: int = COUNT) -> None:
    """Write scenes, pictures, replies and faults into a folder; the same bytes every time."""
    shutil.rmtree(folder, ignore_errors=True)
    scenes = [{"reader": "rows", "file": str(write_scenes(folder, count)), "box_format": "xyxy"}]
    with serving() as server, tempfile.TemporaryDirectory() as out:
        paths = {
            "scenes": scenes,
            "media_dir": str(folder),
            "output_dir": out,
            "dataset_dir": out,
            "urls": [server.url],
        }
        overrides = [f"{key}={json.dumps(value)}" for key, value in paths.items()]
        synthesize(read_config(RECIPES / "synthesize/demo.yaml", overrides))
        for name in REPLIES:
            with Path(out, f"{name}.jsonl").open(encoding="utf-8") as replies:
                rows = [json.loads(line) | {"seconds": 0.0, "params": PARAMS} for line in replies]

            rows.sort(key=lambda row: row["key"])  # else in the order in which they came
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")

        labels = (label for label in server.labels() if label["role"] == "writer" and label["fault"])
        faults = "".join(sorted(json.dumps(label) + "\n" for label in labels))
        (folder / "faults.jsonl").write_text(faults, encoding="utf-8")


if __name__ == "__main__":
    record()
