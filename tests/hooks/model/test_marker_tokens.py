"""`marker_tokens: true`: single plain tokens, whose first rows are the mean of their pieces, once."""

import pytest
import torch
from transformers import AddedToken, AutoTokenizer, Qwen2VLForConditionalGeneration

from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.preflight.twin.twin import make_twin


WHOLE = LongThought("Seven eights: 56.\nWait, yes.", "It is \\boxed{56}.").render()


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return make_twin(tmp_path_factory.mktemp("twin"), layers=1, vision_layers=1)


def load(folder, marker_tokens=True, **settings):
    """Return tokenizer and model as LLaMA-Factory loads them for training."""
    from llamafactory.hparams import FinetuningArguments, ModelArguments
    from llamafactory.model import load_model, load_tokenizer

    model_args = ModelArguments(model_name_or_path=str(folder), marker_tokens=marker_tokens, **settings)
    model_args.device_map = {"": "cpu"}
    model_args.compute_dtype = torch.float32
    module = load_tokenizer(model_args)
    assert module["processor"] is None or module["processor"].tokenizer is module["tokenizer"]
    finetuning_args = FinetuningArguments(finetuning_type="full")
    return module, load_model(module["tokenizer"], model_args, finetuning_args, is_trainable=True)


def matrices(model):
    """Return the embedding and, where it is one of its own, the lm_head, as new float tensors."""
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    found = [embedding] if head is embedding else [embedding, head]
    return [weight.detach().float().clone() for weight in found]


def check_rows(before, after, tokenizer, pieces):
    """Every marker's row is the mean of its pieces' rows, and no other row of the old vocabulary has changed."""
    ids = tokenizer.convert_tokens_to_ids(list(MARKERS))
    for old, new in zip(before, after, strict=True):
        for marker, token in zip(MARKERS, ids, strict=True):
            torch.testing.assert_close(new[token], old[pieces[marker]].mean(dim=0), rtol=0.01, atol=1e-4)
            assert new[token].norm() > 0

        others = [row for row in range(len(old)) if row not in ids]
        assert torch.equal(new[others], old[others])


@pytest.fixture(scope="module")
def start(twin):
    """The twin as it is: tokenizer, its pieces of each marker, its matrices."""
    module, model = load(twin, marker_tokens=None)
    tokenizer = module["tokenizer"]
    pieces = {marker: tokenizer.encode(marker, add_special_tokens=False) for marker in MARKERS}
    assert all(len(ids) > 3 for ids in pieces.values())
    return tokenizer, pieces, matrices(model)


@pytest.fixture(scope="module")
def first(twin):
    return load(twin)


def test_false_and_unset_change_nothing(twin, start):
    module, model = load(twin, marker_tokens=False)
    assert module["tokenizer"].get_vocab() == start[0].get_vocab()
    for weight, before in zip(matrices(model), start[2], strict=True):
        assert torch.equal(weight, before)


def test_the_markers_are_single_plain_tokens(first, start):
    tokenizer = first[0]["tokenizer"]
    assert len(tokenizer) == len(start[0]) + 4
    for marker in MARKERS:
        (token,) = tokenizer.encode(marker, add_special_tokens=False)
        assert token >= len(start[0])
        assert not tokenizer.added_tokens_decoder[token].special

    ids = tokenizer.encode(WHOLE, add_special_tokens=False)
    assert len(set(ids) & set(tokenizer.convert_tokens_to_ids(list(MARKERS)))) == 4
    assert tokenizer.decode(ids, skip_special_tokens=True) == WHOLE
    assert not set(MARKERS) & set(tokenizer.all_special_tokens)


def test_rows_with_room_in_the_padded_vocabulary(first, start):
    model = first[1]
    assert len(start[2]) == 2  # an lm_head of its own
    assert model.get_input_embeddings().weight.shape[0] == start[2][0].shape[0] > len(first[0]["tokenizer"])
    check_rows(start[2], matrices(model), first[0]["tokenizer"], start[1])


def without_room(twin, tokens, tied, folder):
    """Write the twin cut down to its tokenizer, its output head its embedding or not; return its matrices."""
    model = Qwen2VLForConditionalGeneration.from_pretrained(twin, dtype=torch.bfloat16)
    model.resize_token_embeddings(tokens)
    if tied:
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
        model.tie_weights()

    model.save_pretrained(folder)
    for path in twin.iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).write_bytes(path.read_bytes())

    return matrices(model)


@pytest.mark.parametrize("tied", [False, True])
def test_rows_without_room_and_tied_embeddings(twin, start, tmp_path, tied):
    before = without_room(twin, len(start[0]), tied, tmp_path)
    assert len(before) == (1 if tied else 2)
    module, model = load(tmp_path)
    after = matrices(model)
    assert len(after) == len(before)
    assert len(after[0]) >= len(start[0]) + 4 > len(before[0])
    check_rows(before, after, module["tokenizer"], start[1])


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_lora_trains_tied_embeddings_as_one(twin, start, tmp_path, tied):
    from llamafactory.hparams import FinetuningArguments, ModelArguments
    from llamafactory.model import load_model, load_tokenizer

    base, first = tmp_path / "base", tmp_path / "first"
    base.mkdir()
    without_room(twin, len(start[0]), tied, base)
    targets = "embed_tokens" if tied else "embed_tokens,lm_head"
    stages = [
        ({}, {"additional_target": targets}),
        ({"adapter_name_or_path": str(first)}, {"create_new_adapter": True}),
        ({"adapter_name_or_path": str(first)}, {}),
    ]
    for model_keys, keys in stages:
        model_args = ModelArguments(model_name_or_path=str(base), marker_tokens=True, **model_keys)
        model_args.device_map, model_args.compute_dtype = {"": "cpu"}, torch.float32
        module = load_tokenizer(model_args)
        finetuning_args = FinetuningArguments(finetuning_type="lora", lora_target="q_proj", **keys)
        finetuning_args.virgo_used = True
        model = load_model(module["tokenizer"], model_args, finetuning_args, is_trainable=True)
        embedding, head = (
            part.modules_to_save["default"].weight
            for part in (model.get_input_embeddings(), model.get_output_embeddings())
        )
        assert (embedding is head) == tied
        assert embedding.requires_grad and head.requires_grad
        assert set(model.peft_config["default"].modules_to_save) == set(targets.split(","))
        assert bool(model.peft_config["default"].ensure_weight_tying) == tied
        if not model_keys:
            model.save_pretrained(first)
            module["tokenizer"].save_pretrained(first)


def test_a_second_stage_does_not_touch_trained_rows(first, tmp_path):
    module, model = first
    tokenizer = module["tokenizer"]
    ids = tokenizer.convert_tokens_to_ids(list(MARKERS))
    own = matrices(model)
    with torch.no_grad():
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight[ids] = 1.5  # as if trained

    try:
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        module["processor"].save_pretrained(tmp_path)
    finally:
        with torch.no_grad():
            for weight, old in zip(
                (model.get_input_embeddings().weight, model.get_output_embeddings().weight), own, strict=True
            ):
                weight.copy_(old)

    for marker_tokens in (True, None):
        again, second = load(tmp_path, marker_tokens)
        assert again["tokenizer"].get_vocab() == tokenizer.get_vocab()
        assert again["tokenizer"].convert_tokens_to_ids(list(MARKERS)) == ids
        assert again["tokenizer"].decode(again["tokenizer"].encode(WHOLE), skip_special_tokens=True) == WHOLE
        for weight in matrices(second):
            assert torch.equal(weight[ids], torch.full_like(weight[ids], 1.5))


def test_only_the_tokens_that_are_lacking_are_added_and_set(twin, tmp_path):
    from llamafactory.hparams import ModelArguments
    from llamafactory.model import load_tokenizer

    for path in twin.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())

    tokenizer = AutoTokenizer.from_pretrained(twin)
    tokenizer.add_tokens([AddedToken(MARKERS[2], special=False, normalized=False)])
    tokenizer.save_pretrained(tmp_path)
    model_args = ModelArguments(model_name_or_path=str(tmp_path), marker_tokens=True)
    again = load_tokenizer(model_args)["tokenizer"]
    there = tokenizer.convert_tokens_to_ids(MARKERS[2])
    assert again.convert_tokens_to_ids(MARKERS[2]) == there
    assert sorted(model_args.virgo_marker_pieces) == sorted(
        again.convert_tokens_to_ids(marker) for marker in MARKERS if marker != MARKERS[2]
    )
    assert there not in model_args.virgo_marker_pieces


def test_response_tokens_are_counted_with_the_markers_as_text_in_every_stage(hook, first, start, tmp_path):
    def count(tokenizer):
        return len(hook.text_tokenizer(tokenizer).encode(WHOLE, add_special_tokens=False))

    expected = len(start[0].encode(WHOLE, add_special_tokens=False))
    assert hook.text_tokenizer(start[0]) is start[0]
    first[0]["tokenizer"].save_pretrained(tmp_path)
    second = AutoTokenizer.from_pretrained(tmp_path)
    assert len(second.encode(WHOLE, add_special_tokens=False)) < expected - 8
    assert count(first[0]["tokenizer"]) == count(second) == expected


@pytest.mark.slow
def test_the_real_tokenizer_gets_the_next_free_ids(hook, real_model_folder):
    from llamafactory.hparams import ModelArguments

    tokenizer = AutoTokenizer.from_pretrained(real_model_folder)
    model_args = ModelArguments(model_name_or_path="x", marker_tokens=True)
    hook.add_marker_tokens(tokenizer, model_args)
    assert tokenizer.convert_tokens_to_ids(list(MARKERS)) == [151665, 151666, 151667, 151668]
    assert [len(ids) for ids in model_args.virgo_marker_pieces.values()] == [8, 8, 7, 7]
    assert model_args.resize_vocab
    assert tokenizer.decode(tokenizer.encode(WHOLE), skip_special_tokens=True) == WHOLE


class Partitioned(torch.nn.Module):
    """Stands for a model; its embedding is also its lm_head, or it has none."""

    def __init__(self, head):
        super().__init__()
        self.embedding = torch.nn.Embedding(8, 4)
        self.head = {"tied": self.embedding, "none": None}[head]
        self.get_input_embeddings = lambda: self.embedding
        self.get_output_embeddings = lambda: self.head


@pytest.mark.parametrize("head", ["tied", "none"])
def test_a_matrix_is_set_once(hook, told, head):
    model = Partitioned(head)
    old = model.embedding.weight.detach().clone()
    hook.initialise_rows(model, {6: [0, 1], 7: [2]})
    assert torch.allclose(model.embedding.weight[6], old[:2].mean(dim=0))
    assert torch.equal(model.embedding.weight[7], old[2])
    assert torch.equal(model.embedding.weight[:6], old[:6])
    assert len(told) == 1 and "6: " in told[0] and " -> " in told[0]
