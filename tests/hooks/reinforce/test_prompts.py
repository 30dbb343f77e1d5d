"""Order of hook, and a prompt's tokens: those of the same question in supervised training."""

import json
from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.core.recipe_keys import RL_DEFAULTS
from virgo_factory.core.thought import LongThought
from virgo_factory.demo.visual_rows import write_questions
from virgo_factory.formats import read_row


def test_an_epoch_depends_on_seed_and_number_alone(hook):
    sampler = hook.PromptSampler(7, group=2, together=3, repeats=2, seed=5)
    first = list(sampler)
    assert len(first) == len(sampler) == 24
    assert first[:6] == first[6:12] and first[12:18] == first[18:]
    assert first[:6:2] == first[1:6:2]
    assert len({*first}) == 6
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    again = hook.PromptSampler(7, group=2, together=3, repeats=2, seed=5)
    again.set_epoch(1)
    assert list(again) == second
    assert list(hook.PromptSampler(4, 1, 2, 1, None)) == [0, 1, 2, 3]


def dataset(rates):
    from datasets import Dataset

    asked = [
        json.dumps({"id": f"q{at}"} | ({} if rate is None else {"pass_rate": rate})) for at, rate in enumerate(rates)
    ]
    return Dataset.from_dict({"asked": asked})


def test_a_curriculum_begins_with_what_is_easy(hook):
    settings = RL_DEFAULTS | {"rl_num_generations": 2, "rl_curriculum": "pass_rate"}
    arranged = hook.arrange(dataset([0.1, 0.9, 0.5, 0.9]), settings, 4)
    assert [json.loads(text)["id"] for text in arranged["asked"]] == ["q1", "q3", "q2", "q0"]
    with pytest.raises(UserError, match="2 prompts have no pass rate .* such as q1, q2"):
        hook.arrange(dataset([0.1, None, None]), settings, 4)

    with pytest.raises(UserError, match="3 prompts are kept, and one rollout asks 4"):
        hook.arrange(dataset([0.1, 0.2, 0.3]), settings, 8)


@pytest.mark.slow
def test_a_prompt_is_the_tokens_of_the_question_in_supervised_training(
    preprocess, prompts_of, write_data, model_folder, tmp_path
):
    rows = [json.loads(line) for line in write_questions(tmp_path, 5).read_text().splitlines()]
    rows.append({"id": "t/1", "question": "Which one?", "gold": "B", "options": ["red", "blue"], "system": "Look."})
    learned = []
    for row in rows:
        (example,) = read_row(row, "questions").parts
        learned.append({"id": row["id"], "question": example.question, "images": list(example.images), "system": row.get("system"),
                        "response": LongThought("I look.", "\\boxed{1}").render()})  # fmt: skip

    bad = {"id": "t/2", "question": "Which one?", "gold": ""}, {"id": "t/3", "question": "word " * 300, "gold": "1"}
    write_data(asked=([*rows, *bad], {"formatting": "questions"}), learned=learned)
    shared = {"question_prefix": "virgo", "media_dir": str(tmp_path)}
    supervised = preprocess(shared | {"model_name_or_path": str(model_folder), "dataset": "learned"})
    asked = prompts_of(**shared, rl_max_prompt_tokens=250)
    expected = [
        row["input_ids"][: next(at for at, label in enumerate(row["labels"]) if label >= 0)]
        for row in supervised.module["train_dataset"]
    ]
    found = asked.module["train_dataset"]
    assert [list(row) for row in found["input_ids"]] == expected
    assert [row["images"] for row in found] == [row["images"] for row in supervised.module["train_dataset"]]
    facts = [json.loads(text) for text in found["asked"]]
    assert [fact["gold"] for fact in facts] == [row["gold"] for row in rows]
    assert facts[-1]["system"] == "Look." and facts[0]["system"] == "You are a helpful assistant."
    account = asked.accounts["asked"]
    assert account["reasons"] == {"no gold answer": 1, "overlong > 250 tokens": 1}
    assert [row["line"] for row in account["dropped_rows"]] == [7, 8]


def test_a_template_without_pictures_is_told_before_the_model(prompts_of, write_data, tmp_path):
    write_questions(tmp_path, 2)
    write_data("questions", asked=([], {"file_name": "questions.jsonl"}))
    with pytest.raises(UserError, match="dataset asked: a row has images, but: "):
        prompts_of(template="qwen")


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"malformed": "error"}, "asked.jsonl:2 (id b): no gold answer"),
        ({"overlong": "error"}, "asked.jsonl:3 (id c): overlong"),
    ],
)
def test_a_row_that_is_an_error_ends_the_run_before_the_model(prompts_of, write_data, keys, place):
    rows = [{"id": "a", "question": "1 + 1?", "gold": "2"}, {"id": "b", "question": "1 + 1?", "gold": None},
            {"id": "c", "question": "word " * 300, "gold": "1"}]  # fmt: skip
    write_data("questions", asked=rows)
    with pytest.raises(UserError) as caught:
        prompts_of(rl_max_prompt_tokens=250, **keys)

    assert place in str(caught.value)


def test_pictures_are_read_once_a_group(hook):
    calls = []

    def get_mm_inputs(images, *_):
        import torch

        calls.append(images)
        return {"pixel_values": torch.ones(2, 3), "image_grid_thw": torch.tensor([[1, 1, 2]]), "other": None}

    template = SimpleNamespace(mm_plugin=SimpleNamespace(get_mm_inputs=get_mm_inputs))
    rows = [{"images": images, "input_ids": [1]} for images in (["a"], ["a"], [], ["b"])]
    found = hook.pictures(rows, template, None)
    assert calls == [["a"], ["b"]]
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "pixel_values": (6, 3),
        "image_grid_thw": (3, 3),
    }
    assert hook.pictures([{"images": None, "input_ids": [1]}], template, None) == {}
