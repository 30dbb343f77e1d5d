"""LlamaBoard's preview of a dataset in one of our formattings: by our reader, which knows its files and its split."""

import itertools
from types import ModuleType
from typing import Any

from virgo_factory.data.read.source import find_sources, read_source
from virgo_factory.hooks.data.dataset_lookup import local_path, our_formattings
from virgo_factory.hooks.hook import Hook, rebind


RELIES_ON = {
    "llamafactory/webui/components/data.py:42": 'def can_preview(dataset_dir: str, dataset: list) -> "gr.Button":',
    "llamafactory/webui/components/data.py:70": 'def get_preview(dataset_dir: str, dataset: list, page_index: int) -> tuple[int, list, "gr.Column"]:',
    "llamafactory/webui/components/data.py:31": "PAGE_SIZE = 2",
    "llamafactory/webui/components/data.py:99": "preview_samples = gr.JSON()",
}


class Rows(list):
    """Rows of ours, for the box that shows them.

    Gradio 5.50 answers an event without a queue, as this is one, with the text "root=[...]" of what `gr.JSON` makes of a list.
    """


def wrap_preview(module: ModuleType) -> None:
    """Let LlamaBoard show datasets in our formattings."""
    stock, stock_button = module.get_preview, module.can_preview

    def can_preview(dataset_dir, dataset):
        found = _ours(dataset, dataset_dir)
        if found is None:
            return stock_button(dataset_dir, dataset)

        return module.gr.Button(interactive=local_path(found, dataset_dir) is not None)

    def get_preview(dataset_dir, dataset, page_index):
        if _ours(dataset, dataset_dir) is None:
            return stock(dataset_dir, dataset, page_index)

        try:
            count, rows = page(dataset[0], dataset_dir, page_index * module.PAGE_SIZE, module.PAGE_SIZE)
        except ValueError as error:
            raise module.gr.Error(str(error)) from None

        return count, Rows(rows), module.gr.Column(visible=True)

    as_json = module.gr.JSON.postprocess

    def postprocess(self, value):
        return list(value) if isinstance(value, Rows) else as_json(self, value)

    module.gr.JSON.postprocess = postprocess
    rebind(stock, get_preview)
    rebind(stock_button, can_preview)


def _ours(dataset: list[str], dataset_dir: str) -> Any:
    """Return what LLaMA-Factory knows of the first of these datasets; None if it is not in one of our formattings."""
    from llamafactory.data.parser import get_dataset_list

    try:
        attributes = get_dataset_list(dataset[:1], dataset_dir)
    except Exception:  # no such entry, or file: stock's to tell
        return None

    return attributes[0] if our_formattings(attributes) else None


def page(name: str, dataset_dir: str, first: int, size: int) -> tuple[int, list[Any]]:
    """Return how many rows a dataset has, and those of one page, as JSON has them.

    Raises:
        ValueError: the dataset or a file of it cannot be read; the message says where.
    """
    (source,), _ = find_sources(name, dataset_dir)
    rows = read_source(source)
    before = sum(1 for _ in itertools.islice(rows, first))
    shown = [_shown(row.raw) for row in itertools.islice(rows, size)]
    return before + len(shown) + sum(1 for _ in rows), shown


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}

    if isinstance(value, list):
        return [_shown(item) for item in value]

    return f"{len(value):,} bytes" if isinstance(value, bytes | bytearray) else value


HOOK = Hook(modules=("llamafactory.webui.components.data",), relies_on=RELIES_ON, apply=wrap_preview)
