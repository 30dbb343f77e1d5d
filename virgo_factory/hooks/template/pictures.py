"""Pictures as data/read/look.py has them, in our datasets and where a template of ours serves: upright, on white, 8 bits.

A template's plugin opens the pictures of all rows, and knows of none where it is from. So the paths of ours say it
themselves, and stay paths. The plugin of a template that serves carries a mark: there all pictures are a user's.
Everybody else's pictures, those of stock rows in a run of ours among them, are opened as before.
"""

import os
from io import BytesIO
from types import ModuleType
from typing import Any

from PIL import Image

from virgo_factory.data.read.look import as_seen
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
ROOT = "/."
"""What the path of a picture in a dataset of ours begins with: /./a/b.png is /a/b.png, and nobody else writes it so."""


def wrap_plugins(module: ModuleType) -> None:
    """Let the plugin of a template with our mark open pictures in our look."""
    stock = module.BasePlugin._regularize_images

    def _regularize_images(self, images, **kwargs):
        every = hasattr(self, MARK)
        return stock(self, [seen(image) if every or _is_ours(image) else image for image in images], **kwargs)

    module.BasePlugin._regularize_images = _regularize_images


def ours(path: str) -> str:
    """Return the path of a picture as that of one in a dataset of ours."""
    return f"{ROOT}{os.path.abspath(path)}"


def _is_ours(image: Any) -> bool:
    return isinstance(image, str) and image.startswith(f"{ROOT}/")


def seen(image: Any) -> Any:
    """Return a picture in any form that LLaMA-Factory opens (path, bytes, file, dictionary, Pillow's) as the model sees it."""
    if isinstance(image, dict):
        image = image["path"] if image["bytes"] is None else image["bytes"]

    if isinstance(image, Image.Image):
        return as_seen(image)

    with Image.open(BytesIO(image) if isinstance(image, bytes) else image) as opened:
        return as_seen(opened)


def mark(template: Any, wanted: bool) -> None:
    """Have a template's plugin open every picture in our look, or only those of our datasets; a template outlives its run.

    The mark is taken away rather than set to false: `datasets` makes the keys of its cache of all that a template holds.
    """
    if wanted:
        setattr(template.mm_plugin, MARK, True)
    elif hasattr(template.mm_plugin, MARK):
        delattr(template.mm_plugin, MARK)


HOOK = Hook(modules=("llamafactory.data.mm_plugin",), relies_on=RELIES_ON, apply=wrap_plugins)
