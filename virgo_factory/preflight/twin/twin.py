"""Twins: tiny random models with the real architecture, processor and chat format, for the demo, smoke runs and tests."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2TokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from virgo_factory.core.errors import UserError
from virgo_factory.data.tokens.image_size import image_settings
from virgo_factory.data.tokens.vocabulary import QWEN_PIECES
from virgo_factory.formats.row import QWEN_VL_TOKENS
from virgo_factory.io.files import RECIPES
from virgo_factory.preflight.twin.small_config import reduce_config


CHAT_TEMPLATE = """\
{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}\
{% for message in messages %}\
{% if loop.first and message['role'] != 'system' %}\
<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
{% endif %}\
<|im_start|>{{ message['role'] }}\n\
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n\
{% else %}{% for content in message['content'] %}\
{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}\
{% set image_count.value = image_count.value + 1 %}\
{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif content['type'] == 'video' or 'video' in content %}\
{% set video_count.value = video_count.value + 1 %}\
{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>\
{% elif 'text' in content %}{{ content['text'] }}{% endif %}\
{% endfor %}<|im_end|>\n{% endif %}{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""
"""The chat template of the Qwen2-VL family (Apache-2.0, Alibaba Cloud): what the real base model comes with."""

_SYSTEM_TURN = """\
{% if loop.first and message['role'] != 'system' %}\
<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
{% endif %}\
"""


def chat_template_of(family: str) -> str:
    """Return the chat template of a family's real model: Qwen3-VL (Instruct) has no system message of its own."""
    return CHAT_TEMPLATE.replace(_SYSTEM_TURN, "") if family == "qwen3_vl" else CHAT_TEMPLATE


HEAD_DIM = 32
"""The smallest attention head that vLLM serves."""

_FAMILIES = {
    "qwen2_vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor),
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor),
}
PATCH = {"qwen3_vl": 16}
"""Family -> pixels a side of a patch, where they are not 14."""


def make_twin(
    folder: Path | str,
    tokenizer_folder: Path | str | None = None,
    family: str = "qwen2_vl",
    seed: int = 0,
    *,
    texts: Iterable[str] | None = None,
    vocabulary: int = 1536,
    layers: int = 2,
    heads: int = 4,
    vision_layers: int = 2,
    vision_width: int = 64,
    tied: bool = False,
    dtype: str = "bfloat16",
) -> Path:
    """Return the folder, which then holds a tiny random model of a family with tokenizer and processor.

    Like the real 7B and 72B models: grouped-query attention, multimodal rotary positions, untied lm_head, and more
    embedding rows than the tokenizer has entries (room for marker tokens without resizing). Files of an older twin are
    replaced; the same arguments give the same files. The tokenizer (with its preprocessor_config.json, where there is
    one) is that of a folder, or a small one of `vocabulary` entries is trained on `texts`, by default on the demo's long
    thoughts. The width is 32 times `heads`, which is even;
    `vision_width` is a multiple of 32. `tied`: the output head is the embedding, as in the real 2B and 3B models.
    `dtype`: that of the real models, or float32, which is ten times as fast on a CPU that emulates bfloat16.
    Raises UserError for an unknown family or an impossible size.
    """
    if family not in _FAMILIES:
        raise UserError(f"no twin of family {family!r}; known are {', '.join(_FAMILIES)}")

    if tokenizer_folder is not None and texts is not None:
        raise UserError("give tokenizer_folder or texts, not both")

    if heads < 2 or heads % 2:
        raise UserError(f"heads: {heads} is not an even number; two query heads share one key-value head")

    if vision_width < HEAD_DIM or vision_width % HEAD_DIM:
        raise UserError(f"vision_width: {vision_width} is not a multiple of {HEAD_DIM}")

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer_folder is None:
        tokenizer = train_tokenizer(demo_texts() if texts is None else texts, vocabulary, folder)
        tokenizer.chat_template = chat_template_of(family)
    else:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)

    config_class, model_class, processor_class = _FAMILIES[family]
    config = config_class(**_sizes(family, tokenizer, layers, heads, vision_layers, vision_width, tied), dtype=dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = model_class(config).to(getattr(torch, dtype))

    model.config.architectures = [model_class.__name__]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=[tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")],
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        do_sample=True,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
    )
    model.save_pretrained(folder)
    processor_class(
        image_processor=_image_processor(tokenizer_folder, PATCH.get(family, 14)),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor() if family == "qwen3_vl" else Qwen2VLVideoProcessor(),
        chat_template=tokenizer.chat_template or chat_template_of(family),
    ).save_pretrained(folder)
    return folder


def make_reduced_twin(folder: Path | str, source: Path | str, seed: int = 0, dtype: str = "bfloat16") -> Path:
    """Return the folder, which then holds a tiny random model of the family that a config.json names, whichever it is.

    Tokenizer, processor and chat template are copied; weights are neither read nor needed. Raises UserError where
    transformers does not know the family, or it cannot be made small by the names of its sizes.
    """
    folder, source = Path(folder), Path(source)
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja", ".model", ".txt") and not file.name.endswith(".index.json"):
            shutil.copyfile(file, folder / file.name)

    whole = AutoConfig.from_pretrained(source)
    name = (whole.architectures or ["none"])[0]
    if not hasattr(transformers, name):
        raise UserError(
            f"config.json: architecture {name} is not in transformers {transformers.__version__}; models with code of "
            "their own (trust_remote_code) cannot be tried out"
        )

    config = type(whole).from_dict(reduce_config(whole.to_dict()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = getattr(transformers, name)(config).to(getattr(torch, dtype))

    if (source / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(source)

    model.save_pretrained(folder)
    return folder


def train_tokenizer(texts: Iterable[str], vocabulary: int, folder: Path) -> Qwen2TokenizerFast:
    """Return a byte-level BPE tokenizer of the Qwen2 kind, trained on the texts.

    Its vocab.json and merges.txt stand in the folder, so that the slow tokenizer loads from there as well.
    """
    core = Tokenizer(BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(QWEN_VL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.model.save(str(folder))
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in QWEN_VL_TOKENS])
    return Qwen2TokenizerFast(
        tokenizer_object=core,
        unk_token=None,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(QWEN_VL_TOKENS[1:]),
        model_max_length=32768,
        chat_template=CHAT_TEMPLATE,
    )


def demo_texts(*names: str) -> list[str]:
    """Return the texts of rows that ship with the demo: its long thoughts, unless other files are named."""
    files = [RECIPES / "demo" / f"{name}.jsonl" for name in names or ("long_thoughts",)]
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [text for row in rows for text in (row["question"], row["combined_text"])]


def _sizes(
    family: str,
    tokenizer: PreTrainedTokenizerBase,
    layers: int,
    heads: int,
    vision_layers: int,
    vision_width: int,
    tied: bool,
) -> dict:
    """Return the arguments of the family's configuration class."""
    width = heads * HEAD_DIM
    token_ids = {token: tokenizer.convert_tokens_to_ids(token) for token in QWEN_VL_TOKENS}
    text = {
        "vocab_size": _padded(len(tokenizer), 151936 if family == "qwen3_vl" else 152064),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "max_position_embeddings": 32768,
        "max_window_layers": layers,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [HEAD_DIM // 8, 3 * HEAD_DIM // 16, 3 * HEAD_DIM // 16]},
        "tie_word_embeddings": tied,
        "bos_token_id": token_ids["<|endoftext|>"],
        "eos_token_id": token_ids["<|im_end|>"],
    }
    vision = {
        "depth": vision_layers,
        "num_heads": vision_width // HEAD_DIM,
        "patch_size": PATCH.get(family, 14),
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    if family == "qwen2_vl":
        vision |= {"embed_dim": vision_width, "hidden_size": width, "mlp_ratio": 2}
    elif family == "qwen3_vl":
        vision |= {
            "hidden_size": vision_width,
            "out_hidden_size": width,
            "intermediate_size": 2 * vision_width,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": list(range(min(vision_layers, layers)))[:3],
        }
        text |= {"head_dim": HEAD_DIM, "rope_theta": 5000000.0}
        text["rope_scaling"] = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": _THIRDS}
    else:
        vision |= {
            "hidden_size": vision_width,
            "out_hidden_size": width,
            "intermediate_size": 2 * vision_width,
            "fullatt_block_indexes": [vision_layers - 1],
            "window_size": 112,
            "tokens_per_second": 2,
        }
    return {
        "text_config": text,
        "vision_config": vision,
        "image_token_id": token_ids["<|image_pad|>"],
        "video_token_id": token_ids["<|video_pad|>"],
        "vision_start_token_id": token_ids["<|vision_start|>"],
        "vision_end_token_id": token_ids["<|vision_end|>"],
        "tie_word_embeddings": tied,
    }


_THIRDS = [HEAD_DIM // 2 - 2 * (HEAD_DIM // 6), HEAD_DIM // 6, HEAD_DIM // 6]
"""Rotary pairs of time, height and width, as nearly alike as the real 24, 20 and 20."""


def _padded(entries: int, real: int = 152064) -> int:
    """Return embedding rows for a tokenizer: as many as the real model's for Qwen's own, else a multiple of 64, 16 to spare.

    >>> _padded(151657), _padded(151665), _padded(151669, 151936), _padded(1536)
    (152064, 152064, 151936, 1600)
    """
    return real if 151643 <= entries <= real else -(-(entries + 16) // 64) * 64


def _image_processor(tokenizer_folder: Path | str | None, patch: int) -> Qwen2VLImageProcessor:
    settings = image_settings(Path(tokenizer_folder)) if tokenizer_folder is not None else None
    if settings is not None:
        return Qwen2VLImageProcessor.from_dict(settings | {"patch_size": patch})

    side = 2 * patch
    return Qwen2VLImageProcessor(patch_size=patch, min_pixels=4 * side**2, max_pixels=side**2 * 16384)
