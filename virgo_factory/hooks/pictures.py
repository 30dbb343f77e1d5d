"""Pictures as datasets/look.py has them, in every run that uses the plugin: upright, on white, scaled to 8 bits.

A template's plugin opens the pictures of its rows. It carries a mark where our look is wanted: the one of a template of
ours always, the one of another template while a run of ours lasts. Everybody else's pictures are opened as before.
"""

from io import BytesIO
from types import ModuleType
from typing import Any

from PIL import Image

from virgo_factory.datasets.look import as_seen
from virgo_factory.hooks.hook import Hook


RELIES_ON = {
    "llamafactory/data/mm_plugin.py:257": '    def _regularize_images(self, images: list["ImageInput"], **kwargs) -> "RegularizedImageOutput":',
    "llamafactory/data/mm_plugin.py:274": "            results.append(self._preprocess_image(image, **kwargs))",
    "llamafactory/data/mm_plugin.py:261": "            if isinstance(image, (str, BinaryIO)):\n"
    "                image = Image.open(image)\n"
    "            elif isinstance(image, bytes):\n"
    "                image = Image.open(BytesIO(image))\n"
    "            elif isinstance(image, dict):\n"
    '                if image["bytes"] is not None:\n'
    '                    image = Image.open(BytesIO(image["bytes"]))\n'
    "                else:\n"
    '                    image = Image.open(image["path"])\n',
    "llamafactory/data/collator.py:388": "        mm_inputs = self.template.mm_plugin.get_mm_inputs(",
}

MARK = "virgo_look"


def wrap_plugins(module: ModuleType) -> None:
    """Let the plugin of a template with our mark open pictures in our look."""
    stock = module.BasePlugin._regularize_images

    def _regularize_images(self, images, **kwargs):
        return stock(self, [seen(image) for image in images] if hasattr(self, MARK) else images, **kwargs)

    module.BasePlugin._regularize_images = _regularize_images


def seen(image: Any) -> Any:
    """Return a picture in any form that LLaMA-Factory opens (path, bytes, file, dictionary, Pillow's) as the model sees it."""
    if isinstance(image, dict):
        image = image["path"] if image["bytes"] is None else image["bytes"]

    if isinstance(image, Image.Image):
        return as_seen(image)

    with Image.open(BytesIO(image) if isinstance(image, bytes) else image) as opened:
        return as_seen(opened)


def mark(template: Any, wanted: bool) -> None:
    """Have a template's plugin open pictures in our look, or in LLaMA-Factory's own; a template outlives its run.

    The mark is taken away rather than set to false: `datasets` makes the keys of its cache of all that a template holds.
    """
    if wanted:
        setattr(template.mm_plugin, MARK, True)
    elif hasattr(template.mm_plugin, MARK):
        delattr(template.mm_plugin, MARK)


HOOK = Hook(modules=("llamafactory.data.mm_plugin",), relies_on=RELIES_ON, apply=wrap_plugins)
