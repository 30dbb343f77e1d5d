"""The first stage of a smoke run: recipe and dataset entries, all that is wrong told at once."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.recipe_keys import RL_DEFAULTS, told_together, wrong_values
from virgo_factory.core.reinforcement import contradictions
from virgo_factory.data.read.source import (
    STOCK_CUTOFF_LEN,
    Settings,
    find_sources,
    load_recipe,
    packaged_entries,
    raw_rows,
    read_info,
)
from virgo_factory.data.read.templates import family_problem
from virgo_factory.formats import options_of, read_row
from virgo_factory.preflight.keys import unknown_keys, wrong_stock_values
from virgo_factory.preflight.plan.models import find_family
from virgo_factory.preflight.precision import precision_problem
from virgo_factory.preflight.smoke.trial import Found, Smoke, StageFailed
from virgo_factory.preflight.zero import read_zero
from virgo_factory.report.text import amount


def parse(smoke: Smoke) -> Found:
    """Read recipe and dataset entries; all that is wrong is told at once."""
    keys = smoke.keys = {"stage": "sft", **load_recipe(smoke.recipe), **smoke.overrides}
    problems = _stage_problems(keys)
    unknown = unknown_keys(keys)
    if unknown:
        problems += [f"Some keys are not used by the HfArgumentParser: {sorted(unknown)}", *unknown.values()]

    notes: list[str] = []
    zero, family = None, ""
    with _told_in(problems):
        if keys.get("deepspeed") and not isinstance(keys["deepspeed"], dict):
            zero = read_zero(keys["deepspeed"])
            notes += zero.warnings

    if smoke.ranks is None:
        smoke.ranks = 2 if keys.get("deepspeed") else 1

    with _told_in(problems):
        _find_rows(smoke)
        if (rows := _count(smoke)) < smoke.ranks:
            problems.append(
                f"{amount(rows, 'row')}, fewer than the {smoke.ranks} ranks. Use fewer --ranks, or more rows."
            )

    with _told_in(problems):
        family = find_family(keys["model_name_or_path"], smoke.model) if keys.get("model_name_or_path") else ""
        problems += filter(None, [family_problem(keys.get("template"), family)])

    if problems:
        raise StageFailed("\n".join(dict.fromkeys(problems)), "repair the recipe; nothing has been started")

    method = keys.get("finetuning_type", "lora")
    parts = [keys["stage"], method, f"template {keys.get('template')}", family]
    parts += [f"ZeRO-{zero.stage}"] if zero else []
    parts.append(f"{smoke.ranks} CPU rank{'s' if smoke.ranks > 1 else ''}")
    return ", ".join(parts), [*notes, *differences(keys)]


@contextlib.contextmanager
def _told_in(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        problems.append(str(error))


def _count(smoke: Smoke) -> int:
    """Return how many rows, or parts of rows, the ranks have; further ones are not read."""
    rows = ((source, row) for source in smoke.sources for row in raw_rows(source))
    return sum(
        len(read_row(row.raw, source.formatting, source.options).parts) if source.is_ours else 1
        for source, row in itertools.islice(rows, smoke.ranks)
    )


def differences(keys: Mapping[str, Any]) -> list[str]:
    """Return what is done otherwise than for full supervised fine-tuning."""
    lora = "LoRA: checkpoints hold the adapter; the export merges it, and the merged model is checked"
    stages = {
        "dpo": "DPO: a frozen reference copy is loaded beside the model; a pair is as long as its longer side",
        "grpo": "GRPO: the model answers prompts, and its responses are rewarded; rows are prompts",
    }
    found = [lora] if keys.get("finetuning_type", "lora") == "lora" else []
    return found + [told for stage, told in stages.items() if keys.get("stage") == stage]


def _stage_problems(keys: Mapping[str, Any]) -> list[str]:
    problems = []
    if keys.get("stage", "sft") not in ("sft", "dpo", "grpo"):
        problems.append(f"stage: {keys['stage']!r}: only sft, dpo and grpo can be tried out here.")

    if not keys.get("do_train"):
        problems.append("do_train: not true, so nothing would be trained. Add do_train: true.")

    for key in ("output_dir", "model_name_or_path", "dataset"):
        if not keys.get(key):
            problems.append(f"{key}: missing. Add it.")

    if keys.get("finetuning_type", "lora") not in ("full", "lora", "freeze"):
        problems.append(
            f"finetuning_type: {keys['finetuning_type']!r}: only full, lora and freeze can be tried out here."
        )

    if problem := precision_problem(keys):
        problems.append(f"bf16: {problem}. Set bf16: true; smoke trains on the CPU.")

    wrong = wrong_values(keys) | wrong_stock_values(keys)
    if keys.get("stage") == "grpo":
        problems += contradictions({key: value for key, value in keys.items() if key not in wrong})

    return told_together(wrong, problems)


def _find_rows(smoke: Smoke) -> None:
    """Set sources and settings: those of the recipe, or of the file that stands in for its datasets."""
    keys = smoke.keys
    if smoke.data is None:
        try:
            sources, smoke.settings = find_sources(smoke.recipe, **smoke.overrides)
        except ValueError as error:
            if "Hugging Face cache" in str(error) and "tokenizer" not in str(error):
                raise UserError(f"{error} Or take rows of the same kind from a file: --data FILE.") from None

            raise

        smoke.sources = [source for source in sources if source.role == "train"]
        return

    names = keys.get("dataset") or ""
    names = [name.strip() for name in (names if isinstance(names, list) else str(names).split(",")) if name.strip()]
    entry = {**packaged_entries(), **read_info(keys.get("dataset_dir") or "data")}.get(names[0] if names else "", {})
    formatting = entry.get("formatting", "long_thought" if not entry else "alpaca")
    media = keys.get("media_dir") or smoke.data.parent
    given = {item.name: keys[item.name] for item in dataclasses.fields(Settings) if keys.get(item.name) is not None}
    if keys["stage"] == "grpo":
        given["cutoff_len"] = keys.get("rl_max_prompt_tokens") or RL_DEFAULTS["rl_max_prompt_tokens"]

    given.setdefault("cutoff_len", STOCK_CUTOFF_LEN)
    given.pop("tokenizer", None)
    sources, settings = find_sources(str(smoke.data), formatting=formatting, media_dir=media, **given)
    options = options_of(entry, malformed=settings.malformed)
    smoke.sources = [dataclasses.replace(sources[0], name=names[0] if names else "rows", entry=entry, options=options)]
    smoke.settings = settings
    smoke.substitute(f"dataset: {', '.join(names)}", f"rows of {smoke.data}", "the dataset itself, its download")
