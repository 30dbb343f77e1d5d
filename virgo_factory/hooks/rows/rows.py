"""The row policy: encode each row whole, then decide by `overlong`, `malformed` and the response bounds.

LLaMA-Factory slices rows to `cutoff_len` before anyone sees their length (data/processor/supervised.py:76-81) and skips
rows in worker processes. Here every row that goes in comes out, a dropped one as a placeholder with its reason; the
loader hook reads the account off the table and then selects the kept rows.
"""

import copy
import functools
import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from datasets import Features, Value
from llamafactory.data.processor import (
    PairwiseDatasetProcessor,
    SupervisedDatasetProcessor,
    UnsupervisedDatasetProcessor,
)
from llamafactory.extras.constants import IGNORE_INDEX
from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.core.policy import Drop, Policy, cut_note, judge
from virgo_factory.hooks.data.converter import ROW_FEATURES
from virgo_factory.hooks.model.marker_tokens import text_tokenizer
from virgo_factory.hooks.rows.encoding import (
    encode_unlearned,
    encode_with_context,
    labels_behind,
    learned_labels,
    quick,
)


RELIES_ON = {
    "llamafactory/data/processor/supervised.py:52": "    def _encode_data_example(\n        self,\n        prompt: list[dict[str, str]],",
    "llamafactory/data/processor/supervised.py:73": "            if total_length >= self.data_args.cutoff_len:\n                break\n",
    "llamafactory/data/processor/supervised.py:67": "        encoded_pairs = self.template.encode_multiturn(self.tokenizer, messages, system, tools, discarding_history_cot)",
    "llamafactory/data/processor/supervised.py:113": '            if len(examples["_prompt"][i]) % 2 != 1 or len(examples["_response"][i]) != 1:',
    "llamafactory/data/processor/supervised.py:131": '            model_inputs["images"].append(examples["_images"][i])',
    "llamafactory/data/processor/pairwise.py:58": "        source_len, target_len = infer_seqlen(\n",
    "llamafactory/data/processor/pairwise.py:75": '            if len(examples["_prompt"][i]) % 2 != 1 or len(examples["_response"][i]) < 2:',
    "llamafactory/data/processor/unsupervised.py:31": "    def _encode_data_example(",
    "llamafactory/data/processor/processor_utils.py:29": 'class DatasetProcessor(ABC):\n    r"""A class for data processors."""\n\n    template: "Template"\n    tokenizer: "PreTrainedTokenizer"\n    processor: Optional["ProcessorMixin"]\n    data_args: "DataArguments"',
    "llamafactory/extras/constants.py:50": "IGNORE_INDEX = -100",
}

NO_LIMIT = 1 << 40
TOKENS = [Value("int32")]
LABELS = [Value("int64")]
MASK = [Value("int8")]
JUDGED = [
    *("_prompt", "_response", "_system", "_tools", "_images", "_videos", "_audios", "_assistant_prefix", "_unlearned"),
    *("_asked", "_row_dataset", "_row_reason", "_row_detail", "_row_notes"),
]
"""Columns that deciding about a row needs; the other ROW columns go through as they are."""


@dataclass
class _RowPolicy:
    """What the processors of all stages share; its fields come on top of LLaMA-Factory's own.

    Attributes:
        formattings: dataset name -> formatting, of the datasets in one of ours.
        code: fingerprint of our code and prompts, part of the key of the datasets cache.
    """

    formattings: dict[str, str] = field(default_factory=dict)
    code: str = ""
    takes_prefix = False

    def columns(self, media: Features) -> Features:
        """Return the schema of the tokenised table, fixed so that a first batch of dropped rows cannot spoil it."""
        return Features({**self.token_columns, **media, **ROW_FEATURES})

    def preprocess_table(self, table: pa.Table, media: Features) -> pa.Table:
        """Return one tokenised row for every aligned row, with the ROW columns."""
        self._whole = copy.copy(self.data_args)
        self._whole.cutoff_len = NO_LIMIT
        special = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        outputs: dict[str, list[Any]] = {
            name: [] for name in [*self.token_columns, *media, "_row_reason", "_row_detail", "_row_notes"]
        }
        own, self.tokenizer = self.tokenizer, quick(self.tokenizer)
        try:
            for row in table.select(JUDGED).to_pylist():
                reason, detail, notes = (row[name] or "" for name in ("_row_reason", "_row_detail", "_row_notes"))
                encoded = None
                if not reason:
                    encoded, reason, detail, cut = self._judge(row, special)
                    notes = "\n".join(filter(None, (notes, cut)))

                for name, value in (encoded or self.placeholder()).items():
                    outputs[name].append(value)

                for name in media:
                    outputs[name].append(None if reason else row[f"_{name}"])

                outputs["_row_reason"].append(reason)
                outputs["_row_detail"].append(detail)
                outputs["_row_notes"].append(notes)
        finally:
            self.tokenizer = own

        schema = self.columns(media).arrow_schema
        unchanged = {name: table.column(name) for name in ROW_FEATURES if name not in outputs}
        return pa.Table.from_pydict(outputs | unchanged, schema=schema)

    def _judge(self, row: dict[str, Any], special: list[str]) -> tuple[dict[str, Any] | None, str, str, str]:
        """Return the encoded row, or None; reason and detail of dropping it; and a note, if it was cut."""
        data_args = self.data_args
        ours = row["_row_dataset"] in self.formattings
        overlong = data_args.overlong or ("drop" if ours else "truncate")
        bounds = (data_args.min_response_tokens, data_args.max_response_tokens) if ours else (None, None)
        policy = Policy(data_args.cutoff_len, overlong == "truncate", *bounds, takes_prefix=self.takes_prefix)
        facts = _RunFacts(self, row, special if ours else [], ours)
        if found := judge(facts, policy):
            return None, *found, ""

        return facts.encoded, "", "", cut_note(facts.tokens, policy)

    def _are_refused(self, images: list[str]) -> bool:
        """Whether the model's image processor cannot take these images, whatever the text is: a side ratio above 200."""
        try:
            self.template.mm_plugin._get_mm_inputs(images, [], [], self.processor)
        except ValueError:
            return True

        return False

    def _response_tokens(self, row: dict[str, Any]) -> list[int]:
        """Return the length of each response of a row, without end of turn, markers as text."""
        tokenizer = getattr(self.tokenizer, "virgo_text_tokenizer", self.tokenizer)
        messages = [message for message in row["_prompt"] + row["_response"] if message["role"] == "assistant"]
        unlearned = row["_unlearned"].split()
        messages = [message for turn, message in enumerate(messages) if str(turn) not in unlearned]
        return [len(tokenizer.encode(message["content"], add_special_tokens=False)) for message in messages]

    def _arguments(self, row: dict[str, Any]) -> dict[str, Any]:
        names = ("prompt", "response", "system", "tools")
        media = ("images", "videos", "audios")
        return {name: row[f"_{name}"] for name in names} | {name: row[f"_{name}"] or [] for name in media}

    def _encode_with(self, row: dict[str, Any], data_args: Any) -> Any:
        own, self.data_args = self.data_args, data_args
        try:
            return self._encode_data_example(**self._arguments(row))
        finally:
            self.data_args = own


@dataclass
class SupervisedRows(_RowPolicy, SupervisedDatasetProcessor):
    """Rows of supervised fine-tuning."""

    token_columns = {"input_ids": TOKENS, "attention_mask": MASK, "labels": LABELS}
    takes_prefix = True

    @staticmethod
    def placeholder() -> dict[str, list[int]]:
        return {"input_ids": [0], "attention_mask": [0], "labels": [-100]}

    @staticmethod
    def is_complete(row: dict[str, Any]) -> bool:
        return len(row["_prompt"]) % 2 == 1 and len(row["_response"]) == 1

    def encode(self, row: dict[str, Any], data_args: Any) -> tuple[dict[str, list[int]], int]:
        """Return the columns of the row, cut at `data_args.cutoff_len`, and its length in tokens."""
        stock = template = self.template
        if row["_assistant_prefix"]:
            template = copy.copy(stock)
            template.encode_multiturn = functools.partial(encode_with_context, stock, row["_assistant_prefix"])

        try:
            self.template = template
            input_ids, labels = self._encode_with(row, data_args)
            if row["_unlearned"]:
                self.template = copy.copy(template)
                unlearned = set(map(int, row["_unlearned"].split()))
                self.template.encode_multiturn = functools.partial(encode_unlearned, template, unlearned)
                _, labels = self._encode_with(row, data_args)
                labels = learned_labels(labels, IGNORE_INDEX, stock.efficient_eos)
        finally:
            self.template = stock

        return _columns(input_ids, labels), len(input_ids)


def _columns(input_ids: list[int], labels: list[int]) -> dict[str, list[int]]:
    return {"input_ids": input_ids, "attention_mask": [1] * len(input_ids), "labels": labels}


class _RunFacts:
    """What a run knows of a row, each fact found out when it is asked for; see `policy.Facts`."""

    def __init__(self, rows: _RowPolicy, row: dict[str, Any], special: list[str], ours: bool) -> None:
        self.rows, self.row, self.special, self.ours = rows, row, special, ours
        self.encoded: dict[str, Any] | None = None
        self.tokens = 0

    @property
    def rejected(self) -> Drop | None:
        return None if self.rows.is_complete(self.row) else Drop("invalid example", "not a question and a response")

    @property
    def control_token(self) -> tuple[str, str] | None:
        # Only the text itself can be judged: the places of images are expanded later on.
        for message in self.row["_prompt"] + self.row["_response"]:
            if found := next((token for token in self.special if token in message["content"]), None):
                return "question" if message["role"] == "user" else "response", found

        return None

    @property
    def responses(self) -> list[int]:
        return self.rows._response_tokens(self.row)

    @property
    def has_prefix(self) -> bool:
        return bool(self.row["_assistant_prefix"])

    @property
    def unreadable(self) -> str:
        rows, row = self.rows, self.row
        shows = self.ours and row["_images"]
        if shows:
            try:
                rows.template.mm_plugin._validate_input(rows.processor, row["_images"], [], [])
            except ValueError as error:  # of the run's template or model, which no row is to blame for
                raise UserError(f"dataset {row['_row_dataset']}: a row has images, but: {error}") from None

        try:
            self.encoded, self.tokens = rows.encode(row, rows._whole)
        except Exception as error:  # decoders raise anything; ValueError: an image of a size that is refused
            if not shows or not (_is_broken(row["_images"]) or rows._are_refused(row["_images"])):
                raise

            return f"{error}" or type(error).__name__

        return ""

    @property
    def is_learned(self) -> bool:
        if self.tokens > self.rows.data_args.cutoff_len:  # as stock cuts it
            self.encoded, _ = self.rows.encode(self.row, self.rows.data_args)

        if not (self.row["_unlearned"] or self.row["_assistant_prefix"]):
            return True

        return all(max(labels) != IGNORE_INDEX for name, labels in self.encoded.items() if name.endswith("labels"))


def _is_broken(images: list[str]) -> bool:
    """Whether Pillow cannot decode one of these files."""
    for image in images:
        try:
            with Image.open(image) as opened:
                opened.load()
        except Exception:
            return True

    return False


@dataclass
class PairwiseRows(_RowPolicy, PairwiseDatasetProcessor):
    """Rows of preference training.

    The beginning of both sides that a row names as `assistant_prefix` is context: it cancels in the preference, and `pref_ftx`
    learns nothing of it.
    """

    takes_prefix = True
    token_columns = {
        f"{side}_{name}": feature
        for side in ("chosen", "rejected")
        for name, feature in SupervisedRows.token_columns.items()
    }

    @staticmethod
    def placeholder() -> dict[str, list[int]]:
        one = SupervisedRows.placeholder()
        return {f"{side}_{name}": value for side in ("chosen", "rejected") for name, value in one.items()}

    @staticmethod
    def is_complete(row: dict[str, Any]) -> bool:
        return len(row["_prompt"]) % 2 == 1 and len(row["_response"]) >= 2

    def _response_tokens(self, row: dict[str, Any]) -> list[int]:
        return super()._response_tokens(row | {"_prompt": [], "_unlearned": ""})  # earlier turns are context

    def encode(self, row: dict[str, Any], data_args: Any) -> tuple[dict[str, list[int]], int]:
        """Return the columns of the pair and the length of the longer side."""
        chosen, chosen_labels, rejected, rejected_labels = self._encode_with(row, data_args)
        if prefix := row["_assistant_prefix"]:
            texts = [message["content"] for message in row["_response"]]
            chosen_labels, rejected_labels = (
                labels_behind(self.tokenizer, prefix, text, labels, IGNORE_INDEX)
                for text, labels in zip(texts, (chosen_labels, rejected_labels), strict=False)
            )

        sides = {"chosen": (chosen, chosen_labels), "rejected": (rejected, rejected_labels)}
        columns = {f"{side}_{name}": value for side, pair in sides.items() for name, value in _columns(*pair).items()}
        return columns, max(len(chosen), len(rejected))


@dataclass
class PredictionRows(_RowPolicy, UnsupervisedDatasetProcessor):
    """Rows of an evaluation set with `predict_with_generate`: the prompt, and the response as labels."""

    token_columns = {"input_ids": TOKENS, "attention_mask": MASK, "labels": LABELS}
    placeholder = staticmethod(SupervisedRows.placeholder)

    @staticmethod
    def is_complete(row: dict[str, Any]) -> bool:
        return len(row["_prompt"]) % 2 == 1

    def encode(self, row: dict[str, Any], data_args: Any) -> tuple[dict[str, list[int]], int]:
        """Return the columns of the row and the length of prompt and response together."""
        input_ids, labels = self._encode_with(row, data_args)
        return _columns(input_ids, labels), len(input_ids) + len(labels)


@dataclass
class InferenceRows(PredictionRows):
    """Rows of a script that asks a model (LLaMA-Factory's scripts/vllm_infer.py): `cutoff_len` is the prompt's."""

    def encode(self, row: dict[str, Any], data_args: Any) -> tuple[dict[str, list[int]], int]:
        """Return the columns of the row and the length of its prompt."""
        columns, _ = super().encode(row, data_args)
        return columns, len(columns["input_ids"])


@dataclass
class PromptRows(InferenceRows):
    """Prompts that a policy answers in training (stage grpo), with what the verdict on an answer must know."""

    token_columns = {"input_ids": TOKENS, "attention_mask": MASK, "asked": Value("string")}

    @staticmethod
    def placeholder() -> dict[str, Any]:
        return {"input_ids": [0], "attention_mask": [0], "asked": ""}

    def encode(self, row: dict[str, Any], data_args: Any) -> tuple[dict[str, Any], int]:
        """Return the columns of the row and the length of its prompt."""
        columns, tokens = super().encode(row, data_args)
        said = {"system": row["_system"] or self.template.default_system, "user": row["_prompt"][-1]["content"]}
        columns["asked"] = json.dumps(json.loads(row["_asked"]) | said, ensure_ascii=False)
        return {name: columns[name] for name in self.token_columns}, tokens

    def print_data_example(self, example: dict[str, Any]) -> None:
        """Print a prompt as LLaMA-Factory prints its rows."""
        print(f"prompt_ids:\n{example['input_ids']}")
        print(f"prompt:\n{self.tokenizer.decode(example['input_ids'], skip_special_tokens=False)}")
        print(f"asked:\n{example['asked']}")


def make_processor(stage: str, generates: bool, **arguments: Any) -> _RowPolicy:
    """Return the row processor of a training stage."""
    data_args, tokenizer = arguments["data_args"], arguments["tokenizer"]
    if data_args.min_response_tokens or data_args.max_response_tokens:
        counter = text_tokenizer(tokenizer)
        if counter is not tokenizer:
            tokenizer.virgo_text_tokenizer = counter

    if stage == "ppo":
        return InferenceRows(**arguments)

    if stage == "grpo":
        return PromptRows(**arguments)

    kind = PairwiseRows if stage == "rm" else PredictionRows if generates else SupervisedRows
    return kind(**arguments)
