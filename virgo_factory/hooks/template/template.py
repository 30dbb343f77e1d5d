"""Templates `virgo`, `virgo_qwen3_vl`, `omr` and `think_qwen3_vl`: the model's chat format, and thought words of their own.

`omr` is OpenMMReasoner's: its system message, and responses in <think> and <answer> where the others have the four markers.
`think_qwen3_vl` has <think> alone, as Qwen3-VL-Thinking answers and MMFineReason trains.

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
from virgo_factory.core.thought import BEGIN_THOUGHT, END_THOUGHT, in_tags
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.templates import TEMPLATE_TAGS
from virgo_factory.data.tokens.tokens import TEMPLATE_FILES, system_of
from virgo_factory.hooks.hook import Hook, rebind
from virgo_factory.hooks.template import pictures
from virgo_factory.io.files import TEMPLATES as FILES


RELIES_ON = {
    "llamafactory/data/template.py:628": 'def get_template_and_fix_tokenizer(tokenizer: "PreTrainedTokenizer", data_args: "DataArguments") -> "Template":',
    "llamafactory/data/template.py:487": 'TEMPLATES: dict[str, "Template"] = {}',
    "llamafactory/data/template.py:2073": '    name="qwen2_vl",\n'
    '    format_user=StringFormatter(slots=["<|im_start|>user\\n{{content}}<|im_end|>\\n<|im_start|>assistant\\n"]),',
    "llamafactory/data/template.py:2091": '    name="qwen3_vl",\n'
    '    format_user=StringFormatter(slots=["<|im_start|>user\\n{{content}}<|im_end|>\\n<|im_start|>assistant\\n"]),',
    "llamafactory/data/template.py:68": "        encoded_messages = self._encode(tokenizer, messages, system, tools)",
    "llamafactory/data/template.py:310": 'user = self._convert_slots_to_ollama(self.format_user.apply(), tokenizer, placeholder=".Content")',
}

BASES = {"virgo": "qwen2_vl", "virgo_qwen3_vl": "qwen3_vl", "omr": "qwen2_vl", "think_qwen3_vl": "qwen3_vl"}
"""Our template -> the template of LLaMA-Factory that it follows; its jinja file is that of TEMPLATE_FILES."""

_SYSTEMS: dict[str, str] = {}
"""Our template -> its system message where the recipe has none; filled by the hook."""

_OF_BASES: dict[str, str] = {}
"""Our template -> the system message of its base, which a model's own chat template says; filled by the hook."""

_SYSTEM = re.compile(r'set system = ("(?:[^"\\]|\\.)*")')
_OPENS_THOUGHT = re.compile(r"<\|im_start\|>assistant\\n<think>")
"""In the chat template of a Thinking model: the prompt ends inside of a thought in its own tags."""
_DEFAULT = re.compile(r'question_prefix \| default\(("(?:[^"\\]|\\.)*")\)')


def register_templates(module: ModuleType) -> None:
    """Add our templates, and let them carry their prefix and system message into the chat template."""

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

        def _get_ollama_template(self, tokenizer):
            text = super()._get_ollama_template(tokenizer)
            user = self._convert_slots_to_ollama(self.format_user.apply(), tokenizer, placeholder=".Content")
            question = add_prefix("{{ .Content }}", self.serving_prefix)
            return text.replace(user, user.replace("{{ .Content }}", question), 1)

    VirgoTemplate.__qualname__ = "VirgoTemplate"
    VirgoTemplate.__module__ = module.__name__
    module.VirgoTemplate = VirgoTemplate  # so that it pickles by reference, for worker processes

    for name, base in BASES.items():
        values = {
            item.name: copy.deepcopy(getattr(module.TEMPLATES[base], item.name)) for item in fields(module.Template)
        }
        words = (f"{BEGIN_THOUGHT}\n\n", f"\n\n{END_THOUGHT}\n\n")
        values["thought_words"] = tuple(in_tags(word, TEMPLATE_TAGS[name]) for word in words)
        _OF_BASES[name] = values["default_system"]
        values["default_system"] = system_of(name)
        module.TEMPLATES[name] = VirgoTemplate(**values)
        _SYSTEMS[name] = values["default_system"]

    stock = module.get_template_and_fix_tokenizer

    def get_template_and_fix_tokenizer(tokenizer, data_args):
        name = data_args.template
        if name not in BASES:
            return stock(tokenizer, data_args)

        check_hooks()
        module.TEMPLATES[name].default_system = _SYSTEMS[name]  # a template lives as long as the process
        template = stock(tokenizer, data_args)
        prefix, system = read_prefix(data_args.question_prefix), template.default_system
        serving = getattr(data_args, "virgo_serving", False)
        if serving:
            prefix, system = served(tokenizer, data_args)
            template.default_system = system

        template.serving_prefix = prefix if serving else ""
        pictures.mark(template, wanted=serving and not (data_args.dataset or data_args.eval_dataset))
        tokenizer.chat_template = saying(tokenizer.chat_template, name, prefix, system)
        return template

    rebind(stock, get_template_and_fix_tokenizer)


def saying(own: str | None, name: str, prefix: str, system: str) -> str | None:
    """Return the chat template of a model with this prefix and default system: its own one if it has them already."""
    said = carried(own, name) if is_ours(own) else ("", _OF_BASES[name])
    if _OPENS_THOUGHT.search(own or "") and TEMPLATE_TAGS[name] != "think":
        return chat_template(name, prefix, system)  # or it would be served with `<think>` in front of what it learned

    return own if said == (prefix, system) else chat_template(name, prefix, system)


def carried(own: str | None, name: str) -> tuple[str, str]:
    """Return the question prefix and the default system of a model's own chat template.

    Args:
        own: the chat template; None for a model that has none.
        name: one of ours, whose default stands for the system of a template that is not ours.
    """
    if not is_ours(own):
        return "", _SYSTEMS[name]

    return tuple(json.loads(pattern.search(own).group(1)) for pattern in (_DEFAULT, _SYSTEM))


def served(tokenizer: Any, data_args: Any) -> tuple[str, str]:
    """Return prefix and system to serve with: the recipe's, else those that the model was trained with."""
    prefix, system = carried(tokenizer.chat_template, data_args.template)
    if data_args.question_prefix is not None:
        prefix = read_prefix(data_args.question_prefix)

    return prefix, data_args.default_system if data_args.default_system is not None else system


def chat_template(name: str, prefix: str, system: str) -> str:
    """Return a template's file as it is saved with a checkpoint.

    `prefix`: the default that a caller can override with `question_prefix`.
    `system`: the system message of conversations that have none; "" for no system turn at all.
    """
    text = (FILES / f"{TEMPLATE_FILES[name]}.jinja").read_text(encoding="utf-8")
    for pattern, value in ((_DEFAULT, prefix), (_SYSTEM, system)):
        literal = json.dumps(value, ensure_ascii=False)  # jinja reads no surrogate pairs
        text = pattern.sub(lambda match, new=literal: match.group().replace(match.group(1), new), text, count=1)

    return text


def is_ours(chat_template: str | None) -> bool:
    """Whether a chat template is one of templates/*.jinja, which can carry a question prefix."""
    return bool(_DEFAULT.search(chat_template or ""))


HOOK = Hook(modules=("llamafactory.data.template",), relies_on=RELIES_ON, apply=register_templates)
