"""`formatting:` names of the formats: a raw row becomes LLaMA-Factory's aligned rows, or a reason why not.

A dataset of one of our formattings keeps every row: one that gives no example stays as an empty conversation with its
reason in the ROW columns, so that the row account can be read off the (cached) table afterwards. A row of several
questions or responses becomes as many aligned rows.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
from datasets import Features, Value
from llamafactory.data.converter import DatasetConverter
from llamafactory.data.data_utils import Role

from virgo_factory.autoload import check_hooks
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought, in_tags
from virgo_factory.data.read.media import BadMedia, check_header, find_image, store_image
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.templates import TEMPLATE_TAGS
from virgo_factory.formats import FORMATTINGS, Options, options_of, read_row
from virgo_factory.formats.row import RejectedRow, own_id, rendered
from virgo_factory.hooks.hook import Hook
from virgo_factory.hooks.template import pictures


RELIES_ON = {
    "llamafactory/data/converter.py:377": 'def register_dataset_converter(name: str, dataset_converter: type["DatasetConverter"]) -> None:',
    "llamafactory/data/converter.py:390": "return DATASET_CONVERTERS[name](dataset_attr, data_args)",
    "llamafactory/data/converter.py:129": '            "_audios": self._find_medias(example[self.dataset_attr.audios]) if self.dataset_attr.audios else None,',
    "llamafactory/data/converter.py:203": "            prompt = aligned_messages\n"
    "            response = [\n"
    "                {\n"
    '                    "role": tag_mapping[chosen[self.dataset_attr.role_tag]],',
    "llamafactory/data/data_utils.py:40": '    ASSISTANT = "assistant"',
    "llamafactory/data/mm_plugin.py:261": "            if isinstance(image, (str, BinaryIO)):\n                image = Image.open(image)",
}

RAW_COLUMNS = ["raw", "file", "line"]
"""Columns of a table made by our reader (hooks/data/loader.py)."""

NUMBER_COLUMN = "_number"
"""Column that the loader hook adds: the row's position in its dataset."""

ROW_FEATURES = {
    "_row_dataset": Value("string"),  # name in dataset_info.json
    "_row_number": Value("int64"),  # position in the dataset, from 0, before any sampling
    "_row_part": Value("int64"),  # of a row with several examples, from 0
    "_row_file": Value("string"),  # "" where the rows are not read by our reader
    "_row_line": Value("int64"),
    "_row_id": Value("string"),
    "_row_format": Value("string"),  # the family that the row shows; "" where it shows none
    "_row_reason": Value("string"),  # "" for a kept row
    "_row_detail": Value("string"),
    "_row_notes": Value("string"),  # of a kept row, a line each
}
PREFIX_FEATURE = {"_assistant_prefix": Value("string"), "_unlearned": Value("string"), "_asked": Value("string")}
"""What of the responses is context, not target, "" for most rows: how the last one begins, and which turns (from 0, such
as "0 2"). `_asked`: what the verdict on a response must know, as JSON; "" of rows that have their response."""
_MESSAGES = [{"role": Value("string"), "content": Value("string")}]
ALIGNED_FEATURES = Features(
    {
        "_prompt": _MESSAGES,
        "_response": _MESSAGES,
        "_system": Value("string"),
        "_tools": Value("string"),
        "_images": [Value("string")],
        "_videos": Value("null"),
        "_audios": Value("null"),
        **PREFIX_FEATURE,
        **ROW_FEATURES,
    }
)
"""One schema whatever the first rows hold: a first batch without images must not make images impossible later on.

Images are always paths (`pictures.ours`): those that rows carry as bytes are written once, by content (data/read/media.py)."""


_NO_EXAMPLE = {"_prompt": [], "_response": [], "_images": None, "_videos": None, "_audios": None} | dict.fromkeys(
    ("_system", "_tools", *PREFIX_FEATURE, "_row_reason", "_row_detail", "_row_notes"), ""
)


@dataclass
class LongThoughtConverter(DatasetConverter):
    """Converts rows of one dataset, a batch at a time.

    Attributes:
        code: fingerprint of our code and prompts, part of the cache's key.
        store: folder for images that rows carry as bytes.
        prefix: the text of the question prefix, also part of it: a file of the user's own may be edited.
        tags: of the responses, likewise: they follow from the template.
    """

    code: str = ""
    store: str = ""
    prefix: str = ""
    tags: str = ""
    options: Options = field(init=False)

    def __post_init__(self) -> None:
        check_hooks()
        is_serving = getattr(self.data_args, "virgo_serving", False)  # then the template adds it
        self.prefix = "" if is_serving else read_prefix(self.data_args.question_prefix)
        self.tags = TEMPLATE_TAGS.get(self.data_args.template, "virgo")
        try:
            self.options = options_of(self.dataset_attr.virgo_entry, self.data_args.malformed or "drop")
        except ValueError as error:
            raise UserError(f"dataset {self.dataset_attr.virgo_name}: {error}") from None

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the aligned rows of a table of raw rows and their NUMBER_COLUMN."""
        is_read = table.column_names == [*RAW_COLUMNS, NUMBER_COLUMN]
        columns: dict[str, list[Any]] = {name: [] for name in ALIGNED_FEATURES}
        for row in table.to_pylist():
            number = row.pop(NUMBER_COLUMN)
            raw = json.loads(row["raw"]) if is_read else row
            reading = read_row(raw, self.dataset_attr.formatting, self.options)
            place = {
                "_row_dataset": self.dataset_attr.virgo_name,
                "_row_number": number,
                "_row_file": row["file"] if is_read else "",
                "_row_line": row["line"] if is_read else 0,
                "_row_format": reading.format or "",
            }
            for part, found in enumerate(reading.parts):
                for name, value in {**self._align(found, raw), **place, "_row_part": part}.items():
                    columns[name].append(value)

        return pa.Table.from_pydict(columns, schema=ALIGNED_FEATURES.arrow_schema)

    def _align(self, found: Example | RejectedRow, raw: Any) -> dict[str, Any]:
        """Return the columns of one example but for its place; empty ones and the reason where there is none."""
        if isinstance(found, RejectedRow):
            return self._rejected(own_id(raw) if isinstance(raw, dict) else "", found.reason, found.detail)

        try:
            images = [self._image(image) for image in found.images]
        except BadMedia as error:
            return self._rejected(found.id, error.reason, str(error))

        prompt = []
        for turn in found.history:
            prompt += [_message(Role.USER, add_prefix(turn.question, self.prefix))]
            prompt += [_message(Role.ASSISTANT, self._text(turn.response))]

        prompt.append(_message(Role.USER, add_prefix(found.question, self.prefix)))
        responses = [found.response, found.rejected] if self.options.ranking else [found.response]
        return _NO_EXAMPLE | {
            "_prompt": prompt,
            "_response": [_message(Role.ASSISTANT, self._text(response)) for response in responses],
            "_system": found.system or "",
            "_images": images or None,
            "_assistant_prefix": in_tags(found.assistant_prefix, self.tags),
            "_unlearned": " ".join(str(at) for at, turn in enumerate(found.turns) if not turn.learned),
            "_asked": "" if found.asked is None else json.dumps({"id": found.id, **found.asked}, ensure_ascii=False),
            "_row_id": found.id,
            "_row_notes": "\n".join(found.notes).encode("utf-8", "backslashreplace").decode(),
        }

    def _text(self, response: LongThought | str) -> str:
        return in_tags(rendered(response), self.tags)

    def _image(self, image: Any) -> str:
        is_local = self.dataset_attr.load_from in ("file", "script")
        found = find_image(image, self.data_args.media_dir, None if is_local else self.dataset_attr.dataset_name)
        kind = check_header(found)
        return pictures.ours(found if isinstance(found, str) else store_image(found, kind, Path(self.store)))

    @staticmethod
    def _rejected(name: str, reason: str, detail: str) -> dict[str, Any]:
        # The row's own text may be in it, with half a surrogate pair, on which Arrow would stop.
        texts = {"_row_id": name, "_row_reason": reason, "_row_detail": detail}
        return _NO_EXAMPLE | {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}


def _message(role: Role, text: str) -> dict[str, str]:
    return {"role": role.value, "content": text}


def register_converters(module: ModuleType) -> None:
    """Add our formattings."""
    for name in FORMATTINGS:
        module.register_dataset_converter(name, LongThoughtConverter)


HOOK = Hook(modules=("llamafactory.data.converter",), relies_on=RELIES_ON, apply=register_converters)
