"""Real questions with their real pictures, from six sources, for the tests of what handles images."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class VisualQuestion:
    """A question of ../shared/data and its picture; `config` is where LLaVA-OneVision keeps that source."""

    config: str
    id: str
    question: str
    answer: str
    picture: Path


@pytest.fixture(scope="session")
def visual_questions(shared_data) -> list[VisualQuestion]:
    """Up to 8 questions (CLEVR: 12) of TabMWP, ChartQA, FigureQA, CLEVR, Geometry3K and GEOS, in a fixed order."""

    def load(path: Path):
        return json.loads(path.read_text(encoding="utf-8"))

    found: dict[str, list[VisualQuestion]] = {}

    def add(config: str, id: str, question: str, answer: str, picture: Path) -> None:
        rows = found.setdefault(config, [])
        if len(rows) < (12 if "clevr" in config else 8) and picture.is_file():
            rows.append(VisualQuestion(config, id, question, answer, picture))

    folder = shared_data / "tabmwp"
    for id, row in load(folder / "problems_dev1k.json").items():
        add("TabMWP(MathV360K)", id, row["question"], row["answer"], folder / "tables" / f"{id}.png")

    folder = shared_data / "chartqa/dataset"
    for path in sorted(folder.glob("*/test_*.json")):
        for number, row in enumerate(load(path)):
            picture = path.parent / "png" / row["imgname"]
            add("chartqa(cauldron,llava_format)", f"{path.stem}-{number}", row["query"], row["label"], picture)

    folder = shared_data / "figureqa"
    for row in load(folder / "qa_pairs.json")["qa_pairs"]:
        answer = ("No", "Yes")[row["answer"]]
        picture = folder / "png" / f"{row['image_index']}.png"
        add(
            "FigureQA(MathV360K)",
            f"{row['image_index']}-{row['question_id']}",
            row["question_string"],
            answer,
            picture,
        )

    folder = shared_data / "clevr"
    for path in sorted(folder.glob("questions/*.json")):
        for number, row in enumerate(load(path)["questions"]):
            picture = folder / "images" / row["split"] / row["image_filename"]
            add(
                "clevr(cauldron,llava_format)",
                f"{row['image']}-{number}",
                row["question"],
                str(row["answer"]),
                picture,
            )

    for path in sorted((shared_data / "geometry3k").glob("*/data.json")):
        row = load(path)
        choices = "\n".join(f"{letter}: {text}" for letter, text in zip("ABCD", row["choices"], strict=True))
        question = f"{row['annotat_text']}\nChoices:\n{choices}"
        add("Geometry3K(MathV360K)", f"geo3k-{row['id']}", question, row["answer"], path.parent / "img_diagram.png")

    for path in sorted((shared_data / "geos").glob("*/answer.json")):
        row = load(path.parent / "question.json")
        answer = "ABCDE"[int(load(path)["answer"]) - 1]
        add("GEOS(MathV360K)", f"geos-{path.parent.name}", row["text"], answer, path.parent / "diagram.png")

    return [question for rows in found.values() for question in rows]
