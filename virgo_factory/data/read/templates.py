"""Which templates do not go with a model, or with long thoughts: LLaMA-Factory's reasoning templates.

These know a thought by words of their own: to a response with our markers they add an empty `<think></think>` that is trained
on, and they delete the thoughts of earlier turns (llamafactory/data/template.py:407-473).
"""

from virgo_factory.formats.row import QWEN_VL_FAMILIES


TEMPLATE_TAGS = {"virgo": "virgo", "virgo_qwen3_vl": "virgo", "omr": "omr", "think_qwen3_vl": "think"}
"""Our templates -> the tags of the responses that they train on; with others it is the four markers."""

PLAIN_TEMPLATES = {
    "aeva": ("glm4",),
    "deepseekr1": ("deepseek3",),
    "ernie_vl": (),
    "gemma4": (),
    "gemma4n": (),
    "glm4_5v": ("glm_ocr",),
    "glm4_7": ("glm4",),
    "glm4_moe": ("glm4",),
    "glm4v": ("glm_ocr",),
    "glmz1": ("glm4",),
    "gpt_oss": (),
    "hy3": (),
    "keye_vl": ("virgo", "qwen2_vl"),
    "kimi_vl": (),
    "mimo": ("qwen3_nothink",),
    "mimo_v2": ("qwen3_nothink",),
    "mimo_vl": ("virgo", "qwen2_vl"),
    "minimax2": (),
    "qwen3": ("qwen3_nothink",),
    "qwen3_5": ("qwen3_5_nothink", "virgo_qwen3_vl"),
    "qwen3_6": ("qwen3_5_nothink", "virgo_qwen3_vl"),
    "qwen3_omni": ("qwen3_omni_nothink",),
    "qwen3_vl": ("virgo_qwen3_vl", "think_qwen3_vl", "qwen3_vl_nothink"),
    "seed_oss": ("seed_coder",),
    "youtu": (),
}
"""Reasoning template -> plain ones of the same turns and images (tests/hooks/template/test_template.py compares them)."""


def template_problem(template: str | None) -> str | None:
    """Return what is wrong with rows of ours in a template, with the plain one's name; None where nothing is."""
    return reasoning_problem(template) if template in PLAIN_TEMPLATES else None


def reasoning_problem(template: str | None) -> str:
    """Return why rows of ours do not go with a template that is known to be a reasoning template.

    `template`: its name; None for one that LLaMA-Factory makes of the tokenizer's own chat template.
    """
    plain = PLAIN_TEMPLATES.get(template, ())
    remedy = f"Say template: {' or '.join(plain)}." if plain else "Use a plain template that fits the model."
    named = f"template: {template}" if template else "no template: that of the tokenizer"
    return (
        f"{named} is a reasoning template of LLaMA-Factory: it would put an empty <think></think> into every row of the "
        f"plugin's formattings, and delete the thoughts of earlier turns. {remedy}"
    )


def family_problem(template: str | None, family: str | None) -> str | None:
    """Return why one of our templates does not go with a model (its `model_type`), with those that do; None where it may.

    >>> family_problem("virgo", "qwen3_vl")
    'template: virgo is not the chat format of a qwen3_vl model. Say template: virgo_qwen3_vl or think_qwen3_vl.'
    >>> family_problem("omr", "qwen2_5_vl"), family_problem("virgo", "llama")
    (None, None)
    """
    fitting = [name for name in TEMPLATE_TAGS if name.endswith("qwen3_vl") == (family == "qwen3_vl")]
    if template not in TEMPLATE_TAGS or family not in QWEN_VL_FAMILIES or template in fitting:
        return None

    return f"template: {template} is not the chat format of a {family} model. Say template: {' or '.join(fitting)}."
