"""Pictures of a user that LLaMA-Factory's servers open themselves, and turn into RGB before a template sees them.

The API server and LlamaBoard's chat do so by `convert("RGB")`, which puts transparent places on black. Where the template that
serves has our mark (pictures.py) they are opened as it was trained to see them; elsewhere as before.
"""

from types import ModuleType
from typing import Any

from PIL import Image

from virgo_factory.hooks.hook import Hook, rebind, replace
from virgo_factory.hooks.template.pictures import MARK, seen


RELIES_ON = {
    "llamafactory/api/app.py:69": 'def create_app(chat_model: "ChatModel") -> "FastAPI":',
    "llamafactory/api/chat.py:133": '                    images.append(Image.open(image_stream).convert("RGB"))',
    "llamafactory/webui/components/chatbot.py:73": '                            image = gr.Image(type="pil")',
    "llamafactory/webui/chatter.py:222": "                images=[image] if image else None,",
}


def wrap(module: ModuleType) -> None:
    """Let the API server, or LlamaBoard's chat, open pictures in our look where a template of ours serves."""
    {"app": _wrap_api, "chatbot": _wrap_picture_box, "chatter": _wrap_chat}[module.__name__.rpartition(".")[2]](module)


class Opener:
    """What stands for Pillow's module in the API server."""

    @staticmethod
    def open(stream: Any) -> Image.Image:
        """Return a picture as the model sees it, without the EXIF that would turn it once more."""
        picture = seen(stream).copy()
        picture.info = {}
        return picture


def _wrap_api(module: ModuleType) -> None:
    stock = module.create_app

    def create_app(chat_model):
        from llamafactory.api import chat

        replace(chat, "Image", Opener if _is_ours(chat_model) else Image)
        return stock(chat_model)

    rebind(stock, create_app)


def _wrap_picture_box(module: ModuleType) -> None:
    stock = module.create_chat_box

    def create_chat_box(*args, **kwargs):
        columns = stock(*args, **kwargs)
        columns[-1]["image"].image_mode = None  # gradio's "RGB" loses what lies behind transparency; see `stream`
        return columns

    rebind(stock, create_chat_box)


def _wrap_chat(module: ModuleType) -> None:
    stock = module.WebChatModel.stream

    def stream(self, chatbot, messages, lang, system, tools, image, *rest, **named):
        if image and image.format != "GIF" and not _is_ours(self):
            image = image.convert("RGB")  # as gradio would have

        yield from stock(self, chatbot, messages, lang, system, tools, image, *rest, **named)

    module.WebChatModel.stream = stream


def _is_ours(chat_model: Any) -> bool:
    return hasattr(chat_model.engine.template.mm_plugin, MARK)


HOOK = Hook(
    modules=("llamafactory.api.app", "llamafactory.webui.components.chatbot", "llamafactory.webui.chatter"),
    relies_on=RELIES_ON,
    apply=wrap,
)
