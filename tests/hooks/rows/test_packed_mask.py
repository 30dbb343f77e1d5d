"""A pack of text rows gives a model that sees what each row gives by itself, whatever the attention."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from virgo_factory.preflight.twin.twin import make_twin


pytestmark = pytest.mark.slow

CUTOFF = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_twin(tmp_path_factory.mktemp("twin") / "model")


def pack(rows: list[list[int]]) -> dict:
    """Return a pack as LLaMA-Factory's processor makes it: right padding is a part of its own."""
    ids = [token for row in rows for token in row]
    ends = [0]
    for row in rows:
        ends.append(ends[-1] + len(row))

    padding = CUTOFF - len(ids)
    return {
        "input_ids": ids + [0] * padding,
        "labels": ids + [-100] * padding,
        "attention_mask": [place for place, row in enumerate(rows, 1) for _ in row] + [0] * padding,
        "position_ids": [place for row in rows for place in range(len(row))] + [0] * padding,
        "packing_params": {
            "sequence_boundaries": [*ends, CUTOFF],
            "image_subseq_ids": [2**31],
            "video_subseq_ids": [2**31],
            "audio_subseq_ids": [2**31],
            "right_padding_length": padding,
        },
    }


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("lengths", [[[30, 41]], [[30, 41], [20, 20, 50]]])
def test_each_row_of_a_pack_is_read_as_if_alone(folder, attention, lengths):
    from llamafactory.data.collator import SFTDataCollatorWith4DAttentionMask
    from llamafactory.data.template import TEMPLATES

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    generator = torch.Generator().manual_seed(0)
    packs = [[torch.randint(5, 900, (length,), generator=generator).tolist() for length in rows] for rows in lengths]
    collator = SFTDataCollatorWith4DAttentionMask(
        template=TEMPLATES["virgo"],
        processor=processor,
        tokenizer=processor.tokenizer,
        model=model,
        block_diag_attn=True,
        neat_packing=True,
        attn_implementation=attention,
    )
    batch = collator([pack(rows) for rows in packs])
    length = batch["input_ids"].shape[1]
    assert batch["attention_mask"].shape == (len(packs), 1, length, length)
    batch.pop("labels")
    with torch.no_grad():
        together = model(**batch).logits
        for place, rows in enumerate(packs):
            begin = 0
            for row in rows:
                alone = model(input_ids=torch.tensor([row])).logits[0]
                assert torch.allclose(together[place, begin : begin + len(row)], alone, atol=1e-4)
                begin += len(row)
