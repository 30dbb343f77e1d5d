"""Findings of many rows: counted by kind, the first of each kept in memory, all of them in a file."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from virgo_factory.data.read.reader import place_of


SHOWN = 20
"""Findings of a kind that are kept in memory."""

KINDS = {
    "overlong": ("longer than cutoff_len", "Raise cutoff_len, or leave it: overlong: drop does not train on them."),
    "benchmark_copy": ("a question of the benchmark", "Remove it, or do not report that benchmark."),
    "not_json": ("not JSON", "Repair or remove the line; a file cut off in the middle is no data."),
    "other_cells": (
        "a row with more or fewer cells than the header",
        "Write every cell, empty ones too; a cell with a comma or a line break in it stands in quotation marks.",
    ),
    "not_utf8": ("not UTF-8", "Convert the file as the line says, and look at what comes out."),
    "key_twice": ("a key of an object stands twice", "Take one out: which of its values is meant is not known."),
    "not_csv": ("not CSV", "Close the quotation mark; inside quotes one is written twice."),
    "second_list": ("a second list of objects", "Put each list into a file and an entry of its own."),
    "mixed_formats": ("of another format than most rows", "A run stops on this. Put each format into a file of its own, or bring all to one: data convert."),
    "duplicate": ("the same row again", "Remove it, or leave it if it is to weigh more."),
    "near_duplicate": ("nearly the same as an earlier row", "Look at the pair; keep one, or both if they differ in what counts."),
    "duplicate_id": ("an id that stands there before", "Give each row its own id: results are kept by id."),
    "answers_differ": ("another answer than an earlier row has to the same question", "Look which is right; leave the other row out."),
    "thought_tiny": ("the thought is one word", "Remove the row: it teaches not to think."),
    "thought_is_solution": ("the thought is the solution again", "Leave the row out: it teaches to write one text twice, and no thought."),
    "answer_not_in_thought": ("the thought never mentions the answer that the solution boxes", "Look at it: thoughts that stop early teach to guess."),
    "gold_contradicted": (
        "the solution's answer is not the row's gold answer",
        "Look which is right; leave the row out where the solution is wrong. No more than 50 are looked for in a part of a file.",
    ),
    "no_such_option": ("the solution boxes a letter that none of the question's options has", "Look at it: the options are of another row, or the solution is wrong."),
    "damaged_text": ("damaged text", "Write the row again from its source: escapes, or an encoding, were read wrongly; it is trained on as it is."),
    "no_answer": ("the solution says nothing, or refuses to answer", "Leave the row out, unless its question is one to be refused."),
    "two_answers": ("the response gives two answers that differ", "Look which is right, and take the other out, or leave the row out."),
    "loop": ("the response repeats itself", "Remove it: it teaches never to stop."),
    "the_response_is_marked_wrong": ("the response is marked wrong", "Nothing to do: it is not trained on."),
    "no_correct_response": ("no correct response", "Nothing to do: it is not trained on."),
    "mark_not_understood": (
        "a mark of the response, or of the row, whose meaning is not known",
        "Look what it means; write true or false in a column `correct`, or leave out the rows that are not to be learned.",
    ),
    "yes_or_no_not_read": (
        "yes or no in a column that is not read",
        "If it says that the response is wrong or to be left out, call it `correct`, with true or false; else there is nothing to do.",
    ),
    "column_not_trained": (
        "a column beside the question that is not trained on",
        "If it belongs to the prompt, the line puts it behind the question; if the question is whole without it, say so: "
        '"columns": {"question": "NAME"} in the entry of dataset_info.json.',
    ),
    "column_not_in_messages": (
        "a column beside the messages that is not trained on",
        "If it belongs to the prompt, write it into the messages; if they are whole without it, say so: "
        '"columns": {"messages": "NAME"} in the entry of dataset_info.json.',
    ),
    "second_response": (
        "a second response that differs and is not trained on",
        'Say which is meant: "columns": {"response": "NAME"} in the entry of dataset_info.json.',
    ),
    "row_not_weighed": (
        "a weight or loss of the row that is not 0 or 1",
        "The row is learned in full: rows are not weighed. Write 0 to leave it out and 1 to learn it; rename the column "
        "if it means something else. To weigh a dataset: interleave_probs.",
    ),
    "prompt_names_tags": (
        "the prompt names tags, or a mode, that the target does not have",
        "Take the sentence out: the target has the four markers, whatever the prompt asks for.",
    ),
    "prompt_asks_for_less": (
        "the prompt asks for a word or a letter alone, and the solution is long",
        "Take the sentence out, or write shorter solutions: the model is to do as it is asked.",
    ),
    "foreign_token_in_the_prompt": (
        "a control token, or who speaks, of another model's template in the prompt",
        "Take the frame of the other model's template out: the prompt alone belongs into the row.",
    ),
    "part_in_tags": (
        "a part of the response in tags is trained as it is",
        "If it is a thought, write it into the thought; else take the tags out, unless the model is to write them.",
    ),
    "nothing_in_it_is_marked_to_be_learned": ("nothing in it is marked to be learned", "Nothing to do: it is not trained on."),
    "the_mark_of_what_is_to_be_learned_is_not_understood": (
        "the mark of what is to be learned is not understood",
        "The row is not trained on. Write true or false (1 or 0) at `loss` of each response: there is no part of a loss.",
    ),
    "a_control_token_of_another_model_in_the_response": (
        "a control token of another model in the response",
        "Take it out where it ends a response; text about such tokens, or HTML, has it in `backticks`.",
    ),
    "control_token_in_the_response": ("control token in the response", "Write it with other signs, < |im_end|>, or leave the row out: it is read as the token, quoted or not."),
    "the_response_runs_on_into_the_next_turn": (
        "the response runs on into the next turn",
        "Cut it off there: the end of a response is what a model learns to stop by.",
    ),
    "next_question": ("behind the answer another question, or turn, seems to begin", "Cut it off there, unless the task has several questions."),
    "mid_sentence": ("the thought or the solution seems to end in mid-sentence", "Leave the row out, or complete it: the end of a response is what a model learns to stop by."),
    "code_output": ("code, and its output behind it", "If an interpreter wrote the output, leave the row out: a model learns to make outputs up."),
    "tool_calls_are_not_trained": ("tools, which the prompt has no place for", "The row is not trained on. Where its response needs no tool, take the column out."),
    "no_tags_of_a_known_format": (
        "no tags of a known format",
        "Repair the rows. Those that are to have no thought: malformed: keep, or a file of their own in one of LLaMA-Factory's formattings.",
    ),
    "malformed_kept": ("no long thought, kept by malformed: keep", "Use malformed: drop to leave them out."),
    "only_the_id_of_a_picture": (
        "only the id of a picture",
        "If the question needs it, write its path into a column images, which data materialize does for LLaVA-OneVision's; if "
        'none does: "columns": {"images": "images"} in the entry of dataset_info.json.',
    ),
    "no_picture": (
        "the question speaks of a picture that the row does not have",
        "Give it in a column images, or leave the row out: its thought tells of what the model does not see.",
    ),
    "image_missing": ("image missing", "Set --media-dir (media_dir: in the recipe) to the folder that the paths start from."),
    "image_outside_media_dir": ("image outside media_dir", "Name their folder in VIRGO_FACTORY_MEDIA_ROOTS, or copy the images below media_dir."),
    "image_is_a_url": ("image is a URL", "Fetch the images once and give their paths."),
    "image_truncated": ("image cut off or damaged", "Fetch the file again."),
    "image_unreadable": ("image not readable", "Replace the file, or remove the row."),
    "image_too_large": ("image too large to decode", "Shrink it."),
    "image_huge": ("image far larger than image_max_pixels", "Shrink it once: training decodes it in every epoch."),
    "image_animated": ("image with several frames", "Save the frame that is meant as PNG or JPEG."),
    "image_cmyk": ("image in CMYK", "Convert it to RGB."),
    "image_invisible": ("image with nothing to be seen on white", "Save it on a ground that its lines stand out from."),
    "image_transparent": ("transparent image", "Nothing to do: it is laid on white, in training and everywhere else."),
    "image_range": (
        "image of more than 8 bits whose range is guessed from its values",
        "Look at it (data preview shows what is seen); where it is too dark or too bright, save it with 8 bits.",
    ),
    "image_deep": ("image of more than 8 bits a channel", "Nothing to do: it is scaled to 8 bits, by its range."),
    "image_turned": ("image turned by its EXIF", "Nothing to do: it is turned upright, in training and everywhere else."),
    "image_ratio": ("image too long and narrow", "Cut it, or put it on a wider ground."),
    "benchmark_overlap": ("shares 8 words in a row with a benchmark question", "Look at it: often a common phrase."),
}  # fmt: skip
"""Code -> words for people, and what to do; in the order of importance. Rows dropped for another reason have its words."""

REPAIR = "Repair the rows, or leave them: malformed: drop does not train on them."
MAP = "Write into dataset_info.json what the line says, or leave the rows: malformed: drop does not train on them."


@dataclass(frozen=True, slots=True)
class RowFinding:
    """A finding with the place of its row."""

    dataset: str
    file: str
    line: int
    number: int
    id: str
    code: str
    severity: str
    detail: str

    @property
    def place(self) -> str:
        """`file:line`, or the number of the row in a table, of the item in a JSON list on one line."""
        return place_of(self.file, self.line, self.number)

    def to_json(self) -> dict[str, Any]:
        return {"place": self.place, **asdict(self), "line": max(self.line, 0)}


@dataclass
class Kind:
    """All findings of one kind: how many there are, and the first 20."""

    code: str
    severity: str
    words: str
    remedy: str
    count: int = 0
    shown: list[RowFinding] = field(default_factory=list)


class Findings:
    """Takes findings in; a finding of every row of a million costs the memory of 20."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.kinds: dict[tuple[str, str], Kind] = {}
        self._file = file

    def add(self, found: RowFinding, words: str = "") -> None:
        """Count a finding, write it into the file, and keep it if it is one of the first of its kind.

        `words`: what its kind is called where KINDS does not say.
        """
        kind = self.kinds.get((found.code, found.severity))
        if kind is None:
            repair = MAP if "dataset_info.json" in found.detail else REPAIR
            named, remedy = KINDS.get(found.code, (words or found.code.replace("_", " "), repair))
            kind = Kind(found.code, found.severity, named, remedy)
            self.kinds[found.code, found.severity] = kind

        kind.count += 1
        if len(kind.shown) < SHOWN:
            kind.shown.append(found)

        if self._file:
            self._file.write(f"{json.dumps(found.to_json(), ensure_ascii=False)}\n")

    def ranked(self) -> list[Kind]:
        """Return the kinds, most important first: errors by count, then warnings and infos in the order of KINDS."""
        order = {code: number for number, code in enumerate(KINDS)}

        def rank(kind: Kind) -> tuple[int, int, int, str]:
            is_warning = ("error", "warning", "info").index(kind.severity)
            return is_warning, order.get(kind.code, 0) if is_warning else 0, -kind.count, kind.remedy

        return sorted(self.kinds.values(), key=rank)
