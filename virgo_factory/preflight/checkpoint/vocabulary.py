"""A model's tokens: whether each has its row, whether those that end an answer exist, and the template that chats are put in."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from virgo_factory.core.thought import MARKERS
from virgo_factory.preflight.checkpoint.weights import VOCABULARY, BrokenCheckpoint, Tensor, read_settings
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.versions import reads_5


GENERATION = "generation_config.json"
_PREFIX = re.compile(r'question_prefix \| default\(("(?:[^"\\]|\\.)*")\)')
_COPY = "copy it from the base model's folder"
_SEEN = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


def read_vocabulary(folder: Path) -> tuple[dict[str, int], set[int]]:
    """Return token -> id, without the rows that pad an embedding, and the ids of entries that were added.

    Raises BrokenCheckpoint where tokenizer.json cannot be read.
    """
    if not (folder / "tokenizer.json").is_file():
        return {}, set()

    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise BrokenCheckpoint(f"{folder / 'tokenizer.json'}: {error}", _COPY) from None

    return tokenizer.get_vocab(with_added_tokens=True), set(tokenizer.get_added_tokens_decoder())


def check_vocabulary(
    folder: Path, tensors: Mapping[str, Tensor], vocabulary: Mapping[str, int], is_ours: bool
) -> Iterator[Diagnosis]:
    """Yield what is right and wrong with tokenizer, rows, ids in the settings, markers and chat template.

    `is_ours`: the family is one of which it is known that every vocabulary is the tokenizer's.
    """
    if vocabulary and (folder / "tokenizer_config.json").is_file():
        listed = isinstance(read_settings(folder, "tokenizer_config.json").get("extra_special_tokens"), list)
        if listed and not reads_5():
            yield Diagnosis(
                "tokenizer", "error", "extra_special_tokens is a list (transformers 5.x): 4.x readers stop",
                "copy tokenizer_config.json from the base model, and add the new tokens to added_tokens_decoder",
            )  # fmt: skip

        yield from _rows(folder, tensors, vocabulary, is_ours)
        yield from _ids(folder, vocabulary, is_ours)
        yield _markers(vocabulary)

    yield _template(folder)


def _rows(
    folder: Path, tensors: Mapping[str, Tensor], vocabulary: Mapping[str, int], is_ours: bool
) -> Iterator[Diagnosis]:
    """Yield tables of the vocabulary that lack rows, or have other numbers of them than one another or than config.json."""
    rows = {name: tensor.shape[0] for name, tensor in tensors.items()
            if VOCABULARY.search(name) and ".lora_" not in name and len(tensor.shape) == 2}  # fmt: skip
    if not is_ours:  # speech and other parts may have vocabularies of their own
        rows = dict([(name, count) for name, count in rows.items() if "embed_tokens" in name][:1])

    found = False
    for name, count in rows.items():
        lacking = sorted((text not in MARKERS, id, text) for text, id in vocabulary.items() if id >= count)
        if lacking:
            found, (_, id, text) = True, lacking[0]
            what = f"{name} has {count:,} rows: none for {len(lacking):,} of {len(vocabulary):,} tokens, such as {id} {text!r}"
            remedy = "train with resize_vocab, or with the tokenizer that the model belongs to"
            yield Diagnosis("tokenizer", "error", what, remedy)

    config = read_settings(folder)
    size = {**config, **(config.get("text_config") or {})}.get("vocab_size")
    told = rows | ({"vocab_size of config.json": size} if isinstance(size, int) and rows and is_ours else {})
    if len(set(told.values())) > 1 and not found:
        found, what = True, ", ".join(f"{name} {count:,}" for name, count in told.items())
        yield Diagnosis(
            "tokenizer", "error", f"rows of the vocabulary differ: {what}", "save or merge the model again"
        )

    if not found:
        embedded = f", {max(rows.values()):,} embedding rows" if rows else ""
        yield Diagnosis("tokenizer", "ok", f"{len(vocabulary):,} tokens{embedded}")


def _ids(folder: Path, vocabulary: Mapping[str, int], is_ours: bool) -> Iterator[Diagnosis]:
    """Yield ids in the settings that are no tokens: those that end an answer, and those that stand for pictures."""
    config, ids = read_settings(folder), set(vocabulary.values())
    told = read_settings(folder, GENERATION).get("eos_token_id")
    where = GENERATION if told is not None else "config.json"
    if told is None:
        told = {**(config.get("text_config") or {}), **config}.get("eos_token_id")

    ends = told if isinstance(told, list) else [] if told is None else [told]
    if wrong := [id for id in ends if id not in ids]:
        what = f"{where}: eos_token_id {', '.join(map(str, wrong))} is no token: no answer would end with it"
        yield Diagnosis("generation", "error", what, _end(folder, vocabulary))
    elif ends:
        texts = {id: text for text, id in vocabulary.items()}
        yield Diagnosis("generation", "ok", f"answers end with {' or '.join(texts[id] for id in ends)}")

    if wrong := [key for key in _SEEN if is_ours and config.get(key) is not None and config[key] not in ids]:
        what = f"config.json: {', '.join(f'{key} {config[key]}' for key in wrong)}: no such token"
        yield Diagnosis("tokenizer", "error", what, "copy tokenizer and config.json from the same model")


def _end(folder: Path, vocabulary: Mapping[str, int]) -> str:
    token = read_settings(folder, "tokenizer_config.json").get("eos_token")
    token = token.get("content") if isinstance(token, dict) else token
    return f"set it to {vocabulary[token]}, {token}" if token in vocabulary else _COPY


def _markers(vocabulary: Collection[str]) -> Diagnosis:
    single = [marker for marker in MARKERS if marker in vocabulary]
    if single and len(single) < len(MARKERS):
        missing = ", ".join(marker for marker in MARKERS if marker not in single)
        return Diagnosis("markers", "error", f"{missing} is no token, the others are", "use the trained tokenizer")

    return Diagnosis("markers", "ok", "one token each" if single else "plain text")


def _template(folder: Path) -> Diagnosis:
    file = folder / "chat_template.jinja"
    if file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace")
    else:
        kept = [
            read_settings(folder, name).get("chat_template")
            for name in ("tokenizer_config.json", "chat_template.json")
        ]
        text = next((text for template in kept if (text := _default(template))), "")

    if not text.strip():
        return Diagnosis("chat template", "error", "none: a server would refuse chat requests", "copy the base's")

    if found := _PREFIX.search(text):
        prefix = json.loads(found[1])
        return Diagnosis("chat template", "ok", f"virgo, question prefix '{prefix}'" if prefix else "virgo, no prefix")

    return Diagnosis("chat template", "ok", "the base model's own, without a question prefix")


def _default(template: object) -> str:
    """Return a chat template, of several with names the one called default."""
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")

    return template if isinstance(template, str) else ""
