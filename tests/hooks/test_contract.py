"""Every hook is of one form, and the text that it relies on still stands where it says; else the file is named."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import virgo_factory
from virgo_factory.autoload import HOOKS, TESTED, check_hooks
from virgo_factory.hooks.contract import ON_MAIN, all_quotes, changed_places
from virgo_factory.preflight.versions import TRANSFORMERS, is_5, transformers_problem


FOLDER = Path(importlib.util.find_spec("virgo_factory.hooks").origin).parent
FILES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__"
)
SITE = Path(importlib.util.find_spec("llamafactory").origin).parents[1]

IN_TRANSFORMERS_5: dict[str, tuple[int, str]] = {
    "transformers/trainer.py:1060": (1012, '        if self.args.train_sampling_strategy == "group_by_length":\n'),
    "transformers/trainer.py:1144": (879, ""),
    "transformers/trainer.py:2297": (1413, ""),
    "transformers/trainer.py:2301": (
        1415,
        "            if state.train_batch_size is not None and args.auto_find_batch_size:\n",
    ),
    "transformers/trainer.py:2600": (
        1679,
        "                train_dataloader = skip_first_batches(train_dataloader, steps_trained_in_current_epoch)\n",
    ),
    "transformers/trainer.py:2617": (
        1700,
        "                self.args.gradient_accumulation_steps if update_step != (num_update_steps_per_epoch - 1) else remainder\n",
    ),
    "transformers/trainer.py:2618": (
        1702,
        "            batch_samples, num_items_in_batch = self.get_batch_samples(epoch_iterator, num_batches, self.args.device)\n",
    ),
    "transformers/trainer.py:2621": (
        1706,
        "            self.current_gradient_accumulation_steps = len(batch_samples)\n",
    ),
    "transformers/trainer.py:2812": (1842, ""),
    "transformers/trainer.py:2987": (3373, ""),
    "transformers/trainer.py:3362": (3087, ""),
    "transformers/trainer_callback.py:120": (119, ""),
    "transformers/trainer_pt_utils.py:1069": (942, ""),
    "transformers/integrations/sdpa_attention.py:81": (
        77,
        "    is_causal = query.shape[2] > 1 and attention_mask is None and is_causal\n",
    ),
    "transformers/trainer.py:4064": (1928, "                loss = loss / self.current_gradient_accumulation_steps\n"),
    "transformers/trainer.py:5468": (783, "        dataloader_config.data_seed = self.args.data_seed\n"),
    "transformers/masking_utils.py:710": (828, ""),
    "transformers/modeling_flash_attention_utils.py:335": (456, ""),
    "transformers/loss/loss_utils.py:55": (55, ""),
    "transformers/loss/loss_utils.py:59": (59, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:535": (588, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:823": (866, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:831": (874, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:1374": (
        1438,
        "        logits = self.lm_head(hidden_states[:, slice_indices, :])\n",
    ),
    "transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py:1499": (1524, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:203": (
        488,
        "        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(\n",
    ),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:828": (895, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1230": (1352, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1362": (1525, ""),
}
"""Place in 4.57.6 -> line of that file in 5.5.4, and the text there; "" for the same text."""


def quotes(relies_on: Mapping[str, str], transformers: str | None = None) -> dict[str, str]:
    """Return place -> text of a RELIES_ON, in a version of transformers: the installed one, unless another is named."""
    if not is_5(transformers or importlib.metadata.version("transformers")):
        return dict(relies_on)

    found = {}
    for place, text in relies_on.items():
        file, _, line = place.rpartition(":")
        now, other = IN_TRANSFORMERS_5.get(place, (line, ""))
        found[f"{file}:{now}"] = other or text

    return found


@pytest.fixture(scope="module")
def contract():
    """A function: file of hooks/ -> what it relies on here, read off its Hook, or for a file that helps hooks off RELIES_ON."""
    virgo_factory.register()
    importlib.import_module("llamafactory.train.tuner")

    def read(name):
        module = importlib.import_module(f"virgo_factory.hooks.{name}")
        return quotes(module.HOOK.relies_on if hasattr(module, "HOOK") else getattr(module, "RELIES_ON", {}))

    return read


def changes(name, relies_on, site):
    """Return a sentence for each text that does not begin at its line, of the files below the folder `site`."""
    problems = []
    for place, text in relies_on.items():
        file, line = place.rsplit(":", 1)
        path = site / file
        if not path.is_file():
            problems.append(f"virgo_factory.hooks.{name} relies on {file}, which is gone.")
            continue

        content = path.read_text(encoding="utf-8")
        lines = {content.count("\n", 0, at) + 1 for at in _places(content, text)}
        if int(line) not in lines:
            now = f"stands in line {min(lines)} now" if lines else "has changed"
            problems.append(f"virgo_factory.hooks.{name} relies on {place}, where this {now}:\n{text}")

    return problems


def _places(content, text):
    at = content.find(text)
    while at >= 0:
        yield at
        at = content.find(text, at + 1)


def test_the_list_is_that_of_the_hooks(contract):
    hooks = {name: importlib.import_module(f"virgo_factory.hooks.{name}").HOOK for name in set(HOOKS.values())}
    assert HOOKS == {module: name for name, hook in hooks.items() for module in hook.modules}
    for name, hook in hooks.items():
        assert list(inspect.signature(hook.apply).parameters) == ["module"], name
        for module in hook.modules:
            place = SITE / Path(*module.split("."))
            assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()

    others = set(FILES) - set(HOOKS.values())
    assert not [name for name in others if hasattr(importlib.import_module(f"virgo_factory.hooks.{name}"), "HOOK")]


def test_every_hook_acts_here(contract):
    check_hooks()
    from llamafactory.data.loader import get_dataset

    assert get_dataset.__globals__ is vars(sys.modules["virgo_factory.hooks.data.loader"])


@pytest.mark.parametrize("name", FILES)
def test_the_lines_are_there(contract, name):
    relies_on = contract(name)
    assert relies_on or name not in {*HOOKS.values(), "rows.rows"}
    assert all(relies_on.values())
    problems = changes(name, relies_on, SITE)
    assert not problems, "\n".join(problems)


def test_the_installed_versions_are_tested_ones():
    assert importlib.metadata.version("llamafactory") in TESTED
    assert importlib.metadata.version("transformers") in TRANSFORMERS.values()
    assert transformers_problem(importlib.metadata.version("transformers")) == ""


def test_every_quote_of_transformers_is_known_in_both(contract):
    quoted = {place: text for place, text in all_quotes().items() if place.startswith("transformers/")}
    assert quoted and set(quoted) == set(IN_TRANSFORMERS_5)
    read = [getattr(importlib.import_module(f"virgo_factory.hooks.{name}"), "RELIES_ON", {}) for name in FILES]
    assert all_quotes() == {place: text for relies_on in read for place, text in relies_on.items()}
    assert quotes(quoted, "4.57.6") == quoted
    moved = quotes(quoted, "5.5.4")
    assert len(moved) == len(quoted) and all(moved.values())
    assert {place.rpartition(":")[0] for place in moved} == {place.rpartition(":")[0] for place in quoted}


@pytest.mark.slow
def test_the_main_branch_is_known_by_what_is_otherwise_there(tmp_path):
    for place in all_quotes():
        file = place.rpartition(":")[0]
        if file.startswith("llamafactory/") and not (tmp_path / file).exists():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes((SITE / file).read_bytes())

    assert changed_places(tmp_path) == []
    for place, now in ON_MAIN.items():
        file, text = tmp_path / place.rpartition(":")[0], all_quotes()[place]
        stock = file.read_text(encoding="utf-8")
        assert text not in now
        file.write_text(stock.replace(text, now), encoding="utf-8")
        assert changed_places(tmp_path) == []  # as on the branch
        file.write_text(stock.replace(text, ""), encoding="utf-8")
        assert changed_places(tmp_path) == [place]  # as nowhere
        file.write_text(stock, encoding="utf-8")

    file.unlink()
    gone = file.relative_to(tmp_path).as_posix()
    assert changed_places(tmp_path) == sorted(place for place in all_quotes() if place.startswith(f"{gone}:"))


def test_nothing_but_hooks_and_autoload_knows_hooks():
    package = FOLDER.parent
    users = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if FOLDER not in path.parents and "virgo_factory.hooks" in path.read_text(encoding="utf-8")
    ]
    assert users == ["autoload.py"]
