"""OlympiadBench: the open-ended questions, with pictures and without, English and Chinese; proofs are left out."""

import re
from dataclasses import replace

from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, pictures, question_row, without_places
from virgo_factory.formats.row import RejectedRow


_CONFIG = re.compile(r"(OE|TP)_(MM|TO)_(maths|physics)_(en|zh)_(COMP|CEE)")
_WORDS = {
    "MM": "with pictures",
    "TO": "text only",
    "en": "English",
    "zh": "Chinese",
    "COMP": "competition",
    "CEE": "entrance exam",
}


def ask(row: Row, file: str):
    """Yield the question of a row, the stem that physics questions share in front of it."""
    config = _CONFIG.findall(file)
    if not config:
        raise RejectedRow("its file names no config", f"{file}; expected OE_MM_maths_en_COMP and the like")

    form, *others = config[-1]
    if form == "TP":
        return

    modality, subject, language, source = (_WORDS.get(word, word) for word in others)
    text = "\n".join(filter(None, (row["context"], row["question"])))
    golds = [str(part) for part in row["final_answer"] or ()]
    errors = [float(part) for part in re.split(r"[,，]\s*", str(row["error"] or "")) if part.strip()]
    yield question_row(
        f"{'_'.join(config[-1])}/{row['id']}",
        without_places(text),
        golds[0] if len(golds) == 1 else golds,  # one text may hold several answers
        pictures(row, "image", 9),
        {"modality": modality, "subject": subject, "language": language, "source": source}
        | {name: row[name] for name in ("subfield", "answer_type")},
        unit=row["unit"],
        tolerance=errors if len(errors) > 1 else errors[0] if errors else None,
        several=row["is_multiple_answer"],
        grading="olympiadbench",
    )


OLYMPIADBENCH = Benchmark(
    name="olympiadbench",
    title="OlympiadBench",
    hub="Hothan/OlympiadBench",
    config="OE_(?:MM|TO)_(?:maths|physics)_(?:en|zh)_(?:COMP|CEE)",
    split="train",
    count=6728,
    licence="Apache-2.0 (hub), MIT (GitHub)",
    columns=(
        *("id", "question", "context", "final_answer", "is_multiple_answer", "unit", "answer_type", "error"),
        "subfield",
    ),
    ask=ask,
    subset="open-ended questions; the 1,748 proofs have no answer to check",
    groups=("modality", "subject", "language", "source", "subfield", "answer_type"),
    draw_by="subject",
    differs="That Virgo asked both languages is inferred; its scorer joins all boxes and calls over 100 characters wrong.",
)
ENGLISH = replace(
    OLYMPIADBENCH,
    name="olympiadbench_en",
    title="OlympiadBench (English)",
    config="OE_(?:MM|TO)_(?:maths|physics)_en_COMP",
    count=1516,
    subset="open-ended questions in English",
)
