"""A LoRA adapter is merged, served and trained on as it was trained: its markers, question prefix and system message.

LLaMA-Factory takes tokenizer and processor from the base model; what a run has put there (`marker_tokens`,
`question_prefix`, `default_system`) stands in the folder of the adapter only.
"""

import contextlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llamafactory.extras import logging
from transformers.utils import cached_file

from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import MARKERS
from virgo_factory.hooks.template.template import BASES, carried, is_ours, saying, served


RELIES_ON = {
    "llamafactory/model/adapter.py:191": "            model = model.merge_and_unload()\n",
    "llamafactory/model/loader.py:125": "def load_config(model_args:",
}

EMBEDDING, HEAD = "embed_tokens", "lm_head"

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def known_config(model_args: Any) -> Any:
    """Return the configuration of the base model; None where it cannot be read: the loader meets the same error again and tells it."""
    from llamafactory.model.loader import load_config

    with contextlib.suppress(Exception):
        return load_config(model_args)

    return None


@dataclass(frozen=True)
class TrainedAdapter:
    """What the folder of an adapter says.

    Attributes:
        markers: those that are single tokens of its tokenizer, with their ids.
        apart: the adapter of the recipe that holds an embedding or an output head trained without the other; None if
            no one does.
    """

    folder: str
    markers: dict[str, int] = field(default_factory=dict)
    chat_template: str | None = None
    apart: str | None = None


def read_adapter(model_args: Any, hub: bool) -> TrainedAdapter | None:
    """Return what the last of `adapter_name_or_path` that has a tokenizer says; None without one.

    `hub`: look at adapters on the hub, too, not only at local folders.
    """
    found, apart = None, None
    for name in reversed(model_args.adapter_name_or_path or []):
        if not (hub or Path(name).is_dir()):
            continue

        peft = _read_json(name, "adapter_config.json", model_args)
        targets = {EMBEDDING, HEAD} & set(peft.get("modules_to_save") or [])
        if HEAD in targets or (targets and not peft.get("ensure_weight_tying")):
            apart = name

        config = _read_json(name, "tokenizer_config.json", model_args)
        if not config or found:
            continue

        added = {token["content"]: int(number) for number, token in config.get("added_tokens_decoder", {}).items()}
        added |= _read_json(name, "added_tokens.json", model_args)
        template = _read(name, "chat_template.jinja", model_args) or config.get("chat_template")
        found = TrainedAdapter(
            folder=name,
            markers={marker: added[marker] for marker in MARKERS if marker in added},
            chat_template=template if isinstance(template, str) else None,
        )

    return replace(found, apart=apart) if found else None


def _read(name: str, file: str, model_args: Any) -> str | None:
    with contextlib.suppress(OSError):  # the loader meets the same error again and tells it
        path = cached_file(
            name,
            file,
            cache_dir=model_args.cache_dir,
            revision=model_args.model_revision,
            token=model_args.hf_hub_token,
            subfolder=model_args.adapter_folder or "",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
        if path:
            return Path(path).read_text(encoding="utf-8")

    return None


def _read_json(name: str, file: str, model_args: Any) -> dict[str, Any]:
    try:
        return json.loads(_read(name, file, model_args) or "{}")
    except ValueError as error:
        raise UserError(f"{name}/{file}: {error}. The adapter was cut short while it was saved.") from None


def take_markers(adapter: TrainedAdapter | None, model_args: Any, training: bool) -> None:
    """Set `marker_tokens` as the adapter was trained, if the recipe leaves it out.

    Raises:
        ValueError: the recipe says otherwise.
    """
    if adapter is None:
        return

    if adapter.markers and model_args.marker_tokens is None:
        model_args.marker_tokens = True
        logger.info_rank0(f"virgo-factory: marker_tokens: true, since {adapter.folder} was trained with it.")
    elif adapter.markers and model_args.marker_tokens is False:
        raise UserError(
            f"marker_tokens: false, but {adapter.folder} was trained with the markers as single tokens. Remove the key."
        )
    elif model_args.marker_tokens and not adapter.markers and not training:
        raise UserError(
            f"marker_tokens: true, but {adapter.folder} was trained with the markers as text. Remove the key."
        )


def check_markers(adapter: TrainedAdapter | None, tokenizer: Any) -> None:
    """Raise if the markers have other ids than the adapter was trained with.

    Raises:
        ValueError: with the first such marker; the base model is another one.
    """
    for marker, token in (adapter.markers if adapter else {}).items():
        if (own := tokenizer.convert_tokens_to_ids(marker)) != token:
            raise UserError(
                f"{marker} is token {own} of this base model's tokenizer, but {token} in {adapter.folder}: the adapter was "
                "trained on another base model. Set model_name_or_path to that one."
            )


def serve_as_trained(loaded: dict[str, Any], adapter: TrainedAdapter | None, data_args: Any) -> None:
    """Give tokenizer and processor the chat template that the model was trained with, and say which prefix is in it.

    `export` saves both, the processor's over the tokenizer's.
    """
    tokenizer, processor = loaded["tokenizer"], loaded["processor"]
    source = "the chat template of the model"
    if adapter and adapter.chat_template:
        tokenizer.chat_template, source = adapter.chat_template, f"the chat template of {adapter.folder}"

    if data_args.template in BASES:
        prefix, system = served(tokenizer, data_args)
        tokenizer.chat_template = saying(tokenizer.chat_template, data_args.template, prefix, system)
        source = "the recipe" if data_args.question_prefix is not None else source
        what = f"the question prefix {prefix!r}" if prefix else "no question prefix"
        logger.info_rank0(f"virgo-factory: serving with {what}, as {source} says.")
    elif prefix := trained_prefix(tokenizer.chat_template):
        logger.warning_rank0(
            f"virgo-factory: template: {data_args.template} leaves out the question prefix {prefix!r} that {source} has. "
            f"Set template: {' or '.join(BASES)}."
        )

    if processor is not None and is_ours(tokenizer.chat_template):
        processor.chat_template = tokenizer.chat_template


def trained_prefix(chat_template: str | None) -> str:
    """Return the question prefix of a chat template of ours; "" for every other one."""
    return carried(chat_template, next(iter(BASES)))[0]
