"""Real rows written as the Parquet files that the hub has: its names, its columns, pictures as bytes with a path."""

import functools
import io
import json
from ast import literal_eval
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.jsonl import read_jsonl
from tests.rollouts.json_server import JsonServer


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@functools.cache
def small(path: str | None) -> dict | None:
    """Return a picture of 160 pixels a side at most: to scale and store real ones took half of the time of the tests."""
    if path is None:
        return None

    held = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((160, 160))
        image.save(held, image.format)

    return {"bytes": held.getvalue(), "path": Path(path).name}


def write_parquet(path: Path, rows: list[dict], pictures: tuple[str, ...] = ()) -> None:
    """Write rows; a picture column holds a path, of which a small picture is stored, or None."""
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        columns[name] = pa.array([small(value) for value in values], PICTURE) if name in pictures else pa.array(values)

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=200)


@pytest.fixture(scope="session")
def hub(shared_data, tmp_path_factory) -> Path:
    """A benchmark_dir: mathverse, mathvision, olympiadbench, mmmu_pro and mathvista, as much of them as is shared."""
    folder = tmp_path_factory.mktemp("benchmarks")
    any_picture = shared_data / "mathvision/images/1215.jpg"
    for write in (_mathverse, _mathvision, _olympiadbench, _mmmu, _mmmu_pro, _mathvista):
        write(shared_data, folder, any_picture)

    return folder


def _mathverse(data: Path, folder: Path, any_picture: Path) -> None:
    """Problems of the project's page in six versions, in the columns of testmini.parquet."""
    pages = json.loads((data / "mathverse/site_data_public.json").read_text(encoding="utf-8"))
    rows, seen, first = [], Counter(), {}
    for number, item in enumerate(pages.values()):
        version = item["metadata"]["problem_version"]
        seen[version] += 1  # the versions of a problem stand apart, in the same order
        choices = "\n".join(item["choices"] or ())
        text = item["question"].strip() + (f"\nChoices:\n{choices}" if choices else "")
        text = first.setdefault(seen[version], text) if version == "Vision Only" else text
        first.setdefault(seen[version], text)
        image = data / "mathverse/images" / item["image"] if item["image"] else None
        rows.append(
            {
                "sample_index": str(number + 1),
                "problem_index": str(seen[version]),
                "problem_version": version,
                "question": "" if version == "Vision Only" else text,
                "image": None if image is None else str(image),
                "answer": item["answer"],
                "question_type": "multi-choice" if choices else "free-form",
                "metadata": {
                    "split": "testmini",
                    "source": item["metadata"]["source"],
                    "subject": item["metadata"]["subjects"],
                    "subfield": item["metadata"]["subfields"],
                },
                "query_wo": "",
                "query_cot": "",
                "question_for_eval": text,
            }
        )

    write_parquet(folder / "mathverse/testmini.parquet", rows, ("image",))
    only_text = json.loads((data / "mathverse/testmini_text_only.json").read_text(encoding="utf-8"))
    write_parquet(folder / "mathverse/testmini_text_only.parquet", only_text)


def _mathvision(data: Path, folder: Path, any_picture: Path) -> None:
    rows = read_jsonl(data / "mathvision/test.jsonl")
    for row in rows:
        there = data / "mathvision" / row["image"]
        row["decoded_image"] = str(there if there.is_file() else any_picture)

    half = len(rows) // 2
    for place, part in enumerate((rows[:half], rows[half:])):
        write_parquet(folder / f"mathvision/data/test-0000{place}-of-00002.parquet", part, ("decoded_image",))

    write_parquet(folder / "mathvision/data/testmini-00000-of-00001.parquet", rows[:9], ("decoded_image",))


def _olympiadbench(data: Path, folder: Path, any_picture: Path) -> None:
    rows = json.loads((data / "olympiadbench/OE_TO_maths_en_COMP.json").read_text(encoding="utf-8"))
    rows = [row | {"context": row["context"] or None} | {f"image_{n}": None for n in range(1, 10)} for row in rows]
    names = tuple(f"image_{n}" for n in range(1, 10))
    root = folder / "olympiadbench/OlympiadBench"
    write_parquet(root / "OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet", rows, names)
    shown = [row | {"image_1": str(any_picture), "context": "Stem."} for row in rows[:5]]
    write_parquet(root / "OE_MM_physics_zh_CEE/OE_MM_physics_zh_CEE.parquet", shown, names)
    write_parquet(root / "TP_TO_maths_en_COMP/TP_TO_maths_en_COMP.parquet", rows[:7], names)


def _mmmu(data: Path, folder: Path, any_picture: Path) -> None:
    """The shared golds and options of MMMU's validation set, a file a subject; its questions are not shared."""
    for path in sorted((data / "mmmu/example_outputs/llava1.5_13b").glob("*/output.json")):
        rows = []
        for item in json.loads(path.read_text(encoding="utf-8")):
            options = list(literal_eval(str(item.get("index2ans") or {})).values())
            row = {"id": item["id"], "question": "What does <image 1> show?", "options": str(options)}
            row |= {"answer": str(item["answer"]), "question_type": item["question_type"], "topic_difficulty": "Easy"}
            there = {
                f"image_{n}": str(any_picture) if n == 1 or f"<image {n}>" in str(options) else None
                for n in range(1, 8)
            }
            rows.append(row | {"img_type": "['Tables']", "subfield": "s"} | there)

        names = tuple(f"image_{n}" for n in range(1, 8))
        for split in ("validation", "dev"):
            target = folder / f"mmmu/{path.parent.name}/{split}-00000-of-00001.parquet"
            write_parquet(target, rows if split == "validation" else rows[:1], names)


def _mmmu_pro(data: Path, folder: Path, any_picture: Path) -> None:
    rows = []
    for row in read_jsonl(data / "mmmu/mmmu-pro/gpt-4o_standard(10 options)_cot.jsonl"):
        text = row["question"] + row["options"]
        there = {f"image_{n}": str(any_picture) if f"<image {n}>" in text else None for n in range(1, 8)}
        names = ("id", "question", "options", "img_type", "answer", "topic_difficulty", "subject")
        rows.append({name: row[name] for name in names} | there)

    names = tuple(f"image_{n}" for n in range(1, 8))
    write_parquet(folder / "mmmu_pro/standard (10 options)/test-00000-of-00001.parquet", rows, names)
    shown = [{name: row[name] for name in ("id", "options", "answer", "subject")} for row in rows]
    shown = [row | {"image": str(any_picture)} for row in shown]
    write_parquet(folder / "mmmu_pro/vision/test-00000-of-00001.parquet", shown, ("image",))
    (folder / "mmmu_pro_vision").symlink_to(folder / "mmmu_pro")


def _mathvista(data: Path, folder: Path, any_picture: Path) -> None:
    rows = list(json.loads((data / "mathvista/testmini.json").read_text(encoding="utf-8")).values())
    rows = [
        row | {"precision": row["precision"] and float(row["precision"]), "decoded_image": str(any_picture)}
        for row in rows
    ]
    write_parquet(folder / "mathvista/data/testmini-00000-of-00001-725687bf7a18d64b.parquet", rows, ("decoded_image",))


def outputs(data: Path) -> dict[str, dict[str, str]]:
    """Return the recorded responses of two "models" to the questions of four benchmarks: id -> response."""
    found: dict[str, dict[str, str]] = {"first": {}, "second": {}}
    for run, name in (("first", "Gemini-Pro-CoT"), ("second", "Qwen-VL-Max-CoT")):
        for row in read_jsonl(data / f"mathvision/outputs/{name}.jsonl"):
            found[run][f"mathvision/{row['id']}"] = row["response"]

    for run, name in (("first", "llava1.5_13b"), ("second", "qwen_vl")):
        for path in (data / f"mmmu/example_outputs/{name}").glob("*/output.json"):
            for row in json.loads(path.read_text(encoding="utf-8")):
                found[run][f"mmmu/{row['id']}"] = row["response"]

    for run, name in (("first", "output_gpt4_2shot_solution"), ("second", "output_bard")):
        for id, row in json.loads((data / f"mathvista/outputs/{name}.json").read_text(encoding="utf-8")).items():
            found[run][f"mathvista/{id}"] = row["response"]

    rows = json.loads((data / "olympiadbench/OE_TO_maths_en_COMP.json").read_text(encoding="utf-8"))
    answered = {row["question"]: row for row in read_jsonl(next((data / "olympiadbench/outputs").glob("*.jsonl")))}
    for row in rows:
        if row["question"] in answered:
            code = answered[row["question"]]["code"]
            found["first"][f"olympiadbench/OE_TO_maths_en_COMP/{row['id']}"] = (
                code[0] if isinstance(code, list) else code
            )

    return found


WANTED = {"mathvision": 240, "mmmu": 200, "mathvista": 120, "olympiadbench": 60}
SETTINGS = {"question_prefix": "virgo", "image_max_pixels": 12_845_056, "max_tokens": 8192, "temperature": 0.0}


@pytest.fixture(scope="session")
def recorded_runs(hub, shared_data, tmp_path_factory) -> dict[str, Path]:
    """Two folders of evaluations on the same questions, made by the store and the judge from recorded outputs.

    Of what was not recorded: some responses of the first are noted as cut at the limit, two as loops.
    """
    from virgo_factory.evaluation.questions import write_questions
    from virgo_factory.rollouts.judge.verdicts import judge_rollouts
    from virgo_factory.rollouts.pictures import store_picture
    from virgo_factory.rollouts.question import read_questions
    from virgo_factory.rollouts.store.rollout import Rollout
    from virgo_factory.rollouts.store.store import RolloutStore

    responses, folders, known = outputs(shared_data), {}, {}
    for run in ("first", "second"):
        folder = tmp_path_factory.mktemp("runs") / f"virgo7b_{run}"
        folder.mkdir()

        def kept(image, media_dir: Path, folder=folder) -> tuple[str, str]:
            done = store_picture(image, media_dir, folder, 12_845_056, known.setdefault(folder, {}))
            return done.path, done.sha256

        write_questions(WANTED, folder / "questions.jsonl", kept, hub, allow_partial=True)
        values = SETTINGS | {"model_name_or_path": f"saves/{run}/epoch-5", "benchmarks": list(WANTED)}
        values |= {"paper_row": "Virgo-7B D_T"} if run == "first" else {"temperature": 0.6}
        text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())
        (folder / "evaluation.yaml").write_text(text, encoding="utf-8")
        with RolloutStore(folder) as store:
            for number, question in enumerate(read_questions(folder / "questions.jsonl")):
                response = responses[run].get(question.id)
                if response is None:
                    store.drop(question.id, run, "nothing was recorded")
                    continue

                end = {3: "loop", 57: "loop"}.get(number, "length" if number % 29 == 7 else "stop")
                tokens = 8192 if end == "length" and run == "first" else max(1, len(response) // 3)
                facts = (300, tokens, 1.0, 1, "0" * 64, {"vllm": "0.20.2"})
                store.append(Rollout(question.id, run, 0, response, end if run == "first" else "stop", *facts))

        judge_rollouts(folder)
        folders[run] = folder

    return folders


@pytest.fixture
def no_drawing(monkeypatch) -> None:
    """Plots of a report are one blank picture: drawing is half of what a report takes (test_report.py looks at real ones)."""
    blank = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(blank, format="PNG")
    monkeypatch.setattr("virgo_factory.evaluation.report.plots.draw", lambda *_, **__: blank.getvalue())


@pytest.fixture
def store(tmp_path) -> Callable:
    """Store a picture in tmp_path/images, as write_questions asks for it."""
    from virgo_factory.rollouts.pictures import store_picture

    known = {}

    def kept(image, media_dir: Path) -> tuple[str, str]:
        done = store_picture(image, media_dir, tmp_path, 12_845_056, known)
        return done.path, done.sha256

    return kept


class Server(JsonServer):
    """A judge that is simple to foresee, and keeps what it was asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.broken = False
        super().__init__()

    def answer(self, path: str, body: Any, key: str | None) -> tuple[int, dict]:
        if not body:
            return 200, {"data": [{"id": "judge"}]}

        return 200, {"choices": [{"message": {"content": self.reply(body["messages"][0]["content"])}}]}

    def reply(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if self.broken:
            return "well..."

        if "Reply with one word, CORRECT" in prompt:
            return "CORRECT"

        if "Reply with one digit" in prompt:  # right where the texts are the same
            gold, answer = (
                prompt.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0] for tag in ("reference_answer", "answer")
            )
            return "1" if gold.strip() == answer.strip(" ,\n") else "0"

        if "backward chaining" in prompt:  # counts two words, wherever they stand
            thought = prompt.split("<response>\n")[1].split("\n</response>")[0]
            if "unreadable" in thought:
                return "I would say three."

            counts = {"verification": thought.count("check"), "backtracking": thought.count("Wait"), "sub-goals": 0}
            return json.dumps(counts | {"backward chaining": 0})

        return "B" if "Reply with the letter" in prompt else "7"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()
