"""`formatting:` names of the adapters: a raw row becomes LLaMA-Factory's aligned row, or a reason why not.

A dataset of one of our formattings keeps every row: one that gives no example stays as an empty conversation with its
reason in the ROW columns, so that the row account can be read off the (cached) table afterwards.
"""

import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from datasets import Features, Value
from llamafactory.data.data_utils import Role

from virgo_factory.adapters import ADAPTERS, to_example
from virgo_factory.adapters.row import RejectedRow, own_id
from virgo_factory.autoload import check_hooks
from virgo_factory.datasets.media import BadMedia, resolve_image
from virgo_factory.prefix import add_prefix, read_prefix


RELIES_ON = {
    "data/converter.py": [
        'def register_dataset_converter(name: str, dataset_converter: type["DatasetConverter"]) -> None:',
        "return DATASET_CONVERTERS[name](dataset_attr, data_args)",
        '            "_audios": self._find_medias(example[self.dataset_attr.audios]) if self.dataset_attr.audios else None,',
    ],
    "data/data_utils.py": ['    ASSISTANT = "assistant"'],
}

RAW_COLUMNS = ("raw", "file", "line")
"""Columns of a table made by our reader (hooks/loader.py)."""

NUMBER_COLUMN = "_number"
"""Column that the loader hook adds: the row's position in its dataset."""

ROW_FEATURES = {
    "_row_dataset": Value("string"),  # name in dataset_info.json
    "_row_number": Value("int64"),  # position in the dataset, from 0, before any sampling
    "_row_file": Value("string"),  # "" where the rows are not read by our reader
    "_row_line": Value("int64"),
    "_row_id": Value("string"),
    "_row_reason": Value("string"),  # "" for a kept row
    "_row_detail": Value("string"),
}
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
        **ROW_FEATURES,
    }
)
"""One schema whatever the first rows hold: a first batch without images must not make images impossible later on."""


@dataclass
class LongThoughtConverter:
    """Converts rows of one dataset.

    Attributes:
        code: fingerprint of our code and prompts, part of the cache's key.
        prefix: the text of the question prefix, also part of it: a file of the user's own may be edited.
    """

    dataset_attr: Any
    data_args: Any
    code: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        check_hooks()
        self.prefix = read_prefix(self.data_args.question_prefix)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        row = dict(row)
        number = row.pop(NUMBER_COLUMN)
        is_read = tuple(row) == RAW_COLUMNS
        raw = json.loads(row["raw"]) if is_read else row
        place = {
            "_row_dataset": self.dataset_attr.virgo_name,
            "_row_number": number,
            "_row_file": row["file"] if is_read else "",
            "_row_line": row["line"] if is_read else 0,
        }
        try:
            example = to_example(raw, self.dataset_attr.formatting, self.data_args.malformed == "keep")
            images = [self._image(image) for image in example.images]
        except RejectedRow as error:
            return {**self._aligned([], [], "", None), **place, **self._rejected(raw, error.reason, error.detail)}
        except BadMedia as error:
            return {**self._aligned([], [], "", None), **place, **self._rejected(raw, "image missing", str(error))}

        messages = []
        for turn in example.turns:
            response = turn.response if isinstance(turn.response, str) else turn.response.render()
            messages.append({"role": Role.USER.value, "content": add_prefix(turn.question, self.prefix)})
            messages.append({"role": Role.ASSISTANT.value, "content": response})

        return {
            **self._aligned(messages[:-1], messages[-1:], example.system or "", images or None),
            **place,
            "_row_id": example.id,
            "_row_reason": "",
            "_row_detail": "",
        }

    def _image(self, image: Any) -> str:
        if not isinstance(image, str):
            raise RejectedRow("image is not a path", f"found {type(image).__name__}")

        if self.dataset_attr.load_from not in ("file", "script"):  # as LLaMA-Factory: hub rows give no local paths
            raise RejectedRow("image is not local", image)

        return resolve_image(image, self.data_args.media_dir)

    @staticmethod
    def _aligned(prompt: list, response: list, system: str, images: list[str] | None) -> dict[str, Any]:
        return {
            "_prompt": prompt,
            "_response": response,
            "_system": system,
            "_tools": "",
            "_images": images,
            "_videos": None,
            "_audios": None,
        }

    @staticmethod
    def _rejected(raw: Any, reason: str, detail: str) -> dict[str, Any]:
        texts = {"_row_id": own_id(raw) if isinstance(raw, dict) else "", "_row_reason": reason, "_row_detail": detail}
        # The row's own text may be in it, with half a surrogate pair, on which Arrow would stop.
        return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}


def register_converters(module: ModuleType) -> None:
    """Hook on llamafactory.data.converter."""
    for name in ADAPTERS:
        module.register_dataset_converter(name, LongThoughtConverter)
