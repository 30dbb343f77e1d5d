"""How often our verdicts agree with recorded labels, against peers, and how fast they are.

python benchmarks/answers.py [--only NAME] [--workers 2] [--no-peers] [--no-speed | --only-speed] [--disagreements FILE]

One row a file: n, agreement (raw; without the labels shown to be wrong), false positives, false negatives, unverifiable,
math-verify alone on the whole response, and the file's own recorded parsing compared with the gold as text.
`answers_labels_wrong.tsv` names the labels that are shown to be wrong, with the reason.
"""

import argparse
import csv
import json
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from virgo_factory.answers import Answer, GradingConfig, Question, Task, grading, judge, score, score_many


HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
LABELS_WRONG = HERE / "answers_labels_wrong.tsv"


@dataclass(frozen=True)
class Case:
    """One labelled output.

    Attributes:
        id: row in its file.
        response: the whole response, or None where an answer is `given`.
        label: what the file says: correct or not.
        parsed: the answer that the file itself recorded, or None.
    """

    id: str
    response: str | None
    gold: Any
    question: Question
    config: GradingConfig
    label: bool
    parsed: str | None = None
    given: str | None = None

    def verdict(self):
        """Our verdict on it."""
        if self.given is not None:
            return judge(Answer(self.given, "given", "given"), self.gold, self.question, self.config)
        return score(self.response, self.gold, self.question, self.config)


def _rows(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


# --- the files -----------------------------------------------------------------------------------------------------


def answer_equivalence(data: Path) -> Iterator[Case]:
    """Test tables of eleven projects, each with its own settings."""
    of_project = {
        "NovaSky-AI__SkyThought": replace(grading("math"), percent_scale=True),
        "hendrycks__math": replace(grading("math"), ordered_lists=True),
        "OpenBMB__OlympiadBench": grading("olympiadbench"),
    }
    for path in sorted((data / "answer_equivalence").glob("*.jsonl")):
        config = of_project.get(path.stem, grading("math"))
        for index, row in enumerate(_rows(path)):
            params, gold, response = row["params"], row["gold"], str(row["prediction"])
            kind = tolerance = precision = None
            if params.get("match_types") == ["NativeLetters"]:
                kind = "choice"
                gold, response = sorted((str(gold), response), key=len)
            elif params.get("function") in ("get_multiple_choice_answer", "choice_answer_clean"):
                kind = "choice"
            elif params.get("verifier") == "PuzzleMatcherVerifier":
                kind = "text"
            elif params.get("verifier") == "GSM8KVerifier":
                kind = "number"
            if path.stem.startswith("OpenBMB") and "precision" in params:
                stated = params["precision"]
                tolerance = tuple(map(float, stated)) if isinstance(stated, list) else float(stated)
            elif "precision" in params:
                precision = int(params["precision"])
            question = Question(params.get("problem", ""), kind=kind, tolerance=tolerance, precision=precision)
            yield Case(f"{path.name}:{index}", response, gold, question, config, row["expected"])


def _evaluation_file(path: Path, config: GradingConfig, question: Callable[[dict], Question]) -> Iterator[Case]:
    for index, row in enumerate(_rows(path)):
        for sample, (response, parsed, label) in enumerate(zip(row["code"], row["pred"], row["score"], strict=True)):
            # `gt` was damaged by the grader's own normalising (backslashes and \\text lost); `answer` is the source's.
            gold = row.get("answer") or row["gt"]
            yield Case(f"{index}.{sample}", response, gold, question(row), config, label, parsed)


def _plain(row: dict) -> Question:
    return Question(row["question"])


def skythought(data: Path, name: str) -> Iterator[Case]:
    """Long thoughts of five models with the verdict of the Qwen2.5-Math grader; two more in another format."""
    path = data / "skythought" / name
    if path.suffix == ".jsonl":
        yield from _evaluation_file(path, grading("math"), _plain)
        return
    for index, row in enumerate(json.loads(path.read_text(encoding="utf-8")).values()):
        for key, response in row["responses"].items():
            yield Case(
                f"{index}.{key}", response["content"], row["answer"], Question(row["problem"]), grading("math"),
                response["correctness"],
            )  # fmt: skip


def qwen_samples(data: Path) -> Iterator[Case]:
    """Eight samples a problem."""
    yield from _evaluation_file(data / "qwen2.5_math_samples" / "math_cot_100.jsonl", grading("math"), _plain)


def olympiadbench(data: Path) -> Iterator[Case]:
    """Scored outputs, with tolerance and unit of the items."""
    items = json.loads((data / "olympiadbench" / "OE_TO_maths_en_COMP.json").read_text(encoding="utf-8"))
    by_question = {item["question"]: item for item in items}

    def question(row: dict) -> Question:
        item = by_question.get(row["question"], {})
        tolerance = item.get("error")
        return Question(
            row["question"],
            unit=row.get("unit") or None,
            tolerance=float(tolerance) if tolerance else None,
            several=item.get("is_multiple_answer"),
        )

    path = data / "olympiadbench" / "outputs" / "sky_t1_math_correct_5k_32b_short.jsonl"
    yield from _evaluation_file(path, grading("olympiadbench"), question)


def mathvision(data: Path, name: str) -> Iterator[Case]:
    """Three models with the verdict of the benchmark's script."""
    items = {item["id"]: item for item in _rows(data / "mathvision" / "test.jsonl")}
    for row in _rows(data / "mathvision" / "outputs" / name):
        item = items[row["id"]]
        question = Question(item["question"], options=tuple(item["options"]))
        yield Case(
            str(row["id"]), row["response"], item["answer"], question, grading("mathvision"), row["correct"],
            row["model_answer"],
        )  # fmt: skip


def mathvision_judged(data: Path) -> Iterator[Case]:
    """`<think>` responses with the verdict of a language model."""
    items = {str(item["id"]): item for item in _rows(data / "mathvision" / "test.jsonl")}
    for row in _rows(data / "mathvision" / "outputs" / "vprm_think_judge_results.jsonl"):
        item = items.get(str(row["id"]), {"options": (), "question": row["question"]})
        question = Question(item["question"], options=tuple(item["options"]))
        gold = row["answer"] or row["standard_answer"]
        yield Case(
            str(row["id"]), row["model_response"], gold, question, grading("mathvision"), bool(row["judgment"]),
            row["model_response_ans_extracted"],
        )  # fmt: skip


def mmmu_pro(data: Path, name: str) -> Iterator[Case]:
    """GPT-4o with the verdict of the benchmark's script."""
    from virgo_factory.answers.options import list_in_string

    for row in _rows(data / "mmmu" / "mmmu-pro" / name):
        options = tuple(str(option) for option in list_in_string(row["options"]) or ())
        question = Question(row["question"], options=options, kind="choice")
        yield Case(
            row["id"], row["response"], row["answer"], question, grading("mmmu"), row["if_right"], row["pred_indexs"]
        )


def mmmu_guessed(response: str, options: dict[str, str]) -> bool:
    """Whether MMMU's parser finds nothing in a response and takes an option at random (its `parse_multi_choice_response`)."""
    for sign in ",.!?;:'":
        response = response.strip(sign)
    response = f" {response} "
    if any(f"({letter})" in response or f" {letter} " in response for letter in options):
        return False
    return len(response.split()) <= 5 or not any(text.lower() in response.lower() for text in options.values())


def mmmu_equal(parsed: Any, gold: Any) -> bool:
    """Whether a parsed short answer is a gold answer as MMMU compares them: numbers at two decimals, texts within each other."""

    def normal(value: Any) -> Any:
        try:
            return round(float(str(value).replace(",", "")), 2)
        except ValueError:
            return str(value).strip().lower()

    got, golds = normal(parsed), [normal(value) for value in (gold if isinstance(gold, list) else [gold])]
    return any(got == known or isinstance(got, str) and isinstance(known, str) and known in got for known in golds)


def mmmu(data: Path, model: str, guessed: bool = False) -> Iterator[Case]:
    """Choice questions with the letter MMMU's own parser took, without those it guessed at (or only those), and short answers."""
    folder = data / "mmmu" / "example_outputs" / model
    parsed = json.loads((folder / "total_val_output.json").read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*/output.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            if row["question_type"] == "multiple-choice":
                if mmmu_guessed(row["response"], row["index2ans"]) != guessed:
                    continue
                options = tuple(str(row["index2ans"][letter]) for letter in row["all_choices"])
                question = Question(options=options, kind="choice")
                # The recorded letter is the gold: agreement is "the same letter was read".
                yield Case(
                    row["id"], row["response"], parsed[row["id"]], question, grading("mmmu"), True, parsed[row["id"]]
                )
            elif not guessed:
                label = mmmu_equal(parsed[row["id"]], row["answer"])
                yield Case(
                    row["id"],
                    row["response"],
                    row["answer"],
                    # It is no choice question, even where its answer is a letter.
                    Question(kind="text" if str(row["answer"]) in "ABCDEFGHIJ" else None),
                    grading("mmmu"),
                    label,
                    str(parsed[row["id"]]),
                )


def mathvista(data: Path, model: str, given: bool) -> Iterator[Case]:
    """Outputs with the verdict of the benchmark's script, from the response or from the recorded extraction."""
    rows = json.loads((data / "mathvista" / "outputs" / f"{model}.json").read_text(encoding="utf-8"))
    for pid, row in rows.items():
        kind = {"integer": "number", "float": "number"}.get(row["answer_type"])
        options = tuple(row["choices"] or ())
        precision = int(row["precision"]) if row["answer_type"] == "float" and row["precision"] else None
        question = Question(
            row["question"], options=options, kind="choice" if options else kind, unit=row["unit"], precision=precision
        )
        yield Case(
            pid, None if given else str(row["response"] or ""), row["answer"], question, grading("mathvista"),
            row["true_false"], row["prediction"], str(row["extraction"] or "") if given else None,
        )  # fmt: skip


def geoqa(data: Path, name: str) -> Iterator[Case]:
    """Two models with the verdict of R1-V's script."""
    rows = json.loads((data / "geoqa_text" / "outputs" / name).read_text(encoding="utf-8"))["results"]
    for index, row in enumerate(rows):
        question = Question(row["question"]["question"])
        extracted = row["extracted_answer"]
        yield Case(
            str(index), row["model_output"], row["ground_truth"], question, grading("geoqa"), row["is_correct"],
            None if extracted is None else str(extracted),
        )  # fmt: skip


def superclevr(data: Path, name: str) -> Iterator[Case]:
    """Counting questions; the label is whether the recorded number is the gold."""
    rows = json.loads((data / "superclevr_text" / "outputs" / name).read_text(encoding="utf-8"))["results"]
    for index, row in enumerate(rows):
        question = Question(row["question"]["question"], kind="count")
        if row["extracted_answer"] is None:
            continue  # no label
        label = str(row["extracted_answer"]) == str(row["ground_truth"])
        yield Case(
            str(index), row["model_output"], row["ground_truth"], question, grading("clevr"), label,
            str(row["extracted_answer"]),
        )  # fmt: skip


def files(data: Path = DATA) -> dict[str, tuple[Callable[[], Iterator[Case]], float | None]]:
    """Every labelled file: name -> (its cases, the agreement asked for)."""
    found: dict[str, tuple[Callable[[], Iterator[Case]], float | None]] = {
        "answer_equivalence": (lambda: answer_equivalence(data), 0.97)
    }
    for path in sorted((data / "skythought").glob("*.json*")):
        found[f"skythought/{path.name}"] = (lambda name=path.name: skythought(data, name), 0.97)
    for name in ("Gemini-Pro-CoT", "Qwen-VL-Max-CoT", "InternLM-XComposer2-VL-CoT"):
        found[f"mathvision/{name}"] = (lambda name=name: mathvision(data, f"{name}.jsonl"), 0.98)
    found["mathvision/vprm_think_judge"] = (lambda: mathvision_judged(data), 0.94)
    for name in ("gpt-4o_standard(10 options)_cot", "gpt-4o_vision_cot"):
        found[f"mmmu-pro/{name}"] = (lambda name=name: mmmu_pro(data, f"{name}.jsonl"), 0.98)
    for model in ("llava1.5_13b", "qwen_vl"):
        found[f"mmmu/{model}"] = (lambda model=model: mmmu(data, model), 0.95)
    found["olympiadbench"] = (lambda: olympiadbench(data), 0.97)
    for model in ("output_gpt4_2shot_solution", "output_bard", "output_llava_llama_2_13b"):
        found[f"mathvista/{model} (extraction)"] = (lambda model=model: mathvista(data, model, True), 0.97)
        found[f"mathvista/{model} (response)"] = (lambda model=model: mathvista(data, model, False), 0.93)
    for name in ("geoqa_test_qwen2vl_7b_grpo_2epochs_legacy", "geoqa_test_qwen2vl_7b_instruct_legacy"):
        found[f"geoqa/{name}"] = (lambda name=name: geoqa(data, f"{name}.json"), 0.97)
    found["qwen2.5_math_samples"] = (lambda: qwen_samples(data), 0.97)
    for path in sorted((data / "superclevr_text" / "outputs").glob("*.json")):
        found[f"superclevr/{path.stem}"] = (lambda name=path.name: superclevr(data, name), None)
    return found


# --- gold against itself, and against others -----------------------------------------------------------------------


@dataclass(frozen=True)
class Spelling:
    """One way to give an answer, with whether it is the gold."""

    source: str
    id: str
    response: str
    gold: Any
    question: Question
    config: GradingConfig
    expected: bool


def ways(text: str) -> list[str]:
    """Ten responses that give a text as their answer."""
    return [
        text,
        f"The answer is {text}.",
        f"Answer: {text}",
        f"**{text}**",
        f"So we get \\(\\boxed{{\\text{{{text}}}}}\\).",
        f"\\boxed{{{text}}}",
        f"<think>Perhaps \\boxed{{0}}? No.</think>\n<answer>{text}</answer>",
        f"<|begin_of_thought|>\n\nThe answer is 17. Wait.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n"
        f"**Final Answer**\n\n{text}\n\n<|end_of_solution|>",
        f"Let me look at it.\n\n### Final answer: {text}",
        f"I looked at the picture. The final answer is **{text}**",
    ]


def ways_of_option(index: int, options: tuple[str, ...]) -> list[str]:
    """Ten responses that choose an option."""
    letter, text = "ABCDEFGHIJ"[index], options[index]
    return [
        letter,
        f"({letter})",
        f"{letter}. {text}",
        f"The correct answer is ({letter}) {text}.",
        f"Option {letter} is correct.",
        f"\\boxed{{{letter}}}",
        f"\\boxed{{\\text{{{text}}}}}",
        f"<think>Is it (A)? Or \\boxed{{{text[:3]}}}? Hmm.</think><answer>{letter}</answer>",
        f"Looking at the picture, the answer is {text}.",
        f"**Answer:** {letter}",
    ]


def gold_spellings(data: Path = DATA) -> Iterator[Spelling]:
    """The gold of every visual source in ten spellings, and the gold of other rows."""
    opened: dict[str, list[tuple[str, Any, Question]]] = {}
    for source, key, gold, question in _golds_of(data):
        config = grading(source)
        options = question.options
        if options:
            right = _right_option(source, gold, options)
            for index in range(len(options)):
                if index == right or options[index] != options[right]:
                    for response in ways_of_option(index, options):
                        yield Spelling(source, key, response, gold, question, config, index == right)
            continue
        if question.kind == "boolean":
            names = {"1": ("yes", "Yes", "1", "True"), "0": ("no", "No", "0", "False")}
            for value, spelled in names.items():
                for response in [*ways(spelled[0]), *spelled[1:], f"{spelled[1]}, that is what the figure shows."]:
                    yield Spelling(source, key, response, gold, question, config, str(gold) == value)
            continue
        text = str(gold).strip("[]")
        for response in ways(text):
            yield Spelling(source, key, response, gold, question, config, True)
        opened.setdefault(source, []).append((key, gold, question))
    for source, rows in opened.items():
        chooser = random.Random(0)
        for key, gold, question in rows:
            for _, other, _ in chooser.sample(rows, min(10, len(rows))):
                expected = _truly_equal(str(gold), str(other), 0.05 if source == "chartqa" else 0.0, question.text)
                yield Spelling(
                    source, key, f"The answer is {str(other).strip('[]')}.", gold, question, grading(source), expected
                )


def _golds_of(data: Path) -> Iterator[tuple[str, str, Any, Question]]:
    for name in ("test1k", "dev1k"):
        for key, row in json.loads((data / "tabmwp" / f"problems_{name}.json").read_text(encoding="utf-8")).items():
            yield (
                "tabmwp",
                key,
                row["answer"],
                Question(row["question"], tuple(row["choices"] or ()), unit=row["unit"]),
            )
    for path in sorted((data / "chartqa" / "dataset").glob("*/*.json")):
        for index, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            yield "chartqa", f"{path.name}:{index}", row["label"], Question(row["query"])
    for row in json.loads((data / "figureqa" / "qa_pairs.json").read_text(encoding="utf-8"))["qa_pairs"]:
        key = f"{row['image_index']}.{row['question_id']}"
        yield "figureqa", key, row["answer"], Question(row["question_string"], kind="boolean")
    for path in sorted((data / "iconqa").glob("*/*/data.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        yield "iconqa", path.parent.name, row["answer"], Question(row["question"], tuple(row.get("choices") or ()))
    for path in sorted((data / "clevr").glob("**/CLEVR_*_questions.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["questions"]:
            yield "clevr", f"{path.name}:{row['question_index']}", row["answer"], Question(row["question"])
    for path in sorted((data / "geos").glob("*/answer.json")):
        row = json.loads((path.parent / "question.json").read_text(encoding="utf-8"))
        answer = json.loads(path.read_text(encoding="utf-8"))["answer"]
        yield "geos", path.parent.name, answer, Question(row["text"], tuple(row["choices"].values()))
    for path in sorted([*data.glob("geometry3k/*/data.json"), *data.glob("geometry3k_sketchpad/*/ex.json")]):
        row = json.loads(path.read_text(encoding="utf-8"))
        yield "geometry3k", path.parent.name, row["answer"], Question(row["problem_text"], tuple(row["choices"]))


def _right_option(source: str, gold: Any, options: tuple[str, ...]) -> int:
    if source == "tabmwp":
        return options.index(gold)
    return int(gold) if source == "iconqa" else int(gold) - 1 if source == "geos" else "ABCDEFGHIJ".index(gold)


def _truly_equal(one: str, other: str, relaxed: float, question: str) -> bool:
    """Equality by plain means, written apart from the rules that are measured."""
    one, other = one.casefold().replace(",", ""), other.casefold().replace(",", "")
    if one == other:
        return True
    try:
        left, right = (float(Fraction(text)) for text in (one, other))
    except ValueError:
        return False
    year = left == int(left) and 1500 <= left <= 2199 and ("year" in question.casefold() or "." not in one)
    return left == right or (relaxed > 0 and not year and abs(left - right) <= relaxed * abs(left))


def wrong_labels(path: Path = LABELS_WRONG) -> dict[tuple[str, str], str]:
    """The labels shown to be wrong: (file, row) -> reason."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {(row["file"], row["row"]): row["reason"] for row in csv.DictReader(lines, delimiter="\t")}


# --- peers, table, speed -------------------------------------------------------------------------------------------


def math_verify(gold: Any, response: str, letters: bool = False) -> bool:
    """The verdict of math-verify alone, on the whole response; `letters`: its string extraction for golds that are a letter."""
    from math_verify import StringExtractionConfig, parse, verify

    gold = ", ".join(map(str, gold)) if isinstance(gold, list) else str(gold)
    try:
        if letters and len(gold) == 1 and gold.isupper():
            strings = [StringExtractionConfig(strings=tuple("ABCDEFGHIJ"))]
            return bool(verify(parse(gold, strings), parse(response, strings)))
        return bool(verify(parse(gold if "$" in gold or "boxed" in gold else f"${gold}$"), parse(response)))
    except Exception:  # its verdict is then "not correct"
        return False


def recorded(case: Case) -> bool | None:
    """What the file's own recorded answer gives when it is compared with the gold as text; None without one."""
    if case.parsed is None:
        return None
    return "".join(str(case.parsed).split()).casefold() == "".join(str(case.gold).split()).casefold()


def table(only: str, workers: int, peers: bool, disagreements: Path | None) -> bool:
    """Print one row a file; return whether every figure asked for is reached without the labels shown to be wrong."""
    wrong = wrong_labels()
    heads = (
        "file",
        "n",
        "raw",
        "without wrong labels",
        "wrong labels (ours against them)",
        "asked",
        "FP with wrong labels",
        "FP",
        "FN",
        "unverifiable",
        "math-verify",
        "recorded",
    )
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    total = {"n": 0, "against": 0, "FP": 0, "FN": 0, "unverifiable": 0}
    reached, notes = True, []
    groups: dict[str, list[int]] = {}
    for name, (cases, asked) in files().items():
        if only not in name:
            continue
        held = list(cases())
        verdicts = score_many(
            (
                Task(
                    Answer(c.given, "given", "given") if c.given is not None else c.response,
                    c.gold,
                    c.question,
                    c.config,
                )
                for c in held
            ),
            workers=workers,
        )
        raw = right = apart = apart_right = against = 0
        counts = {"FP": 0, "FN": 0, "unverifiable": 0}
        peers_agreed, own, own_n = [0, 0], 0, 0
        for case, verdict in zip(held, verdicts, strict=True):
            raw += verdict.correct is case.label
            against += verdict.correct is True and not case.label
            if (name, case.id) in wrong:
                apart += 1
                apart_right += verdict.correct is (not case.label)
            elif verdict.correct is case.label:
                right += 1
            else:
                kind = "unverifiable" if verdict.correct is None else "FP" if verdict.correct else "FN"
                counts[kind] += 1
                notes.append((name, case.id, kind, verdict))
            if peers:
                answer = case.response if case.given is None else case.given
                for place, letters in enumerate((False, True)):
                    peers_agreed[place] += math_verify(case.gold, answer, letters) is case.label
            if (found := recorded(case)) is not None:
                own += found is case.label
                own_n += 1
        n = len(held)
        share = right / (n - apart)
        family = name.split("/")[0]
        sums = groups.setdefault(family, [0, 0, 0, 0])
        for place, value in enumerate((n, raw, right, apart)):
            sums[place] += value
        reached &= asked is None or share >= asked
        for key in counts:
            total[key] += counts[key]
        total["n"] += n
        total["against"] += against
        cells = (
            name, n, f"{raw / n:.4f}", f"{share:.4f}", f"{apart} ({apart_right})", "" if asked is None else f"{asked:.2f}", against, counts["FP"], counts["FN"],
            counts["unverifiable"], f"{max(peers_agreed) / n:.4f}" if peers else "", f"{own / own_n:.4f}" if own_n else "",
        )  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    print(f"\nAll files: {total['n']} verdicts, false positives {total['FP']} ({total['FP'] / max(total['n'], 1):.2%}; "
          f"with the wrong labels {total['against']}, {total['against'] / max(total['n'], 1):.2%}), "
          f"false negatives {total['FN']}, unverifiable {total['unverifiable']}.")  # fmt: skip
    for family in ("skythought", "mmmu", "mmmu-pro", "geoqa"):
        if family in groups:
            n, raw, right, apart = groups[family]
            print(
                f"{family}, all its files: n {n}, raw {raw / n:.4f}, without the {apart} wrong labels {right / (n - apart):.4f}."
            )
    for model in ("llava1.5_13b", "qwen_vl"):
        if only in f"mmmu/{model}":
            print(
                f"mmmu/{model}: {sum(1 for _ in mmmu(DATA, model, guessed=True))} rows left out, where MMMU's parser guesses."
            )
    if disagreements:
        with disagreements.open("w", encoding="utf-8") as lines:
            for name, row, kind, verdict in notes:
                answer = verdict.answer
                lines.write(
                    "\t".join(
                        (
                            name,
                            row,
                            kind,
                            verdict.reason,
                            answer.rule if answer else "",
                            answer.where if answer else "",
                        )
                    )
                    + "\n"
                )
    return reached


def gold_table() -> bool:
    """Print how the golds of the visual sources fare against themselves in ten spellings, and against other golds."""
    counts: dict[str, list[int]] = {}
    for spelling in gold_spellings():
        verdict = score(spelling.response, spelling.gold, spelling.question, spelling.config)
        row = counts.setdefault(spelling.source, [0, 0, 0, 0])
        row[0 if spelling.expected else 2] += 1
        row[1 if spelling.expected else 3] += verdict.correct is spelling.expected
    print("| source | own gold | correct | other gold | wrong |\n|---|---|---|---|---|")
    for source, row in counts.items():
        print(f"| {source} | {row[0]} | {row[1]} | {row[2]} | {row[3]} |")
    return all(row[0] == row[1] and row[2] == row[3] for row in counts.values())


def _loop(pairs: list[tuple[Any, str, bool, bool]]) -> int:
    return sum(math_verify(gold, response, letters) is label for gold, response, label, letters in pairs)


def _warm_loops(processes: int, parts: list) -> tuple[float, int]:
    """Run math-verify over each part in a process of its own; the time at which all had been started, and the agreements."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_loop, [[("x", "$x$", True, False)]] * (4 * processes), chunksize=1)
        running = time.perf_counter()
        agreed = sum(pool.map(_loop, parts, chunksize=1))
        pool.close()
        pool.join()
    return running, agreed


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def speed(workers: int) -> None:
    """Print verdicts a second on the skythought and MMMU-Pro responses: ours, and math-verify in a loop, on the same cores.

    Beside the clock, processor seconds of the worker processes are counted (start and import included, the same tasks without
    responses taken off): they hardly change with what else runs on the machine.
    """
    wrong = wrong_labels()
    for family in ("skythought", "mmmu-pro"):
        cases, labels = [], []
        for name, (make, _) in files().items():
            if name.startswith(family + "/"):
                for case in make():
                    cases.append(case)
                    labels.append(case.label != ((name, case.id) in wrong))
        # Both sides are timed without and with the start of their processes and the import of math-verify.
        warm = [
            Task(rf"\boxed{{\sum_{{k=1}}^{{n}} k^2+{index}}}", rf"\sum_{{k=1}}^{{n}} k+{index}")
            for index in range(8 * workers)
        ]
        used = _children_seconds()
        list(score_many(warm, workers=workers))
        start_used = _children_seconds() - used
        used = _children_seconds()
        started = time.perf_counter()
        stream = score_many([*warm, *(Task(c.response, c.gold, c.question, c.config) for c in cases)], workers=workers)
        for _ in warm:
            next(stream)
        running = time.perf_counter()
        verdicts = list(stream)
        ended = time.perf_counter()
        agreed = sum(verdict.correct is label for verdict, label in zip(verdicts, labels, strict=True))
        n = len(cases)
        ours, ours_cold = n / (ended - running), n / (ended - started)
        ours_used = _children_seconds() - used - start_used
        print(
            f"{family}: {n} responses, {workers} processes. Ours: {ours:.0f} verdicts/s ({ours_cold:.0f} with the start), "
            f"agreement {agreed / n:.4f}, {ours_used:.1f} processor seconds",
            flush=True,
        )
        for processes in (1, workers):
            for letters in (False, True) if family == "mmmu-pro" else (False,):
                pairs = [(case.gold, case.response, label, letters) for case, label in zip(cases, labels, strict=True)]
                used = _children_seconds()
                _warm_loops(processes, [])
                start_used = _children_seconds() - used
                used = _children_seconds()
                started = time.perf_counter()
                running, theirs_agreed = _warm_loops(
                    processes, [pairs[index::processes] for index in range(processes)]
                )
                ended = time.perf_counter()
                theirs_used = _children_seconds() - used - start_used
                theirs, theirs_cold = n / (ended - running), n / (ended - started)
                how = "with its string extraction, " if letters else ""
                print(
                    f"  math-verify, {how}{processes} loop(s): {theirs:.1f} verdicts/s ({theirs_cold:.1f} with the start), "
                    f"agreement {theirs_agreed / n:.4f}, {theirs_used:.1f} processor seconds; "
                    f"ratio {ours / theirs:.1f} ({ours_cold / theirs_cold:.1f} with the start), "
                    f"in processor seconds {theirs_used / ours_used:.1f}",
                    flush=True,
                )


def main() -> int:
    """Print what is asked for; 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="files whose name holds this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true", help="leave math-verify out (minutes)")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--only-speed", action="store_true", help="print the speed alone")
    parser.add_argument("--disagreements", type=Path, help="write what does not agree to this file")
    arguments = parser.parse_args()
    if arguments.only_speed:
        speed(arguments.workers)
        return 0
    reached = table(arguments.only, arguments.workers, not arguments.no_peers, arguments.disagreements)
    if not arguments.only:
        print()
        reached &= gold_table()
    if not arguments.no_speed and not arguments.only:
        print()
        speed(arguments.workers)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
