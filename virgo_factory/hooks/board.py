"""LlamaBoard's preview of a dataset in one of our formattings: by our reader, which knows its files and its split."""

import itertools
from types import ModuleType
from typing import Any

from virgo_factory.datasets.reader import read_source
from virgo_factory.datasets.source import find_sources
from virgo_factory.hooks.rebind import rebind


RELIES_ON = {
    "webui/components/data.py": [
        'def get_preview(dataset_dir: str, dataset: list, page_index: int) -> tuple[int, list, "gr.Column"]:',
        "PAGE_SIZE = 2",
    ],
}


def wrap_preview(module: ModuleType) -> None:
    """Hook on llamafactory.webui.components.data."""
    stock = module.get_preview

    def get_preview(dataset_dir, dataset, page_index):
        from llamafactory.data.parser import get_dataset_list

        from virgo_factory.hooks.rows import our_formattings

        if not our_formattings(get_dataset_list(dataset[:1], dataset_dir)):
            return stock(dataset_dir, dataset, page_index)

        try:
            count, rows = page(dataset[0], dataset_dir, page_index * module.PAGE_SIZE, module.PAGE_SIZE)
        except ValueError as error:
            raise module.gr.Error(str(error)) from None

        return count, rows, module.gr.Column(visible=True)

    rebind(stock, get_preview)


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
