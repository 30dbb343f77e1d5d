"""Templates `virgo` and `virgo_qwen3_vl`: the model's own chat format with the four markers as thought words.

They are plain templates. LLaMA-Factory's ReasoningTemplate would put an empty thought into every row without its
thought words (data/template.py:426-434), and delete thoughts of earlier turns.
"""

import copy
import json
import re
from dataclasses import fields
from types import ModuleType
from typing import Any

from virgo_factory.autoload import check_hooks
from virgo_factory.files import TEMPLATES as FILES
from virgo_factory.hooks import pictures
from virgo_factory.hooks.rebind import rebind
from virgo_factory.prefix import add_prefix, read_prefix
from virgo_factory.thought import BEGIN_THOUGHT, END_THOUGHT


RELIES_ON = {
    "data/template.py": [
        'def get_template_and_fix_tokenizer(tokenizer: "PreTrainedTokenizer", data_args: "DataArguments") -> "Template":',
        'TEMPLATES: dict[str, "Template"] = {}',
        '    name="qwen2_vl",\n    format_user=StringFormatter(slots=["<|im_start|>user\\n{{content}}<|im_end|>\\n<|im_start|>assistant\\n"]),',
        '    name="qwen3_vl",\n    format_user=StringFormatter(slots=["<|im_start|>user\\n{{content}}<|im_end|>\\n<|im_start|>assistant\\n"]),',
        "        encoded_messages = self._encode(tokenizer, messages, system, tools)",
    ],
}

BASES = {"virgo": "qwen2_vl", "virgo_qwen3_vl": "qwen3_vl"}
"""Our template -> the template of LLaMA-Factory that it follows; its jinja file is templates/NAME.jinja."""

_SYSTEM = re.compile(r'set system = ("(?:[^"\\]|\\.)*")')
_DEFAULT = re.compile(r'question_prefix \| default\(("(?:[^"\\]|\\.)*")\)')


def register_templates(module: ModuleType) -> None:
    """Hook on llamafactory.data.template."""

    class VirgoTemplate(module.Template):
        """The chat format of its base; in serving it puts the trained question prefix into user turns."""

        serving_prefix = ""

        def _encode(self, tokenizer, messages, system, tools):
            if self.serving_prefix:
                messages = [
                    {**message, "content": add_prefix(message["content"], self.serving_prefix)}
                    if message["role"] == "user"
                    else message
                    for message in messages
                ]

            return super()._encode(tokenizer, messages, system, tools)

    VirgoTemplate.__qualname__ = "VirgoTemplate"
    VirgoTemplate.__module__ = module.__name__
    module.VirgoTemplate = VirgoTemplate  # so that it pickles by reference, for worker processes

    for name, base in BASES.items():
        values = {
            item.name: copy.deepcopy(getattr(module.TEMPLATES[base], item.name)) for item in fields(module.Template)
        }
        values["thought_words"] = (f"{BEGIN_THOUGHT}\n\n", f"\n\n{END_THOUGHT}\n\n")
        module.TEMPLATES[name] = VirgoTemplate(**values)
        pictures.mark(module.TEMPLATES[name], wanted=True)

    stock = module.get_template_and_fix_tokenizer

    def get_template_and_fix_tokenizer(tokenizer, data_args):
        if data_args.template in BASES:
            check_hooks()

        template = stock(tokenizer, data_args)
        if data_args.template in BASES:
            template.serving_prefix = ""  # a template lives as long as the process
            if getattr(data_args, "virgo_serving", False):
                template.serving_prefix = serving_prefix(tokenizer, data_args.question_prefix)
            else:
                prefix = read_prefix(data_args.question_prefix)
                if prefix != serving_prefix(tokenizer, None):  # without one the model's own template stays
                    tokenizer.chat_template = chat_template(data_args.template, prefix, template.default_system)

        return template

    rebind(stock, get_template_and_fix_tokenizer)


def chat_template(name: str, prefix: str, system: str) -> str:
    """Return templates/NAME.jinja as it is saved with a checkpoint.

    Args:
        name: of the template.
        prefix: the default that a caller can override with `question_prefix`.
        system: the system message of conversations that have none; "" for no system turn at all.
    """
    text = (FILES / f"{name}.jinja").read_text(encoding="utf-8")
    for pattern, value in ((_DEFAULT, prefix), (_SYSTEM, system)):
        literal = json.dumps(value, ensure_ascii=False)  # jinja reads no surrogate pairs
        text = pattern.sub(lambda match, new=literal: match.group().replace(match.group(1), new), text, count=1)

    return text


def serving_prefix(tokenizer: Any, key: str | None) -> str:
    """Return the prefix to serve with: the key's, or the one that the checkpoint's chat template carries."""
    if key is not None:
        return read_prefix(key)

    found = _DEFAULT.search(tokenizer.chat_template or "")
    return json.loads(found.group(1)) if found else ""


def is_ours(chat_template: str | None) -> bool:
    """Whether a chat template is one of templates/*.jinja, which can carry a question prefix."""
    return bool(_DEFAULT.search(chat_template or ""))
