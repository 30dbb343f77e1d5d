"""`assistant_prefix` of LongPerceptualThoughts' real rows: context in the collated batch, and the same tokens as without."""

import json
import re

import pytest
from PIL import Image


TAGS = re.compile(r"</?(?:think|answer)>|<\|(?:begin|end)_of_(?:thought|solution)\|>|<\|im_end\|>|\s")


@pytest.fixture(scope="module")
def rows(shared_data):
    """The 47 rows with a prefix and 3 without, but for the pictures, which are not in the folder: one stands for each."""
    text = (shared_data / "long_perceptual_thoughts" / "sft_docci_all_extended_cots.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert sum(bool(row["assistant_prefix"]) for row in rows) == 47
    plain = [row for row in rows if not row["assistant_prefix"]][:3]
    return [row | {"images": ["picture.png"]} for row in rows if row["assistant_prefix"]] + [
        row | {"images": ["picture.png"]} for row in plain
    ]


@pytest.fixture
def batches(rows, tmp_path, preprocess, model_folder):
    """A function: recipe -> the collated batches, of one row each, with the prefixes and without them."""
    Image.new("RGB", (56, 56)).save(tmp_path / "picture.png")
    info = {}
    for name in ("with", "without"):
        kept = rows if name == "with" else [{**row, "assistant_prefix": ""} for row in rows]
        (tmp_path / f"{name}.json").write_text(json.dumps(kept))
        info[name] = {
            "file_name": f"{name}.json",
            "formatting": "long_thought",
            "columns": {"messages": "messages", "images": "images", "assistant_prefix": "assistant_prefix"},
            "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
        }

    (tmp_path / "dataset_info.json").write_text(json.dumps(info))

    def collated(**recipe):
        """Return both lists of batches and the tokenizer."""
        found = []
        for name in info:
            done = preprocess({"model_name_or_path": str(model_folder), "dataset": name, "cutoff_len": 8192} | recipe)
            assert done.accounts[name]["kept"] >= min(len(rows), recipe.get("max_samples", 50)) > 0
            found.append([done.collate([dict(row)]) for row in done.module["train_dataset"]])

        return *found, done.tokenizer

    return collated


def letters(text):
    """Return a text without tags, markers, turn ends and white space."""
    return TAGS.sub("", text)


@pytest.mark.slow
def test_the_prefix_is_context_in_the_collated_batch(rows, batches):
    with_prefix, without, tokenizer = batches()
    straddling = 0
    for row, here, there in zip(rows, with_prefix, without, strict=True):
        assert here["input_ids"].equal(there["input_ids"])
        (ids,), (labels,), (all_labels,) = here["input_ids"], here["labels"], there["labels"]
        trained, target = labels != -100, all_labels != -100
        assert labels[trained].equal(ids[trained])
        prefix, response = row["assistant_prefix"], row["messages"][-1]["content"]
        behind = letters(response[len(prefix) :])
        seen = letters(tokenizer.decode(labels[trained]))
        assert behind.endswith(seen)
        lost = behind.removesuffix(seen)
        straddling += bool(lost)
        if not prefix:
            assert labels.equal(all_labels)
        else:
            assert trained.sum() < target.sum()
            context = target & ~trained
            assert context.nonzero().max() < trained.nonzero().min()
            assert letters(tokenizer.decode(ids[context])) == letters(prefix) + lost
            assert response.startswith(prefix)

    assert straddling == 0


def test_a_token_across_the_boundary_is_context(model_folder):
    from transformers import AutoTokenizer

    from virgo_factory.hooks.rows.encoding import encode_with_context

    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    class Template:
        @staticmethod
        def encode_multiturn(tokenizer, messages):
            texts = [message["content"] for message in messages]
            ids = [tokenizer.encode(text + ("<|im_end|>" if place % 2 else "")) for place, text in enumerate(texts)]
            return list(zip(ids[::2], ids[1::2], strict=True))

    def pieces(prefix, response, *earlier):
        messages = [{"content": text} for text in (*earlier, "q", response)]
        *others, (source, target) = encode_with_context(Template, prefix, tokenizer, messages)
        plain = Template.encode_multiturn(tokenizer, messages)
        assert others == plain[:-1]
        assert source + target == plain[-1][0] + plain[-1][1]
        return tokenizer.decode(source).removeprefix("q"), tokenizer.decode(target)

    assert pieces("It is inform", "It is information.") == ("It is information", ".<|im_end|>")
    assert pieces("It is.", "It is.\n\nWait") == ("It is.\n\n", "Wait<|im_end|>")
    assert pieces("It is.", "It is. Wait", "a", "It is. No") == ("It is.", " Wait<|im_end|>")
    assert pieces("√2 是", "√2 是 否") == ("√2 是", " 否<|im_end|>")
    assert pieces("all", "all") == ("all", "<|im_end|>")
    with pytest.raises(ValueError, match="not how the response begins"):
        pieces("Wait", "It is.")


@pytest.mark.slow
def test_prompt_training(batches):
    with_prefix, without, _ = batches(train_on_prompt=True, max_samples=2)
    assert all(here["labels"].equal(there["labels"]) for here, there in zip(with_prefix, without, strict=True))
