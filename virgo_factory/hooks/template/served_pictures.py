"""Pictures of a user that LLaMA-Factory's API server opens itself, and turns into RGB before a template sees them.

It does so by `convert("RGB")`, which puts transparent places on black. Where the template that serves has our mark
(pictures.py) they are opened as it was trained to see them; elsewhere as before.
"""

from types import ModuleType
from typing import Any

from PIL import Image

from virgo_factory.hooks.hook import Hook, rebind, replace
from virgo_factory.hooks.template.pictures import MARK, seen


RELIES_ON = {
    "llamafactory/api/app.py:69": 'def create_app(chat_model: "ChatModel") -> "FastAPI":',
    "llamafactory/api/chat.py:133": '                    images.append(Image.open(image_stream).convert("RGB"))',
}


class Opener:
    """What stands for Pillow's module in the API server."""

    @staticmethod
    def open(stream: Any) -> Image.Image:
        """Return a picture as the model sees it, without the EXIF that would turn it once more."""
        picture = seen(stream).copy()
        picture.info = {}
        return picture


def wrap_api(module: ModuleType) -> None:
    """Let the API server open pictures in our look where a template of ours serves."""
    stock = module.create_app

    def create_app(chat_model):
        from llamafactory.api import chat

        replace(chat, "Image", Opener if hasattr(chat_model.engine.template.mm_plugin, MARK) else Image)
        return stock(chat_model)

    rebind(stock, create_app)


HOOK = Hook(modules=("llamafactory.api.app",), relies_on=RELIES_ON, apply=wrap_api)
